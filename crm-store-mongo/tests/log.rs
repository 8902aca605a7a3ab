//! The log: numbering from many processes, reading, erasure, waking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use crm_core::log::{GENESIS, LogRow, verify};
use crm_core::store::{Answer, Read, Store, Write};
use futures_util::StreamExt;
use support::{Fixture, NOTE, SAMPLE, change, new, next, t, tenant};

async fn log(f: &Fixture, tenant: crm_core::TenantId, read: Read) -> Vec<LogRow> {
    match f.store.read(tenant, &[read]).await.unwrap().remove(0) {
        Answer::Log(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_seal_while_others_write_and_the_chain_holds() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = f.store.clone();
        tasks.spawn(async move {
            let mut record = new(&SAMPLE);
            store.commit(&change(tenant, vec![Write::Insert(record.clone())])).await.unwrap();
            for round in 0..20 {
                let write = next(&record, &[("name", t(&format!("{round}")))]);
                let set = change(tenant, vec![write.clone(), Write::Insert(new(&NOTE))]);
                store.commit(&set).await.unwrap();
                record = write.record().clone();
            }
        });
    }
    for _ in 0..4 {
        let store = f.store.clone();
        tasks.spawn(async move {
            for _ in 0..15 {
                store.seal_log(tenant, 7).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    while f.store.seal_log(tenant, 50).await.unwrap() > 0 {}
    let rows = log(&f, tenant, Read::Log { after: 0, limit: 10_000 }).await;
    assert_eq!(rows.len(), 4 * 41);
    let (number, _) = verify(&rows, 0, GENESIS).unwrap();
    let head = f.store.read(tenant, &[Read::LogHead]).await.unwrap().remove(0);
    assert!(matches!(head, Answer::Position(found) if found == number));
    // By version within each record, whatever order the numbers were given in.
    for record in rows.iter().map(|row| row.record_id).collect::<BTreeSet<_>>() {
        let versions: Vec<i64> =
            rows.iter().filter(|row| row.record_id == record).map(|row| row.version).collect();
        assert!(versions.is_sorted(), "{versions:?}");
        let read = Read::History { def: &SAMPLE, id: record, before_version: Some(3), limit: 10 };
        let history: Vec<i64> = log(&f, tenant, read).await.iter().map(|row| row.version).collect();
        assert!(history.is_empty() || history == [2, 1], "{history:?}");
    }
    let page = log(&f, tenant, Read::Log { after: 10, limit: 5 }).await;
    assert_eq!(page, rows[10..15]);
    assert!(log(&f, support::tenant(), Read::Log { after: 0, limit: 5 }).await.is_empty());
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_read_back_as_they_were_written() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut set = change(tenant, vec![Write::Insert(new(&NOTE))]);
    set.log[0].root = Some(support::id());
    set.log[0].body.events = vec![crm_core::log::Event {
        id: support::id(),
        name: "note.created".to_owned(),
        data: serde_json::json!({ "b": 1, "a": ["$x", { ".": "\u{10FFFF}" }] }),
    }];
    f.store.commit(&set).await.unwrap();
    let read = Read::History { def: &NOTE, id: set.writes[0].record().id(), before_version: None, limit: 1 };
    assert_eq!(log(&f, tenant, read).await, set.log);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_never_move_back() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=20 {
        let store = f.store.clone();
        tasks.spawn(async move { store.acknowledge(tenant, "mail", number).await.unwrap() });
    }
    tasks.join_all().await;
    f.store.acknowledge(tenant, "mail", 3).await.unwrap();
    let reads =
        [Read::Position { consumer: "mail".to_owned() }, Read::Position { consumer: "other".to_owned() }];
    let answers = f.store.read(tenant, &reads).await.unwrap();
    assert!(matches!(answers[..], [Answer::Position(20), Answer::Position(0)]), "{answers:?}");
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_the_tenant_wake() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut wakes = f.store.wakes(tenant).await.unwrap();
    f.insert(support::tenant(), vec![new(&NOTE)]).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(600), wakes.next()).await.is_err(),
        "another tenant's"
    );
    f.insert(tenant, vec![new(&NOTE)]).await;
    tokio::time::timeout(Duration::from_secs(10), wakes.next()).await.unwrap().unwrap();
    f.done().await;
}
