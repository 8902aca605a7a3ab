//! One field as a column: its type, its way in and its way out.

use chrono::{DateTime, NaiveDate, Utc};
use crm_core::catalog::{EntityDef, FieldDef, FieldType};
use crm_core::record::Record;
use crm_core::store::StoreError;
use crm_core::value::{CustomFields, Value, truncate};
use rust_decimal::Decimal;
use serde_json::Value as Json;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json as JsonOf;
use uuid::Uuid;

use crate::names::push_quoted;
use crate::sql::{Args, array_literal};

/// The type of the column in a table's definition.
pub(crate) fn definition(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Bool => "boolean",
        FieldType::Int => "bigint",
        FieldType::Decimal => "numeric",
        FieldType::Text => "text COLLATE \"C\"",
        FieldType::Instant => "timestamptz(3)",
        FieldType::Date => "date",
        FieldType::Id => "uuid",
        FieldType::List => "text[]",
        FieldType::Custom => "jsonb",
        FieldType::Json => "json",
    }
}

/// The type as the server names it.
pub(crate) fn type_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text => "text",
        FieldType::Instant => "timestamp(3) with time zone",
        other => definition(other),
    }
}

/// Whether the column refuses null. An absent list or set of custom fields is an empty one.
pub(crate) fn refuses_null(field: &FieldDef) -> bool {
    field.required && !matches!(field.field_type(), FieldType::List | FieldType::Custom)
}

/// The columns of an entity in the order of its fields, for a select list.
pub(crate) fn select_list(def: &EntityDef, alias: &str) -> String {
    let mut list = String::with_capacity(def.fields.len() * 24);
    for (place, field) in def.fields.iter().enumerate() {
        list.push_str(if place == 0 { "" } else { ", " });
        list.push_str(alias);
        list.push('.');
        push_quoted(&mut list, field.name);
    }
    list
}

/// Reads a record from a row that begins, at `offset`, with the columns of [`select_list`].
pub(crate) fn read_record(def: &'static EntityDef, row: &PgRow, offset: usize) -> Result<Record, StoreError> {
    let mut values = Vec::with_capacity(def.fields.len());
    for (place, field) in def.fields.iter().enumerate() {
        let value = read_value(field.field_type(), row, offset + place)
            .ok_or_else(|| StoreError::Corrupt { what: format!("{}.{}", def.name, field.name) })?;
        values.push(value);
    }
    Ok(Record { def, values })
}

/// Reads one value; `None` when the column holds something else.
pub(crate) fn read_value(kind: FieldType, row: &PgRow, place: usize) -> Option<Value> {
    fn get<'r, T>(row: &'r PgRow, place: usize, wrap: impl FnOnce(T) -> Option<Value>) -> Option<Value>
    where
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        match row.try_get::<Option<T>, usize>(place) {
            Ok(Some(value)) => wrap(value),
            Ok(None) => Some(Value::Null),
            Err(_) => None,
        }
    }
    match kind {
        FieldType::Bool => get(row, place, |v| Some(Value::Bool(v))),
        FieldType::Int => get(row, place, |v| Some(Value::Int(v))),
        FieldType::Decimal => get(row, place, |v: Decimal| Some(Value::Decimal(v.normalize()))),
        FieldType::Text => get(row, place, |v| Some(Value::Text(v))),
        FieldType::Instant => get(row, place, |v: DateTime<Utc>| Some(Value::Instant(v))),
        FieldType::Date => get(row, place, |v: NaiveDate| Some(Value::Date(v))),
        FieldType::Id => get(row, place, |v: Uuid| Some(Value::Id(v))),
        FieldType::List => get(row, place, |v| Some(Value::List(v))),
        FieldType::Custom => get(row, place, |v: JsonOf<CustomFields>| Some(Value::Custom(v.0.0))),
        FieldType::Json => get(row, place, |v: Json| Some(Value::Json(v))),
    }
}

/// One column of many records, bound as an array.
pub(crate) struct BoundColumn {
    /// The array with its type, for `UNNEST`.
    pub(crate) array: String,
    /// What turns one element into the column's type; empty when it is of that type.
    pub(crate) cast: &'static str,
}

/// Binds a field's values of these records.
pub(crate) fn bind_column(
    args: &mut Args,
    def: &'static EntityDef,
    place: usize,
    records: &[&Record],
) -> Result<BoundColumn, StoreError> {
    let kind = def.fields[place].field_type();
    let values = || records.iter().map(|record| record.values.get(place).unwrap_or(&Value::Null));
    let wrong = || StoreError::Failed {
        what: format!(
            "{}.{} is given a value of another type, or an instant finer than a millisecond",
            def.name, def.fields[place].name
        ),
        code: "type".to_owned(),
    };
    macro_rules! column {
        ($array:literal, $cast:literal, $($pattern:pat $(if $fits:expr)? => $value:expr),+) => {{
            let column = values()
                .map(|value| match value {
                    Value::Null => Some(None),
                    $($pattern $(if $fits)? => Some(Some($value)),)+
                    _ => None,
                })
                .collect::<Option<Vec<Option<_>>>>()
                .ok_or_else(wrong)?;
            BoundColumn { array: format!("{}::{}", args.bind(column), $array), cast: $cast }
        }};
    }
    Ok(match kind {
        FieldType::Bool => column!("bool[]", "", Value::Bool(v) => *v),
        FieldType::Int => column!("int8[]", "", Value::Int(v) => *v),
        FieldType::Decimal => {
            column!("numeric[]", "", Value::Decimal(v) => *v, Value::Int(v) => Decimal::from(*v))
        }
        FieldType::Text => column!("text[]", "", Value::Text(v) => v.as_str()),
        FieldType::Instant => column!("timestamptz[]", "", Value::Instant(v) if truncate(*v) == *v => *v),
        FieldType::Date => column!("date[]", "", Value::Date(v) => *v),
        FieldType::Id => column!("uuid[]", "", Value::Id(v) => *v),
        FieldType::List => column!("text[]", "::text[]", Value::List(v) => array_literal(v)),
        FieldType::Custom => column!("text[]", "::jsonb", v @ Value::Custom(_) => v.to_json().to_string()),
        FieldType::Json => column!("text[]", "::json", Value::Json(v) => v.to_string()),
    })
}

/// Binds the folded form of a text field.
pub(crate) fn bind_folded(args: &mut Args, place: usize, records: &[&Record]) -> BoundColumn {
    let column: Vec<Option<String>> =
        records.iter().map(|record| record.comparable(place).as_text().map(str::to_owned)).collect();
    BoundColumn { array: format!("{}::text[]", args.bind(column)), cast: "" }
}
