//! Everything stored for one tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use crm_core::catalog::EntityDef;
use crm_core::criteria::Links;
use crm_core::record::Record;
use uuid::Uuid;

use crate::keys::Keys;
use crate::log::Log;
use crate::schema::{Schema, TableSchema};
use crate::table::Table;
use crate::timeline::Timeline;

/// One tenant's state; the store holds a lock around each.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) schema: Arc<Schema>,
    /// By the entity's place in the schema.
    pub(crate) tables: Vec<Table>,
    pub(crate) timeline: Timeline,
    pub(crate) log: Log,
    pub(crate) keys: Keys,
    /// How far consumers have come.
    pub(crate) consumers: BTreeMap<String, i64>,
}

impl Tenant {
    pub(crate) fn new(schema: Arc<Schema>) -> Self {
        let tables = schema.tables.iter().map(Table::new).collect();
        Self {
            schema,
            tables,
            timeline: Timeline::default(),
            log: Log::default(),
            keys: Keys::default(),
            consumers: BTreeMap::new(),
        }
    }

    /// The records of an entity with their layout; `None` when the catalog does not have it.
    pub(crate) fn table(&self, entity: &str) -> Option<(&Table, &TableSchema)> {
        let place = self.schema.place(entity)?;
        Some((&self.tables[place], &self.schema.tables[place]))
    }

    pub(crate) fn record(&self, entity: &str, id: Uuid) -> Option<&Record> {
        self.table(entity).and_then(|(table, _)| table.get(id))
    }

    /// Whether the customer that hides an entry when it is deleted is there and live; true without one.
    pub(crate) fn root_is_live(&self, root: Option<Uuid>) -> bool {
        root.is_none_or(|id| self.record("customer", id).is_some_and(Record::is_live))
    }
}

impl Links for Tenant {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.record(def.name, id)
    }
}
