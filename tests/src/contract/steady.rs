//! Reading while others write: one snapshot for each call, and scans that miss and repeat nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crm_core::catalog::Entity;
use crm_core::criteria::Filter;
use crm_core::customer::Customer;
use crm_core::invoice::Invoice;
use crm_core::record::Record;
use crm_core::store::{
    Answer, CommitError, Direction, GroupQuery, Measure, Order, Query, Read, TimelineAnchor,
};
use crm_core::value::Value;
use futures_util::{StreamExt, TryStreamExt};
use rust_decimal::Decimal;

use crate::contract::bench::{ACME, Bench, all, customer, id, invoice, leaf, path, whole_timeline};
use crate::{Harness, size};

/// Money moves between two invoices; whoever reads both, in whatever way, sees the same sum.
pub async fn xt_02_the_reads_of_one_call_see_one_state(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "A")]).await;
    let with = |n: u128| Invoice { total: Decimal::from(100), ..invoice(n, 1) };
    bench.insert(ACME, &[with(10), with(11)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let moved = Arc::new(AtomicUsize::new(0));
    let writer = tokio::spawn({
        let (bench, stop, moved) = (bench.second(harness).await, Arc::clone(&stop), Arc::clone(&moved));
        async move {
            while !stop.load(Ordering::SeqCst) {
                let (a, b): (Invoice, Invoice) = (bench.load(ACME, 10).await, bench.load(ACME, 11).await);
                let part = Decimal::from(moved.load(Ordering::SeqCst) as i64 % 5 + 1);
                let part = if a.total > part { part } else { -b.total + Decimal::ONE };
                let set = bench.set(ACME, |c| {
                    c.update(&a, &Invoice { total: a.total - part, ..a.clone() }).unwrap();
                    c.update(&b, &Invoice { total: b.total + part, ..b.clone() }).unwrap();
                });
                match bench.commit(&set).await {
                    Ok(()) => drop(moved.fetch_add(1, Ordering::SeqCst)),
                    Err(CommitError::Conflict { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    });
    let sum = GroupQuery {
        def: Invoice::def(),
        filter: Filter::always(),
        by: Vec::new(),
        measures: vec![Measure::Sum(path(Invoice::def(), "total"))],
        limit: 1,
    };
    let reads = [
        Read::Get { def: Invoice::def(), ids: vec![id(10)] },
        Read::Find(Query::new(
            Invoice::def(),
            Filter::eq(Invoice::def(), "id", Value::Id(id(11))).unwrap(),
            10,
        )),
        Read::Group(sum),
        Read::Timeline(whole_timeline(TimelineAnchor::Records(vec![id(1)]))),
        Read::History { def: Invoice::def(), id: id(10), before_version: None, limit: 1 },
    ];
    let number =
        |value: &Value| if let Value::Decimal(number) = value { *number } else { panic!("{value:?}") };
    let mut round = 0;
    // At least so many readings, and so many movements beside them.
    while round < size(60, 1_000) || moved.load(Ordering::SeqCst) < 10 {
        round += 1;
        tokio::task::yield_now().await;
        assert!(!writer.is_finished(), "the writer goes on");
        let answers = bench.store.read(ACME, &reads).await.unwrap();
        let [
            Answer::Records(first),
            Answer::Records(second),
            Answer::Groups(groups),
            Answer::Timeline(rows),
            Answer::Log(log),
        ] = &answers[..]
        else {
            panic!("{answers:?}")
        };
        let (first, second) = (&first[0], &second[0]);
        let hundreds = Decimal::from(200);
        assert_eq!(number(first.get("total")) + number(second.get("total")), hundreds, "round {round}");
        assert_eq!(number(&groups[0].measures[0]), hundreds, "round {round}");
        assert_eq!(rows.iter().filter_map(|row| row.amount).sum::<Decimal>(), hundreds, "round {round}");
        assert_eq!(first.version(), second.version(), "round {round}");
        assert_eq!(log[0].version, first.version(), "round {round}");
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}

fn by_name(def: &'static crm_core::catalog::EntityDef) -> Vec<Order> {
    vec![Order { path: path(def, "display_name"), direction: Direction::Descending }]
}

/// A scan gives what a find gives, in its order, however much there is; its limit does not matter.
pub async fn xt_09_a_scan_is_all_pages_in_one(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let count = size(1_500, 12_000) as u128;
    let many: Vec<Customer> = (1..=count).map(|n| customer(n, &format!("Name {}", n * 7919 % 97))).collect();
    bench.insert(ACME, &many).await;
    let def = Customer::def();
    let odd = leaf(def, "display_name", crm_core::criteria::Test::Contains("7".to_owned()));
    for (filter, order) in [(Filter::always(), vec![]), (Filter::always(), by_name(def)), (odd, by_name(def))]
    {
        let query = Query { order: order.clone(), ..Query::new(def, filter.clone(), 3) };
        let scanned: Vec<Record> = bench.store.scan(ACME, query.clone()).try_collect().await.unwrap();
        let mut expected: Vec<Record> =
            bench.records(ACME, Read::Find(Query { limit: 10_000, ..query.clone() })).await;
        if count > 10_000 && expected.len() == 10_000 {
            assert_eq!(scanned[..10_000], expected[..]);
            expected.clone_from(&scanned);
        }
        assert_eq!(scanned, expected);
        // Whoever stops in the middle leaves nothing behind that hinders others.
        let few: Vec<Record> = bench.store.scan(ACME, query).take(5).try_collect().await.unwrap();
        assert_eq!(few, expected[..5]);
    }
    for _ in 0..20 {
        drop(bench.store.scan(ACME, all(def)));
        let mut begun = bench.store.scan(ACME, all(def));
        begun.next().await.unwrap().unwrap();
    }
    bench.change::<Customer>(ACME, 1, |c| c.is_vip = true).await;
    let scanned: Vec<Record> = bench.store.scan(ACME, all(def)).try_collect().await.unwrap();
    assert_eq!(scanned.len() as u128, count);
}

/// Records that nobody touches appear exactly once, whatever is inserted, changed and deleted beside them.
pub async fn xt_09_a_scan_gives_untouched_records_exactly_once(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let count = size(900, 3_000) as u128;
    // Every third is touched by the writer: the sort key of some changes under the scan.
    let many: Vec<Customer> = (1..=count).map(|n| customer(n, &format!("Name {n:05}"))).collect();
    bench.insert(ACME, &many).await;
    let def = Customer::def();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (bench, stop) = (bench.second(harness).await, Arc::clone(&stop));
        async move {
            let mut round = 0_u128;
            while !stop.load(Ordering::SeqCst) {
                round += 1;
                let target = (round * 3 * 101) % count / 3 * 3 + 3;
                if target <= count {
                    let name = format!("Name {:05}", (round * 7919) % count);
                    bench.change::<Customer>(ACME, target, |c| c.display_name = name).await;
                }
                bench.insert(ACME, &[customer(100_000 + round, &format!("Name {:05}", round % count))]).await;
            }
        }
    });
    for order in [vec![], by_name(def)] {
        for _ in 0..size(3, 10) {
            let query = Query { order: order.clone(), ..all(def) };
            let mut stream = bench.store.scan(ACME, query);
            let mut seen: BTreeMap<u128, usize> = BTreeMap::new();
            while let Some(record) = stream.next().await {
                *seen.entry(record.unwrap().id().as_u128()).or_default() += 1;
            }
            let untouched = (1..=count).filter(|n| n % 3 != 0);
            let wrong: Vec<_> = untouched.filter(|n| seen.get(n) != Some(&1)).collect();
            assert!(wrong.is_empty(), "not exactly once: {wrong:?}");
        }
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}
