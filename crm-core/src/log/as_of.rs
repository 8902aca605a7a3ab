//! What a record was, and what each change made of it: read back from the log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::catalog::{FieldDef, FieldType};
use crate::log::row::commitment_to_json;
use crate::log::{LogRow, Op};
use crate::record::{Meta, Record};
use crate::value::{Instant, Value, parse_instant};

/// A record as it was at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct AsOf {
    /// The record; `None` when it did not exist yet, or was removed for good and nothing can be told of it.
    pub record: Option<Record>,
    /// Fields whose value at the instant was erased since: the record holds what came later.
    pub erased: BTreeSet<String>,
    /// The record was removed for good since.
    pub purged: bool,
}

/// One change of a record, field by field.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Who, when, what.
    pub row: LogRow,
    /// The fields that changed.
    pub fields: BTreeMap<String, FieldChange>,
}

/// What a change made of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Before, in the JSON form of [`Value::to_json`]; `None` when it was erased.
    pub before: Option<Json>,
    /// After; `None` when it was erased.
    pub after: Option<Json>,
    /// Whether the value after is the one that the log committed to. `None` when it was erased.
    pub proven: Option<bool>,
}

/// The changes of a record with their values. `rows` are its log rows, newest first.
pub fn changes(current: Option<&Record>, rows: &[LogRow]) -> Vec<Change> {
    let mut known: BTreeMap<String, Option<Json>> = BTreeMap::new();
    if let Some(record) = current {
        for (place, field) in record.def.fields.iter().enumerate() {
            known.insert(field.name.to_owned(), Some(record.values[place].to_json()));
        }
    }
    rows.iter()
        .map(|row| {
            let mut fields = BTreeMap::new();
            for (name, committed) in row.body.commitments.iter().filter(|(name, _)| *name != "origin") {
                let after = known.get(name).cloned().flatten();
                let private = row.private.as_ref();
                let proven = match (private, &after) {
                    (Some(private), Some(after)) => {
                        Some(commitment_to_json(&private.salt, name, after) == *committed)
                    }
                    _ => None,
                };
                let before = private.map(|p| p.replaced.get(name).cloned().unwrap_or(Json::Null));
                known.insert(name.clone(), before.clone());
                fields.insert(name.clone(), FieldChange { before, after, proven });
            }
            Change { row: row.clone(), fields }
        })
        .collect()
}

/// A record as it was at an instant, from what it is now and its log rows, newest first.
pub fn as_of(current: Option<Record>, rows: &[LogRow], at: Instant) -> AsOf {
    let purged = rows.first().is_some_and(|row| row.op == Op::Purge);
    let mut erased = BTreeSet::new();
    let Some(mut record) = current else { return AsOf { record: None, erased, purged } };
    for (place, row) in rows.iter().enumerate() {
        if row.at <= at {
            break;
        }
        if row.op == Op::Insert {
            return AsOf { record: None, erased, purged };
        }
        for name in row.body.commitments.keys().filter(|name| *name != "origin") {
            let Some(index) = record.def.index_of(name) else { continue };
            let before = row.private.as_ref().map(|p| p.replaced.get(name).unwrap_or(&Json::Null));
            match before.and_then(|json| value_from_json(&record.def.fields[index], json)) {
                Some(value) => {
                    record.values[index] = value;
                    erased.remove(name);
                }
                None => {
                    erased.insert(name.clone());
                }
            }
        }
        if let Some(earlier) = rows.get(place + 1) {
            let meta = record.meta();
            record.set_meta(&Meta { version: earlier.version, updated_at: earlier.at, ..meta });
        }
    }
    AsOf { record: Some(record), erased, purged }
}

/// A field's value from its JSON form; `None` when it is not one.
pub fn value_from_json(field: &FieldDef, json: &Json) -> Option<Value> {
    let text = || json.as_str();
    Some(match (field.field_type(), json) {
        (_, Json::Null) => Value::Null,
        (FieldType::Bool, json) => Value::Bool(json.as_bool()?),
        (FieldType::Int, json) => Value::Int(json.as_i64()?),
        (FieldType::Decimal, _) => Value::Decimal(text()?.parse().ok()?),
        (FieldType::Text, _) => Value::Text(text()?.to_owned()),
        (FieldType::Instant, _) => Value::Instant(parse_instant(text()?)?),
        (FieldType::Date, _) => Value::Date(text()?.parse().ok()?),
        (FieldType::Id, _) => Value::Id(text()?.parse().ok()?),
        (FieldType::List, Json::Array(items)) => {
            Value::List(items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()?)
        }
        (FieldType::Custom, Json::Object(map)) => Value::custom_from_json(map.clone())?,
        (FieldType::Json, json) => Value::Json(json.clone()),
        _ => return None,
    })
}
