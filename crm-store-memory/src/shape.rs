//! What a change set must look like whatever is stored: the part of the strictness of databases that types,
//! columns and checks give them.

use std::collections::BTreeSet;

use crm_core::catalog::{Check, FieldDef, FieldType};
use crm_core::record::Record;
use crm_core::store::{ChangeSet, CommitError, MAX_WRITES, StoreError, Write, WriteError};
use crm_core::value::{Value, truncate};

use crate::schema::Schema;

/// Refuses a change set that no state of the store could accept.
pub(crate) fn check(schema: &Schema, change: &ChangeSet) -> Result<(), CommitError> {
    if change.writes.len() > MAX_WRITES {
        return Err(WriteError::TooMany { count: change.writes.len() }.into());
    }
    let known = |entity: &'static str| match schema.place(entity) {
        Some(_) => Ok(()),
        None => Err(CommitError::from(WriteError::Unknown { entity })),
    };
    let mut seen = BTreeSet::new();
    for write in &change.writes {
        let before = if let Write::Update { before, .. } = write { before } else { write.record() };
        if [before, write.record()].iter().any(|record| record.values.len() != record.def.fields.len()) {
            return Err(refuse(format!("a {} has one value for each field", write.def().name)));
        }
        let (def, id) = (write.def(), write.record().id());
        known(def.name)?;
        if !seen.insert((def.name, id)) {
            return Err(WriteError::Twice { entity: def.name, id }.into());
        }
        match write {
            Write::Insert(record) => {
                check_record(record)?;
                if record.version() != 1 {
                    return Err(refuse(format!("a {} is inserted at version 1", def.name)));
                }
            }
            Write::Update { before, after } => {
                if def.append_only && change.erase_log.is_empty() {
                    return Err(WriteError::AppendOnly { entity: def.name }.into());
                }
                check_record(after)?;
                if before.def != after.def || before.id() != id || after.version() != before.version() + 1 {
                    return Err(refuse(format!(
                        "a {} is updated to the version after the one read",
                        def.name
                    )));
                }
            }
            Write::Purge(_) => {}
        }
    }
    for guard in &change.guards {
        known(guard.target().0.name)?;
    }
    for condition in &change.none_refer {
        known(condition.def.name)?;
        if condition.def.index_of(condition.field).is_none() {
            return Err(refuse(format!("{} has no field {}", condition.def.name, condition.field)));
        }
    }
    for (def, _) in &change.erase_log {
        known(def.name)?;
    }
    for token in change.tokens_put.iter().chain(&change.tokens_drop) {
        known(token.entity)?;
    }
    let mut rows = BTreeSet::new();
    for row in &change.log {
        if row.commit_id != change.commit_id || !rows.insert(row.ordinal) {
            return Err(refuse("log rows have the change set's id and a place each of their own".to_owned()));
        }
    }
    Ok(())
}

fn check_record(record: &Record) -> Result<(), CommitError> {
    let def = record.def;
    for (field, value) in def.fields.iter().zip(&record.values) {
        if let Err(why) = check_value(field, value) {
            return Err(refuse(format!("{}.{} {why}", def.name, field.name)));
        }
    }
    for check in def.checks {
        let (holds, a, b) = match check {
            Check::Differ(a, b) => {
                (record.get(a).compare(record.get(b)).is_none_or(std::cmp::Ordering::is_ne), a, b)
            }
            Check::Ordered(a, b) => {
                (record.get(a).compare(record.get(b)).is_none_or(std::cmp::Ordering::is_le), a, b)
            }
            Check::Together(a, b) => (record.get(a).is_missing() == record.get(b).is_missing(), a, b),
        };
        if !holds {
            return Err(refuse(format!("{}.{a} and {b} break a check of the catalog", def.name)));
        }
    }
    Ok(())
}

fn check_value(field: &FieldDef, value: &Value) -> Result<(), &'static str> {
    let kind = match value {
        Value::Null => {
            // An absent list or map is an empty one.
            let may_be_empty = matches!(field.field_type(), FieldType::List | FieldType::Custom);
            return if field.required && !may_be_empty { Err("is required") } else { Ok(()) };
        }
        Value::Bool(_) => FieldType::Bool,
        Value::Int(_) => FieldType::Int,
        Value::Decimal(_) => FieldType::Decimal,
        Value::Text(_) => FieldType::Text,
        Value::Instant(_) => FieldType::Instant,
        Value::Date(_) => FieldType::Date,
        Value::Id(_) => FieldType::Id,
        Value::List(_) => FieldType::List,
        Value::Custom(_) => FieldType::Custom,
        Value::Json(_) => FieldType::Json,
    };
    if kind != field.field_type() {
        return Err("has a value of another type");
    }
    match value {
        _ if value.is_missing() => Err("is empty; nothing is null"),
        Value::Text(text) if text.contains('\0') => Err("holds U+0000, which databases refuse"),
        Value::List(items) if items.iter().any(|item| item.contains('\0')) => {
            Err("holds U+0000, which databases refuse")
        }
        Value::Instant(at) if truncate(*at) != *at => Err("is finer than a millisecond"),
        _ => Ok(()),
    }
}

fn refuse(why: String) -> CommitError {
    CommitError::Store(StoreError::Refused { why })
}
