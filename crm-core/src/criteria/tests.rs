//! The evaluators beside a naive one: the tree as it is written, one condition after the other, at one instant after the
//! other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::Duration;
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::*;
use crate::catalog::{Entity, EntityDef, FieldDef, Format, Kind, Privacy, system};
use crate::customer::Customer;
use crate::record::{Meta, Record};
use crate::value::{Instant, Value};

static SAMPLE: LazyLock<EntityDef> = LazyLock::new(|| {
    let field = |name, kind| FieldDef {
        name,
        kind,
        required: false,
        folded: name == "folded",
        search: false,
        frozen: false,
        privacy: Privacy::Keep,
    };
    let text = || Kind::Text { max: 100, format: Format::Line };
    let mut fields = EntityDef::system_fields();
    fields.extend([
        field("parent_id", Kind::Link { entity: "sample" }),
        field("flag", Kind::Bool),
        field("count", Kind::Int { min: 0, max: 9 }),
        field("amount", Kind::Decimal { scale: 2 }),
        field("plain", text()),
        field("folded", text()),
        field("code", Kind::Enum { codes: &["a", "b", "ka"], ordered: true }),
        field("at", Kind::Instant),
        field("day", Kind::Date),
        field("tags", Kind::List { max_items: 9, max_len: 9 }),
        field("custom", Kind::Custom),
    ]);
    EntityDef {
        name: "sample",
        table: "samples",
        fields,
        uniques: &[],
        indexes: &[],
        checks: &[],
        append_only: false,
        shared: false,
        root: None,
        parent: Some("parent_id"),
        extends: None,
        entry: None,
        validate: None,
    }
});

const NOW: i64 = 1_709_164_799_999; // 2024-02-28T23:59:59.999Z
const DAY: i64 = 86_400_000;
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "b",
    "ka",
    "Ka",
    "KA ß",
    "ka  x",
    " ka",
    "ka\t",
    "k",
    "Ká",
    "Ka\u{301}",
    "é",
    "e\u{301}",
    "ma ka",
    "\u{212a}a",
    "MAKA",
    "ﬁ ka",
    "a very long text that is longer than what is folded in place: Ka, ka, ka",
];

fn now() -> Instant {
    Instant::from_timestamp_millis(NOW).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS).prop_map(str::to_owned)
}

fn instant() -> impl Strategy<Value = Value> {
    let days = prop_oneof![Just(0), Just(-30), Just(-31), Just(-366), -800_i64..800];
    let at = (days, prop_oneof![Just(0), Just(1), Just(-1), -DAY..DAY]);
    at.prop_map(|(days, ms)| Value::Instant(Instant::from_timestamp_millis(NOW + days * DAY + ms).unwrap()))
}

fn day() -> impl Strategy<Value = Value> {
    let days = prop_oneof![-2_i64..3, -800_i64..800];
    days.prop_map(|days| Value::Date((now() + Duration::days(days)).date_naive()))
}

/// Any value that has an order, of any type.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => text().prop_map(Value::Text),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => (0_i64..4).prop_map(Value::Int),
        1 => (0_i64..8).prop_map(|half| Value::Decimal(Decimal::new(half * 5, 1).normalize())),
        1 => (0_u128..3).prop_map(|id| Value::Id(Uuid::from_u128(id))),
        2 => instant(),
        1 => day(),
    ]
}

fn list() -> impl Strategy<Value = Value> {
    prop::collection::vec(text(), 0..3).prop_map(Value::List)
}

fn custom() -> impl Strategy<Value = Value> {
    let value = prop_oneof![5 => any_value(), 1 => list()];
    prop::collection::btree_map(select(vec!["one".to_owned(), "two".to_owned()]), value, 0..3)
        .prop_map(Value::Custom)
}

/// A record with values of the fields' types.
fn record() -> impl Strategy<Value = Record> {
    let own = (
        (0_u128..3).prop_map(|id| Value::Id(Uuid::from_u128(id))),
        any::<bool>().prop_map(Value::Bool),
        (0_i64..4).prop_map(Value::Int),
        (0_i64..8).prop_map(|half| Value::Decimal(Decimal::new(half * 5, 1).normalize())),
        text().prop_map(Value::Text),
        text().prop_map(Value::Text),
        select(vec!["a", "b", "ka"]).prop_map(|code| Value::Text(code.to_owned())),
        instant(),
        day(),
        list(),
        (custom(), prop::collection::vec(0..4, 10)),
    );
    own.prop_map(|(parent, flag, count, amount, plain, folded, code, at, day, tags, (custom, gone))| {
        let mut record = Record::new(&SAMPLE, Uuid::from_u128(9), &Meta::default());
        let own = [parent, flag, count, amount, plain, folded, code, at, day, tags, custom];
        for (place, value) in own.into_iter().enumerate() {
            let is_gone = gone.get(place) == Some(&0);
            record.values[system::FIRST_OWN + place] = if is_gone { Value::Null } else { value };
        }
        record
    })
}

fn path_of(place: usize, linked: bool, key: &str) -> Path {
    let custom = (SAMPLE.fields[place].kind == Kind::Custom).then(|| key.to_owned());
    let links = if linked { vec![(&*SAMPLE, system::FIRST_OWN)] } else { Vec::new() };
    Path { links, def: &SAMPLE, field: place, custom }
}

fn path() -> impl Strategy<Value = Path> {
    (system::FIRST_OWN..SAMPLE.fields.len(), prop::bool::weighted(0.2), select(vec!["one", "two"]))
        .prop_map(|(place, linked, key)| path_of(place, linked, key))
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        1 => Just(Test::Exists),
        4 => prop::collection::vec(any_value(), 0..4).prop_map(Test::In),
        2 => prop::collection::vec(text().prop_map(Value::Text), 0..12).prop_map(Test::In),
        1 => any_value().prop_map(Test::Lt),
        1 => any_value().prop_map(Test::Le),
        1 => any_value().prop_map(Test::Gt),
        1 => any_value().prop_map(Test::Ge),
        2 => text().prop_map(|text| Test::Contains(if text.is_empty() { "a".to_owned() } else { text })),
        3 => text().prop_map(|text| Test::StartsWith(if text.is_empty() { "ka".to_owned() } else { text })),
    ]
}

/// A test that is likely to fit the field.
fn fitting() -> impl Strategy<Value = Node> {
    let leaf = |(mut path, condition): (Path, Condition)| {
        if let Condition::Fixed(Test::Contains(_) | Test::StartsWith(_)) = condition
            && path.custom.is_none()
            && path.def.fields[path.field].kind.field_type() != crate::catalog::FieldType::List
        {
            path.field = SAMPLE.index_of("folded").unwrap();
        }
        Node::Leaf { path, condition }
    };
    (path(), test().prop_map(Condition::Fixed)).prop_map(leaf)
}

fn moment() -> impl Strategy<Value = Moment> {
    let zone = select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Pacific__Kiritimati]);
    let offset = prop_oneof![
        select(vec![0, -1, 30 * DAY, -30 * DAY, -90 * DAY]).prop_map(|ms| (Unit::Milliseconds, ms)),
        (-40_i64..40).prop_map(|days| (Unit::Days, days)),
        (-14_i64..14).prop_map(|months| (Unit::Months, months)),
    ];
    (offset, zone).prop_map(|((unit, offset), zone)| Moment { unit, offset, zone })
}

fn moving() -> impl Strategy<Value = Node> {
    let field = select(vec!["at", "at", "day", "custom", "plain"]);
    (field, prop::bool::weighted(0.2), moment(), any::<bool>(), any::<bool>()).prop_map(
        |(field, linked, moment, before, or_equal)| {
            let path = path_of(SAMPLE.index_of(field).unwrap(), linked, "one");
            let condition = if before {
                Condition::Before { moment, or_equal }
            } else {
                Condition::After { moment, or_equal }
            };
            Node::Leaf { path, condition }
        },
    )
}

/// A tree, in which so many conditions depend on the time for each that does not.
fn tree(share: u32) -> impl Strategy<Value = Node> {
    prop_oneof![1 => fitting(), share => moving()].prop_recursive(3, 20, 4, |node| {
        prop_oneof![
            prop::collection::vec(node.clone(), 0..4).prop_map(Node::All),
            prop::collection::vec(node.clone(), 0..4).prop_map(Node::Any),
            node.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

fn naive(filter: &Filter, record: &Record, links: &dyn Links) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().all(|filter| naive(filter, record, links)),
        Filter::Any(filters) => filters.iter().any(|filter| naive(filter, record, links)),
        Filter::Not(filter) => !naive(filter, record, links),
        Filter::Leaf(Leaf { path, test: Test::Exists }) => !path.value(record, links).is_missing(),
        Filter::Leaf(Leaf { path, test }) => {
            let value = path.comparable(record, links).into_owned();
            let order = |bound: &Value| value.compare(bound);
            !value.is_missing()
                && match test {
                    Test::Exists => true,
                    Test::In(list) => list.iter().any(|item| order(item) == Some(Ordering::Equal)),
                    Test::Lt(bound) => order(bound).is_some_and(Ordering::is_lt),
                    Test::Le(bound) => order(bound).is_some_and(Ordering::is_le),
                    Test::Gt(bound) => order(bound).is_some_and(Ordering::is_gt),
                    Test::Ge(bound) => order(bound).is_some_and(Ordering::is_ge),
                    Test::Contains(part) => match &value {
                        Value::Text(text) => text.contains(part),
                        Value::List(items) => items.contains(part),
                        _ => false,
                    },
                    Test::StartsWith(part) => value.as_text().is_some_and(|text| text.starts_with(part)),
                }
        }
    }
}

/// The instants within some years at which single conditions change their answer.
fn changes(node: &Node, record: &Record, links: &dyn Links) -> Vec<i64> {
    match node {
        Node::All(nodes) | Node::Any(nodes) => {
            nodes.iter().flat_map(|node| changes(node, record, links)).collect()
        }
        Node::Not(node) => changes(node, record, links),
        Node::Leaf { .. } => {
            let holds = |ms| naive(&node.at(Instant::from_timestamp_millis(ms).unwrap()), record, links);
            let (mut before, mut from) = (NOW, NOW + 2_000 * DAY);
            if holds(before) == holds(from) {
                return Vec::new();
            }
            while from - before > 1 {
                let middle = before.midpoint(from);
                if holds(middle) == holds(NOW) { before = middle } else { from = middle }
            }
            vec![from]
        }
    }
}

fn expected(node: &Node, record: &Record, links: &dyn Links) -> Verdict {
    let holds = |at| naive(&node.at(at), record, links);
    let mut instants = changes(node, record, links);
    instants.sort_unstable();
    let mut instants = instants.into_iter().map(|ms| Instant::from_timestamp_millis(ms).unwrap());
    Verdict { holds: holds(now()), changes_at: instants.find(|at| holds(*at) != holds(now())) }
}

fn criteria(root: Node) -> Criteria {
    Criteria { def: &SAMPLE, root, source: Json::Null }
}

fn linked(parents: Vec<Record>) -> BTreeMap<Uuid, Record> {
    (0_u128..).map(Uuid::from_u128).zip(parents).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn lc_08_a_matcher_says_what_the_tree_says(
        trees in prop::collection::vec(tree(1), 1..6),
        records in prop::collection::vec(record(), 3),
        parents in prop::collection::vec(record(), 2),
    ) {
        let links = linked(parents);
        for tree in &trees {
            let filter = tree.at(now());
            let matcher = Matcher::new(&filter);
            for record in &records {
                prop_assert_eq!(
                    matcher.holds(record, &links), naive(&filter, record, &links), "{:?} of {:?}", filter, record
                );
            }
        }
    }

    #[test]
    fn lc_09_a_set_says_of_each_criteria_what_asking_at_every_instant_says(
        mut trees in prop::collection::vec(prop_oneof![tree(1), tree(20)], 1..6),
        record in record(),
        parents in prop::collection::vec(record(), 2),
    ) {
        let links = linked(parents);
        // Criteria that share conditions with others.
        trees.push(Node::All(trees.clone()));
        trees.push(Node::Not(Box::new(Node::Any(trees[..trees.len() - 1].to_vec()))));
        let all: Vec<Criteria> = trees.iter().cloned().map(criteria).collect();
        let set = CriteriaSet::new(&all);
        let verdicts = set.at(now()).verdicts(&record, &links);
        let expected: Vec<Verdict> = trees.iter().map(|tree| expected(tree, &record, &links)).collect();
        prop_assert_eq!(&verdicts, &expected, "{:?} of {:?}", trees, record);
        let holds: Vec<bool> = expected.iter().map(|verdict| verdict.holds).collect();
        prop_assert_eq!(set.at(now()).holds(&record, &links), holds);
    }
}

fn judge(json: &Json, customer: &Customer, now: &str) -> Verdict {
    let catalog = crate::standard_catalog().build().unwrap();
    let criteria = Criteria::parse(json, Customer::def(), &Scope::new(&catalog, Tz::UTC)).unwrap();
    CriteriaSet::new([&criteria]).at(now.parse().unwrap()).verdicts(&customer.to_record(), &NoLinks)[0]
}

#[test]
fn lc_08_of_a_missing_value_only_the_negations_are_true() {
    let customer = Customer::default();
    let now = "2024-02-29T12:00:00Z";
    for (operator, value) in [
        ("eq", json!("a")),
        ("in", json!(["a"])),
        ("contains", json!("a")),
        ("starts_with", json!("a")),
        ("lt", json!("z")),
        ("gte", json!("a")),
        ("between", json!(["a", "z"])),
    ] {
        let leaf = json!({ "field": "email", "operator": operator, "value": value });
        assert!(!judge(&leaf, &customer, now).holds, "{operator}");
        assert!(judge(&json!({ "not": leaf }), &customer, now).holds, "not {operator}");
    }
    for (operator, value) in [("ne", json!("a")), ("not_in", json!(["a"])), ("exists", json!(false))] {
        let leaf = json!({ "field": "email", "operator": operator, "value": value });
        assert!(judge(&leaf, &customer, now).holds, "{operator}");
    }
    assert!(!judge(&json!({ "field": "tags", "operator": "exists" }), &customer, now).holds);
}

#[test]
fn lc_09_time_alone_moves_a_member_out_at_the_right_instant() {
    let mut customer = Customer::default();
    customer.meta.created_at = "2024-02-29T12:00:00Z".parse().unwrap();
    let recent = json!({ "field": "created_at", "operator": "gte", "value": "now-90d" });
    let verdict = judge(&recent, &customer, "2024-03-01T00:00:00Z");
    assert!(verdict.holds);
    assert_eq!(verdict.changes_at, Some("2024-05-29T12:00:00.001Z".parse().unwrap()));
    let berlin =
        json!({ "field": "created_at", "operator": "lt", "value": "today-1y", "zone": "Europe/Berlin" });
    let verdict = judge(&berlin, &customer, "2024-03-01T00:00:00Z");
    assert!(!verdict.holds);
    // The leap day lies before the start of the first local day whose anniversary comes after it.
    assert_eq!(verdict.changes_at, Some("2025-02-28T23:00:00Z".parse().unwrap()));
}

#[test]
fn lc_09_what_time_cannot_change_has_no_instant() {
    let mut customer = Customer::default();
    customer.meta.created_at = "2020-01-01T00:00:00Z".parse().unwrap();
    let old = json!({ "field": "created_at", "operator": "lt", "value": "now-90d" });
    assert_eq!(judge(&old, &customer, "2024-01-01T00:00:00Z"), Verdict { holds: true, changes_at: None });
    // One half never lets the other through, so its instants do not count.
    let never = json!({ "all": [{ "field": "is_vip", "operator": "eq", "value": true },
        { "field": "created_at", "operator": "lt", "value": "now-3000d" }] });
    assert_eq!(judge(&never, &customer, "2024-01-01T00:00:00Z"), Verdict { holds: false, changes_at: None });
}
