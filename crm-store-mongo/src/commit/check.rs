//! What must be true of other records: links lead somewhere, shared records are there, nobody refers.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::{EntityDef, Kind};
use crm_core::store::{ChangeSet, CommitError, Guard, Write};
use uuid::Uuid;

use super::transaction::{Failure, Transaction};
use crate::document::TENANT;
use crate::error::corrupt;
use crate::inner::Inner;
use crate::{names, read, schema};

/// Checks, in one command, that new and changed links lead to records and that shared records that are guarded are
/// live.
pub(crate) async fn targets(
    inner: &Inner,
    transaction: &mut Transaction<'_>,
    change: &ChangeSet,
) -> Result<(), Failure> {
    let links = links(inner, change);
    let guards: BTreeSet<(&'static str, Uuid)> = change
        .guards
        .iter()
        .filter_map(|guard| match guard {
            Guard::Live { def, id } if def.shared => Some((def.name, *id)),
            _ => None,
        })
        .filter(|target| !is_written(change, *target))
        .collect();
    let mut wanted: BTreeMap<&'static str, BTreeSet<Uuid>> = BTreeMap::new();
    for (entity, id) in links.keys().chain(&guards) {
        wanted.entry(entity).or_default().insert(*id);
    }
    let branches = wanted.iter().filter_map(|(entity, ids)| {
        let def = inner.catalog.get(entity)?;
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let stages = vec![
            doc! { "$match": { "_id": { "$in": read::ids(change.tenant, &ids) } } },
            doc! { "$project": { "_id": 0, "e": { "$literal": *entity }, "id": 1, "deleted_at": 1 } },
        ];
        Some((def.table, stages))
    });
    let found = gather(transaction, branches.collect(), "checking links").await?;
    let mut there = BTreeSet::new();
    let mut live = BTreeSet::new();
    for document in &found {
        let id = document.get("id").and_then(names::read_uuid);
        if let (Ok(entity), Some(id)) = (document.get_str("e"), id) {
            there.insert((entity, id));
            if matches!(document.get("deleted_at"), None | Some(Bson::Null)) {
                live.insert((entity, id));
            }
        }
    }
    if let Some((entity, id)) = guards.iter().find(|target| !live.contains(*target)) {
        return Err(Failure::Commit(CommitError::Conflict { entity, id: *id }));
    }
    if let Some((_, (entity, field))) = links.iter().find(|(target, _)| !there.contains(*target)) {
        return Err(Failure::Commit(CommitError::Dangling { entity, field }));
    }
    Ok(())
}

/// Links to records that this change set neither writes nor guards, with who holds them.
fn links(inner: &Inner, change: &ChangeSet) -> BTreeMap<(&'static str, Uuid), (&'static str, &'static str)> {
    let guarded: BTreeSet<(&'static str, Uuid)> = change
        .guards
        .iter()
        .map(|guard| {
            let (def, id) = guard.target();
            (def.name, id)
        })
        .collect();
    let written: BTreeSet<(&'static str, Uuid)> =
        change.writes.iter().map(|write| (write.def().name, write.record().id())).collect();
    let mut links = BTreeMap::new();
    for write in &change.writes {
        let (before, after) = match write {
            Write::Insert(record) => (None, record),
            Write::Update { before, after } => (Some(before), after),
            Write::Purge(_) => continue,
        };
        for (place, field) in after.def.fields.iter().enumerate() {
            let Kind::Link { entity } = field.kind else { continue };
            let Some(id) = after.values[place].as_id() else { continue };
            let unchanged = before.is_some_and(|before| before.values[place] == after.values[place]);
            let target = (entity, id);
            if !unchanged
                && !written.contains(&target)
                && !guarded.contains(&target)
                && inner.catalog.get(entity).is_some()
            {
                links.entry(target).or_insert((after.def.name, field.name));
            }
        }
    }
    links
}

fn is_written(change: &ChangeSet, (entity, id): (&str, Uuid)) -> bool {
    change.writes.iter().any(|write| write.def().name == entity && write.record().id() == id)
}

/// Checks, in one command after all writes, that nobody refers to what must not be referred to: conditions of the
/// change set (live records count) and what it purges (all records count).
pub(crate) async fn referrers(
    inner: &Inner,
    transaction: &mut Transaction<'_>,
    change: &ChangeSet,
) -> Result<(), Failure> {
    let mut asked: Vec<Asked> = Vec::new();
    for none in &change.none_refer {
        add(&mut asked, none.def, none.field, none.id, true);
    }
    for write in &change.writes {
        if let Write::Purge(record) = write {
            for (def, field) in inner.referrers(record.def) {
                add(&mut asked, def, field, record.id(), false);
            }
        }
    }
    let branches =
        asked.iter().enumerate().map(|(place, asked)| (asked.def.table, asked.stages(change.tenant, place)));
    let found = gather(transaction, branches.collect(), "looking for records that refer").await?;
    let Some(first) = found.first() else { return Ok(()) };
    let place = first.get_i64("n").ok().and_then(|place| usize::try_from(place).ok());
    let Some(asked) = place.and_then(|place| asked.get(place)) else { return Ok(()) };
    let (entity, field) = (asked.def.name, asked.field);
    let id = first.get("to").and_then(names::read_uuid).unwrap_or_default();
    Err(Failure::Commit(CommitError::InUse { entity, field, id }))
}

struct Asked {
    def: &'static EntityDef,
    field: &'static str,
    ids: Vec<Uuid>,
    live: bool,
}

fn add(asked: &mut Vec<Asked>, def: &'static EntityDef, field: &'static str, id: Uuid, live: bool) {
    match asked.iter_mut().find(|asked| asked.def == def && asked.field == field && asked.live == live) {
        Some(asked) => asked.ids.push(id),
        None => asked.push(Asked { def, field, ids: vec![id], live }),
    }
}

impl Asked {
    fn stages(&self, tenant: TenantId, place: usize) -> Vec<Document> {
        let ids: Vec<Bson> = self.ids.iter().copied().map(names::uuid).collect();
        let mut filter = doc! { TENANT: names::tenant(tenant), self.field: { "$in": ids } };
        if self.live {
            filter.insert("deleted_at", Bson::Null);
        }
        vec![
            doc! { "$match": filter },
            doc! { "$limit": 1 },
            doc! { "$project": { "_id": 0, "n": { "$literal": place as i64 }, "to": format!("${}", self.field) } },
        ]
    }
}

/// Several small reads as one command: lookups from the one document of the schema's version, because `$unionWith`
/// is not allowed in a transaction.
async fn gather(
    transaction: &mut Transaction<'_>,
    branches: Vec<(&'static str, Vec<Document>)>,
    what: &str,
) -> Result<Vec<Document>, Failure> {
    if branches.is_empty() {
        return Ok(Vec::new());
    }
    let count = branches.len();
    let mut stages = vec![doc! { "$match": { "_id": schema::META_ID } }];
    for (place, (collection, pipeline)) in branches.into_iter().enumerate() {
        stages.push(
            doc! { "$lookup": { "from": collection, "pipeline": pipeline, "as": format!("r{place}") } },
        );
    }
    let mut found = transaction.aggregate(names::META, stages, what).await?;
    let Some(mut found) = found.pop() else {
        return Err(Failure::Store(corrupt(format!("{} lacks its document", names::META))));
    };
    let mut all = Vec::new();
    for place in 0..count {
        if let Some(Bson::Array(documents)) = found.remove(format!("r{place}")) {
            all.extend(documents.into_iter().filter_map(|document| match document {
                Bson::Document(document) => Some(document),
                _ => None,
            }));
        }
    }
    Ok(all)
}
