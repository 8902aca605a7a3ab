//! Commits whose reply, or whose `COMMIT` itself, is lost on the way.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use common::*;
use crm_core::store::{CommitError, KeyClaim, KeyRecord, Read, Store, StoreError, Write};
use crm_core::value::Value;
use crm_store_postgres::{PostgresOptions, PostgresStore};
use crm_test_servers::{Fault, Lose, Proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_outcome_is_unknown_is_applied_exactly_once() {
    let s = Scratch::new().await;
    let (proxy, through) = Proxy::before_url(&url()).unwrap();
    let options = PostgresOptions { schema: s.schema.clone(), ..PostgresOptions::default() };
    let store = PostgresStore::connect(&through, catalog(), options).await.unwrap();
    let mut rows = 0;
    for lose in [Lose::Reply, Lose::Request] {
        for times in [1, 2] {
            let c = customer("c");
            let mut set = s.change(vec![Write::Insert(c.clone())]);
            set.key = Some(KeyClaim {
                command: "c",
                key: format!("{lose:?} {times}"),
                record: KeyRecord { digest: String::new(), result: String::new(), at: at(0) },
            });
            let fired = proxy.fired();
            proxy.arm(Fault::postgres_commit(lose).times(times));
            store.commit(&set).await.unwrap();
            // A lost reply shows that the first attempt was applied, so the second needs no COMMIT.
            let expected = if lose == Lose::Reply { 1 } else { times };
            assert_eq!(proxy.fired() - fired, expected, "{lose:?} {times}");
            proxy.disarm();
            rows += 1;
            assert_eq!(s.count("$S.crm_log").await, rows);
            // What the caller decided on is what is stored.
            store.commit(&s.change(vec![changed(&c, "score", Value::Int(1))])).await.unwrap();
            rows += 1;
        }
    }
    // When it goes on, the caller learns that nothing is known, and can find out later.
    let set = s.change(vec![Write::Insert(customer("later"))]);
    proxy.arm(Fault::postgres_commit(Lose::Request).times(100));
    let lost = store.commit(&set).await;
    assert!(matches!(lost, Err(CommitError::Store(StoreError::Unavailable { .. }))), "{lost:?}");
    proxy.disarm();
    assert_eq!(s.count("$S.crm_log").await, rows);
    store.commit(&set).await.unwrap();
    store.commit(&set).await.unwrap();
    assert_eq!(s.count("$S.crm_log").await, rows + 1);
    store.pool().close().await;
    s.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    let s = Scratch::new().await;
    let (proxy, through) = Proxy::before_url(&url()).unwrap();
    let options = PostgresOptions {
        schema: s.schema.clone(),
        statement_timeout: std::time::Duration::from_millis(300),
        acquire_timeout: std::time::Duration::from_millis(700),
        max_connections: 10,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(&through, catalog(), options).await.unwrap();
    let get = [Read::Get { def: &CUSTOMER, ids: Vec::new() }, Read::LogHead];
    for _ in 0..3 {
        let silence = || Fault {
            request: b"BEGIN".to_vec(),
            reply: b"no reply is this one".to_vec(),
            lose: Lose::Reply,
            skip: 0,
            times: 1,
        };
        proxy.arm(silence());
        let set = s.change(vec![Write::Insert(customer("c"))]);
        let lost = store.commit(&set).await;
        assert!(matches!(lost, Err(CommitError::Store(StoreError::Timeout { .. }))), "{lost:?}");
        store.commit(&set).await.unwrap();
        proxy.arm(silence());
        let lost = store.read(s.tenant, &get).await;
        assert!(matches!(lost, Err(StoreError::Timeout { .. })), "{lost:?}");
        store.read(s.tenant, &get).await.unwrap();
    }
    assert_eq!(s.count("$S.crm_log").await, 3);
    proxy.cut();
    store.read(s.tenant, &get).await.unwrap();
    store.pool().close().await;
    s.drop().await;
}
