//! SQL gives the answers that the core gives: filters, sorts, groups, hierarchies and pages of the timeline are
//! compared with the core's own evaluation over the same records.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use common::*;
use crm_core::catalog::{EntityDef, FieldType, Kind};
use crm_core::criteria::{Filter, Matcher, Path, Test};
use crm_core::record::Record;
use crm_core::store::{
    Answer, Direction, Group, GroupQuery, Measure, Order, Query, Read, Store, StoreError, TimelineAnchor,
    TimelineFilter, TimelinePosition, TimelineQuery, TimelineRow, Viewer,
};
use crm_core::timeline::{Audience, Visibility};
use crm_core::value::Value;
use futures_util::StreamExt;
use rust_decimal::Decimal;
use uuid::Uuid;

/// A sequence of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

const WORDS: [&str; 8] = ["a", "A", "ab", "Äb", "b%_", "ſ", "zz\u{10FFFF}", "\u{E000}x"];

/// Texts that values of other types become as text.
const LOOKALIKES: [&str; 3] = ["true", r#"["a"]"#, r#"{"decimal": "1"}"#];

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse().unwrap())
}

/// A value that the field may hold, or a literal for it.
fn some_value(dice: &mut Dice, kind: &Kind, ids: &[Uuid]) -> Value {
    match kind.field_type() {
        FieldType::Bool => Value::Bool(dice.below(2) == 0),
        FieldType::Int => Value::Int(dice.of(&[-1, 0, 1, 2, i64::MAX])),
        FieldType::Decimal => decimal(dice.of(&["-1.5", "0", "1", "1.0001", "2"])),
        FieldType::Text => match kind {
            Kind::Enum { codes, .. } => text(dice.of(codes)),
            _ => text(dice.of(&WORDS)),
        },
        FieldType::Instant => Value::Instant(at(dice.below(4) as i64)),
        FieldType::Date => Value::Date(format!("2024-02-2{}", dice.below(9)).parse().unwrap()),
        FieldType::Id => Value::Id(dice.of(ids)),
        FieldType::List => Value::List((0..dice.below(3)).map(|_| dice.of(&WORDS).to_owned()).collect()),
        FieldType::Custom => {
            let mut map = BTreeMap::new();
            for key in ["k", "l"] {
                map.extend(custom_value(dice).map(|value| (key.to_owned(), value)));
            }
            if dice.below(3) > 0 {
                map.insert("n".to_owned(), decimal(dice.of(&["-1.5", "2", "10"])));
            }
            Value::Custom(map)
        }
        FieldType::Json => Value::Json(serde_json::json!({"k": dice.below(3)})),
    }
}

fn custom_value(dice: &mut Dice) -> Option<Value> {
    Some(match dice.below(7) {
        0 => Value::Bool(dice.below(2) == 0),
        1 => decimal(dice.of(&["-1.5", "1", "10", "2"])),
        2 => Value::Instant(at(dice.below(3) as i64)),
        3 => Value::List(vec![dice.of(&WORDS).to_owned()]),
        4 => text(dice.of(&WORDS)),
        5 => text(dice.of(&LOOKALIKES)),
        _ => return None,
    })
}

fn customers(dice: &mut Dice, count: usize, users: &[Uuid]) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    for _ in 0..count {
        let mut c = customer("x");
        for (place, field) in CUSTOMER.own_fields() {
            // Unique and checked fields are left alone.
            if matches!(field.name, "email" | "code" | "low" | "high" | "is_main") {
                continue;
            }
            let ids: Vec<Uuid> =
                if field.name == "parent_id" { all.iter().map(Record::id).collect() } else { users.to_vec() };
            if (field.required || dice.below(4) > 0)
                && (field.field_type() != FieldType::Id || !ids.is_empty())
            {
                c.values[place] = some_value(dice, &field.kind, &ids);
            }
        }
        if dice.below(5) == 0 {
            c.set("deleted_at", Value::Instant(at(5)));
        }
        all.push(c);
    }
    all
}

/// A path to any field that criteria read, through up to two links.
fn some_path(dice: &mut Dice) -> Path {
    let link = |name: &str| CUSTOMER.index_of(name).unwrap();
    let (links, def): (Vec<(&'static EntityDef, usize)>, &'static EntityDef) = match dice.below(8) {
        0 => (vec![(&CUSTOMER, link("owner_id"))], &USER),
        1 => (vec![(&CUSTOMER, link("parent_id"))], &CUSTOMER),
        2 => (vec![(&CUSTOMER, link("parent_id")), (&CUSTOMER, link("parent_id"))], &CUSTOMER),
        3 => (vec![(&CUSTOMER, link("parent_id")), (&CUSTOMER, link("owner_id"))], &USER),
        _ => (Vec::new(), &CUSTOMER),
    };
    loop {
        let field = dice.below(def.fields.len());
        let kind = def.fields[field].field_type();
        if kind == FieldType::Json {
            continue;
        }
        let custom = (kind == FieldType::Custom).then(|| dice.of(&["k", "l", "none"]).to_owned());
        return Path { links, def, field, custom };
    }
}

fn some_leaf(dice: &mut Dice, ids: &[Uuid]) -> Filter {
    let path = some_path(dice);
    let field = path.field_def();
    let literal = |dice: &mut Dice| {
        let value = if path.custom.is_some() {
            custom_value(dice).unwrap_or(Value::Bool(true))
        } else if field.field_type() == FieldType::Int && dice.below(2) == 0 {
            decimal(dice.of(&["0.5", "1", "-1", "99999999999999999999"]))
        } else {
            some_value(dice, &field.kind, ids)
        };
        match value {
            Value::Text(t) if field.folded => Value::Text(crm_core::format::fold(&t)),
            Value::List(_) => text("a"),
            other => other,
        }
    };
    let word = |dice: &mut Dice| {
        let word = dice.of(&WORDS);
        if field.folded { crm_core::format::fold(word) } else { word.to_owned() }
    };
    let test = match dice.below(9) {
        0 => Test::Exists,
        1 => Test::In((0..dice.below(4)).map(|_| literal(dice)).collect()),
        2 => Test::In(vec![literal(dice)]),
        3 => Test::Lt(literal(dice)),
        4 => Test::Le(literal(dice)),
        5 => Test::Gt(literal(dice)),
        6 => Test::Ge(literal(dice)),
        7 => Test::Contains(word(dice)),
        _ => Test::StartsWith(word(dice)),
    };
    Filter::leaf(path, test)
}

fn some_filter(dice: &mut Dice, ids: &[Uuid], depth: usize) -> Filter {
    match if depth == 0 { 3 } else { dice.below(4) } {
        0 => Filter::All((0..dice.below(4)).map(|_| some_filter(dice, ids, depth - 1)).collect()),
        1 => Filter::Any((0..dice.below(4)).map(|_| some_filter(dice, ids, depth - 1)).collect()),
        2 => Filter::Not(Box::new(some_filter(dice, ids, depth - 1))),
        _ => some_leaf(dice, ids),
    }
}

fn query(filter: Filter, order: Vec<Order>) -> Query {
    Query { def: &CUSTOMER, filter, tokens: Vec::new(), token_prefix: None, order, limit: 10_000 }
}

async fn find(s: &Scratch, query: Query) -> Vec<Record> {
    match s.store.read(s.tenant, &[Read::Find(query.clone())]).await {
        Ok(answers) => match answers.into_iter().next() {
            Some(Answer::Records(records)) => records,
            other => panic!("{other:?}"),
        },
        Err(error) => panic!("{error} for {query:?}"),
    }
}

struct World {
    s: Scratch,
    customers: Vec<Record>,
    links: BTreeMap<Uuid, Record>,
    users: Vec<Uuid>,
}

async fn world(dice: &mut Dice, count: usize) -> World {
    let s = Scratch::new().await;
    let users: Vec<Record> = ["Ann", "ann", "Bo"].iter().map(|name| user(name)).collect();
    let ids: Vec<Uuid> = users.iter().map(Record::id).collect();
    let customers = customers(dice, count, &ids);
    s.insert(users.iter().chain(&customers).cloned().collect()).await;
    let links = users.iter().chain(&customers).map(|r| (r.id(), r.clone())).collect();
    World { s, customers, links, users: ids }
}

#[tokio::test]
async fn filters_keep_the_records_that_the_core_keeps() {
    let mut dice = Dice(7);
    let w = world(&mut dice, 400).await;
    let mut kept = 0;
    for round in 0..600 {
        let filter = some_filter(&mut dice, &w.users, round % 4);
        let matcher = Matcher::new(&filter);
        let expected: BTreeSet<Uuid> =
            w.customers.iter().filter(|c| matcher.holds(c, &w.links)).map(Record::id).collect();
        let found: BTreeSet<Uuid> =
            find(&w.s, query(filter.clone(), Vec::new())).await.iter().map(Record::id).collect();
        let differ: Vec<_> = found.symmetric_difference(&expected).map(|id| &w.links[id]).collect();
        assert!(differ.is_empty(), "{filter:#?}\ndiffers for {differ:#?}");
        kept += usize::from(!expected.is_empty() && expected.len() < w.customers.len());
    }
    assert!(kept > 150, "the filters tell records apart: {kept}");
    w.s.drop().await;
}

#[tokio::test]
async fn hostile_custom_fields_are_false_and_never_an_error() {
    let s = Scratch::new().await;
    s.insert(vec![customer("x")]).await;
    for json in [
        "{\"k\": 1}",
        "{\"k\": {\"decimal\": \"abc\"}}",
        "{\"k\": {\"decimal\": 7}}",
        "{\"k\": [1, {}]}",
        "{\"k\": null}",
    ] {
        s.execute(&format!("UPDATE $S.customers SET custom = '{json}'")).await.unwrap();
        let path = Path {
            links: Vec::new(),
            def: &CUSTOMER,
            field: CUSTOMER.index_of("custom").unwrap(),
            custom: Some("k".to_owned()),
        };
        for literal in [text("abc"), decimal("7"), Value::Bool(true), Value::Instant(at(0))] {
            for test in [
                Test::In(vec![literal.clone()]),
                Test::Lt(literal.clone()),
                Test::Ge(literal.clone()),
                Test::Contains("abc".to_owned()),
                Test::StartsWith("abc".to_owned()),
            ] {
                let filter = Filter::leaf(path.clone(), test);
                assert!(find(&s, query(filter, Vec::new())).await.is_empty(), "{json} {literal:?}");
            }
        }
    }
    s.drop().await;
}

#[tokio::test]
async fn sorts_and_scans_give_the_core_s_order() {
    let mut dice = Dice(11);
    let w = world(&mut dice, 2_500).await;
    for round in 0..60 {
        let order: Vec<Order> = (0..=dice.below(3))
            .map(|_| {
                let path = loop {
                    let path = some_path(&mut dice);
                    if path.custom.is_none() && path.field_def().field_type() != FieldType::List {
                        break path;
                    }
                };
                Order { path, direction: dice.of(&[Direction::Ascending, Direction::Descending]) }
            })
            .collect();
        let mut expected: Vec<&Record> = w.customers.iter().collect();
        expected.sort_by(|a, b| {
            for step in &order {
                let (a, b) = (step.path.comparable(a, &w.links), step.path.comparable(b, &w.links));
                let ordering = match step.direction {
                    Direction::Ascending => a.sort_order(&b),
                    Direction::Descending => b.sort_order(&a),
                };
                if ordering != Ordering::Equal {
                    return ordering;
                }
            }
            a.id().cmp(&b.id())
        });
        let found = if round % 10 == 0 {
            let mut query = query(Filter::always(), order.clone());
            query.limit = 3;
            w.s.store.scan(w.s.tenant, query).map(Result::unwrap).collect().await
        } else {
            find(&w.s, query(Filter::always(), order.clone())).await
        };
        let found: Vec<Uuid> = found.iter().map(Record::id).collect();
        let expected: Vec<Uuid> = expected.iter().map(|r| r.id()).collect();
        assert_eq!(found, expected, "{order:?}");
    }
    // A scan that is dropped half-way gives its connection back.
    for _ in 0..30 {
        let mut scan = w.s.store.scan(w.s.tenant, query(Filter::always(), Vec::new()));
        assert!(scan.next().await.unwrap().is_ok());
    }
    w.s.drop().await;
}

#[tokio::test]
async fn groups_are_exact() {
    let mut dice = Dice(13);
    let w = world(&mut dice, 800).await;
    for _ in 0..60 {
        let by: Vec<Path> = (0..dice.below(3))
            .map(|_| {
                loop {
                    let path = some_path(&mut dice);
                    if path.field_def().field_type() != FieldType::List {
                        break path;
                    }
                }
            })
            .collect();
        let own = |name: &str| Path::own(&CUSTOMER, name).unwrap();
        let custom = Path { custom: Some("n".to_owned()), ..own("custom") };
        let measures = vec![
            Measure::Count,
            Measure::Sum(custom.clone()),
            Measure::Min(custom.clone()),
            Measure::Max(custom),
            Measure::Sum(own("revenue")),
            Measure::Sum(own("score")),
            Measure::Min(own("birthday")),
            Measure::Max(own("seen_at")),
            Measure::Max(own("id")),
            Measure::Min(own("name")),
        ];
        let filter = some_filter(&mut dice, &w.users, 1);
        let expected = group_by_hand(&w, &filter, &by, &measures);
        let query = GroupQuery { def: &CUSTOMER, filter, by: by.clone(), measures, limit: 10_000 };
        let answers = w.s.store.read(w.s.tenant, &[Read::Group(query.clone())]).await.unwrap();
        let Some(Answer::Groups(groups)) = answers.into_iter().next() else { panic!() };
        let sorted = |mut groups: Vec<Group>| {
            groups.sort_by_key(|group| format!("{:?}", group.by));
            groups
        };
        assert_eq!(sorted(groups.clone()), sorted(expected), "{by:?}");
        for pair in groups.windows(2) {
            let order = pair[0].by.iter().zip(&pair[1].by).map(|(a, b)| a.sort_order(b)).find(|o| o.is_ne());
            assert_ne!(order, Some(Ordering::Greater), "{by:?}");
        }
        if groups.len() > 1 {
            let narrow = GroupQuery { limit: groups.len() - 1, ..query };
            let refused = w.s.store.read(w.s.tenant, &[Read::Group(narrow)]).await;
            assert!(matches!(refused, Err(StoreError::Refused { .. })));
        }
    }
    w.s.drop().await;
}

fn group_by_hand(w: &World, filter: &Filter, by: &[Path], measures: &[Measure]) -> Vec<Group> {
    let mut groups: BTreeMap<String, (Vec<Value>, Vec<&Record>)> = BTreeMap::new();
    if by.is_empty() {
        groups.insert("[]".to_owned(), (Vec::new(), Vec::new()));
    }
    let matcher = Matcher::new(filter);
    for c in w.customers.iter().filter(|c| matcher.holds(c, &w.links)) {
        let key: Vec<Value> = by.iter().map(|path| path.value(c, &w.links).clone()).collect();
        groups.entry(format!("{key:?}")).or_insert_with(|| (key, Vec::new())).1.push(c);
    }
    let measure = |measure: &Measure, records: &[&Record]| match measure {
        Measure::Count => Value::Int(records.len() as i64),
        Measure::Sum(path) => Value::Decimal(
            records
                .iter()
                .map(|r| match path.value(r, &w.links) {
                    Value::Int(n) => Decimal::from(*n),
                    Value::Decimal(d) => *d,
                    _ => Decimal::ZERO,
                })
                .sum::<Decimal>()
                .normalize(),
        ),
        Measure::Min(path) | Measure::Max(path) => {
            let mut values: Vec<&Value> =
                records.iter().map(|r| path.value(r, &w.links)).filter(|v| !v.is_missing()).collect();
            values.sort_by(|a, b| a.sort_order(b));
            let end = if matches!(measure, Measure::Min(_)) { values.first() } else { values.last() };
            end.map_or(Value::Null, |v| (*v).clone())
        }
    };
    groups
        .into_values()
        .map(|(by, records)| Group { by, measures: measures.iter().map(|m| measure(m, &records)).collect() })
        .collect()
}

#[tokio::test]
async fn tokens_find_by_equality_and_by_prefix() {
    let s = Scratch::new().await;
    let all: Vec<Record> = ["a", "b", "c"].iter().map(|name| customer(name)).collect();
    let mut set = s.change(all.iter().cloned().map(crm_core::store::Write::Insert).collect());
    set.tokens_put = vec![
        token(&all[0], "anna"),
        token(&all[0], "berg"),
        token(&all[0], "bergen"),
        token(&all[1], "anna"),
        token(&all[1], "bera"),
        token(&all[2], "berg%"),
    ];
    s.store.commit(&set).await.unwrap();
    let found = |tokens: &'static [&'static str], prefix: Option<&'static str>| {
        let mut query = query(Filter::always(), vec![]);
        query.tokens = tokens.iter().map(|t| (*t).to_owned()).collect();
        query.token_prefix = prefix.map(str::to_owned);
        let s = &s;
        async move {
            let mut names: Vec<String> =
                find(s, query).await.iter().map(|r| r.get("name").as_text().unwrap().to_owned()).collect();
            names.sort();
            names.concat()
        }
    };
    assert_eq!(found(&["anna"], None).await, "ab");
    assert_eq!(found(&["anna", "berg"], None).await, "a");
    assert_eq!(found(&[], Some("berg")).await, "ac");
    assert_eq!(found(&["anna"], Some("ber")).await, "ab");
    assert_eq!(found(&[], Some("berg%")).await, "c");
    let mut drop = s.change(Vec::new());
    drop.tokens_drop = vec![token(&all[0], "anna")];
    s.store.commit(&drop).await.unwrap();
    assert_eq!(found(&["anna"], None).await, "b");
    s.drop().await;
}

#[tokio::test]
async fn hierarchies_stop_at_circles() {
    let s = Scratch::new().await;
    let mut chain: Vec<Record> = (0..5).map(|n| customer(&format!("c{n}"))).collect();
    for n in 1..5 {
        let above = chain[n - 1].id();
        chain[n].set("parent_id", Value::Id(above));
    }
    s.insert(chain.clone()).await;
    let names = |answer: Answer| match answer {
        Answer::Records(records) => {
            records.iter().map(|r| r.get("name").as_text().unwrap()[1..].to_owned()).collect::<String>()
        }
        other => panic!("{other:?}"),
    };
    let read = async |id: Uuid, limit: usize| {
        let reads =
            [Read::Ancestors { def: &CUSTOMER, id, limit }, Read::Subtree { def: &CUSTOMER, id, limit }];
        s.store.read(s.tenant, &reads).await.unwrap().into_iter().map(names).collect::<Vec<_>>()
    };
    assert_eq!(read(chain[2].id(), 100).await, ["210", "234"]);
    assert_eq!(read(chain[2].id(), 2).await, ["21", "23"]);
    s.store.commit(&s.change(vec![deleted(&chain[3])])).await.unwrap();
    // What stands below a deleted one is still below.
    assert_eq!(read(chain[2].id(), 100).await, ["210", "24"]);
    assert_eq!(read(chain[2].id(), 2).await, ["21", "24"]);
    assert_eq!(read(chain[3].id(), 100).await, ["3210", "34"]);
    assert_eq!(read(chain[4].id(), 100).await[0], "43210");
    s.store.commit(&s.change(vec![changed(&chain[0], "parent_id", Value::Id(chain[2].id()))])).await.unwrap();
    assert_eq!(read(chain[2].id(), 100).await, ["210", "2014"]);
    let refused = s.store.read(s.tenant, &[Read::Subtree { def: &NOTE, id: Uuid::nil(), limit: 1 }]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    s.drop().await;
}

#[tokio::test]
async fn what_the_contract_does_not_offer_is_refused_before_anything_is_sent() {
    let s = Scratch::new().await;
    let sent = s.store.statements();
    let all = || query(Filter::always(), Vec::new());
    let own = |name: &str| Path::own(&CUSTOMER, name).unwrap();
    let of = |path: Path| Filter::leaf(path, Test::Exists);
    let group = |measure| {
        Read::Group(GroupQuery {
            def: &CUSTOMER,
            filter: Filter::always(),
            by: vec![],
            measures: vec![measure],
            limit: 1,
        })
    };
    let sorted =
        |path| Read::Find(query(Filter::always(), vec![Order { path, direction: Direction::Ascending }]));
    for read in [
        Read::Find(Query { limit: 10_001, ..all() }),
        Read::Find(Query { limit: 0, ..all() }),
        Read::Get { def: &CUSTOMER, ids: vec![Uuid::nil(); 10_001] },
        Read::Log { after: 0, limit: 10_001 },
        Read::Find(query(of(Path { field: 999, ..own("name") }), vec![])),
        Read::Find(query(of(Path::own(&NOTE, "title").unwrap()), vec![])),
        Read::Find(query(of(Path { links: vec![(&NOTE, 5)], ..own("name") }), vec![])),
        Read::Find(query(of(Path { links: vec![(&CUSTOMER, 999)], ..own("name") }), vec![])),
        Read::Find(query(of(Path { custom: Some("k".to_owned()), ..own("name") }), vec![])),
        sorted(own("tags")),
        sorted(own("custom")),
        sorted(own("settings")),
        group(Measure::Sum(own("name"))),
        group(Measure::Max(own("tags"))),
        Read::Subtree { def: &NOTE, id: Uuid::nil(), limit: 1 },
    ] {
        let refused = s.store.read(s.tenant, std::slice::from_ref(&read)).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{read:?}");
    }
    assert_eq!(s.store.statements(), sent);
    // A sum that no decimal holds.
    let mut rich: Vec<Record> = (0..199).map(|_| customer("rich")).collect();
    for c in &mut rich {
        c.set("revenue", decimal("999999999999999.999999999999"));
    }
    s.insert(rich).await;
    let refused = s.store.read(s.tenant, &[group(Measure::Sum(own("revenue")))]).await;
    assert!(matches!(&refused, Err(StoreError::Refused { why }) if why.contains("28 digits")), "{refused:?}");
    s.drop().await;
}

fn some_entries(dice: &mut Dice, anchors: &[Record], actors: &[Uuid], teams: &[Uuid]) -> Vec<TimelineRow> {
    let maybe = |dice: &mut Dice, list: &[Uuid]| (dice.below(3) > 0).then(|| dice.of(list));
    let mut rows = Vec::new();
    for n in 0..300 {
        let mut n = note(&anchors[0], &format!("n{n}"), at(dice.below(20) as i64));
        n.set("customer_id", Value::Id(dice.of(anchors).id()));
        let row = TimelineRow {
            actor: maybe(dice, actors),
            team: maybe(dice, teams),
            visibility: dice.of(&[Visibility::All, Visibility::Team, Visibility::Private]),
            audience: dice.of(&[Audience::Internal, Audience::External]),
            pinned: dice.below(5) == 0,
            subtype: dice.of(&[None, Some("call".to_owned()), Some("email".to_owned())]),
            sentiment: dice.of(&[None, Some("positive".to_owned())]),
            amount: dice.of(&[None, Some("1.5".parse().unwrap())]),
            kind: dice.of(&["note", "line"]),
            ..entry(&n)
        };
        let other = dice.of(anchors).id();
        if other != row.anchor_id && dice.below(2) == 0 {
            rows.push(TimelineRow { anchor_id: other, primary: false, ..row.clone() });
        }
        rows.push(row);
    }
    rows
}

#[tokio::test]
async fn pages_of_the_timeline_are_the_core_s_filter_in_total_order() {
    let mut dice = Dice(17);
    let s = Scratch::new().await;
    let anchors: Vec<Record> = (0..4).map(|n| customer(&format!("c{n}"))).collect();
    s.insert(anchors.clone()).await;
    let users: Vec<Uuid> = (0..3).map(|_| new_id()).collect();
    let teams: Vec<Uuid> = (0..2).map(|_| new_id()).collect();
    let rows = some_entries(&mut dice, &anchors, &users, &teams);
    let mut set = s.change(vec![deleted(&anchors[3])]);
    set.timeline_put.clone_from(&rows);
    set.tokens_put = rows
        .iter()
        .filter(|row| row.primary && row.pinned)
        .map(|row| crm_core::store::TokenRow { entity: row.kind, id: row.entry_id, token: "#x".to_owned() })
        .collect();
    s.store.commit(&set).await.unwrap();
    let shown: Vec<&TimelineRow> = rows.iter().filter(|row| row.root != Some(anchors[3].id())).collect();
    for _ in 0..150 {
        let ids: Vec<Uuid> = (0..dice.below(4)).map(|_| dice.of(&anchors).id()).collect();
        let anchor = match dice.below(5) {
            0 => TimelineAnchor::Tenant,
            1 => TimelineAnchor::User(dice.of(&users)),
            2 => TimelineAnchor::Records(ids),
            _ => TimelineAnchor::Records(vec![dice.of(&anchors).id()]),
        };
        let viewer = Viewer {
            user: dice.of(&[None, Some(users[0])]),
            teams: dice.of(&[Vec::new(), vec![teams[0]], teams.clone()]),
            sees_all: dice.below(3) == 0,
            external_only: dice.below(4) == 0,
        };
        let some = |dice: &mut Dice, list: &[&str]| -> Vec<String> {
            if dice.below(4) > 0 { Vec::new() } else { vec![dice.of(list).to_owned()] }
        };
        let filter = TimelineFilter {
            kinds: some(&mut dice, &["note", "line", "none"]),
            subtypes: some(&mut dice, &["call", "email"]),
            sentiments: some(&mut dice, &["positive"]),
            actors: if dice.below(5) > 0 { Vec::new() } else { users[..2].to_vec() },
            teams: if dice.below(5) > 0 { Vec::new() } else { teams[..1].to_vec() },
            visibilities: if dice.below(5) > 0 {
                Vec::new()
            } else {
                vec![Visibility::Team, Visibility::All]
            },
            from: dice.of(&[None, None, Some(at(3))]),
            until: dice.of(&[None, None, Some(at(15))]),
            pinned: dice.of(&[None, None, Some(true), Some(false)]),
            tokens: if dice.below(6) > 0 { Vec::new() } else { vec!["#x".to_owned()] },
            ..TimelineFilter::default()
        };
        let direction = dice.of(&[Direction::Ascending, Direction::Descending]);
        let mut expected: Vec<TimelinePosition> = shown
            .iter()
            .filter(|row| match &anchor {
                TimelineAnchor::Records(ids) => ids.contains(&row.anchor_id),
                TimelineAnchor::User(user) => row.primary && row.actor == Some(*user),
                TimelineAnchor::Tenant => row.primary,
            })
            .filter(|row| viewer.sees(row) && filter.passes(row) && (filter.tokens.is_empty() || row.pinned))
            .map(|row| row.position())
            .collect();
        expected.sort();
        if direction == Direction::Descending {
            expected.reverse();
        }
        let mut query = TimelineQuery { anchor, filter, viewer, direction, after: None, limit: 37 };
        let mut found = Vec::new();
        loop {
            let answers = s.store.read(s.tenant, &[Read::Timeline(query.clone())]).await.unwrap();
            let Some(Answer::Timeline(page)) = answers.into_iter().next() else { panic!() };
            for row in &page {
                assert!(rows.contains(row), "{row:?}");
            }
            found.extend(page.iter().map(TimelineRow::position));
            if page.len() < query.limit {
                break;
            }
            query.after = page.last().map(TimelineRow::position);
        }
        assert_eq!(found, expected, "{query:?}");
    }
    // Putting a row again replaces it; dropping it removes it.
    let mut replaced = rows[0].clone();
    replaced.display.title = "new".to_owned();
    let mut set = s.change(Vec::new());
    set.timeline_put = vec![replaced];
    set.timeline_drop = vec![rows[1].key()];
    s.store.commit(&set).await.unwrap();
    assert_eq!(s.count("$S.crm_timeline").await, rows.len() as i64 - 1);
    assert_eq!(s.count("$S.crm_timeline WHERE title = 'new'").await, 1);
    s.drop().await;
}
