//! What a store is made of, and what is counted of it.

use std::sync::atomic::{AtomicU64, Ordering};

use crm_core::catalog::{Catalog, EntityDef};
use mongodb::{Client, Database};

use crate::MongoOptions;

/// What all clones of a store share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) db: Database,
    pub(crate) catalog: Catalog,
    pub(crate) options: MongoOptions,
    /// The entity of customers, if any entity is read through one.
    pub(crate) root: Option<&'static EntityDef>,
    commands: AtomicU64,
}

impl Inner {
    pub(crate) fn new(client: Client, db: Database, catalog: Catalog, options: MongoOptions) -> Self {
        let root = catalog.entities().find_map(|def| {
            let path = catalog.root_path(def)?;
            let (holder, place) = path.last()?;
            catalog.target(&holder.fields[*place].kind)
        });
        Self { client, db, catalog, options, root, commands: AtomicU64::new(0) }
    }

    /// Notes that a command is sent.
    pub(crate) fn count(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// How many commands were sent.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// The time limit of a command.
    pub(crate) fn max_time_ms(&self) -> i64 {
        i64::try_from(self.options.max_time.as_millis()).unwrap_or(i64::MAX)
    }

    /// The links that lead to records of this entity.
    pub(crate) fn referrers(&self, target: &EntityDef) -> Vec<(&'static EntityDef, &'static str)> {
        self.catalog
            .entities()
            .flat_map(|def| def.fields.iter().map(move |field| (def, field)))
            .filter(|(_, field)| self.catalog.target(&field.kind) == Some(target))
            .map(|(def, field)| (def, field.name))
            .collect()
    }
}
