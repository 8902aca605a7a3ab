//! What a command has been given to decide on.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::{Catalog, Entity, EntityDef};
use crate::command::Decline;
use crate::criteria::Links;
use crate::id::RecordId;
use crate::record::{FieldError, Record, RecordRef, Unreadable};
use crate::store::Query;

/// Something a command wants to see.
#[derive(Clone, Debug)]
pub enum Need {
    /// Records by id, deleted or not.
    Records(&'static EntityDef, Vec<Uuid>),
    /// The answer to a query, under a name.
    Find(String, Box<Query>),
    /// A record and those above it, under a name.
    Ancestors(String, &'static EntityDef, Uuid),
    /// Records of any entities, as far as the actor may read them: live ones, of live customers, visible to the actor.
    Readable(Vec<RecordRef>),
}

/// Loaded records and answers.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    records: BTreeMap<(&'static str, Uuid), Option<Record>>,
    lists: BTreeMap<String, Vec<Record>>,
    readable: BTreeMap<RecordRef, Option<Record>>,
}

impl Loaded {
    /// Adds records that were asked for by id: those not among them do not exist.
    pub fn add_records(&mut self, def: &'static EntityDef, asked: &[Uuid], found: Vec<Record>) {
        for id in asked {
            self.records.entry((def.name, *id)).or_insert(None);
        }
        for record in found {
            self.records.insert((def.name, record.id()), Some(record));
        }
    }

    /// Adds an answer. Its records are found by id too.
    pub fn add_list(&mut self, name: impl Into<String>, list: Vec<Record>) {
        for record in &list {
            self.records.entry((record.def.name, record.id())).or_insert_with(|| Some(record.clone()));
        }
        self.lists.insert(name.into(), list);
    }

    /// Adds records that were asked for as far as the actor may read them: the others are as if they did not exist.
    pub fn add_readable(&mut self, asked: Vec<RecordRef>, found: Vec<Record>) {
        for reference in asked {
            self.readable.entry(reference).or_insert(None);
        }
        for record in found {
            self.readable.insert(RecordRef::new(record.def.name, record.id()), Some(record));
        }
    }

    /// Whether this is loaded already; of records, only the missing ids are left in the need.
    pub fn lacks(&self, need: Need) -> Option<Need> {
        match need {
            Need::Records(def, mut ids) => {
                ids.retain(|id| !self.records.contains_key(&(def.name, *id)));
                ids.sort_unstable();
                ids.dedup();
                (!ids.is_empty()).then_some(Need::Records(def, ids))
            }
            Need::Readable(mut references) => {
                references.retain(|reference| !self.readable.contains_key(reference));
                references.sort_unstable();
                references.dedup();
                (!references.is_empty()).then_some(Need::Readable(references))
            }
            Need::Find(ref name, _) | Need::Ancestors(ref name, ..) => {
                (!self.lists.contains_key(name)).then_some(need)
            }
        }
    }

    /// The record, deleted or not.
    pub fn record(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.records.get(&(def.name, id))?.as_ref()
    }

    /// The record as its struct, deleted or not.
    pub fn get<E: Entity>(&self, id: E::Id) -> Result<Option<E>, Unreadable> {
        self.record(E::def(), id.uuid()).map(E::from_record).transpose()
    }

    /// The record as its struct, if it is live.
    pub fn live<E: Entity>(&self, id: E::Id) -> Result<Option<E>, Unreadable> {
        self.record(E::def(), id.uuid()).filter(|record| record.is_live()).map(E::from_record).transpose()
    }

    /// The record that a field names, if the actor may read it; else a refusal that names it.
    pub(crate) fn readable<R>(
        &self,
        field: &str,
        reference: &RecordRef,
        catalog: &Catalog,
    ) -> Result<&Record, Decline<R>> {
        let Some(def) = catalog.get(&reference.entity) else {
            let name: String = reference.entity.chars().take(48).collect();
            let why = format!("names {name:?}, which is no entity of the catalog; name a registered one");
            return Err(Decline::Invalid(vec![FieldError::new(field, why)]));
        };
        let found = self.readable.get(reference).and_then(Option::as_ref);
        found.ok_or(Decline::NotFound(def.name, reference.id))
    }

    /// The answer of this name; empty before it is loaded.
    pub fn list(&self, name: &str) -> &[Record] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// The answer of this name as structs.
    pub fn all<E: Entity>(&self, name: &str) -> Result<Vec<E>, Unreadable> {
        self.list(name).iter().map(E::from_record).collect()
    }

    /// All records that were asked for by id, by entity and id.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().chain(self.readable.values()).flatten()
    }
}

impl Loaded {
    /// The tenant's settings; the facade loads them for every command. Defaults when none are stored.
    pub fn settings(&self, tenant: crate::id::TenantId) -> Result<crate::tenant::Settings, Unreadable> {
        let stored = self.live(crate::tenant::SettingsId(tenant.0))?;
        Ok(stored.unwrap_or_else(|| crate::tenant::Settings::of(tenant)))
    }
}

impl Links for Loaded {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.record(def, id)
    }
}
