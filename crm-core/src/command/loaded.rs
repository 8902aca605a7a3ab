//! What a command has been given to decide on.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::{Entity, EntityDef};
use crate::criteria::Links;
use crate::id::RecordId;
use crate::record::{Record, Unreadable};
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
}

/// Loaded records and answers.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    records: BTreeMap<(&'static str, Uuid), Option<Record>>,
    lists: BTreeMap<String, Vec<Record>>,
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

    /// Whether this is loaded already; of records, only the missing ids are left in the need.
    pub fn lacks(&self, need: Need) -> Option<Need> {
        match need {
            Need::Records(def, mut ids) => {
                ids.retain(|id| !self.records.contains_key(&(def.name, *id)));
                ids.sort_unstable();
                ids.dedup();
                (!ids.is_empty()).then_some(Need::Records(def, ids))
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

    /// The answer of this name; empty before it is loaded.
    pub fn list(&self, name: &str) -> &[Record] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// The answer of this name as structs.
    pub fn all<E: Entity>(&self, name: &str) -> Result<Vec<E>, Unreadable> {
        self.list(name).iter().map(E::from_record).collect()
    }

    /// All records, by entity and id.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().flatten()
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
