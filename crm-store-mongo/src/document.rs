//! Records as documents, and back.

use std::collections::BTreeMap;
use std::str::FromStr;

use bson::{Bson, DateTime, Decimal128, Document};
use chrono::NaiveDate;
use crm_core::TenantId;
use crm_core::catalog::{EntityDef, FieldType};
use crm_core::record::Record;
use crm_core::store::StoreError;
use crm_core::value::{Instant, Value};
use rust_decimal::Decimal;

use crate::error::corrupt;
use crate::names;

/// The key with the record's tenant.
pub(crate) const TENANT: &str = "tenant";
/// The key with the parent's `_id`, which `$graphLookup` can follow: the link beside it holds no tenant.
pub(crate) const PARENT: &str = "_parent";

/// A decimal as Decimal128, through text: exact, with its scale.
pub(crate) fn decimal(value: Decimal) -> Bson {
    // A decimal has at most 29 digits, so that it always fits the 34 of a Decimal128.
    Decimal128::from_str(&value.to_string()).map_or(Bson::Null, Bson::Decimal128)
}

/// A number read back as a decimal, without trailing zeros; `None` for what is no number or does not fit.
pub(crate) fn read_decimal(bson: &Bson) -> Option<Decimal> {
    match bson {
        Bson::Decimal128(value) => {
            let text = value.to_string();
            let parsed = if text.contains(['E', 'e']) {
                Decimal::from_scientific(&text).ok()?
            } else {
                Decimal::from_str_exact(&text).ok()?
            };
            Some(parsed.normalize())
        }
        Bson::Int32(value) => Some(Decimal::from(*value)),
        Bson::Int64(value) => Some(Decimal::from(*value)),
        _ => None,
    }
}

/// An instant as a date, in milliseconds.
pub(crate) fn instant(at: Instant) -> Bson {
    Bson::DateTime(DateTime::from_millis(at.timestamp_millis()))
}

/// An instant read back.
pub(crate) fn read_instant(bson: &Bson) -> Option<Instant> {
    match bson {
        Bson::DateTime(at) => Instant::from_timestamp_millis(at.timestamp_millis()),
        _ => None,
    }
}

/// One value as it is stored and compared.
pub(crate) fn value(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(yes) => Bson::Boolean(*yes),
        Value::Int(number) => Bson::Int64(*number),
        Value::Decimal(number) => decimal(*number),
        Value::Text(text) => Bson::String(text.clone()),
        Value::Instant(at) => instant(*at),
        Value::Date(day) => Bson::String(day.format("%Y-%m-%d").to_string()),
        Value::Id(id) => names::uuid(*id),
        Value::List(items) => Bson::Array(items.iter().cloned().map(Bson::String).collect()),
        Value::Custom(map) => {
            Bson::Document(map.iter().map(|(name, inner)| (name.clone(), self::value(inner))).collect())
        }
        Value::Json(json) => Bson::String(json.to_string()),
    }
}

/// One value of a field of this type, read back; `None` when it is none.
pub(crate) fn read_value(field: FieldType, bson: &Bson) -> Option<Value> {
    if matches!(bson, Bson::Null) {
        return Some(Value::Null);
    }
    Some(match (field, bson) {
        (FieldType::Bool, Bson::Boolean(yes)) => Value::Bool(*yes),
        (FieldType::Int, Bson::Int64(number)) => Value::Int(*number),
        (FieldType::Int, Bson::Int32(number)) => Value::Int(i64::from(*number)),
        (FieldType::Decimal, number) => Value::Decimal(read_decimal(number)?),
        (FieldType::Text, Bson::String(text)) => Value::Text(text.clone()),
        (FieldType::Instant, at) => Value::Instant(read_instant(at)?),
        (FieldType::Date, Bson::String(day)) => Value::Date(NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?),
        (FieldType::Id, id) => Value::Id(names::read_uuid(id)?),
        (FieldType::List, Bson::Array(items)) => Value::List(texts(items)?),
        (FieldType::Custom, Bson::Document(map)) => Value::Custom(
            map.iter()
                .map(|(name, inner)| read_custom(inner).map(|value| (name.clone(), value)))
                .collect::<Option<BTreeMap<_, _>>>()?,
        ),
        (FieldType::Json, Bson::String(text)) => Value::Json(serde_json::from_str(text).ok()?),
        _ => return None,
    })
}

/// One value of the embedder's own fields, read back: here the stored type says what it is.
pub(crate) fn read_custom(bson: &Bson) -> Option<Value> {
    Some(match bson {
        Bson::Null => Value::Null,
        Bson::Boolean(yes) => Value::Bool(*yes),
        Bson::Decimal128(_) => Value::Decimal(read_decimal(bson)?),
        Bson::Int64(number) => Value::Int(*number),
        Bson::String(text) => Value::Text(text.clone()),
        Bson::DateTime(_) => Value::Instant(read_instant(bson)?),
        Bson::Array(items) => Value::List(texts(items)?),
        _ => return None,
    })
}

fn texts(items: &[Bson]) -> Option<Vec<String>> {
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The whole document of a record, its `_id` first.
pub(crate) fn of_record(tenant: TenantId, record: &Record) -> Document {
    let mut document = Document::new();
    document.insert("_id", names::record(tenant, record.id()));
    document.insert(TENANT, names::tenant(tenant));
    document.extend(fields(tenant, record));
    document
}

/// The record's fields, with the parent's `_id` where records form a hierarchy and the folded form beside each folded one.
pub(crate) fn fields(tenant: TenantId, record: &Record) -> Document {
    let mut document = Document::new();
    if let Some(parent) = record.def.parent {
        let parent = record.get(parent).as_id().map(|id| names::record(tenant, id));
        document.insert(PARENT, parent.map_or(Bson::Null, Bson::Document));
    }
    for (place, field) in record.def.fields.iter().enumerate() {
        document.insert(field.name, value(&record.values[place]));
        if field.folded {
            let folded = record.comparable(place);
            let folded = if folded.is_missing() { Bson::Null } else { value(&folded) };
            document.insert(field.compare_column(), folded);
        }
    }
    document
}

/// The record of a document. A key that is missing is a value that is missing.
pub(crate) fn to_record(def: &'static EntityDef, document: &Document) -> Result<Record, StoreError> {
    let values = def
        .fields
        .iter()
        .map(|field| match document.get(field.name) {
            None => Ok(Value::Null),
            Some(bson) => read_value(field.field_type(), bson)
                .ok_or_else(|| corrupt(format!("{}.{} has another type", def.name, field.name))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Record { def, values })
}
