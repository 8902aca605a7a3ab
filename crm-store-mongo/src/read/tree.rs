//! Hierarchies: the records above one, and those below.

use bson::{Document, doc};
use crm_core::TenantId;
use crm_core::catalog::EntityDef;
use crm_core::record::Record;
use crm_core::store::StoreError;
use std::collections::BTreeSet;
use uuid::Uuid;

use super::{Pipeline, Reader, ids, records};
use crate::document::{PARENT, TENANT, to_record};
use crate::error::refused;
use crate::names;

/// The record and those above it, nearest first, in one command.
pub(crate) async fn ancestors(
    reader: &mut Reader<'_>,
    def: &'static EntityDef,
    id: Uuid,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let pipeline = ancestors_pipeline(reader.tenant, def, id, limit)?;
    if limit == 0 {
        return Ok(Vec::new());
    }
    let found = reader.aggregate(pipeline).await?;
    let Some(start) = found.first() else { return Ok(Vec::new()) };
    let mut above: Vec<&Document> =
        start.get_array("_above").into_iter().flatten().filter_map(bson::Bson::as_document).collect();
    above.sort_by_key(|document| document.get_i64("_depth").unwrap_or(0));
    let mut found = vec![to_record(def, start)?];
    for document in above {
        let record = to_record(def, document)?;
        // A circle ends where it began.
        if found.len() < limit && record.id() != id {
            found.push(record);
        }
    }
    Ok(found)
}

pub(crate) fn ancestors_pipeline(
    tenant: TenantId,
    def: &'static EntityDef,
    id: Uuid,
    limit: usize,
) -> Result<Pipeline, StoreError> {
    parent(def)?;
    let mut stages = vec![doc! { "$match": { "_id": names::record(tenant, id) } }];
    if limit > 1 {
        stages.push(doc! { "$graphLookup": {
            "from": def.table,
            "startWith": format!("${PARENT}"),
            "connectFromField": PARENT,
            "connectToField": "_id",
            "as": "_above",
            "maxDepth": limit as i64 - 2,
            "depthField": "_depth",
        } });
    }
    Ok(Pipeline { collection: def.table, stages })
}

/// The record and all live ones below it, by (depth, id), level by level so that no more is read than is asked
/// for. A deleted record is passed through, not returned.
pub(crate) async fn subtree(
    reader: &mut Reader<'_>,
    def: &'static EntityDef,
    id: Uuid,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    parent(def)?;
    let start = doc! { "$match": { "_id": { "$in": ids(reader.tenant, &[id]) } } };
    let start = reader.aggregate(Pipeline { collection: def.table, stages: vec![start] }).await?;
    let mut found = records(def, &start)?;
    found.truncate(limit);
    let mut seen = BTreeSet::from([id]);
    let mut level = vec![id];
    while !found.is_empty() && found.len() < limit && !level.is_empty() {
        let mut below = Vec::new();
        for chunk in level.chunks(10_000) {
            let pipeline = level_pipeline(reader.tenant, def, chunk)?;
            below.extend(records(def, &reader.aggregate(pipeline).await?)?);
        }
        below.retain(|record| seen.insert(record.id()));
        below.sort_by_key(Record::id);
        level = below.iter().map(Record::id).collect();
        let room = limit - found.len();
        found.extend(below.into_iter().filter(Record::is_live).take(room));
    }
    Ok(found)
}

/// The children of these, deleted ones included.
pub(crate) fn level_pipeline(
    tenant: TenantId,
    def: &'static EntityDef,
    parents: &[Uuid],
) -> Result<Pipeline, StoreError> {
    let parents: Vec<_> = parents.iter().copied().map(names::uuid).collect();
    let filter = doc! { TENANT: names::tenant(tenant), parent(def)?: { "$in": parents } };
    Ok(Pipeline { collection: def.table, stages: vec![doc! { "$match": filter }] })
}

fn parent(def: &'static EntityDef) -> Result<&'static str, StoreError> {
    def.parent.ok_or_else(|| refused(format!("{} forms no hierarchy; declare its parent field", def.name)))
}
