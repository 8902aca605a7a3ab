use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_conformance::contract::extra_entity::POSTGRES_MIGRATION;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_core::{Env, SystemEnv, standard_catalog};
use crm_store_postgres::{
    MigrateOptions, PostgresOptions, PostgresStore, ddl, migrate, migration, standard_migrations,
};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::Made;

/// One schema for each store, dropped with the harness.
#[derive(Default)]
pub(crate) struct PostgresHarness {
    made: Made<String>,
    secured: bool,
}

/// The ordinary role that secured stores run as.
const ROLE: &str = "crm_conformance";

impl PostgresHarness {
    /// Stores that run as an ordinary role under row level security.
    pub(crate) fn secured() -> Self {
        Self { secured: true, made: Made::default() }
    }

    async fn connect(&self, schema: String, catalog: Catalog) -> Arc<dyn Store> {
        let row_level_security = self.secured;
        let options =
            PostgresOptions { schema, max_connections: 6, row_level_security, ..PostgresOptions::default() };
        if !self.secured {
            return Arc::new(PostgresStore::connect(&url(), catalog, options).await.unwrap());
        }
        let connect: PgConnectOptions = url().parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(6);
        let pool = pool.connect_with(connect.username(ROLE).password(ROLE)).await.unwrap();
        Arc::new(PostgresStore::with_pool(pool, catalog, options).await.unwrap())
    }
}

/// Creates the role if nobody has.
async fn ordinary_role() {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&url()).await.unwrap();
    let text = format!(
        "SELECT pg_advisory_lock(7261); \
         DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN \
           CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'; END IF; END $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn url() -> String {
    crm_test_servers::postgres_url().unwrap_or_else(|error| panic!("{error}; `cargo verify` starts one"))
}

#[async_trait]
impl Harness for PostgresHarness {
    fn name(&self) -> &'static str {
        if self.secured { "postgres under row level security" } else { "postgres" }
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        let schema = format!("t_{}", SystemEnv.new_id().simple());
        let standard = standard_catalog().build().unwrap();
        let mut migrations = standard_migrations();
        if catalog.get("project_note").is_some() {
            migrations.push(migration(900, "project notes", POSTGRES_MIGRATION));
        }
        let others = catalog
            .in_link_order()
            .into_iter()
            .filter(|def| standard.get(def.name).is_none() && !["project_note", "visit"].contains(&def.name));
        for (n, def) in others.enumerate() {
            migrations.push(migration(1_000 + n as i64, "another entity", ddl(&catalog, def)));
        }
        if self.secured {
            ordinary_role().await;
        }
        let options = MigrateOptions {
            schema: schema.clone(),
            migrations,
            runtime_role: self.secured.then(|| ROLE.to_owned()),
            row_level_security: self.secured,
        };
        migrate(&url(), &catalog, options).await.unwrap();
        let store = self.connect(schema.clone(), catalog).await;
        self.made.remember(&store, schema);
        store
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        let schema = self.made.address(store);
        let second = self.connect(schema.clone(), store.catalog().clone()).await;
        self.made.remember(&second, schema);
        second
    }
}

impl Drop for PostgresHarness {
    fn drop(&mut self) {
        // In a thread with a runtime of its own: a test that failed is unwinding inside its runtime.
        let mut schemas = self.made.all();
        schemas.sort();
        schemas.dedup();
        let work = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                use sqlx::Connection;
                let Ok(mut connection) = sqlx::PgConnection::connect(&url()).await else { return };
                for schema in schemas {
                    let text = format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {schema} CASCADE");
                    // What is left behind goes with the server.
                    let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await;
                }
            });
        });
        let _ = work.join();
    }
}
