//! Counts and sums by group.

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::FieldType;
use crm_core::criteria::Path;
use crm_core::store::{Group, GroupQuery, Measure, StoreError};
use crm_core::value::Value;
use rust_decimal::Decimal;
use std::cmp::Ordering;

use super::join::Joins;
use super::query::{Pipeline, parts};
use crate::document::{read_custom, read_decimal, read_value};
use crate::error::{corrupt, refused};

/// The aggregation of a group query: one group more than allowed, to see that there are more.
pub(crate) fn pipeline(tenant: TenantId, query: &GroupQuery) -> Pipeline {
    let mut joins = Joins::default();
    let parts = parts(tenant, query.def, &query.filter, None, &mut joins);
    let mut by = Document::new();
    for (place, path) in query.by.iter().enumerate() {
        by.insert(
            format!("g{place}"),
            doc! { "$ifNull": [format!("${}", joins.key(path, false)), Bson::Null] },
        );
    }
    let by = if by.is_empty() { Bson::Null } else { Bson::Document(by) };
    let mut group = doc! { "_id": by };
    for (place, measure) in query.measures.iter().enumerate() {
        let mut value = |path: &Path| format!("${}", joins.key(path, false));
        let given = |value: String| doc! { "$cond": [{ "$eq": [&value, ""] }, Bson::Null, &value] };
        let accumulator = match measure {
            Measure::Count => doc! { "$sum": 1_i64 },
            Measure::Sum(path) => {
                let value = value(path);
                // As decimals before they are added: whole numbers would become floats when they overflow.
                doc! { "$sum": { "$cond": [{ "$isNumber": &value }, { "$toDecimal": &value }, Bson::Null] } }
            }
            Measure::Min(path) => doc! { "$min": given(value(path)) },
            Measure::Max(path) => doc! { "$max": given(value(path)) },
        };
        group.insert(format!("m{place}"), accumulator);
    }
    let mut stages = vec![doc! { "$match": parts.own }];
    stages.extend(joins.stages(tenant));
    stages.extend(parts.linked.map(|linked| doc! { "$match": linked }));
    stages.push(doc! { "$group": group });
    stages.push(doc! { "$limit": query.limit as i64 + 1 });
    Pipeline { collection: query.def.table, stages }
}

/// The groups of the documents, in order of their values.
pub(crate) fn groups(query: &GroupQuery, documents: &[Document]) -> Result<Vec<Group>, StoreError> {
    if documents.len() > query.limit {
        return Err(refused(format!("there are more than {} groups; narrow the question", query.limit)));
    }
    let mut groups =
        documents.iter().map(|document| group(query, document)).collect::<Result<Vec<_>, _>>()?;
    if groups.is_empty() && query.by.is_empty() {
        groups.push(group(query, &Document::new())?);
    }
    groups.sort_by(|a, b| {
        a.by.iter()
            .zip(&b.by)
            .map(|(a, b)| a.sort_order(b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(groups)
}

fn group(query: &GroupQuery, document: &Document) -> Result<Group, StoreError> {
    let keys = document.get_document("_id").ok();
    let by = query
        .by
        .iter()
        .enumerate()
        .map(|(place, path)| value(path, keys.and_then(|keys| keys.get(format!("g{place}")))))
        .collect::<Result<_, _>>()?;
    let measures = query
        .measures
        .iter()
        .enumerate()
        .map(|(place, measure)| {
            let found = document.get(format!("m{place}"));
            match measure {
                Measure::Count => Ok(Value::Int(match found {
                    Some(Bson::Int32(count)) => i64::from(*count),
                    Some(Bson::Int64(count)) => *count,
                    _ => 0,
                })),
                Measure::Sum(path) => match found {
                    None => Ok(Value::Decimal(Decimal::ZERO)),
                    Some(sum) => read_decimal(sum).map(Value::Decimal).ok_or_else(|| {
                        corrupt(format!(
                            "the sum of {}.{} exceeds 28 digits",
                            path.def.name,
                            path.field_def().name
                        ))
                    }),
                },
                Measure::Min(path) | Measure::Max(path) => value(path, found),
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Group { by, measures })
}

fn value(path: &Path, found: Option<&Bson>) -> Result<Value, StoreError> {
    let Some(found) = found else { return Ok(Value::Null) };
    let field = path.field_def();
    let value = if field.field_type() == FieldType::Custom && path.custom.is_some() {
        read_custom(found)
    } else {
        read_value(field.field_type(), found)
    };
    value.ok_or_else(|| corrupt(format!("{}.{} has another type", path.def.name, field.name)))
}
