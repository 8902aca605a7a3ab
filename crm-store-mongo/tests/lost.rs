//! Connections that break at the worst moment: a commit whose outcome is not known is found out, never repeated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use crm_core::store::{Answer, KeyClaim, KeyRecord, Read, Store, Write};
use crm_store_mongo::{MongoOptions, MongoStore};
use crm_test_servers::{Fault, Lose, Proxy};
use support::{Fixture, SAMPLE, at, catalog, change, new, next, t, tenant, url};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_unknown_outcome_is_applied_once() {
    let f = Fixture::new().await;
    let direct =
        format!("{}?directConnection=true&heartbeatFrequencyMS=500", url().split('?').next().unwrap());
    let (proxy, through) = Proxy::before_url(&direct).unwrap();
    let store = MongoStore::connect(&through, &f.name, catalog(), MongoOptions::default()).await.unwrap();
    for (lose, times) in [
        (Lose::Reply, 1),
        (Lose::Request, 1),
        (Lose::Reply, 2),
        (Lose::Request, 2),
        (Lose::Reply, 7),
        (Lose::Request, 7),
    ] {
        let tenant = tenant();
        let sample = new(&SAMPLE);
        let mut insert = change(tenant, vec![Write::Insert(sample.clone())]);
        let record = KeyRecord { digest: "d".to_owned(), result: "r".to_owned(), at: at(0) };
        insert.key = Some(KeyClaim { command: "tests.write", key: "k".to_owned(), record });
        let update = change(tenant, vec![next(&sample, &[("name", t("changed"))])]);
        for set in [&insert, &update] {
            let before = proxy.fired();
            proxy.arm(Fault::mongo_commit(lose).times(times));
            store.commit(set).await.unwrap();
            let fired = proxy.fired() - before;
            // A lost reply is found out by the sixth attempt at the latest: the next one finds the log's rows.
            assert!(fired >= times.min(6), "{lose:?} {times}: {fired}");
            proxy.disarm();
        }
        let stored = f.get(tenant, &SAMPLE, sample.id()).await.unwrap();
        assert_eq!((stored.version(), stored.get("name")), (2, &t("changed")), "{lose:?} {times}");
        let history = Read::History { def: &SAMPLE, id: sample.id(), before_version: None, limit: 10 };
        let Answer::Log(rows) = f.store.read(tenant, &[history]).await.unwrap().remove(0) else { panic!() };
        assert_eq!(rows.len(), 2, "{lose:?} {times}");
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_survives_a_cut_connection() {
    let f = Fixture::new().await;
    let direct =
        format!("{}?directConnection=true&heartbeatFrequencyMS=500", url().split('?').next().unwrap());
    let (proxy, through) = Proxy::before_url(&direct).unwrap();
    let store = MongoStore::connect(&through, &f.name, catalog(), MongoOptions::default()).await.unwrap();
    let tenant = tenant();
    let sample = new(&SAMPLE);
    for round in 0..5 {
        proxy.cut();
        let set = change(tenant, vec![Write::Insert(if round == 0 { sample.clone() } else { new(&SAMPLE) })]);
        store.commit(&set).await.unwrap();
        proxy.cut();
        let read = || Read::Get { def: &SAMPLE, ids: vec![sample.id()] };
        let answers = store.read(tenant, &[read(), read()]).await.unwrap();
        assert!(matches!(&answers[1], Answer::Records(found) if found[0] == sample));
    }
    f.done().await;
}
