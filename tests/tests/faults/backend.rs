//! A server of the test's own, and handles to its data as other processes would have them.

use std::sync::Arc;
use std::time::Duration;

use crm_core::catalog::Catalog;
use crm_core::store::{Store, StoreError};
use crm_core::{Crm, standard_catalog};
use crm_store_mongo::{MongoOptions, MongoStore};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, ddl_all, migrate, migration};
use crm_test_servers::{Fault, Lose, MongoServer, Options, PostgresServer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The database of the tests on MongoDB.
pub(crate) const DATABASE: &str = "crm";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mongo,
}

/// One server.
#[derive(Clone)]
pub(crate) enum Backend {
    Postgres(Arc<PostgresServer>),
    Mongo(Arc<MongoServer>),
}

/// A store, with the adapter's own methods in reach.
#[derive(Clone)]
pub(crate) enum Handle {
    Postgres(PostgresStore),
    Mongo(MongoStore),
}

/// How long a handle waits for its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As shipped.
    Usual,
    /// A few seconds, for tests of a server that does not answer.
    Short,
}

pub(crate) fn catalog() -> Catalog {
    standard_catalog().build().unwrap()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

impl Backend {
    /// A fresh server on which a commit is on disk when it is acknowledged, without any table.
    pub(crate) async fn empty(kind: Kind) -> Self {
        blocking(move || match kind {
            Kind::Postgres => Self::Postgres(Arc::new(PostgresServer::start(&Options::durable()).unwrap())),
            Kind::Mongo => Self::Mongo(Arc::new(MongoServer::start(&Options::durable()).unwrap())),
        })
        .await
    }

    /// A server that ends abandoned transactions soon: MongoDB keeps those of a client that was cut off for a minute,
    /// during which other commits of the same records are contended.
    pub(crate) async fn start_impatient(kind: Kind) -> Self {
        let options = Options::durable().with("setParameter", "transactionLifetimeLimitSeconds=1");
        let backend = match kind {
            Kind::Postgres => Self::empty(kind).await,
            Kind::Mongo => {
                blocking(move || Self::Mongo(Arc::new(MongoServer::start(&options).unwrap()))).await
            }
        };
        backend.migrate().await.unwrap();
        backend
    }

    /// The same with the schema.
    pub(crate) async fn start(kind: Kind) -> Self {
        let backend = Self::empty(kind).await;
        backend.migrate().await.unwrap();
        backend
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Mongo(_) => "mongo",
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Mongo(server) => server.url(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Postgres(server) => server.port(),
            Self::Mongo(server) => server.port(),
        }
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let catalog = catalog();
        match self {
            Self::Postgres(server) => {
                let tables = migration(100, "the entities", ddl_all(&catalog));
                let options = MigrateOptions { migrations: vec![tables], ..MigrateOptions::default() };
                migrate(&server.url(), &catalog, options).await
            }
            Self::Mongo(server) => MongoStore::migrate(&server.url(), DATABASE, &catalog).await,
        }
    }

    /// A handle of its own: a pool or client that no other handle shares.
    pub(crate) async fn handle(&self) -> Handle {
        self.connect(&self.url(), Patience::Usual).await.unwrap()
    }

    /// A handle that reaches the server by another address.
    pub(crate) async fn connect(&self, url: &str, patience: Patience) -> Result<Handle, StoreError> {
        let short = patience == Patience::Short;
        match self {
            Self::Postgres(_) => {
                let mut options = PostgresOptions::default();
                if short {
                    options.acquire_timeout = Duration::from_secs(2);
                    options.statement_timeout = Duration::from_secs(2);
                    options.lock_timeout = Duration::from_secs(1);
                }
                Ok(Handle::Postgres(PostgresStore::connect(url, catalog(), options).await?))
            }
            Self::Mongo(_) => {
                let mut options = MongoOptions::default();
                let mut url = url.to_owned();
                if short {
                    options.max_time = Duration::from_secs(3);
                    url.push_str(
                        "&serverSelectionTimeoutMS=1000&connectTimeoutMS=1000&heartbeatFrequencyMS=1000",
                    );
                }
                Ok(Handle::Mongo(MongoStore::connect(&url, DATABASE, catalog(), options).await?))
            }
        }
    }

    /// SIGKILL for all its processes.
    pub(crate) async fn kill(&self) {
        let this = self.clone();
        blocking(move || match this {
            Self::Postgres(server) => server.kill_hard().unwrap(),
            Self::Mongo(server) => server.kill_hard().unwrap(),
        })
        .await;
    }

    pub(crate) async fn restart(&self) {
        let this = self.clone();
        blocking(move || match this {
            Self::Postgres(server) => server.restart().unwrap(),
            Self::Mongo(server) => server.restart().unwrap(),
        })
        .await;
    }

    /// SIGSTOP for all its processes.
    pub(crate) async fn pause(&self) {
        let this = self.clone();
        blocking(move || match this {
            Self::Postgres(server) => server.pause().unwrap(),
            Self::Mongo(server) => server.pause().unwrap(),
        })
        .await;
    }

    pub(crate) async fn resume(&self) {
        let this = self.clone();
        blocking(move || match this {
            Self::Postgres(server) => server.resume().unwrap(),
            Self::Mongo(server) => server.resume().unwrap(),
        })
        .await;
    }

    /// A fault at commits: of a reply as often as it is needed to leave the caller without one.
    pub(crate) fn fault(&self, lose: Lose) -> Fault {
        match self {
            Self::Postgres(_) => Fault::postgres_commit(lose),
            Self::Mongo(_) => Fault::mongo_commit(lose),
        }
    }

    /// How many rows or documents one of the store's own tables holds, by a driver of the test's own. Of the log, those
    /// that are sealed.
    pub(crate) async fn count(&self, table: &str) -> usize {
        match self {
            Self::Postgres(server) => {
                let mut connection = PgConnection::connect(&server.url()).await.unwrap();
                let only = if table == "crm_log" { " WHERE number IS NOT NULL" } else { "" };
                let text = format!("SELECT count(*) FROM crm.{table}{only}");
                let count: i64 =
                    sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut connection).await.unwrap();
                usize::try_from(count).unwrap()
            }
            Self::Mongo(server) => {
                let client = mongodb::Client::with_uri_str(server.url()).await.unwrap();
                let all = client.database(DATABASE).collection::<bson::Document>(table);
                let only = if table == "crm_log" {
                    bson::doc! { "number": { "$gt": 0 } }
                } else {
                    bson::doc! {}
                };
                usize::try_from(all.count_documents(only).await.unwrap()).unwrap()
            }
        }
    }
}

impl Handle {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(store) => Arc::new(store.clone()),
            Self::Mongo(store) => Arc::new(store.clone()),
        }
    }

    pub(crate) fn crm(&self) -> Crm {
        Crm::builder_shared(self.store()).cursor_key(vec![7; 32]).build().unwrap()
    }
}
