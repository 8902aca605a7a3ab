//! Tenants, the log, streams and wake-ups.

use std::collections::BTreeSet;
use std::time::Duration;

use crm_core::criteria::Filter;
use crm_core::log::{GENESIS, LogRow, verify};
use crm_core::record::Record;
use crm_core::store::{Answer, Query, Read, Store, StoreError};
use crm_core::value::Value;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use crate::MemoryStore;
use crate::testing::*;

async fn rows(store: &MemoryStore, read: Read) -> Vec<LogRow> {
    match ask(store, read).await.unwrap() {
        Answer::Log(rows) => rows,
        other => panic!("log expected, {other:?} found"),
    }
}

async fn log(store: &MemoryStore, after: i64, limit: usize) -> Vec<LogRow> {
    rows(store, Read::Log { after, limit }).await
}

#[tokio::test]
async fn xt_01_nothing_is_seen_under_another_tenant() {
    let store = store();
    put(&store, &[customer(1, &[("email", txt("a@x"))])]).await;
    store.seal_log(ACME, 10).await.unwrap();
    store.acknowledge(ACME, "mailer", 1).await.unwrap();
    let reads = [
        Read::Get { def: &CUSTOMER, ids: vec![id(1)] },
        Read::Find(query(Filter::always(), vec![])),
        Read::Find(query(eq("email", txt("a@x")), vec![])),
        Read::Ancestors { def: &CUSTOMER, id: id(1), limit: 1 },
        Read::Subtree { def: &CUSTOMER, id: id(1), limit: 1 },
        Read::History { def: &CUSTOMER, id: id(1), before_version: None, limit: 1 },
        Read::Log { after: 0, limit: 1 },
        Read::Position { consumer: "mailer".to_owned() },
    ];
    for answer in store.read(OTHER, &reads).await.unwrap() {
        let empty = match answer {
            Answer::Records(records) => records.is_empty(),
            Answer::Log(rows) => rows.is_empty(),
            Answer::Position(number) => number == 0,
            _ => false,
        };
        assert!(empty);
    }
    assert_eq!(store.seal_log(OTHER, 10).await.unwrap(), 0);
    assert!(store.scan(OTHER, query(Filter::always(), vec![])).next().await.is_none());
    // The same reads do find something where it is.
    assert_eq!(ids(&store, reads[2].clone()).await, [1]);
}

#[tokio::test]
async fn xt_02_sealing_gives_one_chain_in_which_nothing_is_inserted() {
    let store = store();
    let first = customer(1, &[]);
    put(&store, &[first.clone(), customer(2, &[])]).await;
    assert_eq!(log(&store, 0, 10).await, []);
    assert!(matches!(ask(&store, Read::LogHead).await, Ok(Answer::Position(0))));
    assert_eq!(store.seal_log(ACME, 1).await.unwrap(), 1);
    let seen = log(&store, 0, 10).await;
    assert_eq!(seen.len(), 1);
    commit(&store, vec![update(&first, &[("score", Value::Int(1))])]).await.unwrap();
    assert_eq!(store.seal_log(ACME, 10).await.unwrap(), 2);
    assert_eq!(store.seal_log(ACME, 10).await.unwrap(), 0);
    let all = log(&store, 0, 10).await;
    assert_eq!(all[..1], seen);
    assert_eq!(verify(&all, 0, GENESIS).unwrap().0, 3);
    assert!(matches!(ask(&store, Read::LogHead).await, Ok(Answer::Position(3))));
    assert_eq!(log(&store, 1, 1).await, all[1..2]);
    assert_eq!(log(&store, 3, 1).await, []);
    assert_eq!(log(&store, 99, 1).await, []);
    assert_eq!(log(&store, -1, 9).await, all);
    let versions: Vec<i64> = all.iter().filter(|row| row.record_id == id(1)).map(|row| row.version).collect();
    assert_eq!(versions, [1, 2]);
    // Erasure leaves the chain whole.
    let mut erase = change(Vec::new());
    erase.erase_log.push((&CUSTOMER, id(1)));
    store.commit(&erase).await.unwrap();
    let erased = log(&store, 0, 10).await;
    assert!(erased.iter().all(|row| row.private.is_none() == (row.record_id == id(1))));
    assert!(verify(&erased, 0, GENESIS).is_ok());
}

#[tokio::test]
async fn pr_08_history_is_newest_version_first_sealed_or_not() {
    let store = store();
    let mut now = customer(1, &[]);
    put(&store, &[now.clone(), customer(2, &[])]).await;
    store.seal_log(ACME, 10).await.unwrap();
    for score in 0..3 {
        commit(&store, vec![update(&now, &[("score", Value::Int(score))])]).await.unwrap();
        now = changed(&now, &[]);
    }
    let history = |before_version, limit| {
        let store = &store;
        async move {
            let read = Read::History { def: &CUSTOMER, id: id(1), before_version, limit };
            rows(store, read).await.iter().map(|row| row.version).collect::<Vec<_>>()
        }
    };
    assert_eq!(history(None, 10).await, [4, 3, 2, 1]);
    assert_eq!(history(Some(4), 2).await, [3, 2]);
    assert_eq!(history(Some(1), 2).await, [0; 0]);
    assert_eq!(history(Some(i64::MIN), 2).await, [0; 0]);
}

#[tokio::test]
async fn xt_02_a_consumer_never_moves_back() {
    let store = store();
    let position = || async {
        match ask(&store, Read::Position { consumer: "mailer".to_owned() }).await.unwrap() {
            Answer::Position(number) => number,
            other => panic!("position expected, {other:?} found"),
        }
    };
    assert_eq!(position().await, 0);
    for (number, then) in [(5, 5), (3, 5), (6, 6)] {
        store.acknowledge(ACME, "mailer", number).await.unwrap();
        assert_eq!(position().await, then);
    }
}

#[tokio::test]
async fn a_wake_up_is_never_missed_and_ends_at_the_tenant() {
    let store = store();
    let mut wakes = store.wakes(ACME).await.unwrap();
    let mut elsewhere = store.wakes(OTHER).await.unwrap();
    assert!(wakes.next().now_or_never().is_none());
    put(&store, &[customer(1, &[])]).await;
    put(&store, &[customer(2, &[])]).await;
    assert_eq!(wakes.next().now_or_never(), Some(Some(())));
    assert!(wakes.next().now_or_never().is_none(), "two commits share an item");
    let again = inserts(&[customer(2, &[])]);
    assert!(store.commit(&again).await.is_err());
    assert!(wakes.next().now_or_never().is_none(), "nothing was committed");
    assert!(elsewhere.next().now_or_never().is_none());
    let waiting = tokio::spawn(async move { wakes.next().await });
    tokio::task::yield_now().await;
    put(&store, &[customer(3, &[])]).await;
    assert_eq!(waiting.await.unwrap(), Some(()));
    drop(store);
    assert_eq!(elsewhere.next().now_or_never(), Some(None), "a store that is gone ends its streams");
}

#[tokio::test]
async fn rests_grow_and_stay_short() {
    let store = store();
    let start = std::time::Instant::now();
    store.rest(1).await;
    assert!(start.elapsed() >= Duration::from_micros(100));
    let start = std::time::Instant::now();
    store.rest(u32::MAX).await;
    assert!(start.elapsed() >= Duration::from_micros(2_500));
    store.rest(0).await;
}

/// How many records the scan of changing records has.
const COUNT: u128 = 1_500;

async fn many(store: &MemoryStore, count: u128) {
    let all: Vec<Record> = (1..=count)
        .map(|n| {
            customer(n, &[("score", Value::Int((n * 7 % 13) as i64)), ("code", txt(&format!("{}", n % 5)))])
        })
        .collect();
    for part in all.chunks(1_000) {
        put(store, part).await;
    }
}

#[tokio::test]
async fn a_scan_gives_every_record_once_in_order_however_many_parts_it_takes() {
    let store = store();
    let count = 210;
    many(&store, count).await;
    for order in [vec![], vec![down("created_at")], vec![up("code"), down("score")]] {
        let query = Query { limit: 1, ..query(Filter::always(), order.clone()) };
        let scanned: Vec<Record> = store.scan(ACME, query.clone()).try_collect().await.unwrap();
        assert_eq!(scanned.len() as u128, count, "{order:?}");
        let found = records(&store, Read::Find(Query { limit: 10_000, ..query })).await;
        assert_eq!(scanned.iter().map(Record::id).collect::<BTreeSet<_>>().len() as u128, count);
        assert!(scanned.iter().zip(&found).all(|(a, b)| a == b));
    }
}

#[tokio::test]
async fn a_record_that_stays_as_it_is_is_scanned_once_while_others_change() {
    let store = store();
    many(&store, COUNT).await;
    let mut scan = store.scan(ACME, query(Filter::always(), vec![up("created_at")]));
    let mut seen = Vec::new();
    for step in 1.. {
        let Some(record) = scan.next().await else { break };
        seen.push(record.unwrap().id().as_u128());
        // Odd ones move: to the front, to the end, away.
        if step % 50 == 0 {
            let moving = [step * 3, step / 2, step + 1].map(|n| (n as u128 % COUNT) | 1);
            for n in moving {
                let Some(now) = get(&store, &CUSTOMER, n).await else { continue };
                let write = match n % 3 {
                    0 => crm_core::store::Write::Purge(now),
                    1 => update(&now, &[("created_at", Value::Instant(at(-1)))]),
                    _ => update(&now, &[("created_at", Value::Instant(at(1_000_000)))]),
                };
                commit(&store, vec![write]).await.unwrap();
            }
        }
    }
    let stayed = (1..=COUNT).filter(|n| n % 2 == 0);
    for n in stayed {
        assert_eq!(seen.iter().filter(|seen| **seen == n).count(), 1, "{n}");
    }
}

#[tokio::test]
async fn a_scan_of_what_is_not_there_fails_once() {
    let store = store();
    let mut scan = store.scan(ACME, Query { def: &STRANGER, ..query(Filter::always(), vec![]) });
    assert!(matches!(scan.next().await, Some(Err(StoreError::Refused { .. }))));
    assert!(scan.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_sees_a_change_set_whole_or_not_at_all() {
    let store = store();
    let (a, b) = (customer(1, &[("score", Value::Int(0))]), customer(2, &[("score", Value::Int(0))]));
    put(&store, &[a.clone(), b.clone()]).await;
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut a, mut b) = (a, b);
            for n in 1..500 {
                let score = [("score", Value::Int(n))];
                commit(&store, vec![update(&a, &score), update(&b, &score)]).await.unwrap();
                (a, b) = (changed(&a, &score), changed(&b, &score));
            }
        })
    };
    let one = |n| Read::Get { def: &CUSTOMER, ids: vec![id(n)] };
    while !writer.is_finished() {
        let answers = store.read(ACME, &[one(1), one(2)]).await.unwrap();
        let [Answer::Records(a), Answer::Records(b)] = &answers[..] else { panic!("other answers") };
        assert_eq!(a[0].get("score"), b[0].get("score"));
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}
