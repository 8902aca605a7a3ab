//! Generated records and questions. Every draw comes from a seed, so that a failure repeats.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDate};
use crm_core::catalog::{Catalog, Check, EntityDef, FieldDef, FieldType, Format, Kind};
use crm_core::criteria::{Filter, Path, Test};
use crm_core::record::{Meta, Record};
use crm_core::store::{Direction, Order};
use crm_core::value::Value;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::contract::bench::{at, id, start, text};

/// A small generator (SplitMix64): the same seed gives the same draws everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// The seeds of a property: `CRM_SEED` names one to repeat.
pub fn seeds(count: usize) -> Vec<u64> {
    match std::env::var("CRM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count as u64).collect(),
    }
}

impl Dice {
    /// A generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }

    /// True one time in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// One of these words.
    pub fn word(&mut self, list: &[&'static str]) -> &'static str {
        list[self.below(list.len())]
    }
}

/// Text that stores have stumbled over.
pub const ODD_TEXTS: &[&str] = &[
    "a",
    "'; DROP TABLE customers; --",
    "\\ \" ' ` $ { } %_",
    "$where",
    "a.b.$c",
    "null",
    "true",
    "NaN",
    "é",
    "ﬁ ligature",
    "İstanbul ı ſ ẞ",
    "Ωmega Σίσυφος ς",
    "漢字かな交じり文",
    "עברית العربية",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u{10ffff}\u{e000}",
    "zero\u{200b}width\u{200d}joined",
    "नमस्ते",
    "\u{fffd}",
    "-0",
    "1e5",
    "2024-02-30",
];

/// A value of a field's kind, extremes included; links lead to record 1 of their entity.
pub fn any_value(dice: &mut Dice, field: &FieldDef) -> Value {
    if !field.required && dice.one_in(5) {
        return Value::Null;
    }
    match &field.kind {
        Kind::Bool => Value::Bool(dice.one_in(2)),
        Kind::Int { min, max } => {
            let span = (i128::from(*max) - i128::from(*min) + 1) as u128;
            let within = (i128::from(*min) + (u128::from(dice.draw()) % span) as i128) as i64;
            Value::Int(*dice.pick(&[*min, *max, within, 0.clamp(*min, *max), (-1).clamp(*min, *max)]))
        }
        Kind::Decimal { scale } => Value::Decimal(any_decimal(dice, *scale)),
        Kind::Text { max, format } => any_text(dice, *max, *format),
        Kind::Enum { codes, .. } => text(dice.word(codes)),
        Kind::Instant => Value::Instant(any_instant(dice)),
        Kind::Date => Value::Date(any_date(dice)),
        Kind::Link { .. } => Value::Id(id(1)),
        Kind::AnyLink { .. } | Kind::Id => {
            Value::Id(*dice.pick(&[Uuid::nil(), Uuid::max(), id(1), id(0x8000_0000 << 96)]))
        }
        Kind::List { max_items, max_len } => Value::List(any_list(dice, *max_items, *max_len)),
        Kind::Custom => Value::Custom(any_custom(dice)),
        Kind::Json => Value::Json(any_json(dice)),
    }
}

/// Up to fifteen digits before the point and `scale` after it.
pub fn any_decimal(dice: &mut Dice, scale: u32) -> Decimal {
    let whole = 10_i128.pow(15) - 1;
    let largest = whole * 10_i128.pow(scale) + (10_i128.pow(scale) - 1);
    let inner = i128::from(dice.draw() as i64) % largest.max(1);
    let mantissa = *dice.pick(&[largest, -largest, 0, 1, -1, inner, 10_i128.pow(scale) / 2]);
    Decimal::from_i128_with_scale(mantissa, scale).normalize()
}

fn any_text(dice: &mut Dice, max: usize, format: Format) -> Value {
    let n = dice.below(1_000_000);
    text(&match format {
        Format::Line | Format::Block => match dice.below(4) {
            0 => "🦓".repeat(max.min(700)),
            1 if format == Format::Block => "line\nline\r\n\tline".chars().take(max).collect(),
            2 => format!("{n} {}", dice.word(ODD_TEXTS)).chars().take(max).collect(),
            _ => dice.word(ODD_TEXTS).chars().take(max).collect(),
        },
        other => sample_text(other, n as u128, max),
    })
}

fn sample_text(format: Format, n: u128, max: usize) -> String {
    match format {
        Format::Line | Format::Block => format!("t{n}").chars().take(max).collect(),
        Format::Email => format!("user{n}@example.com"),
        Format::Phone => format!("+49 30 {n}"),
        Format::Country => "DE".to_owned(),
        Format::Currency => "EUR".to_owned(),
        Format::Url => format!("https://example.com/{n}"),
        Format::Zone => "Europe/Berlin".to_owned(),
        Format::Language => "de".to_owned(),
    }
}

/// An instant of the years 1 to 9999.
pub fn any_instant(dice: &mut Dice) -> crm_core::value::Instant {
    let near = start() + Duration::milliseconds(dice.draw() as i64 % 1_000_000_000_000);
    let far = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.999Z",
        "1582-10-10T00:00:00.001Z",
    ];
    if dice.one_in(3) { at(dice.word(&far)) } else { near }
}

fn any_date(dice: &mut Dice) -> NaiveDate {
    let far = ["0001-01-01", "9999-12-31", "1582-10-10", "2024-02-29", "1969-12-31"];
    dice.word(&far).parse().unwrap()
}

fn any_list(dice: &mut Dice, max_items: usize, max_len: usize) -> Vec<String> {
    let full = dice.one_in(4);
    let count = if full { max_items } else { dice.below(5) };
    let item = |n: usize, dice: &mut Dice| {
        let odd = if full { format!("{n}{}", "x".repeat(max_len)) } else { dice.word(ODD_TEXTS).to_owned() };
        odd.chars().take(max_len).collect()
    };
    (0..count).map(|n| item(n, dice)).collect()
}

fn any_custom(dice: &mut Dice) -> BTreeMap<String, Value> {
    let names = ["plain", "with space", "UPPER", "ключ", "漢字", "a-b_c", "_id", "tenant", "0"];
    let count = dice.below(names.len() + 1);
    let value = |dice: &mut Dice| match dice.below(6) {
        0 => text(dice.word(ODD_TEXTS)),
        1 => Value::Decimal(any_decimal(dice, 12)),
        2 => Value::Bool(dice.one_in(2)),
        3 => Value::Instant(any_instant(dice)),
        4 => Value::List(any_list(dice, 6, 40)),
        // Looks like another type and is a text.
        _ => text(dice.word(&["1.50", "2024-01-01T00:00:00.000Z", "{\"decimal\":\"1\"}", "[]"])),
    };
    names.iter().take(count).map(|name| ((*name).to_owned(), value(dice))).collect()
}

fn any_json(dice: &mut Dice) -> serde_json::Value {
    serde_json::from_str(dice.word(&[
        "{}",
        "[]",
        "null",
        "\"text\"",
        "0",
        "-0.5",
        "18446744073709551615",
        "-9223372036854775808",
        "{\"$set\":{\"a.b\":1},\"_id\":null,\"\":[{},[],\"\"]}",
        "{\"z\":1,\"a\":{\"deep\":[1,2.5,true,null,\"\\u00e9\"]}}",
    ]))
    .unwrap()
}

/// A record of this number with its required fields filled; unique values differ by number.
pub fn sample(def: &'static EntityDef, n: u128) -> Record {
    let mut record = Record::new(def, id(n), &Meta::default());
    let required: Vec<usize> = def.own_fields().filter(|(_, f)| f.required).map(|(place, _)| place).collect();
    for place in required {
        record.values[place] = sample_value(&def.fields[place], n);
    }
    complete(&mut record);
    record
}

/// The record that the second of two links leads to which must differ.
const SECOND: u128 = 9;

/// The records that the second of two links leads to which must differ, one of each entity.
pub fn seconds(catalog: &Catalog) -> Vec<Record> {
    let mut targets = BTreeMap::new();
    for def in catalog.entities() {
        for check in def.checks {
            if let Check::Differ(_, second) = check
                && let Some(field) = def.index_of(second).map(|place| &def.fields[place])
                && let Some(target) = catalog.target(&field.kind).filter(|_| field.required)
            {
                targets.insert(target.name, target);
            }
        }
    }
    targets.into_values().map(|def| sample(def, SECOND)).collect()
}

/// Makes a record one that may be stored by itself: what must differ does, and a record that completes another one
/// completes that of its own number.
pub fn complete(record: &mut Record) {
    let def = record.def;
    for check in def.checks {
        if let Check::Differ(a, b) = check
            && record.get(a) == record.get(b)
            && def.fields[def.index_of(b).unwrap()].required
        {
            record.set(b, Value::Id(id(SECOND)));
        }
    }
    if let Some(link) = def.extending_link() {
        record.values[link] = Value::Id(record.id());
    }
}

/// The [`samples`] of this number of all entities, each record once, in the order of their links.
pub fn one_of_each(catalog: &Catalog, n: u128) -> Vec<Record> {
    let mut seen = std::collections::BTreeSet::new();
    let all = catalog.in_link_order().into_iter().flat_map(|def| samples(catalog, def, n));
    all.filter(|record| seen.insert((record.def.name, record.id()))).collect()
}

/// The [`sample`] of this number, after the records that it alone leads to. Of an entity whose unique rule is of links
/// and codes only, each sample has a record of its own to lead to.
pub fn samples(catalog: &Catalog, def: &'static EntityDef, n: u128) -> Vec<Record> {
    with_own_links(catalog, sample(def, n))
}

/// A record, after the records that it alone leads to.
pub fn with_own_links(catalog: &Catalog, mut record: Record) -> Vec<Record> {
    let mut records = Vec::new();
    for rule in record.def.uniques.iter().filter(|rule| rule.only_if.is_none()) {
        let target = |name: &str| {
            record.def.index_of(name).and_then(|place| catalog.target(&record.def.fields[place].kind))
        };
        let is_code = |name: &str| {
            record
                .def
                .index_of(name)
                .is_some_and(|place| matches!(record.def.fields[place].kind, Kind::Enum { .. }))
        };
        let few = rule.fields.iter().all(|name| target(name).is_some() || is_code(name));
        if let (true, Some(own)) = (few, target(rule.fields[0])) {
            let helper = sample(own, record.id().as_u128() | 1 << 100);
            record.set(rule.fields[0], Value::Id(helper.id()));
            records.push(helper);
        }
    }
    if let Some(completed) = record.def.extending_link()
        && let Some(own) = catalog.target(&record.def.fields[completed].kind)
    {
        records.push(sample(own, record.id().as_u128()));
    }
    records.push(record);
    records
}

/// An ordinary value of a field, by number; links lead to record 1.
pub fn sample_value(field: &FieldDef, n: u128) -> Value {
    match &field.kind {
        Kind::Bool => Value::Bool(false),
        Kind::Int { min, max } => Value::Int((n as i64).clamp(*min, *max)),
        Kind::Decimal { .. } => Value::Decimal(Decimal::ONE),
        Kind::Text { max, format } => text(&sample_text(*format, n, *max)),
        Kind::Enum { codes, .. } => text(codes[0]),
        Kind::Instant => Value::Instant(start()),
        Kind::Date => Value::Date("2024-05-01".parse().unwrap()),
        Kind::Link { .. } => Value::Id(id(1)),
        Kind::AnyLink { .. } | Kind::Id => Value::Id(id(n)),
        Kind::List { .. } => Value::List(vec![format!("tag {n}")]),
        Kind::Custom => Value::Custom(BTreeMap::from([("n".to_owned(), Value::Decimal(Decimal::ONE))])),
        Kind::Json => Value::Json(serde_json::json!({ "n": 1 })),
    }
}

/// A record of this number with any values, as the core would let it pass.
pub fn any_record(dice: &mut Dice, def: &'static EntityDef, n: u128) -> Record {
    let mut record = sample(def, n);
    let unique: Vec<&str> = def.uniques.iter().flat_map(|rule| rule.fields.iter().copied()).collect();
    for (place, field) in def.own_fields() {
        let is_alone = unique.contains(&field.name) || Some(field.name) == def.parent;
        record.values[place] = if is_alone { sample_value(field, n) } else { any_value(dice, field) };
        if Some(field.name) == def.parent {
            record.values[place] = Value::Null;
        }
    }
    for flag in def.uniques.iter().filter_map(|rule| rule.only_if) {
        record.set(flag, Value::Bool(false));
    }
    complete(&mut record);
    // What several fields must agree on, and formats beyond their kind, are given up until the core is content.
    for _ in 0..20 {
        let errors = record.clone().clean();
        if errors.is_empty() {
            break;
        }
        for error in errors {
            let Some(place) = def.index_of(&error.field) else { continue };
            let field = &def.fields[place];
            record.values[place] = match field.field_type() {
                _ if !field.required => Value::Null,
                FieldType::Decimal => Value::Decimal(rust_decimal::Decimal::ZERO),
                _ => sample_value(field, n),
            };
            for check in def.checks {
                if let crm_core::catalog::Check::Together(a, b) | crm_core::catalog::Check::Ordered(a, b) =
                    check
                    && (error.field == *a || error.field == *b)
                {
                    for name in [a, b] {
                        let field = &def.fields[def.index_of(name).unwrap()];
                        let value = if field.required { sample_value(field, n) } else { Value::Null };
                        record.set(name, value);
                    }
                }
            }
        }
    }
    if record.clone().clean().is_empty() { record } else { sample(def, n) }
}

/// A value of a small domain, so that conditions hit.
pub fn small_value(dice: &mut Dice, kind: FieldType) -> Value {
    match kind {
        FieldType::Bool => Value::Bool(dice.one_in(2)),
        FieldType::Int => Value::Int(dice.below(6) as i64 - 2),
        FieldType::Decimal => {
            Value::Decimal(Decimal::new(dice.below(9) as i64 - 4, dice.below(3) as u32).normalize())
        }
        FieldType::Text => {
            text(dice.word(&["alpha", "Alpha", "ALPHA beta", "beta", "Éclair", "éclair", "zz", "10", "9"]))
        }
        FieldType::Instant => Value::Instant(start() + Duration::hours(dice.below(6) as i64)),
        FieldType::Date => Value::Date(NaiveDate::from_ymd_opt(2024, 5, 1 + dice.below(5) as u32).unwrap()),
        FieldType::Id => Value::Id(id(1 + dice.below(6) as u128)),
        FieldType::List => {
            let all = ["red", "Green", "blue", "a b"];
            let mut list: Vec<String> =
                all.iter().filter(|_| dice.one_in(2)).map(|t| (*t).to_owned()).collect();
            list.sort();
            if list.is_empty() { Value::Null } else { Value::List(list) }
        }
        FieldType::Custom => {
            let mut map = BTreeMap::new();
            for name in ["level", "label"] {
                let kind = *dice.pick(&[
                    FieldType::Decimal,
                    FieldType::Text,
                    FieldType::Bool,
                    FieldType::Instant,
                    FieldType::List,
                ]);
                let value = small_value(dice, kind);
                if dice.one_in(2) && !value.is_missing() {
                    map.insert(name.to_owned(), value);
                }
            }
            if map.is_empty() { Value::Null } else { Value::Custom(map) }
        }
        FieldType::Json => Value::Json(serde_json::json!({ "n": dice.below(3) })),
    }
}

/// Every path that a question about the entity can have: own fields, fields behind one or two links, custom keys.
pub fn paths(catalog: &Catalog, def: &'static EntityDef) -> Vec<Path> {
    let mut found = Vec::new();
    let mut holders = vec![(Vec::new(), def)];
    for (place, field) in def.fields.iter().enumerate() {
        let Some(next) = catalog.target(&field.kind) else { continue };
        holders.push((vec![(def, place)], next));
        for (second, field) in next.fields.iter().enumerate() {
            if let Some(last) = catalog.target(&field.kind) {
                holders.push((vec![(def, place), (next, second)], last));
            }
        }
    }
    for (links, holder) in holders {
        for (field, declared) in holder.fields.iter().enumerate() {
            let path = |custom: Option<&str>| Path {
                links: links.clone(),
                def: holder,
                field,
                custom: custom.map(str::to_owned),
            };
            match declared.field_type() {
                FieldType::Json => {}
                FieldType::Custom => found.extend(["level", "label"].map(|key| path(Some(key)))),
                _ => found.push(path(None)),
            }
        }
    }
    found
}

/// A condition on one of these paths.
pub fn leaf(dice: &mut Dice, paths: &[Path]) -> Filter {
    let path = dice.pick(paths).clone();
    let custom = path.custom.is_some();
    let kind = if custom {
        *dice.pick(&[
            FieldType::Decimal,
            FieldType::Text,
            FieldType::Bool,
            FieldType::Instant,
            FieldType::List,
        ])
    } else {
        path.field_def().field_type()
    };
    let folded = path.field_def().folded;
    let draw = |dice: &mut Dice| match small_value(dice, kind) {
        Value::Text(text) if folded => Value::Text(crm_core::format::fold(&text)),
        value => value,
    };
    let part = |dice: &mut Dice, kind| match small_value(dice, kind) {
        Value::Text(text) => {
            let text = if folded { crm_core::format::fold(&text) } else { text };
            let skip = dice.below(2);
            text.chars().skip(skip).take(1 + dice.below(3)).collect::<String>()
        }
        Value::List(items) => items[0].clone(),
        _ => "red".to_owned(),
    };
    let test = match kind {
        FieldType::List if dice.one_in(2) => Test::Contains(part(dice, FieldType::List)),
        FieldType::List => Test::Exists,
        FieldType::Text if dice.one_in(4) => Test::StartsWith(part(dice, FieldType::Text)),
        FieldType::Text if dice.one_in(4) => Test::Contains(part(dice, FieldType::Text)),
        FieldType::Bool | FieldType::Id => match dice.below(3) {
            0 => Test::Exists,
            _ => Test::In((0..dice.below(3)).map(|_| draw(dice)).collect()),
        },
        _ => match dice.below(6) {
            0 => Test::Exists,
            1 => Test::Lt(draw(dice)),
            2 => Test::Le(draw(dice)),
            3 => Test::Gt(draw(dice)),
            4 => Test::Ge(draw(dice)),
            _ => Test::In((0..dice.below(4)).map(|_| draw(dice)).collect()),
        },
    };
    Filter::leaf(path, test)
}

/// A tree of conditions.
pub fn filter(dice: &mut Dice, paths: &[Path], depth: usize) -> Filter {
    match if depth == 0 { 9 } else { dice.below(8) } {
        0 => Filter::All((0..dice.below(4)).map(|_| filter(dice, paths, depth - 1)).collect()),
        1 => Filter::Any((0..dice.below(4)).map(|_| filter(dice, paths, depth - 1)).collect()),
        2 => Filter::Not(Box::new(filter(dice, paths, depth - 1))),
        3 => filter(dice, paths, depth - 1).and(filter(dice, paths, depth - 1)),
        _ => leaf(dice, paths),
    }
}

/// A sort of up to three steps.
pub fn order(dice: &mut Dice, paths: &[Path]) -> Vec<Order> {
    let count = dice.below(4);
    let mut steps: Vec<Order> = Vec::new();
    while steps.len() < count {
        let path = dice.pick(paths).clone();
        let sortable =
            !matches!(path.field_def().field_type(), FieldType::List | FieldType::Custom | FieldType::Json);
        if sortable && steps.iter().all(|step| step.path != path) {
            let direction = if dice.one_in(2) { Direction::Ascending } else { Direction::Descending };
            steps.push(Order { path, direction });
        }
    }
    steps
}
