//! The change log: its order, its chain, its readers.

use std::collections::BTreeMap;

use crm_core::catalog::Entity;
use crm_core::customer::Customer;
use crm_core::log::{GENESIS, LogRow, Op, Private, verify};
use crm_core::store::Read;
use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::contract::bench::{ACME, Bench, OTHER, customer, id, note};
use crate::contract::extra_entity::ProjectNote;
use crate::{Harness, size};

async fn seal_all(bench: &Bench) -> usize {
    let mut sealed = 0;
    loop {
        match bench.store.seal_log(ACME, 50).await.unwrap() {
            0 => return sealed,
            some => sealed += some,
        }
    }
}

async fn read_all(bench: &Bench, step: usize) -> Vec<LogRow> {
    let mut rows: Vec<LogRow> = Vec::new();
    loop {
        let after = rows.last().and_then(|row| row.number).unwrap_or(0);
        let page = bench.log(ACME, Read::Log { after, limit: step }).await;
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// One unbroken chain of consecutive numbers, each record's rows by version.
fn check(rows: &[LogRow]) {
    let numbers: Vec<i64> = rows.iter().filter_map(|row| row.number).collect();
    assert_eq!(numbers, (1..=rows.len() as i64).collect::<Vec<_>>(), "numbers are consecutive from 1");
    verify(rows, 0, GENESIS).unwrap();
    let mut versions = BTreeMap::new();
    for row in rows {
        let last = versions.insert((row.entity.clone(), row.record_id), row.version);
        assert_eq!(row.version, last.unwrap_or(0) + 1, "the rows of {} are by version", row.record_id);
    }
}

/// Sealing numbers committed rows from 1, in steps, and chains them; sealed rows never change.
pub async fn xt_02_sealing_numbers_and_chains_the_log(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    assert_eq!(bench.store.seal_log(ACME, 10).await, Ok(0));
    assert_eq!(bench.position(ACME, Read::LogHead).await, 0);
    bench.insert(ACME, &(1..=5).map(|n| customer(n, "C")).collect::<Vec<_>>()).await;
    assert!(
        bench.log(ACME, Read::Log { after: 0, limit: 10 }).await.is_empty(),
        "unsealed rows have no place"
    );
    assert_eq!(bench.history(ACME, Customer::def(), id(1)).await[0].number, None);
    assert_eq!(bench.store.seal_log(ACME, 3).await, Ok(3));
    assert_eq!(bench.position(ACME, Read::LogHead).await, 3);
    let first = bench.log(ACME, Read::Log { after: 0, limit: 10 }).await;
    bench.env.advance(chrono::Duration::seconds(1));
    bench.change::<Customer>(ACME, 1, |c| c.is_vip = true).await;
    bench.delete(ACME, Customer::def(), 2).await;
    bench.restore(ACME, Customer::def(), 2).await;
    assert_eq!(seal_all(&bench).await, 5);
    let rows = read_all(&bench, 2).await;
    assert_eq!(rows.len(), 8);
    check(&rows);
    assert_eq!(rows[..3], first, "what was sealed stays");
    assert_eq!(rows, read_all(&bench, 1_000).await);
    assert_eq!(bench.position(ACME, Read::LogHead).await, 8);
    assert_eq!(bench.log(ACME, Read::Log { after: 5, limit: 2 }).await, rows[5..7]);
    let ops: Vec<Op> = rows.iter().filter(|row| row.record_id == id(2)).map(|row| row.op).collect();
    assert_eq!(ops, [Op::Insert, Op::Delete, Op::Restore]);
    // Another tenant has its own numbers.
    bench.insert(OTHER, &[customer(1, "Other")]).await;
    assert_eq!(bench.store.seal_log(OTHER, 10).await, Ok(1));
    assert_eq!(bench.log(OTHER, Read::Log { after: 0, limit: 10 }).await[0].number, Some(1));
}

/// Rows come back as they were committed, and as a record's history newest first, in pages.
pub async fn pr_08_log_rows_come_back_as_they_were_written(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A 'quoted' ä\u{1f600}")]).await;
    let mut written = Vec::new();
    for n in 0..6 {
        let before: Customer = bench.load(ACME, 1).await;
        let after = Customer { display_name: format!("Name {n}"), ..before.clone() };
        let set = bench.set(ACME, |c| {
            c.update(&before, &after).unwrap();
            c.event("customer.renamed", serde_json::json!({ "n": n, "list": [1, 2.5, null] }));
        });
        bench.commit(&set).await.unwrap();
        written.push(set.log[0].clone());
    }
    written.reverse();
    let history = bench.history(ACME, Customer::def(), id(1)).await;
    assert_eq!(history[..6], written[..]);
    assert_eq!(history[6].version, 1);
    let page =
        |before_version, limit| Read::History { def: Customer::def(), id: id(1), before_version, limit };
    assert_eq!(bench.log(ACME, page(Some(5), 2)).await, written[3..5]);
    assert_eq!(bench.log(ACME, page(Some(2), 5)).await.len(), 1);
    assert!(bench.log(ACME, page(Some(1), 5)).await.is_empty());
    assert!(
        bench
            .log(ACME, Read::History { def: ProjectNote::def(), id: id(1), before_version: None, limit: 5 })
            .await
            .is_empty()
    );
    seal_all(&bench).await;
    let sealed = bench.history(ACME, Customer::def(), id(1)).await;
    for (sealed, open) in sealed.iter().zip(&history) {
        assert_eq!(LogRow { number: None, hash: None, ..sealed.clone() }, *open);
    }
}

/// The private part of a record's rows can be destroyed, also in the change set that adds one; the chain still holds.
pub async fn pr_08_erasing_private_parts_keeps_the_chain(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "Person"), customer(2, "Other")]).await;
    bench.change::<Customer>(ACME, 1, |c| c.display_name = "Person Again".to_owned()).await;
    seal_all(&bench).await;
    let before = read_all(&bench, 100).await;
    let person: Customer = bench.load(ACME, 1).await;
    let masked = Customer { display_name: "Deleted Customer".to_owned(), ..person.clone() };
    bench
        .put(ACME, |c| {
            c.update(&person, &masked).unwrap();
            c.erase_log(&person.to_record());
        })
        .await;
    seal_all(&bench).await;
    let rows = read_all(&bench, 100).await;
    check(&rows);
    assert_eq!(rows.len(), before.len() + 1);
    for (row, was) in rows.iter().zip(&before) {
        let private: Option<Private> = was.private.clone().filter(|_| was.record_id != id(1));
        assert_eq!(*row, LogRow { private, ..was.clone() });
    }
    assert_eq!(rows.last().unwrap().private, None, "the row of the erasure itself too");
    assert!(!format!("{:?}", bench.history(ACME, Customer::def(), id(1)).await).contains("Person"));
    let other = bench.history(ACME, Customer::def(), id(2)).await;
    assert!(other[0].private.is_some());
    // Tampering is found: a row that says something else, one that is missing, one that was moved.
    let mut changed = rows.clone();
    changed[1].body.command.push('x');
    assert_eq!(verify(&changed, 0, GENESIS).unwrap_err().number, 2);
    let mut missing = rows.clone();
    missing.remove(1);
    assert_eq!(verify(&missing, 0, GENESIS).unwrap_err().number, 2);
    let mut moved = rows;
    moved.swap(0, 1);
    assert!(verify(&moved, 0, GENESIS).is_err());
}

/// While many write, many seal and two read: no number twice, no row skipped, one order for both.
pub async fn xt_02_readers_see_every_row_once_in_one_order_while_others_write(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let second = bench.second(harness).await;
    let writers = 4;
    let each = size(15, 150);
    bench.insert(ACME, &(1..=writers as u128).map(|n| customer(n, "Start")).collect::<Vec<_>>()).await;
    let total = writers * (2 * each + 1);
    let write = (0..writers).map(|n| {
        let bench = if n % 2 == 0 { bench.clone() } else { second.clone() };
        tokio::spawn(async move {
            for round in 0..each {
                let before: Customer = bench.load(ACME, n as u128 + 1).await;
                let after = Customer { display_name: format!("Round {round}"), ..before.clone() };
                let set = bench.set(ACME, |c| {
                    c.update(&before, &after).unwrap();
                    c.insert(&note((n * 10_000 + round + 100) as u128, n as u128 + 1)).unwrap();
                });
                // Half of the notes say that they were decided an hour ago: a slow clock, or a slow transaction. (Rows
                // of one record never go back in time: the core sees to that.)
                let mut set = set;
                if round % 2 == 1 {
                    for row in set.log.iter_mut().filter(|row| row.entity == "project_note") {
                        row.at -= chrono::Duration::hours(1);
                    }
                }
                bench.commit(&set).await.unwrap();
            }
        })
    });
    let writing: Vec<_> = write.collect();
    let reading = [bench.clone(), second.clone()].map(|bench| {
        tokio::spawn(async move {
            let mut rows: Vec<LogRow> = Vec::new();
            for attempt in 1.. {
                bench.store.seal_log(ACME, 7).await.unwrap();
                let after = rows.last().and_then(|row| row.number).unwrap_or(0);
                let page = bench.log(ACME, Read::Log { after, limit: 5 }).await;
                if page.is_empty() {
                    if rows.len() >= total {
                        break;
                    }
                    assert!(attempt < 200_000, "rows are missing: {} of {total}", rows.len());
                    bench.store.rest(1).await;
                }
                rows.extend(page);
            }
            rows
        })
    });
    for done in join_all(writing).await {
        done.unwrap();
    }
    let [first, second] = join_all(reading).await.try_into().unwrap();
    let (first, second): (Vec<LogRow>, Vec<LogRow>) = (first.unwrap(), second.unwrap());
    check(&first);
    assert_eq!(first, second, "one order for both readers");
    assert_eq!(first.len(), total);
}

/// Eight that seal at once number each row once.
pub async fn xt_02_concurrent_sealers_number_each_row_once(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let second = bench.second(harness).await;
    for round in 0..size(3, 20) as u128 {
        let some: Vec<Customer> = (0..40).map(|n| customer(round * 100 + n + 1, "C")).collect();
        for part in some.chunks(4) {
            bench.insert(ACME, part).await;
        }
        let sealing = (0..8).map(|n| {
            let bench = if n % 2 == 0 { bench.clone() } else { second.clone() };
            tokio::spawn(async move { bench.store.seal_log(ACME, 9).await.unwrap() })
        });
        let sealed: usize = join_all(sealing).await.into_iter().map(Result::unwrap).sum();
        let head = bench.position(ACME, Read::LogHead).await;
        assert_eq!(head, round as i64 * 40 + sealed as i64, "what was said to be sealed is");
        seal_all(&bench).await;
    }
    let rows = read_all(&bench, 100).await;
    assert_eq!(rows.len(), size(3, 20) * 40);
    check(&rows);
}

/// Consumers have positions of their own, which never move back.
pub async fn xt_02_acknowledged_positions_never_move_back(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let second = bench.second(harness).await;
    let position =
        async |consumer: &str| bench.position(ACME, Read::Position { consumer: consumer.to_owned() }).await;
    assert_eq!(position("mailer").await, 0);
    for (number, expected) in [(5, 5), (3, 5), (5, 5), (9, 9), (0, 9)] {
        second.store.acknowledge(ACME, "mailer", number).await.unwrap();
        assert_eq!(position("mailer").await, expected, "after {number}");
    }
    assert_eq!(position("Mailer").await, 0, "names are compared as they are");
    let many = (1..=16).map(|n| {
        let bench = if n % 2 == 0 { bench.clone() } else { second.clone() };
        tokio::spawn(async move { bench.store.acknowledge(ACME, "crowd", n).await.unwrap() })
    });
    for done in join_all(many).await {
        done.unwrap();
    }
    assert_eq!(position("crowd").await, 16);
}

/// Who listens is woken by a commit after that, through whichever handle.
pub async fn xt_02_a_commit_wakes_those_who_listen(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let second = bench.second(harness).await;
    let mut wakes = bench.store.wakes(ACME).await.unwrap();
    let mut others = second.store.wakes(ACME).await.unwrap();
    let dropped = second.store.wakes(ACME).await.unwrap();
    drop(dropped);
    for n in 1..=3 {
        bench.insert(ACME, &[customer(n, "News")]).await;
        for stream in [&mut wakes, &mut others] {
            // The limit is how long a listener may wait before this counts as never.
            let woken = tokio::time::timeout(std::time::Duration::from_mins(1), stream.next()).await;
            assert_eq!(woken, Ok(Some(())), "commit {n}");
        }
    }
}
