use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_conformance::contract::extra_entity::POSTGRES_MIGRATION;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_core::{Env, SystemEnv, standard_catalog};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, ddl, ddl_all, migrate, migration};

use super::Made;

/// One schema for each store, dropped with the harness.
#[derive(Default)]
pub(crate) struct PostgresHarness(Made<String>);

fn url() -> String {
    crm_test_servers::postgres_url().unwrap_or_else(|error| panic!("{error}; `cargo verify` starts one"))
}

async fn connect(schema: String, catalog: Catalog) -> Arc<dyn Store> {
    let options = PostgresOptions { schema, max_connections: 6, ..PostgresOptions::default() };
    Arc::new(PostgresStore::connect(&url(), catalog, options).await.unwrap())
}

#[async_trait]
impl Harness for PostgresHarness {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        let schema = format!("t_{}", SystemEnv.new_id().simple());
        let standard = standard_catalog().build().unwrap();
        let mut migrations = vec![migration(100, "library", ddl_all(&standard))];
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
        let options = MigrateOptions { schema: schema.clone(), migrations, ..MigrateOptions::default() };
        migrate(&url(), &catalog, options).await.unwrap();
        let store = connect(schema.clone(), catalog).await;
        self.0.remember(&store, schema);
        store
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        let schema = self.0.address(store);
        let second = connect(schema.clone(), store.catalog().clone()).await;
        self.0.remember(&second, schema);
        second
    }
}

impl Drop for PostgresHarness {
    fn drop(&mut self) {
        // In a thread with a runtime of its own: a test that failed is unwinding inside its runtime.
        let mut schemas = self.0.all();
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
