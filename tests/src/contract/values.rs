//! What is written comes back as it was.

use crm_core::catalog::Entity;
use crm_core::record::Record;
use crm_core::store::{MAX_LIMIT, Query, Read};
use crm_core::value::Value;
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use serde_json::json;

use crate::contract::bench::{ACME, all, id, note};
use crate::contract::dice::{Dice, any_record, seeds, with_own_links};
use crate::contract::extra_entity::ProjectNote;
use crate::contract::rules::with_firsts;
use crate::{Harness, size};

/// Values with what equality does not see: the scale of decimals.
fn exactly(record: &Record) -> String {
    format!("{:?}", record.values)
}

/// Records of every entity with any values, extremes included, come back bit for bit, however they are read.
pub async fn xt_06_generated_records_come_back_exactly(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let mut number = 1_000;
    for seed in seeds(size(2, 20)) {
        let mut dice = Dice::new(seed);
        for def in bench.catalog.clone().entities() {
            let mut written = Vec::new();
            let set = bench.set(ACME, |changes| {
                for _ in 0..size(20, 50) {
                    number += 1;
                    for record in with_own_links(&bench.catalog, any_record(&mut dice, def, number)) {
                        let stored =
                            changes.insert_record(record).unwrap_or_else(|e| panic!("{} {e:?}", def.name));
                        if stored.def == def {
                            written.push(stored);
                        }
                    }
                }
            });
            bench.commit(&set).await.unwrap_or_else(|e| panic!("{} with seed {seed}: {e:?}", def.name));
            let ids = written.iter().map(Record::id).collect();
            let mut got = bench.records(ACME, Read::Get { def, ids }).await;
            got.sort_by_key(Record::id);
            assert_eq!(got.len(), written.len());
            for (got, written) in got.iter().zip(&written) {
                assert_eq!(exactly(got), exactly(written), "{} with seed {seed}", def.name);
            }
            let found = bench.records(ACME, Read::Find(all(def))).await;
            let scanned: Vec<Record> = bench.store.scan(ACME, all(def)).try_collect().await.unwrap();
            assert_eq!(found, scanned);
            for record in &got {
                assert!(found.contains(record), "{} with seed {seed}", def.name);
            }
        }
    }
}

/// Updates replace values by others and by nothing, and the log row says what was there.
pub async fn xt_06_updates_come_back_exactly(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    for seed in seeds(size(4, 40)) {
        let mut dice = Dice::new(seed);
        let number = u128::from(seed) + 5_000;
        bench
            .put(ACME, |c| drop(c.insert_record(any_record(&mut dice, ProjectNote::def(), number)).unwrap()))
            .await;
        for _ in 0..5 {
            let before = bench.get(ACME, ProjectNote::def(), id(number)).await.unwrap();
            let after = any_record(&mut dice, ProjectNote::def(), number);
            let mut expected = None;
            bench.put(ACME, |c| expected = Some(c.update_record(&before, after).unwrap())).await;
            let stored = bench.get(ACME, ProjectNote::def(), id(number)).await.unwrap();
            assert_eq!(exactly(&stored), exactly(&expected.unwrap()), "seed {seed}");
            let row = bench.history(ACME, ProjectNote::def(), id(number)).await.swap_remove(0);
            if row.version == stored.version() && stored.version() > before.version() {
                for (name, replaced) in row.private.unwrap().replaced {
                    assert_eq!(replaced, before.get(&name).to_json(), "{name} with seed {seed}");
                }
            }
        }
    }
}

/// Decimals that a binary fraction cannot hold are kept, compared and summed as decimals.
pub async fn xt_06_decimals_are_never_fractions_of_two(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let amounts = [
        "0.1",
        "0.2",
        "0.3",
        "999999999999999.999999999999",
        "999999999999999.999999999998",
        "-0.000000000001",
    ];
    let notes: Vec<ProjectNote> = amounts
        .iter()
        .enumerate()
        .map(|(n, amount)| ProjectNote { amount: Some(amount.parse().unwrap()), ..note(100 + n as u128, 1) })
        .collect();
    bench.insert(ACME, &notes).await;
    for note in &notes {
        let stored: ProjectNote = bench.load(ACME, note.id.0.as_u128()).await;
        assert_eq!(stored.amount.unwrap().to_string(), note.amount.unwrap().to_string());
        let filter = crm_core::criteria::Filter::eq(
            ProjectNote::def(),
            "amount",
            Value::Decimal(note.amount.unwrap()),
        );
        let found = bench.find(ACME, Query::new(ProjectNote::def(), filter.unwrap(), MAX_LIMIT)).await;
        assert_eq!(found, [note.id.0.as_u128()]);
    }
    let sum = crm_core::store::Measure::Sum(crate::contract::bench::path(ProjectNote::def(), "amount"));
    let below = |bound: &str| {
        crate::contract::bench::leaf(
            ProjectNote::def(),
            "amount",
            crm_core::criteria::Test::Lt(Value::Decimal(bound.parse::<Decimal>().unwrap())),
        )
    };
    let query = crm_core::store::GroupQuery {
        def: ProjectNote::def(),
        filter: below("1"),
        by: Vec::new(),
        measures: vec![sum],
        limit: 10,
    };
    let groups = bench.groups(ACME, query).await;
    assert_eq!(groups[0].measures[0].to_json(), json!("0.599999999999"));
}

/// Nothing is nothing: not an empty text, list or map.
pub async fn xt_06_what_is_empty_comes_back_as_missing(harness: &dyn Harness) {
    let bench = with_firsts(harness).await;
    let empty = ProjectNote { title: Some("  ".to_owned()), text: Some(String::new()), ..note(200, 1) };
    bench.insert(ACME, &[empty]).await;
    let stored = bench.get(ACME, ProjectNote::def(), id(200)).await.unwrap();
    for (place, field) in ProjectNote::def().own_fields().filter(|(_, field)| !field.required) {
        if field.name != "customer_id" {
            assert_eq!(stored.values[place], Value::Null, "{}", field.name);
        }
    }
    // Zero, false and the epoch are something.
    let zero = ProjectNote {
        rank: Some(0),
        amount: Some(Decimal::ZERO),
        remind_at: Some(chrono::DateTime::UNIX_EPOCH),
        ..note(201, 1)
    };
    bench.insert(ACME, &[zero]).await;
    let stored: ProjectNote = bench.load(ACME, 201).await;
    assert_eq!((stored.rank, stored.amount), (Some(0), Some(Decimal::ZERO)));
    assert_eq!(stored.remind_at, Some(chrono::DateTime::UNIX_EPOCH));
}
