//! Applying a change set to a copy of the data.

use std::collections::BTreeSet;

use crm_core::catalog::Catalog;
use crm_core::record::Record;
use crm_core::store::{ChangeSet, CommitError, Guard, MAX_WRITES, Write, WriteError};
use crm_core::value::Value;

use super::store::Tenant;

impl Tenant {
    /// Applies it, or fails and leaves the copy in disorder.
    pub(super) fn apply(&mut self, catalog: &Catalog, change: &ChangeSet) -> Result<(), CommitError> {
        check_form(catalog, change)?;
        if !self.applied.insert(change.commit_id) {
            return Ok(());
        }
        if let Some(claim) = &change.key {
            let key = (claim.command.to_owned(), claim.key.clone());
            if let Some(used) = self.keys.get(&key) {
                return Err(CommitError::KeyUsed(used.clone()));
            }
            self.keys.insert(key, claim.record.clone());
        }
        self.check_versions(change)?;
        for write in &change.writes {
            let place = (write.def().name, write.record().id());
            match write {
                Write::Insert(record) | Write::Update { after: record, .. } => {
                    self.records.insert(place, record.clone());
                }
                Write::Purge(_) => {
                    self.records.remove(&place);
                }
            }
        }
        self.check_unique(change)?;
        self.check_links(catalog, change)?;
        for absent in &change.none_refer {
            let refers =
                |record: &&Record| record.is_live() && *record.get(absent.field) == Value::Id(absent.id);
            if self.of(absent.def.name).any(|record| refers(&record)) {
                return Err(CommitError::InUse {
                    entity: absent.def.name,
                    field: absent.field,
                    id: absent.id,
                });
            }
        }
        self.follow(change);
        Ok(())
    }

    /// The records of an entity.
    pub(super) fn of(&self, entity: &str) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |((name, _), _)| *name == entity).map(|(_, record)| record)
    }

    fn check_versions(&self, change: &ChangeSet) -> Result<(), CommitError> {
        let conflict = |entity, id| Err(CommitError::Conflict { entity, id });
        for write in &change.writes {
            let place = (write.def().name, write.record().id());
            if self.records.get(&place).map(Record::version) != write.expected_version() {
                return conflict(place.0, place.1);
            }
        }
        for guard in &change.guards {
            let (def, id) = guard.target();
            let found = self.records.get(&(def.name, id));
            let holds = match guard {
                Guard::Version { version, .. } => found.is_some_and(|record| record.version() == *version),
                Guard::Live { .. } => found.is_some_and(Record::is_live),
            };
            if !holds {
                return conflict(def.name, id);
            }
        }
        Ok(())
    }

    /// What was written has no value of a unique rule that another record has.
    fn check_unique(&self, change: &ChangeSet) -> Result<(), CommitError> {
        for write in &change.writes {
            let (Write::Insert(record) | Write::Update { after: record, .. }) = write else { continue };
            for rule in record.def.uniques {
                let Some(key) = rule.key_of(record) else { continue };
                let same =
                    |other: &Record| other.id() != record.id() && rule.key_of(other).as_ref() == Some(&key);
                if self.of(record.def.name).any(same) {
                    return Err(CommitError::Unique { rule: rule.name });
                }
            }
        }
        Ok(())
    }

    /// What was written leads somewhere, and nothing leads to what was purged.
    fn check_links(&self, catalog: &Catalog, change: &ChangeSet) -> Result<(), CommitError> {
        for write in &change.writes {
            let (Write::Insert(record) | Write::Update { after: record, .. }) = write else { continue };
            for (place, field) in record.def.own_fields() {
                let Some(target) = catalog.target(&field.kind) else { continue };
                let Value::Id(id) = record.values[place] else { continue };
                if !self.records.contains_key(&(target.name, id)) {
                    return Err(CommitError::Dangling { entity: record.def.name, field: field.name });
                }
            }
        }
        for write in &change.writes {
            let Write::Purge(gone) = write else { continue };
            for def in catalog.entities() {
                for (place, field) in def.own_fields() {
                    let leads = catalog.target(&field.kind) == Some(gone.def);
                    if leads && self.of(def.name).any(|record| record.values[place] == Value::Id(gone.id())) {
                        return Err(CommitError::InUse {
                            entity: def.name,
                            field: field.name,
                            id: gone.id(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Log, timeline and tokens, which cannot fail.
    fn follow(&mut self, change: &ChangeSet) {
        self.log.extend(change.log.iter().cloned());
        for (def, id) in &change.erase_log {
            for row in self.log.iter_mut().filter(|row| row.entity == def.name && row.record_id == *id) {
                row.private = None;
            }
        }
        for key in &change.timeline_drop {
            self.timeline.remove(key);
        }
        for row in &change.timeline_put {
            self.timeline.insert(row.key(), row.clone());
        }
        for token in &change.tokens_drop {
            self.tokens.remove(token);
        }
        self.tokens.extend(change.tokens_put.iter().cloned());
    }
}

/// What the contract forbids, whatever is stored.
fn check_form(catalog: &Catalog, change: &ChangeSet) -> Result<(), WriteError> {
    if change.writes.len() > MAX_WRITES {
        return Err(WriteError::TooMany { count: change.writes.len() });
    }
    let mut seen = BTreeSet::new();
    for write in &change.writes {
        let (def, id) = (write.def(), write.record().id());
        if catalog.get(def.name).is_none() {
            return Err(WriteError::Unknown { entity: def.name });
        }
        if !seen.insert((def.name, id)) {
            return Err(WriteError::Twice { entity: def.name, id });
        }
        // Erasure masks what is otherwise only added.
        if def.append_only && matches!(write, Write::Update { .. }) && change.erase_log.is_empty() {
            return Err(WriteError::AppendOnly { entity: def.name });
        }
    }
    Ok(())
}
