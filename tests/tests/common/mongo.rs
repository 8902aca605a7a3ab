use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_core::{Env, SystemEnv};
use crm_store_mongo::{MongoOptions, MongoStore};

use super::Made;

/// One database for each store, dropped with the harness.
#[derive(Default)]
pub(crate) struct MongoHarness(Made<String>);

fn url() -> String {
    crm_test_servers::mongo_url().unwrap_or_else(|error| panic!("{error}; `cargo verify` starts one"))
}

async fn connect(database: &str, catalog: Catalog) -> Arc<dyn Store> {
    Arc::new(MongoStore::connect(&url(), database, catalog, MongoOptions::default()).await.unwrap())
}

#[async_trait]
impl Harness for MongoHarness {
    fn name(&self) -> &'static str {
        "mongo"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        let database = format!("t_{}", SystemEnv.new_id().simple());
        MongoStore::migrate(&url(), &database, &catalog).await.unwrap();
        let store = connect(&database, catalog).await;
        self.0.remember(&store, database);
        store
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        let database = self.0.address(store);
        let second = connect(&database, store.catalog().clone()).await;
        self.0.remember(&second, database);
        second
    }
}

impl Drop for MongoHarness {
    fn drop(&mut self) {
        // In a thread with a runtime of its own: a test that failed is unwinding inside its runtime.
        let mut databases = self.0.all();
        databases.sort();
        databases.dedup();
        let work = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                let Ok(client) = mongodb::Client::with_uri_str(url()).await else { return };
                for database in databases {
                    // What is left behind goes with the server.
                    let _ = client.database(&database).drop().await;
                }
            });
        });
        let _ = work.join();
    }
}
