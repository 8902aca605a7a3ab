//! What is pushed down is what the core evaluates, for every operator on every type of value.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use crm_core::criteria::{Filter, Leaf, Matcher, NoLinks, Path, Test};
use crm_core::record::Record;
use crm_core::store::{Direction, Order, Query, Store, Write};
use crm_core::value::Value;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rust_decimal::Decimal;
use support::{Fixture, SAMPLE, at, change, new, tenant, with};
use uuid::Uuid;

/// Texts that tell byte order, folding, regular expressions and quoting apart.
const TEXTS: [&str; 22] = [
    "a",
    "A",
    "ab",
    "aB",
    "a.b",
    "a*b",
    ".*",
    "$a",
    "$$ROOT",
    "\\",
    "a\nb",
    "ß",
    "ss",
    "SS",
    "é",
    "e\u{301}",
    "İ",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFD}",
    "\u{1F600}",
    "a\u{10FFFF}",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned),
        1 => (prop::sample::select(TEXTS.to_vec()), prop::sample::select(TEXTS.to_vec())).prop_map(|(a, b)| format!("{a}{b}")),
    ]
}

fn decimal() -> impl Strategy<Value = Decimal> {
    prop::sample::select(vec![
        "0",
        "-1",
        "1",
        "1.5",
        "1.50",
        "-0.000001",
        "999999999999999.999999",
        "2",
        "10",
    ])
    .prop_map(|text| text.parse::<Decimal>().unwrap().normalize())
}

fn instant() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![-5_i64, 0, 1, 2, -70_000_000_000_000])
        .prop_map(|millis| Value::Instant(at(millis)))
}

fn day() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["0001-01-01", "0999-12-31", "2024-02-29", "2024-03-01", "9999-12-31"])
        .prop_map(|day| Value::Date(day.parse::<NaiveDate>().unwrap()))
}

fn identity() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![0_u128, 1, 0x7fff << 112, 0x8000 << 112, u128::MAX])
        .prop_map(|id| Value::Id(Uuid::from_u128(id)))
}

fn int() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![0, 1, 2, 10, -1, i64::MIN, i64::MAX, (1 << 53) + 1, 1 << 53])
        .prop_map(Value::Int)
}

fn list() -> impl Strategy<Value = Value> {
    prop::collection::btree_set(text(), 0..4).prop_map(|items| Value::List(items.into_iter().collect()))
}

fn custom_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::Text),
        decimal().prop_map(Value::Decimal),
        any::<bool>().prop_map(Value::Bool),
        instant(),
        list(),
        Just(Value::List(vec![String::new()])),
    ]
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
}

const KEYS: [&str; 3] = ["size", "shoe size", "größe-0"];

fn record() -> impl Strategy<Value = Record> {
    let custom = prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), custom_value(), 0..3)
        .prop_map(|map| {
            Value::Custom(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
    let some =
        (maybe(any::<bool>().prop_map(Value::Bool)), maybe(int()), maybe(decimal().prop_map(Value::Decimal)));
    let texts = (maybe(text().prop_map(Value::Text)), maybe(text().prop_map(Value::Text)));
    let times = (maybe(instant()), maybe(day()), maybe(identity()));
    (some, texts, times, maybe(list()), maybe(custom)).prop_map(|(some, texts, times, tags, custom)| {
        let values = [
            ("flag", Value::Bool(false)),
            ("count", some.1),
            ("amount", some.2),
            ("name", texts.0),
            ("grade", texts.1),
            ("at", times.0),
            ("day", times.1),
            ("group_id", times.2),
            ("tags", tags),
            ("custom", custom),
        ];
        with_flag(with(new(&SAMPLE), &values), some.0)
    })
}

/// The rule `sample_one_main` allows one true flag for each group: true only where there is none.
fn with_flag(mut record: Record, flag: Value) -> Record {
    if *record.get("group_id") == Value::Null || flag != Value::Bool(true) {
        record.set("flag", flag);
    }
    record
}

const FIELDS: [&str; 13] = [
    "id",
    "version",
    "deleted_at",
    "flag",
    "count",
    "amount",
    "name",
    "grade",
    "at",
    "day",
    "group_id",
    "tags",
    "custom",
];

fn literal() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        int(),
        decimal().prop_map(Value::Decimal),
        text().prop_map(Value::Text),
        Just(Value::Text(String::new())),
        instant(),
        day(),
        identity(),
        Just(Value::Null),
        list(),
    ]
}

/// A literal of the field's type, mostly.
fn fitting(field: &str) -> BoxedStrategy<Value> {
    let own = match field {
        "flag" => any::<bool>().prop_map(Value::Bool).boxed(),
        "version" | "count" | "amount" => prop_oneof![int(), decimal().prop_map(Value::Decimal)].boxed(),
        "name" | "grade" => text().prop_map(Value::Text).boxed(),
        "at" | "deleted_at" => instant().boxed(),
        "day" => day().boxed(),
        "id" | "group_id" => identity().boxed(),
        _ => custom_value().boxed(),
    };
    prop_oneof![5 => own, 1 => literal()].boxed()
}

fn leaf() -> impl Strategy<Value = Filter> {
    (prop::sample::select(FIELDS.to_vec()), any::<bool>(), prop::sample::select(KEYS.to_vec())).prop_flat_map(
        |(field, whole, key)| {
            let mut path = Path::own(&SAMPLE, field).unwrap();
            if field == "custom" && !whole {
                path.custom = Some(key.to_owned());
            }
            let test = prop_oneof![
                Just(Test::Exists),
                prop::collection::vec(fitting(field), 0..3).prop_map(Test::In),
                fitting(field).prop_map(Test::Lt),
                fitting(field).prop_map(Test::Le),
                fitting(field).prop_map(Test::Gt),
                fitting(field).prop_map(Test::Ge),
                text().prop_map(Test::Contains),
                text().prop_map(Test::StartsWith),
            ];
            test.prop_map(move |test| Filter::leaf(path.clone(), test))
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn draw<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

fn ids<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeSet<Uuid> {
    records.map(Record::id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_back() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut runner = TestRunner::deterministic();
    let mut records: Vec<Record> = (0..200).map(|_| draw(&mut runner, &record())).collect();
    records[0].set(
        "settings",
        Value::Json(serde_json::json!({ "$a.b": [1, -2.5, null, { "": "x" }], "z": u64::MAX })),
    );
    records[1].set("label", Value::Text("STRASSE".to_owned()));
    f.insert(tenant, records.clone()).await;
    let found = f.find(tenant, Query::new(&SAMPLE, Filter::always(), 1_000)).await;
    records.sort_by_key(Record::id);
    assert_eq!(found, records);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_and_combination_agrees_with_the_core() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut runner = TestRunner::new(Config::default());
    let records: Vec<Record> = (0..150).map(|_| draw(&mut runner, &record())).collect();
    f.insert(tenant, records.clone()).await;
    f.insert(support::tenant(), (0..20).map(|_| draw(&mut runner, &record())).collect()).await;
    let (leaf, combined, literal) = (leaf(), filter(), literal());
    let (mut seen, mut partly) = (BTreeMap::new(), 0);
    for round in 0..3_000_usize {
        let mut filter = if round % 2 == 0 { draw(&mut runner, &leaf) } else { draw(&mut runner, &combined) };
        let mut query = Query::new(&SAMPLE, filter.clone(), 1_000);
        // An order must not change what is found; conditions on its field become bounds.
        if round % 3 > 0
            && let Filter::Leaf(Leaf { path, .. }) = draw(&mut runner, &leaf)
            && path.custom.is_none()
            && !matches!(path.field_def().name, "tags" | "custom")
        {
            let direction = if round % 3 == 1 { Direction::Ascending } else { Direction::Descending };
            if round % 4 == 1 {
                let test = |value| if round % 3 == 1 { Test::Gt(value) } else { Test::Lt(value) };
                let other =
                    [Test::In(vec![draw(&mut runner, &literal), draw(&mut runner, &literal)]), Test::Exists];
                let mut ways = vec![
                    Filter::leaf(path.clone(), test(draw(&mut runner, &literal))),
                    Filter::leaf(path.clone(), other[round % 2].clone()),
                ];
                if round % 5 < 2 {
                    ways[1] = Filter::Not(Box::new(Filter::leaf(path.clone(), Test::Exists)));
                }
                filter = Filter::All(vec![Filter::Any(ways), filter]);
                query.filter = filter.clone();
            }
            query.order = vec![Order { path, direction }];
        }
        let matcher = Matcher::new(&filter);
        let expected = ids(records.iter().filter(|record| matcher.holds(record, &NoLinks)));
        let found = f.find(tenant, query).await;
        let found = ids(found.iter());
        let wrong: Vec<_> = found.symmetric_difference(&expected).collect();
        let example = wrong.first().and_then(|id| records.iter().find(|record| record.id() == **id));
        assert!(
            wrong.is_empty(),
            "{filter:?} is answered wrongly for {} records, such as {example:?}",
            wrong.len()
        );
        partly += usize::from(!expected.is_empty() && expected.len() < records.len());
        if let Filter::Leaf(leaf) = filter {
            let kind = format!("{:?}", leaf.test).split(['(', '{']).next().unwrap_or_default().to_owned();
            *seen.entry((leaf.path.field, leaf.path.custom.is_some(), kind)).or_insert(0) += 1;
        }
    }
    println!("{} kinds of leaves; {partly} conditions separated the records", seen.len());
    assert!(seen.len() >= 8 * 13, "{seen:?}");
    assert!(partly > 500);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folded_fields_compare_folded() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let records: Vec<Record> = ["Anna", "bERT", "Çelik", "ÉMILE", "émile z"]
        .into_iter()
        .map(|label| with(new(&SAMPLE), &[("label", Value::Text(label.to_owned()))]))
        .chain([new(&SAMPLE)])
        .collect();
    f.insert(tenant, records.clone()).await;
    let path = Path::own(&SAMPLE, "label").unwrap();
    let fold = crm_core::format::fold;
    for word in ["ANNA", "anna", "c", "émile", "É", "nn", "zz"] {
        let word = fold(word);
        let value = || Value::Text(word.clone());
        let tests = [
            Test::In(vec![value()]),
            Test::Lt(value()),
            Test::Ge(value()),
            Test::Contains(word.clone()),
            Test::StartsWith(word.clone()),
            Test::Exists,
        ];
        for test in tests {
            for filter in [
                Filter::leaf(path.clone(), test.clone()),
                Filter::Not(Box::new(Filter::leaf(path.clone(), test))),
            ] {
                let matcher = Matcher::new(&filter);
                let expected = ids(records.iter().filter(|record| matcher.holds(record, &NoLinks)));
                let found = f.find(tenant, Query::new(&SAMPLE, filter.clone(), 100)).await;
                assert_eq!(ids(found.iter()), expected, "{filter:?}");
            }
        }
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_orders_follow_links() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut runner = TestRunner::new(Config::default());
    let mut records: Vec<Record> = (0..60).map(|_| draw(&mut runner, &record())).collect();
    for place in 1..records.len() {
        if place % 7 != 0 {
            let parent = records[(place * 13) % place].id();
            records[place].set("parent_id", Value::Id(parent));
        }
    }
    f.insert(tenant, records.clone()).await;
    // The same ids in another tenant must not be joined.
    let elsewhere = support::tenant();
    let others: Vec<Record> = records
        .iter()
        .map(|record| {
            let mut other = draw(&mut runner, &self::record());
            other.values[0] = record.values[0].clone();
            other
        })
        .collect();
    f.insert(elsewhere, others).await;
    let links: BTreeMap<Uuid, Record> = records.iter().map(|record| (record.id(), record.clone())).collect();
    let parent = SAMPLE.index_of("parent_id").unwrap();
    let leaf = leaf();
    for round in 0..400 {
        let Filter::Leaf(mut linked) = draw(&mut runner, &leaf) else { unreachable!() };
        linked.path.links = vec![(&*SAMPLE, parent); 1 + round % 2];
        let mut filter = Filter::Leaf(linked.clone());
        if round % 3 == 0 {
            filter = Filter::Not(Box::new(filter));
        }
        if round % 5 == 0 {
            filter = Filter::Any(vec![filter, draw(&mut runner, &leaf)]);
        }
        let matcher = Matcher::new(&filter);
        let expected: Vec<&Record> = records.iter().filter(|record| matcher.holds(record, &links)).collect();
        let mut query = Query::new(&SAMPLE, filter.clone(), 1_000);
        let name = ["amount", "name", "at", "day", "flag", "group_id"][round % 6];
        let path = Path { links: linked.path.links.clone(), ..Path::own(&SAMPLE, name).unwrap() };
        let direction = if round % 4 < 2 { Direction::Ascending } else { Direction::Descending };
        query.order = vec![Order { path: path.clone(), direction }];
        let mut sorted = expected.clone();
        sorted.sort_by(|a, b| {
            let order = path.comparable(a, &links).sort_order(&path.comparable(b, &links));
            let order = if direction == Direction::Ascending { order } else { order.reverse() };
            order.then(a.id().cmp(&b.id()))
        });
        let found = f.find(tenant, query.clone()).await;
        let wanted: Vec<Uuid> = sorted.iter().map(|record| record.id()).collect();
        assert_eq!(
            found.iter().map(Record::id).collect::<Vec<_>>(),
            wanted,
            "{filter:?} by {name} {direction:?}"
        );
        query.limit = 5;
        let page = f.find(tenant, query).await;
        assert_eq!(
            page.iter().map(Record::id).collect::<Vec<_>>(),
            wanted.into_iter().take(5).collect::<Vec<_>>()
        );
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_the_cores() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut runner = TestRunner::new(Config::default());
    let mut records: Vec<Record> = (0..200).map(|_| draw(&mut runner, &record())).collect();
    for (place, record) in records.iter_mut().enumerate() {
        record.set("label", Value::Text(format!("{}{place}", TEXTS[place % TEXTS.len()])));
    }
    f.insert(tenant, records.clone()).await;
    for name in ["id", "flag", "count", "amount", "name", "label", "grade", "at", "day", "group_id"] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let path = Path::own(&SAMPLE, name).unwrap();
            let mut sorted: Vec<&Record> = records.iter().collect();
            sorted.sort_by(|a, b| {
                let order = path.comparable(a, &NoLinks).sort_order(&path.comparable(b, &NoLinks));
                let order = if direction == Direction::Ascending { order } else { order.reverse() };
                order.then(a.id().cmp(&b.id()))
            });
            let mut query = Query::new(&SAMPLE, Filter::always(), 1_000);
            query.order = vec![Order { path, direction }];
            let found = f.find(tenant, query).await;
            assert!(found.iter().eq(sorted), "{name} {direction:?}");
        }
    }
    // An update keeps the folded form in step.
    let write = support::next(&records[0], &[("label", Value::Text("Zürich".to_owned()))]);
    let after = match &write {
        Write::Update { after, .. } => after.clone(),
        _ => unreachable!(),
    };
    f.store.commit(&change(tenant, vec![write])).await.unwrap();
    let filter = Filter::eq(&SAMPLE, "label", Value::Text(crm_core::format::fold("zÜRICH"))).unwrap();
    assert_eq!(f.find(tenant, Query::new(&SAMPLE, filter, 5)).await, [after]);
    f.done().await;
}
