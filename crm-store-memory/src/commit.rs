//! Applying a change set: checks in the order in which a database meets them, and an undo log for the writes.

use crm_core::record::Record;
use crm_core::store::{ChangeSet, CommitError, Guard, NoneRefer, Write};
use crm_core::value::Value;
use uuid::Uuid;

use crate::schema::Schema;
use crate::table::Broken;
use crate::tenant::Tenant;

/// How to take one write back.
enum Undo {
    Remove { table: usize, id: Uuid },
    Put { table: usize, record: Record },
}

impl Tenant {
    /// Applies a change set that [`crate::shape::check`] has passed, whole or not at all. Whether it was not
    /// applied before.
    pub(crate) fn commit(&mut self, change: &ChangeSet) -> Result<bool, CommitError> {
        if self.log.has_commit(change.commit_id) {
            return Ok(false);
        }
        if let Some(claim) = &change.key
            && let Some(used) = self.keys.get(claim.command, &claim.key)
        {
            return Err(CommitError::KeyUsed(used.clone()));
        }
        self.check_versions(change)?;
        let mut undo = Vec::with_capacity(change.writes.len());
        let outcome = self.write(change, &mut undo).and_then(|()| self.check_links(change)).and_then(|()| {
            change.none_refer.iter().try_for_each(|condition| self.check_none_refer(condition))
        });
        if let Err(error) = outcome {
            self.take_back(undo);
            return Err(error);
        }
        self.follow_up(change);
        Ok(true)
    }

    /// Versions and guards, before anything is written.
    fn check_versions(&self, change: &ChangeSet) -> Result<(), CommitError> {
        for write in &change.writes {
            let (def, id) = (write.def(), write.record().id());
            if self.record(def.name, id).map(Record::version) != write.expected_version() {
                return Err(CommitError::Conflict { entity: def.name, id });
            }
        }
        for guard in &change.guards {
            let (def, id) = guard.target();
            let found = self.record(def.name, id);
            let holds = match guard {
                Guard::Version { version, .. } => found.is_some_and(|record| record.version() == *version),
                Guard::Live { .. } => found.is_some_and(Record::is_live),
            };
            if !holds {
                return Err(CommitError::Conflict { entity: def.name, id });
            }
        }
        Ok(())
    }

    /// The writes in their order, which has those that free a unique value first.
    fn write(&mut self, change: &ChangeSet, undo: &mut Vec<Undo>) -> Result<(), CommitError> {
        let schema = &self.schema;
        for write in &change.writes {
            let (def, id) = (write.def(), write.record().id());
            let Some(table) = schema.place(def.name) else { continue };
            let layout = &schema.tables[table];
            let replaced = match write {
                Write::Insert(record) | Write::Update { after: record, .. } => self.tables[table]
                    .put(layout, record.clone())
                    .map_err(|Broken(rule)| CommitError::Unique { rule })?,
                Write::Purge(_) => self.tables[table].remove(layout, id),
            };
            undo.push(match replaced {
                None => Undo::Remove { table, id },
                Some(record) => Undo::Put { table, record },
            });
        }
        Ok(())
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Remove { table, id } => {
                    self.tables[table].remove(&self.schema.tables[table], id);
                }
                Undo::Put { table, record } => {
                    // Taken back in reverse, every rule holds as it did on the way here.
                    let back = self.tables[table].put(&self.schema.tables[table], record);
                    debug_assert!(back.is_ok());
                }
            }
        }
    }

    /// The foreign keys: what was written leads somewhere, and nothing leads to what was purged.
    fn check_links(&self, change: &ChangeSet) -> Result<(), CommitError> {
        for write in &change.writes {
            let (Write::Insert(record) | Write::Update { after: record, .. }) = write else { continue };
            let Some((_, layout)) = self.table(record.def.name) else { continue };
            for (field, target) in &layout.links {
                if let Value::Id(id) = record.values[*field]
                    && self.tables[*target].get(id).is_none()
                {
                    return Err(CommitError::Dangling {
                        entity: layout.def.name,
                        field: layout.def.fields[*field].name,
                    });
                }
            }
        }
        for write in &change.writes {
            let Write::Purge(record) = write else { continue };
            let Some((_, layout)) = self.table(record.def.name) else { continue };
            for (from, field, index) in &layout.referrers {
                if self.tables[*from].referring(*index, record.id()).next().is_some() {
                    let def = self.schema.tables[*from].def;
                    let field = def.fields[*field].name;
                    return Err(CommitError::InUse { entity: def.name, field, id: record.id() });
                }
            }
        }
        Ok(())
    }

    fn check_none_refer(&self, condition: &NoneRefer) -> Result<(), CommitError> {
        let NoneRefer { def, field, id } = *condition;
        let in_use = CommitError::InUse { entity: def.name, field, id };
        let Some((table, layout)) = self.table(def.name) else { return Ok(()) };
        let Some(place) = def.index_of(field) else { return Ok(()) };
        let refers = match layout.link_index(place) {
            Some(index) => table.referring(index, id).any(Record::is_live),
            // A field that holds ids without being a link has no index of its own.
            None => table.records_after(None).any(|r| r.is_live() && r.values[place] == Value::Id(id)),
        };
        if refers { Err(in_use) } else { Ok(()) }
    }

    /// Everything that cannot fail.
    fn follow_up(&mut self, change: &ChangeSet) {
        if change.log.is_empty() {
            self.log.mark(change.commit_id);
        }
        for row in &change.log {
            self.log.push(row.clone());
        }
        for (def, id) in &change.erase_log {
            self.log.erase(def.name, *id);
        }
        for key in &change.timeline_drop {
            self.timeline.drop(key);
        }
        for row in &change.timeline_put {
            self.timeline.put(row.clone());
        }
        let place = |schema: &Schema, entity| schema.place(entity);
        for row in &change.tokens_drop {
            if let Some(table) = place(&self.schema, row.entity) {
                self.tables[table].drop_token(&row.token, row.id);
            }
        }
        for row in &change.tokens_put {
            if let Some(table) = place(&self.schema, row.entity) {
                self.tables[table].put_token(&row.token, row.id);
            }
        }
        if let Some(claim) = &change.key {
            self.keys.claim(claim);
        }
    }
}

#[cfg(test)]
mod tests;
