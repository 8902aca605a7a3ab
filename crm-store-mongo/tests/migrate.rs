//! Making a database ready, and saying what is missing when it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bson::{Document, doc};
use crm_core::standard_catalog;
use crm_core::store::StoreError;
use crm_store_mongo::{MongoOptions, MongoStore};
use mongodb::Client;
use support::{catalog, database, url};

async fn connect(name: &str) -> Result<MongoStore, StoreError> {
    MongoStore::connect(&url(), name, catalog(), MongoOptions::default()).await
}

fn why(outcome: Result<MongoStore, StoreError>) -> String {
    match outcome {
        Err(StoreError::NotReady { why }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_migrate_at_once() {
    let name = database();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let name = name.clone();
        // A client of its own each, as processes have.
        tasks.spawn(async move {
            let catalog = standard_catalog().build().unwrap();
            MongoStore::migrate(&url(), &name, &catalog).await
        });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    let catalog = standard_catalog().build().unwrap();
    let store = MongoStore::connect(&url(), &name, catalog.clone(), MongoOptions::default()).await.unwrap();
    MongoStore::migrate(&url(), &name, &catalog).await.unwrap();
    store.database().drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_indexes_are_what_the_catalog_says() {
    let name = database();
    MongoStore::migrate(&url(), &name, &catalog()).await.unwrap();
    MongoStore::migrate(&url(), &name, &catalog()).await.unwrap();
    let store = connect(&name).await.unwrap();
    for def in catalog().entities() {
        let found = indexes(&store, def.table).await;
        for rule in def.uniques {
            let index = found.iter().find(|index| index.get_str("name").ok() == Some(rule.name)).unwrap();
            assert!(index.get_bool("unique").unwrap());
            let keys: Vec<&str> = index.get_document("key").unwrap().keys().map(String::as_str).collect();
            assert_eq!((keys[0], keys.len()), ("tenant", rule.fields.len() + 1), "{keys:?}");
            let partial = index.get_document("partialFilterExpression").unwrap();
            assert_eq!(partial.contains_key("deleted_at"), !rule.with_deleted);
            assert!(rule.only_if.is_none_or(|flag| partial.get_bool(flag).unwrap()));
        }
        for index in def.indexes {
            assert!(
                found.iter().any(|found| found.get_str("name").ok() == Some(index.name)),
                "{}",
                index.name
            );
        }
    }
    store.database().drop().await.unwrap();
}

async fn indexes(store: &MongoStore, collection: &str) -> Vec<Document> {
    let found = store
        .database()
        .run_command(doc! { "listIndexes": collection, "cursor": { "batchSize": 1000 } })
        .await;
    let found = found.unwrap();
    let batch = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.iter().map(|index| index.as_document().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_differs_is_named() {
    let name = database();
    assert!(why(connect(&name).await).contains("never migrated"));
    MongoStore::migrate(&url(), &name, &catalog()).await.unwrap();
    let store = connect(&name).await.unwrap();
    let samples = store.database().collection::<Document>("samples");
    samples.drop_index("samples_by_name").await.unwrap();
    assert!(why(connect(&name).await).contains("the index samples_by_name of samples is missing"));
    // One of the same name over other fields.
    let other =
        doc! { "createIndexes": "samples", "indexes": [{ "name": "samples_by_name", "key": { "name": 1 } }] };
    store.database().run_command(other).await.unwrap();
    let differs = why(connect(&name).await);
    assert!(differs.contains("dropIndex(\"samples_by_name\")"), "{differs}");
    let again = MongoStore::migrate(&url(), &name, &catalog()).await;
    assert!(matches!(again, Err(StoreError::NotReady { why }) if why.contains("samples_by_name")));
    samples.drop_index("samples_by_name").await.unwrap();
    MongoStore::migrate(&url(), &name, &catalog()).await.unwrap();
    connect(&name).await.unwrap();
    let meta = store.database().collection::<Document>("crm_meta");
    meta.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": 99 } }).await.unwrap();
    assert!(why(connect(&name).await).contains("newer version"));
    store.database().drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_stored_records_break_is_refused() {
    let name = database();
    let client = Client::with_uri_str(url()).await.unwrap();
    let samples = client.database(&name).collection::<Document>("samples");
    let tenant = bson::Uuid::new();
    let record = || doc! { "tenant": tenant, "id": bson::Uuid::new(), "label_fold": "a", "deleted_at": bson::Bson::Null };
    samples.insert_many([record(), record()]).await.unwrap();
    let outcome = MongoStore::migrate(&url(), &name, &catalog()).await;
    assert!(matches!(outcome, Err(StoreError::NotReady { why }) if why.contains("unique rule")));
    client.database(&name).drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_is_unavailable() {
    let url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200";
    let outcome = MongoStore::connect(url, "x", catalog(), MongoOptions::default()).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    let outcome = MongoStore::connect("nonsense", "x", catalog(), MongoOptions::default()).await;
    assert!(why(outcome).contains("mongodb://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_replica_set_is_refused() {
    let server = Standalone::start();
    let mut last = None;
    for _ in 0..150 {
        let url = format!("mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=200", server.port);
        last = Some(MongoStore::connect(&url, "x", catalog(), MongoOptions::default()).await);
        if !matches!(last, Some(Err(StoreError::Unavailable { .. }))) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let why = why(last.unwrap());
    assert!(why.contains("--replSet"), "{why}");
}

/// A server without a replica set, stopped when dropped.
struct Standalone {
    child: Child,
    folder: std::path::PathBuf,
    port: u16,
}

impl Standalone {
    fn start() -> Self {
        let mongod = crm_test_servers::Binaries::mongod().unwrap();
        let folder = std::env::temp_dir().join(database());
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(mongod)
            .args(["--nounixsocket", "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"])
            .args(["--port", &port.to_string(), "--dbpath"])
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder, port }
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
