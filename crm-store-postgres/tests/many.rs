//! Many at once: writers, sealers, listeners.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use crm_core::log::{GENESIS, LogRow, verify};
use crm_core::record::Record;
use crm_core::store::{Answer, CommitError, Guard, NoneRefer, Read, Store, Write};
use crm_core::value::Value;
use crm_store_postgres::PostgresOptions;
use futures_util::StreamExt;
use uuid::Uuid;

async fn load(
    s: &crm_store_postgres::PostgresStore,
    tenant: crm_core::TenantId,
    ids: &[Uuid],
) -> Vec<Record> {
    let answers = s.read(tenant, &[Read::Get { def: &CUSTOMER, ids: ids.to_vec() }]).await.unwrap();
    match answers.into_iter().next() {
        Some(Answer::Records(records)) => {
            let by_id: BTreeMap<Uuid, Record> = records.into_iter().map(|r| (r.id(), r)).collect();
            ids.iter().map(|id| by_id[id].clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_writers_of_the_same_records_lose_nothing_and_see_no_deadlock() {
    const WRITERS: usize = 32;
    const EACH: usize = 6;
    let s = Scratch::with(PostgresOptions { max_connections: WRITERS as u32, ..PostgresOptions::default() })
        .await;
    let mut hot: Vec<Record> = (0..5).map(|n| customer(&format!("hot {n}"))).collect();
    for c in &mut hot {
        c.set("score", Value::Int(0));
    }
    s.insert(hot.clone()).await;
    let ids: Vec<Uuid> = hot.iter().map(Record::id).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, tenant, ids) = (s.store.clone(), s.tenant, ids.clone());
            tokio::spawn(async move {
                let mut contended = 0;
                for round in 0..EACH {
                    // Each writer takes the records in another order, guards one, writes two and adds a child.
                    let pick = [0, 1, 3].map(|step| ids[(writer + round + step * (1 + writer % 2)) % 5]);
                    let mut attempt = 0;
                    loop {
                        attempt += 1;
                        let r = load(&store, tenant, &pick).await;
                        let score = |r: &Record| match r.get("score") {
                            Value::Int(n) => *n,
                            other => panic!("{other:?}"),
                        };
                        let mut writes = vec![
                            changed(&r[0], "score", Value::Int(score(&r[0]) + 1)),
                            Write::Insert(note(&r[2], "n", at(0))),
                        ];
                        if pick[1] != pick[0] {
                            writes.push(changed(&r[1], "score", Value::Int(score(&r[1]) + 1)));
                        }
                        let mut set = change(tenant, writes);
                        set.guards.push(Guard::Live { def: &CUSTOMER, id: pick[2] });
                        match store.commit(&set).await {
                            Ok(()) => break,
                            Err(CommitError::Conflict { .. } | CommitError::Contended) => {
                                contended += 1;
                                store.rest(attempt).await;
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
                contended
            })
        })
        .collect();
    let mut contended = 0;
    for writer in writers {
        contended += writer.await.unwrap();
    }
    let total: i64 = load(&s.store, s.tenant, &ids)
        .await
        .iter()
        .map(|r| {
            assert_eq!(*r.get("score"), Value::Int(r.version() - 1));
            r.version() - 1
        })
        .sum();
    let updates = s.count("$S.crm_log WHERE op = 'update'").await;
    assert_eq!(total, updates);
    assert_eq!(s.count("$S.notes").await, (WRITERS * EACH) as i64);
    assert!(contended > 0, "they were in each other's way");
    seal_and_verify(&s, 7).await;
    s.drop().await;
}

/// Seals with several sealers at once and checks numbers, hashes and the order within each record.
async fn seal_and_verify(s: &Scratch, at_a_time: usize) -> Vec<LogRow> {
    let sealers: Vec<_> = (0..6)
        .map(|_| {
            let (store, tenant) = (s.store.clone(), s.tenant);
            tokio::spawn(async move {
                let mut all = 0;
                loop {
                    match store.seal_log(tenant, at_a_time).await.unwrap() {
                        0 => return all,
                        some => all += some,
                    }
                }
            })
        })
        .collect();
    let mut sealed = 0;
    for sealer in sealers {
        sealed += sealer.await.unwrap();
    }
    let rows = s.count("$S.crm_log").await as usize;
    assert_eq!(sealed, rows);
    let answers = s.store.read(s.tenant, &[Read::Log { after: 0, limit: 10_000 }]).await.unwrap();
    let Some(Answer::Log(log)) = answers.into_iter().next() else { panic!() };
    assert_eq!(log.len(), rows);
    verify(&log, 0, GENESIS).unwrap();
    let mut versions: BTreeMap<Uuid, i64> = BTreeMap::new();
    for row in &log {
        assert!(versions.insert(row.record_id, row.version).is_none_or(|before| before < row.version));
    }
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealing_while_others_write_skips_nothing() {
    let s = Scratch::new().await;
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let (store, tenant) = (s.store.clone(), s.tenant);
            tokio::spawn(async move {
                let mut c = customer(&format!("c{n}"));
                store.commit(&change(tenant, vec![Write::Insert(c.clone())])).await.unwrap();
                for score in 0..15 {
                    let write = changed(&c, "score", Value::Int(score));
                    c = write.record().clone();
                    store.commit(&change(tenant, vec![write])).await.unwrap();
                }
            })
        })
        .collect();
    // A reader that follows the numbers must never have to look back.
    let mut seen = Vec::new();
    let mut last = 0;
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        s.store.seal_log(s.tenant, 5).await.unwrap();
        let answers = s.store.read(s.tenant, &[Read::Log { after: last, limit: 100 }]).await.unwrap();
        let Some(Answer::Log(rows)) = answers.into_iter().next() else { panic!() };
        last = rows.last().and_then(|row| row.number).unwrap_or(last);
        let more = !rows.is_empty();
        seen.extend(rows);
        if done && !more {
            break;
        }
    }
    assert_eq!(seen.len(), 8 * 16);
    verify(&seen, 0, GENESIS).unwrap();
    // Erasure leaves the chain whole.
    let id = seen[0].record_id;
    let mut erase = s.change(Vec::new());
    erase.erase_log = vec![(&CUSTOMER, id)];
    s.store.commit(&erase).await.unwrap();
    let answers = s.store.read(s.tenant, &[Read::Log { after: 0, limit: 1_000 }]).await.unwrap();
    let Some(Answer::Log(rows)) = answers.into_iter().next() else { panic!() };
    assert!(rows.iter().all(|row| row.private.is_none() == (row.record_id == id)));
    verify(&rows, 0, GENESIS).unwrap();
    s.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deleter_and_those_who_come_to_refer_exclude_each_other() {
    let s = Scratch::with(PostgresOptions { max_connections: 16, ..PostgresOptions::default() }).await;
    for _ in 0..20 {
        let c = customer("stage");
        s.insert(vec![c.clone()]).await;
        let mut tasks = Vec::new();
        for n in 0..6 {
            let (store, tenant, c) = (s.store.clone(), s.tenant, c.clone());
            tasks.push(tokio::spawn(async move {
                let mut set = if n == 3 {
                    change(tenant, vec![deleted(&c)])
                } else {
                    change(tenant, vec![Write::Insert(note(&c, "n", at(0)))])
                };
                if n == 3 {
                    set.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: c.id() });
                } else {
                    set.guards.push(Guard::Live { def: &CUSTOMER, id: c.id() });
                }
                let mut attempt = 1;
                loop {
                    match store.commit(&set).await {
                        Err(CommitError::Contended) => store.rest(attempt).await,
                        done => return (n == 3, done),
                    }
                    attempt += 1;
                }
            }));
        }
        let (mut gone, mut refer) = (false, 0);
        for task in tasks {
            match task.await.unwrap() {
                (true, Ok(())) => gone = true,
                (false, Ok(())) => refer += 1,
                (true, Err(CommitError::InUse { .. })) | (false, Err(CommitError::Conflict { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_ne!(gone, refer > 0, "deleted: {gone}, referring: {refer}");
    }
    s.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_with_the_same_key_or_version_wins() {
    let s = Scratch::with(PostgresOptions { max_connections: 16, ..PostgresOptions::default() }).await;
    let c = customer("c");
    s.insert(vec![c.clone()]).await;
    let race = async |keyed: bool| {
        let tasks: Vec<_> = (0..12)
            .map(|n| {
                let (store, tenant, c) = (s.store.clone(), s.tenant, c.clone());
                tokio::spawn(async move {
                    let mut set = if keyed {
                        change(tenant, vec![Write::Insert(customer("k"))])
                    } else {
                        change(tenant, vec![changed(&c, "score", Value::Int(n))])
                    };
                    if keyed {
                        set.key = Some(crm_core::store::KeyClaim {
                            command: "c",
                            key: "k".to_owned(),
                            record: crm_core::store::KeyRecord {
                                digest: String::new(),
                                result: n.to_string(),
                                at: at(0),
                            },
                        });
                    }
                    store.commit(&set).await
                })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => won += 1,
                Err(CommitError::KeyUsed(_)) if keyed => {}
                Err(CommitError::Conflict { .. }) if !keyed => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        won
    };
    assert_eq!(race(true).await, 1);
    assert_eq!(race(false).await, 1);
    s.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wake_the_tenant_s_listeners_and_no_others() {
    let s = Scratch::new().await;
    let wait = Duration::from_secs(5);
    let mut mine = s.store.wakes(s.tenant).await.unwrap();
    let mut also = s.store.wakes(s.tenant).await.unwrap();
    let mut theirs = s.store.wakes(crm_core::TenantId(new_id())).await.unwrap();
    s.insert(vec![customer("c")]).await;
    assert!(tokio::time::timeout(wait, mine.next()).await.unwrap().is_some());
    assert!(tokio::time::timeout(wait, also.next()).await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::from_millis(200), theirs.next()).await.is_err());
    // A cut connection is made anew, and everyone is woken once, for something may have been missed.
    s.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN \"crm_wake_$S\"%'",
    )
    .await
    .unwrap();
    assert!(tokio::time::timeout(wait, theirs.next()).await.unwrap().is_some());
    s.insert(vec![customer("d")]).await;
    assert!(tokio::time::timeout(wait, mine.next()).await.unwrap().is_some());
    drop((mine, also, theirs));
    let mut left = 1;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = s.count("pg_stat_activity WHERE query LIKE 'LISTEN \"crm_wake_$S\"%'").await;
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0, "the listening connection is given back");
    s.drop().await;
}

#[tokio::test]
async fn a_lock_that_is_not_given_is_contention_and_a_slow_statement_a_timeout() {
    let short = Duration::from_millis(100);
    let s = Scratch::with(PostgresOptions { lock_timeout: short, ..PostgresOptions::default() }).await;
    let c = customer("c");
    s.insert(vec![c.clone()]).await;
    let mut blocker = s.store.pool().begin().await.unwrap();
    let lock = format!("SELECT FROM {}.customers FOR UPDATE", s.schema);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock.clone())).execute(&mut *blocker).await.unwrap();
    let set = s.change(vec![changed(&c, "score", Value::Int(1))]);
    assert_eq!(s.store.commit(&set).await, Err(CommitError::Contended));
    blocker.rollback().await.unwrap();
    s.store.commit(&set).await.unwrap();
    s.drop().await;

    let s = Scratch::with(PostgresOptions { statement_timeout: short, ..PostgresOptions::default() }).await;
    let mut blocker = s.store.pool().begin().await.unwrap();
    let lock = format!("LOCK TABLE {}.customers", s.schema);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *blocker).await.unwrap();
    let read = s.store.read(s.tenant, &[Read::Get { def: &CUSTOMER, ids: vec![c.id()] }]).await;
    assert!(matches!(read, Err(crm_core::store::StoreError::Timeout { .. })), "{read:?}");
    let set = s.change(vec![Write::Insert(c.clone())]);
    let refused = s.store.commit(&set).await;
    assert!(
        matches!(refused, Err(CommitError::Store(crm_core::store::StoreError::Timeout { .. }))),
        "{refused:?}"
    );
    blocker.rollback().await.unwrap();
    s.store.commit(&set).await.unwrap();
    s.drop().await;
}
