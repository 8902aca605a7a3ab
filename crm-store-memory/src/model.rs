//! A naive model, a list of records without any index, against which random work is compared: the store refuses
//! the same change sets by the same name, and indexes never disagree with looking at everything.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crm_core::catalog::{EntityDef, Kind};
use crm_core::criteria::{Filter, Links, Matcher, Path, Test};
use crm_core::record::Record;
use crm_core::store::{
    Answer, CommitError, Direction, Group, GroupQuery, Measure, Order, Query, Read, Store, TimelineAnchor,
    TimelineFilter, TimelineQuery, TimelineRow, Viewer, Write,
};
use crm_core::value::Value;
use futures_util::{FutureExt, TryStreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::testing::*;

#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<(&'static str, Uuid), Record>,
    timeline: Vec<TimelineRow>,
}

impl Links for Model {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.records.get(&(def.name, id))
    }
}

impl Model {
    fn commit(&mut self, writes: &[Write]) -> Result<(), CommitError> {
        let mut next = self.clone();
        for write in writes {
            let (entity, id) = (write.def().name, write.record().id());
            if self.records.get(&(entity, id)).map(Record::version) != write.expected_version() {
                return Err(CommitError::Conflict { entity, id });
            }
        }
        for write in writes {
            let (def, id) = (write.def(), write.record().id());
            if let Write::Purge(_) = write {
                next.records.remove(&(def.name, id));
                continue;
            }
            for rule in def.uniques {
                let key = rule.key_of(write.record());
                let of_others = next.records.values().filter(|other| other.def == def && other.id() != id);
                if key.is_some() && of_others.into_iter().any(|other| rule.key_of(other) == key) {
                    return Err(CommitError::Unique { rule: rule.name });
                }
            }
            next.records.insert((def.name, id), write.record().clone());
        }
        for write in writes.iter().filter(|write| !matches!(write, Write::Purge(_))) {
            for (place, field) in write.def().fields.iter().enumerate() {
                if let (Kind::Link { entity }, Value::Id(id)) = (&field.kind, &write.record().values[place])
                    && !next.records.contains_key(&(*entity, *id))
                {
                    return Err(CommitError::Dangling { entity: write.def().name, field: field.name });
                }
            }
        }
        for write in writes.iter().filter(|write| matches!(write, Write::Purge(_))) {
            for record in next.records.values() {
                for (place, field) in record.def.fields.iter().enumerate() {
                    if field.kind == (Kind::Link { entity: write.def().name })
                        && record.values[place] == Value::Id(write.record().id())
                    {
                        let (entity, id) = (record.def.name, write.record().id());
                        return Err(CommitError::InUse { entity, field: field.name, id });
                    }
                }
            }
        }
        *self = next;
        Ok(())
    }

    fn passing(&self, filter: &Filter) -> Vec<&Record> {
        let matcher = Matcher::new(filter);
        self.records.values().filter(|r| r.def == &*CUSTOMER && matcher.holds(r, self)).collect()
    }

    fn find(&self, query: &Query) -> Vec<Record> {
        let mut found = self.passing(&query.filter);
        found.sort_by(|a, b| {
            let steps = query.order.iter().map(|Order { path, direction }| {
                let order = path.comparable(a, self).sort_order(&path.comparable(b, self));
                if *direction == Direction::Descending { order.reverse() } else { order }
            });
            steps.fold(Ordering::Equal, Ordering::then).then(a.id().cmp(&b.id()))
        });
        found.into_iter().take(query.limit).cloned().collect()
    }

    fn group(&self, query: &GroupQuery) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let sum = |a: &Value, b: &Value| match (a, b) {
            (Value::Decimal(a), Value::Decimal(b)) => Value::Decimal((a + b).normalize()),
            (Value::Decimal(a), Value::Int(b)) => Value::Decimal(a + Decimal::from(*b)),
            (a, _) => a.clone(),
        };
        if query.by.is_empty() {
            groups.push(Group {
                by: vec![],
                measures: vec![Value::Int(0), Value::Decimal(Decimal::ZERO), Value::Null],
            });
        }
        for record in self.passing(&query.filter) {
            let by: Vec<Value> = query.by.iter().map(|path| path.value(record, self).clone()).collect();
            let at = groups.iter().position(|group| group.by == by).unwrap_or_else(|| {
                let measures = vec![Value::Int(0), Value::Decimal(Decimal::ZERO), Value::Null];
                groups.push(Group { by, measures });
                groups.len() - 1
            });
            let measures = &mut groups[at].measures;
            let Value::Int(count) = measures[0] else { panic!("no count") };
            measures[0] = Value::Int(count + 1);
            measures[1] = sum(&measures[1], path(&CUSTOMER, "balance").value(record, self));
            let score = path(&CUSTOMER, "parent_id.score").value(record, self);
            if score.sort_order(&measures[2]).is_gt() {
                measures[2] = score.clone();
            }
        }
        groups.sort_by(|a, b| {
            let steps = a.by.iter().zip(&b.by).map(|(a, b)| a.sort_order(b));
            steps.fold(Ordering::Equal, Ordering::then)
        });
        groups
    }

    fn page(&self, query: &TimelineQuery) -> Vec<TimelineRow> {
        let at = |row: &&TimelineRow| match &query.anchor {
            TimelineAnchor::Records(ids) => ids.contains(&row.anchor_id),
            TimelineAnchor::User(user) => row.primary && row.actor == Some(*user),
            TimelineAnchor::Tenant => row.primary,
        };
        let live = |row: &&TimelineRow| {
            row.root.is_none_or(|id| self.records.get(&("customer", id)).is_some_and(Record::is_live))
        };
        let shown = |row: &&TimelineRow| query.viewer.sees(row) && query.filter.passes(row);
        let mut rows: Vec<&TimelineRow> =
            self.timeline.iter().filter(at).filter(live).filter(shown).collect();
        rows.sort_by_key(|row| row.position());
        if query.direction == Direction::Descending {
            rows.reverse();
        }
        let behind = |row: &TimelineRow| match (&query.after, query.direction) {
            (None, _) => true,
            (Some(after), Direction::Ascending) => row.position() > *after,
            (Some(after), Direction::Descending) => row.position() < *after,
        };
        rows.into_iter().filter(|row| behind(row)).take(query.limit).cloned().collect()
    }
}

/// One step of work: what to do to which record, and with which values.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    n: u128,
    values: Vec<(&'static str, Value)>,
}

const USERS: [u128; 2] = [900, 901];

fn value_of(name: &'static str) -> BoxedStrategy<Value> {
    let or_null = |some: BoxedStrategy<Value>| prop_oneof![1 => Just(Value::Null), 4 => some].boxed();
    let of_texts = |texts: &'static [&'static str]| select(texts).prop_map(txt).boxed();
    match name {
        "name" => of_texts(&["ann", "Ann", "ANN b", "bob", "Böb", "a", "ab"]),
        "email" => or_null(of_texts(&["a@x", "A@x", "b@x", "c@x", "d@x", "e@x"])),
        "code" => or_null(of_texts(&["1", "2", "3", "4"])),
        "status" => or_null(of_texts(&["active", "lead", "lost"])),
        "score" => or_null((0_i64..4).prop_map(Value::Int).boxed()),
        "balance" => (-3_i64..4, 0_u32..2)
            .prop_map(|(n, scale)| Value::Decimal(Decimal::new(n, scale).normalize()))
            .boxed(),
        "vip" => or_null(any::<bool>().prop_map(Value::Bool).boxed()),
        "owner_id" => or_null(select(&USERS[..]).prop_map(|n| Value::Id(id(n))).boxed()),
        "parent_id" => or_null((1_u128..14).prop_map(|n| Value::Id(id(n))).boxed()),
        "created_at" => (0_i64..4).prop_map(|n| Value::Instant(at(n))).boxed(),
        "deleted_at" => prop_oneof![3 => Just(Value::Null), 1 => Just(Value::Instant(at(9)))].boxed(),
        "id" => (1_u128..14).prop_map(|n| Value::Id(id(n))).boxed(),
        other => panic!("no values for {other}"),
    }
}

const FIELDS: [&str; 11] = [
    "name",
    "email",
    "code",
    "status",
    "score",
    "balance",
    "vip",
    "owner_id",
    "parent_id",
    "created_at",
    "deleted_at",
];

fn step() -> impl Strategy<Value = Step> {
    let value = select(&FIELDS[..]).prop_flat_map(|name| value_of(name).prop_map(move |value| (name, value)));
    (0_u8..8, 1_u128..14, vec(value, 0..8)).prop_map(|(what, n, values)| Step { what, n, values })
}

/// The writes of a change set: steps on different records, on what the model has.
fn writes(model: &Model, steps: &[Step]) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    for Step { what, n, values } in steps {
        if writes.iter().any(|write| write.record().id() == id(*n)) {
            continue;
        }
        let mut values = values.clone();
        if values.iter().any(|(name, _)| *name == "balance") {
            values.push(("currency", txt("EUR")));
        }
        writes.push(match (what, model.records.get(&("customer", id(*n)))) {
            (0, Some(now)) => Write::Purge(now.clone()),
            // What was read may be out of date.
            (1, Some(now)) if now.version() > 1 => update(&customer(*n, &values), &[]),
            (1..=6, Some(now)) => update(now, &values),
            _ => Write::Insert(customer(*n, &values)),
        });
    }
    writes
}

fn test_of(name: &'static str) -> BoxedStrategy<Test> {
    let value = || {
        value_of(name).prop_map(move |value| match value {
            // Literals are folded and numbers are decimals, as the core's criteria give them.
            Value::Text(text) if name == "name" || name == "email" => {
                Value::Text(crm_core::format::fold(&text))
            }
            Value::Int(number) if number % 2 == 0 => Value::Decimal(Decimal::from(number)),
            value => value,
        })
    };
    let one_of = vec(value(), 0..4).prop_map(Test::In);
    let exists = Just(Test::Exists);
    match name {
        "vip" | "owner_id" | "parent_id" | "id" => prop_oneof![3 => one_of, 1 => exists].boxed(),
        "deleted_at" => exists.boxed(),
        _ => {
            let part = || select(&["a", "an", "ann ", "b", "1", "lead", "lo"][..]).prop_map(str::to_owned);
            prop_oneof![
                4 => one_of,
                1 => exists,
                1 => value().prop_map(Test::Lt),
                1 => value().prop_map(Test::Le),
                1 => value().prop_map(Test::Gt),
                1 => value().prop_map(Test::Ge),
                1 => part().prop_map(Test::StartsWith),
                1 => part().prop_map(Test::Contains),
            ]
            .boxed()
        }
    }
}

fn any_path() -> impl Strategy<Value = (&'static str, Path)> {
    let fields: Vec<&'static str> = FIELDS.into_iter().chain(["id"]).collect();
    prop_oneof![
        8 => select(fields).prop_map(|name| (name, path(&CUSTOMER, name))),
        1 => select(&[("score", "parent_id.score"), ("name", "parent_id.owner_id.name")][..])
            .prop_map(|(name, steps)| (name, path(&CUSTOMER, steps))),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let leaf = any_path()
        .prop_flat_map(|(name, path)| test_of(name).prop_map(move |test| Filter::leaf(path.clone(), test)))
        .boxed();
    let not = leaf.clone().prop_map(|leaf| Filter::Not(Box::new(leaf)));
    let tree = prop_oneof![3 => leaf, 1 => not].prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 0..4).prop_map(Filter::All),
            1 => vec(inner.clone(), 0..4).prop_map(Filter::Any),
            1 => inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    });
    let live = Filter::live(&catalog(), &CUSTOMER);
    prop_oneof![
        vec(tree.clone(), 0..3).prop_map(Filter::All),
        vec(tree.clone(), 0..3).prop_map(move |parts| live.clone().and(Filter::All(parts))),
        tree,
    ]
}

fn any_order() -> impl Strategy<Value = Vec<Order>> {
    let step = (any_path(), any::<bool>()).prop_map(|((_, path), up)| Order {
        path,
        direction: if up { Direction::Ascending } else { Direction::Descending },
    });
    vec(step, 0..4)
}

fn any_query() -> impl Strategy<Value = Query> {
    (any_filter(), any_order(), 1_usize..12)
        .prop_map(|(filter, order, limit)| Query { limit, ..query(filter, order) })
}

fn any_group() -> impl Strategy<Value = GroupQuery> {
    let measures = || {
        let balance = Measure::Sum(path(&CUSTOMER, "balance"));
        vec![Measure::Count, balance, Measure::Max(path(&CUSTOMER, "parent_id.score"))]
    };
    let by = vec(select(&["name", "status", "owner_id.name", "score"][..]), 0..3);
    (any_filter(), by).prop_map(move |(filter, by)| GroupQuery {
        def: &CUSTOMER,
        filter,
        by: by.into_iter().map(|name| path(&CUSTOMER, name)).collect(),
        measures: measures(),
        limit: 10_000,
    })
}

fn any_row() -> impl Strategy<Value = TimelineRow> {
    let place = (1_u128..5, 0_i64..4, 100_u128..106, select(&["call", "note"][..]));
    (place, any::<bool>(), any::<bool>(), proptest::option::of(1_u128..14)).prop_map(
        |((anchor, seconds, entry, kind), primary, acts, root)| TimelineRow {
            kind,
            primary,
            root: root.map(id),
            actor: acts.then_some(id(900)),
            ..row(anchor, seconds, entry)
        },
    )
}

fn any_page() -> impl Strategy<Value = TimelineQuery> {
    let anchor = prop_oneof![
        3 => vec(1_u128..6, 0..4).prop_map(|ids| TimelineAnchor::Records(ids.into_iter().map(id).collect())),
        1 => Just(TimelineAnchor::User(id(900))),
        1 => Just(TimelineAnchor::Tenant),
    ];
    let kinds = prop_oneof![Just(vec![]), Just(vec!["note".to_owned()])];
    let instant = || proptest::option::of((0_i64..4).prop_map(at));
    let after = proptest::option::of(any_row().prop_map(|row| row.position()));
    (anchor, kinds, instant(), instant(), after, any::<bool>(), 1_usize..9).prop_map(
        |(anchor, kinds, from, until, after, up, limit)| TimelineQuery {
            anchor,
            filter: TimelineFilter { kinds, from, until, ..TimelineFilter::default() },
            viewer: Viewer { sees_all: true, ..Viewer::default() },
            direction: if up { Direction::Ascending } else { Direction::Descending },
            after,
            limit,
        },
    )
}

/// Calls on this store never wait.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("the store waited")
}

type Work = Vec<(Vec<Step>, Vec<TimelineRow>)>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn indexes_never_disagree_with_looking_at_everything(
        work in vec((vec(step(), 1..6), vec(any_row(), 0..6)), 1..12),
        queries in vec(any_query(), 12),
        groups in vec(any_group(), 3),
        pages in vec(any_page(), 6),
    ) {
        let work: Work = work;
        let store = store();
        let mut model = Model::default();
        let users: Vec<Record> = USERS.iter().map(|n| record(&USER, *n, &[("name", txt(&n.to_string()))])).collect();
        now(store.commit(&inserts(&users))).unwrap();
        model.records.extend(users.into_iter().map(|user| (("user", user.id()), user)));
        for (steps, rows) in work {
            let mut change = change(writes(&model, &steps));
            change.timeline_put = rows.clone();
            let answer = now(store.commit(&change));
            prop_assert_eq!(&answer, &model.commit(&change.writes));
            if answer.is_ok() {
                for row in rows {
                    model.timeline.retain(|old| old.key() != row.key());
                    model.timeline.push(row);
                }
            }
        }
        for query in queries {
            let expected = model.find(&query);
            let Answer::Records(found) = now(ask(&store, Read::Find(query.clone()))).unwrap() else { panic!() };
            prop_assert_eq!(&found, &expected, "{:?}", query);
            let scanned: Vec<Record> = now(store.scan(ACME, query.clone()).try_collect()).unwrap();
            prop_assert_eq!(scanned, model.find(&Query { limit: usize::MAX, ..query }));
        }
        for query in groups {
            let Answer::Groups(found) = now(ask(&store, Read::Group(query.clone()))).unwrap() else { panic!() };
            prop_assert_eq!(&found, &model.group(&query), "{:?}", query);
        }
        for query in pages {
            let Answer::Timeline(found) = now(ask(&store, Read::Timeline(query.clone()))).unwrap() else { panic!() };
            prop_assert_eq!(&found, &model.page(&query), "{:?}", query);
        }
    }
}
