//! The servers, and empty stores on them.

use std::sync::Arc;

use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_core::{Context, Crm, TenantId};
use crm_store_memory::MemoryStore;
use crm_store_mongo::{MongoOptions, MongoStore};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, ddl_all, migrate, migration};
use crm_test_servers::{MongoServer, Options as ServerOptions, PostgresServer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::Outcome;

/// The tenant of everything that is measured.
pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(0x7e4a_0001));

/// A store of one kind.
#[derive(Clone)]
pub(crate) enum Kind {
    /// In memory.
    Memory(MemoryStore),
    /// PostgreSQL, in a schema of its own.
    Postgres {
        /// The store.
        store: PostgresStore,
        /// Its schema.
        schema: String,
        /// Whether its tables have policies.
        walled: bool,
    },
    /// MongoDB, in a database of its own.
    Mongo(MongoStore),
}

impl Kind {
    /// The name in the results.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Postgres { walled: false, .. } => "PostgreSQL",
            Self::Postgres { walled: true, .. } => "PostgreSQL, row level security",
            Self::Mongo(_) => "MongoDB",
        }
    }

    /// The store.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Postgres { store, .. } => Arc::new(store.clone()),
            Self::Mongo(store) => Arc::new(store.clone()),
        }
    }

    /// A facade over it.
    pub(crate) fn crm(&self) -> Outcome<Crm> {
        Ok(Crm::builder_shared(self.store()).cursor_key([7_u8; 32]).build()?)
    }

    /// How many round trips it has made; none for memory.
    pub(crate) fn trips(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Postgres { store, .. } => store.statements(),
            Self::Mongo(store) => store.commands(),
        }
    }
}

/// Who does everything.
pub(crate) fn ctx() -> Context {
    Context::user(TENANT, Uuid::from_u128(0x05e7)).with_role("admin")
}

/// Running servers, as durable as in production.
pub(crate) struct Bed {
    postgres: PostgresServer,
    mongo: MongoServer,
}

impl Bed {
    /// Starts both.
    pub(crate) async fn start() -> Outcome<Self> {
        let durable = ServerOptions::durable;
        let postgres =
            PostgresServer::start(&durable().with("shared_buffers", "512MB").with("max_wal_size", "4GB"))?;
        let mongo = MongoServer::start(&durable().with("wiredTigerCacheSizeGB", "1"))?;
        let bed = Self { postgres, mongo };
        let mut admin = PgConnection::connect(&bed.postgres.url()).await?;
        // An ordinary role: policies do not bind a superuser.
        for text in ["CREATE ROLE bench LOGIN", "CREATE DATABASE bench OWNER bench"] {
            sqlx::raw_sql(text).execute(&mut admin).await?;
        }
        Ok(bed)
    }

    /// What the servers say they are.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        vec![
            (
                "PostgreSQL".to_owned(),
                format!("{}; fsync on, 512 MB of shared buffers", self.postgres.version()),
            ),
            (
                "MongoDB".to_owned(),
                format!(
                    "{}; one node, writes on a majority and in the journal, 1 GB of cache",
                    self.mongo.version()
                ),
            ),
        ]
    }

    /// The database as an ordinary role, or as its superuser.
    pub(crate) fn postgres_url(&self, superuser: bool) -> String {
        let role = if superuser { crm_test_servers::POSTGRES_USER } else { "bench" };
        format!("postgres://{role}@127.0.0.1:{}/bench", self.postgres.port())
    }

    /// A connection as the superuser, whom no policy binds.
    pub(crate) async fn admin(&self) -> Outcome<PgConnection> {
        Ok(PgConnection::connect(&self.postgres_url(true)).await?)
    }

    /// An empty store in memory.
    pub(crate) fn memory() -> Outcome<Kind> {
        Ok(Kind::Memory(MemoryStore::new(catalog()?)))
    }

    /// An empty store in a new schema.
    pub(crate) async fn postgres(&self, schema: &str, walled: bool) -> Outcome<Kind> {
        let url = self.postgres_url(false);
        let catalog = catalog()?;
        let options = MigrateOptions {
            schema: schema.to_owned(),
            migrations: vec![migration(100, "all entities", ddl_all(&catalog))],
            row_level_security: walled,
            ..MigrateOptions::default()
        };
        migrate(&url, &catalog, options).await?;
        let options = PostgresOptions {
            schema: schema.to_owned(),
            row_level_security: walled,
            max_connections: 4,
            ..PostgresOptions::default()
        };
        let store = PostgresStore::connect(&url, catalog, options).await?;
        Ok(Kind::Postgres { store, schema: schema.to_owned(), walled })
    }

    /// An empty store in a new database.
    pub(crate) async fn mongo(&self, database: &str) -> Outcome<Kind> {
        let catalog = catalog()?;
        let options = MongoOptions::default();
        let url = self.mongo.url();
        MongoStore::migrate(&url, database, &catalog).await?;
        Ok(Kind::Mongo(MongoStore::connect(&url, database, catalog, options).await?))
    }

    /// An empty store of each kind, for one part.
    pub(crate) async fn all(&self, part: &str) -> Outcome<Vec<Kind>> {
        let mut all = vec![Self::memory()?];
        all.extend(self.databases(part).await?);
        Ok(all)
    }

    /// An empty store of each kind that keeps data on a disk.
    pub(crate) async fn databases(&self, part: &str) -> Outcome<Vec<Kind>> {
        Ok(vec![
            self.postgres(&format!("{part}_open"), false).await?,
            self.postgres(&format!("{part}_walled"), true).await?,
            self.mongo(part).await?,
        ])
    }

    /// Settles what was just written, so that no clean-up falls into the measurement.
    pub(crate) async fn settle(&self, kind: &Kind) -> Outcome {
        if let Kind::Postgres { schema, .. } = kind {
            let mut admin = self.admin().await?;
            let tables: Vec<String> =
                sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = $1")
                    .bind(schema)
                    .fetch_all(&mut admin)
                    .await?;
            for table in tables {
                let text = format!("VACUUM ANALYZE {schema}.{table}");
                sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut admin).await?;
            }
            sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
        }
        Ok(())
    }
}

fn catalog() -> Outcome<Catalog> {
    Ok(crm_core::standard_catalog().build()?)
}
