//! What a change set writes, as batches.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::EntityDef;
use crm_core::store::{ChangeSet, CommitError, Guard, MAX_WRITES, TokenRow, Write, WriteError};
use uuid::Uuid;

use super::transaction::{Batch, Failure, Verb};
use crate::inner::Inner;
use crate::read::timeline;
use crate::{document, log, names};

/// Refuses what the contract does not allow.
pub(crate) fn validate(inner: &Inner, change: &ChangeSet) -> Result<(), WriteError> {
    if change.writes.len() > MAX_WRITES {
        return Err(WriteError::TooMany { count: change.writes.len() });
    }
    let known = |def: &'static EntityDef| match inner.catalog.get(def.name) {
        Some(_) => Ok(()),
        None => Err(WriteError::Unknown { entity: def.name }),
    };
    let mut seen = BTreeSet::new();
    for write in &change.writes {
        let (def, id) = (write.def(), write.record().id());
        known(def)?;
        if !seen.insert((def.name, id)) {
            return Err(WriteError::Twice { entity: def.name, id });
        }
        if def.append_only && matches!(write, Write::Update { .. }) && change.erase_log.is_empty() {
            return Err(WriteError::AppendOnly { entity: def.name });
        }
    }
    change.guards.iter().map(|guard| guard.target().0).try_for_each(known)?;
    change.none_refer.iter().map(|none| none.def).try_for_each(known)?;
    change.erase_log.iter().map(|(def, _)| *def).try_for_each(known)
}

/// The idempotency key.
pub(crate) fn key(change: &ChangeSet) -> Result<Option<Batch>, Failure> {
    let Some(key) = &change.key else { return Ok(None) };
    let mut batch = Batch::new(names::KEYS, Verb::Insert);
    batch.push(&doc! {
        "_id": names::key(change.tenant, key.command, &key.key),
        document::TENANT: names::tenant(change.tenant),
        "commit_id": names::uuid(change.commit_id),
        "digest": &key.record.digest,
        "result": &key.record.result,
        "at": document::instant(key.record.at),
    })?;
    Ok(Some(batch))
}

/// The log rows.
pub(crate) fn log_rows(change: &ChangeSet) -> Result<Batch, Failure> {
    let mut batch = Batch::new(names::LOG, Verb::Insert);
    for row in &change.log {
        batch.push(&log::to_document(change.tenant, row)?)?;
    }
    if change.log.is_empty() {
        batch.push(&log::marker(change.tenant, change.commit_id))?;
    }
    Ok(batch)
}

/// Guards that are not spread over slots, and the writes: for each collection removals, then everything else in
/// the order given (those that free unique values come first).
pub(crate) fn records(change: &ChangeSet) -> Result<Vec<Entities>, Failure> {
    let mut by_table: BTreeMap<&'static str, Entities> = BTreeMap::new();
    for guard in &change.guards {
        let (def, id) = guard.target();
        if let Some(write) = written(change, def, id) {
            agrees(guard, write)?;
            continue;
        }
        let filter = match guard {
            Guard::Version { version, .. } => {
                doc! { "_id": names::record(change.tenant, id), "version": version }
            }
            Guard::Live { .. } if def.shared => continue,
            Guard::Live { .. } => doc! { "_id": names::record(change.tenant, id), "deleted_at": Bson::Null },
        };
        let entities = by_table.entry(def.table).or_insert_with(|| Entities::new(def));
        // Modified, not merely read: a transaction that only read the record would not conflict.
        entities.updates.push((id, doc! { "q": filter, "u": { "$inc": { "_g": 1 } } }));
    }
    for write in &change.writes {
        let (def, id) = (write.def(), write.record().id());
        let key = names::record(change.tenant, id);
        let entities = by_table.entry(def.table).or_insert_with(|| Entities::new(def));
        match write {
            Write::Insert(record) => entities.insert(change.tenant, record),
            Write::Update { before, after } => {
                let mut fields = document::fields(change.tenant, after);
                fields.remove("id");
                let filter = doc! { "_id": key, "version": before.version() };
                entities.updates.push((id, doc! { "q": filter, "u": { "$set": fields } }));
            }
            Write::Purge(record) => {
                let filter = doc! { "_id": key, "version": record.version() };
                entities.purges.push((id, doc! { "q": filter, "limit": 1 }));
            }
        }
    }
    Ok(by_table.into_values().collect())
}

fn written<'a>(change: &'a ChangeSet, def: &EntityDef, id: Uuid) -> Option<&'a Write> {
    change.writes.iter().find(|write| write.def() == def && write.record().id() == id)
}

/// Whether a guard on a record that the change set writes says the same as the write.
fn agrees(guard: &Guard, write: &Write) -> Result<(), Failure> {
    let agrees = match guard {
        Guard::Version { version, .. } => write.expected_version() == Some(*version),
        Guard::Live { .. } => !matches!(write, Write::Purge(_)) && write.record().is_live(),
    };
    let (def, id) = guard.target();
    if agrees { Ok(()) } else { Err(Failure::Commit(CommitError::Conflict { entity: def.name, id })) }
}

/// The entries for one entity's collection.
pub(crate) struct Entities {
    pub(crate) def: &'static EntityDef,
    inserts: Vec<(Uuid, Document)>,
    updates: Vec<(Uuid, Document)>,
    purges: Vec<(Uuid, Document)>,
    mixed: bool,
}

impl Entities {
    fn new(def: &'static EntityDef) -> Self {
        Self { def, inserts: Vec::new(), updates: Vec::new(), purges: Vec::new(), mixed: false }
    }

    fn insert(&mut self, tenant: TenantId, record: &crm_core::record::Record) {
        self.inserts.push((record.id(), document::of_record(tenant, record)));
        // Where it stands among the updates.
        if !self.updates.is_empty() {
            self.mixed = true;
        }
        self.updates.push((record.id(), Document::new()));
    }

    /// The batches with the record of each entry: at most one removal, and one insert or update.
    pub(crate) fn batches(self) -> Result<Vec<(Batch, Vec<Uuid>)>, Failure> {
        let Self { def, inserts, updates, purges, .. } = self;
        let mut batches = Vec::new();
        if !purges.is_empty() {
            batches.push(batch(Batch::new(def.table, Verb::Delete), purges)?);
        }
        if inserts.len() == updates.len() {
            if !inserts.is_empty() {
                batches.push(batch(Batch::new(def.table, Verb::Insert), inserts)?);
            }
            return Ok(batches);
        }
        // In one command and in order with the updates: an upsert that matches nothing inserts, and meets a
        // duplicate key as an insert would.
        let mut inserts = inserts.into_iter();
        let mut entries = Vec::with_capacity(updates.len());
        for (id, update) in updates {
            match update.is_empty().then(|| inserts.next()).flatten() {
                Some((_, record)) => {
                    let filter = doc! { "_id": record.get("_id"), "version": -1_i64 };
                    entries.push((id, doc! { "q": filter, "u": record, "upsert": true }));
                }
                None => entries.push((id, update)),
            }
        }
        batches.push(batch(Batch::new(def.table, Verb::Update), entries)?);
        Ok(batches)
    }
}

fn batch(mut batch: Batch, entries: Vec<(Uuid, Document)>) -> Result<(Batch, Vec<Uuid>), Failure> {
    let mut ids = Vec::with_capacity(entries.len());
    for (id, entry) in entries {
        batch.push(&entry)?;
        ids.push(id);
    }
    Ok((batch, ids))
}

/// Slots of shared records: who relies on one being there touches one at random, who takes it away touches all, so
/// that the two conflict and the many among themselves rarely do.
pub(crate) fn slots(change: &ChangeSet) -> Result<Option<Batch>, Failure> {
    let mut batch = Batch::new(names::GUARDS, Verb::Update);
    let mut touched = false;
    let mut touch = |def: &EntityDef, id: Uuid, slot: u8| {
        touched = true;
        let key = names::slot(change.tenant, def.name, id, slot);
        batch.push(&doc! { "q": { "_id": key }, "u": { "$inc": { "n": 1_i64 } }, "upsert": true })
    };
    for guard in &change.guards {
        if let Guard::Live { def, id } = guard
            && def.shared
            && written(change, def, *id).is_none()
        {
            touch(def, *id, (crate::timing::random() % u64::from(names::SLOTS)) as u8)?;
        }
    }
    for write in &change.writes {
        let gone = match write {
            Write::Insert(_) => false,
            Write::Update { before, after } => before.is_live() && !after.is_live(),
            Write::Purge(_) => true,
        };
        if gone && write.def().shared {
            for slot in 0..names::SLOTS {
                touch(write.def(), write.record().id(), slot)?;
            }
        }
    }
    Ok(touched.then_some(batch))
}

/// What follows the records: log rows to be erased, timeline rows, search tokens.
pub(crate) fn projections(change: &ChangeSet) -> Result<Vec<Batch>, Failure> {
    let tenant = change.tenant;
    let mut batches = Vec::new();
    let mut erase = Batch::new(names::LOG, Verb::UpdateAny);
    for (def, id) in &change.erase_log {
        let rows = doc! { document::TENANT: names::tenant(tenant), "entity": def.name, "record_id": names::uuid(*id) };
        erase.push(&doc! { "q": rows, "u": { "$set": { "private": Bson::Null } }, "multi": true })?;
    }
    let mut drop = Batch::new(names::TIMELINE, Verb::DeleteAny);
    let keys: Vec<Document> = change.timeline_drop.iter().map(|key| names::timeline(tenant, key)).collect();
    drop_all(&mut drop, &keys)?;
    // Nobody has rows of a record that is inserted with them, and an insert costs half of what an upsert does.
    let inserted = change.inserted();
    let (new, known): (Vec<_>, Vec<_>) =
        change.timeline_put.iter().partition(|row| inserted.contains(&(row.kind, row.entry_id)));
    let mut add = Batch::new(names::TIMELINE, Verb::Insert);
    for row in new {
        add.push(&timeline::to_document(tenant, row))?;
    }
    let mut put = Batch::new(names::TIMELINE, Verb::Update);
    for row in known {
        let key = names::timeline(tenant, &row.key());
        put.push(&doc! { "q": { "_id": key }, "u": timeline::to_document(tenant, row), "upsert": true })?;
    }
    let mut forget = Batch::new(names::TOKENS, Verb::DeleteAny);
    let keys: Vec<Document> = change.tokens_drop.iter().map(|row| names::token(tenant, row)).collect();
    drop_all(&mut forget, &keys)?;
    let mut learn = Batch::new(names::TOKENS, Verb::Insert);
    for row in TokenRow::in_order(&change.tokens_put) {
        learn.push(&doc! { "_id": names::token(tenant, row) })?;
    }
    batches.extend([erase, drop, add, put, forget, learn]);
    Ok(batches)
}

fn drop_all(batch: &mut Batch, keys: &[Document]) -> Result<(), Failure> {
    for keys in keys.chunks(10_000) {
        batch.push(&doc! { "q": { "_id": { "$in": keys.to_vec() } }, "limit": 0 })?;
    }
    Ok(())
}
