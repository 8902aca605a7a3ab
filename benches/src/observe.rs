//! A store that notes which tables each call touches, and passes everything on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::criteria::Filter;
use crm_core::store::{Answer, ChangeSet, CommitError, Guard, Layer, Read, Store, StoreError, Write};

/// Tables, by the names of the PostgreSQL store.
type Tables = BTreeSet<&'static str>;

/// Notes the tables that are read and written.
pub(crate) struct Observer {
    inner: Arc<dyn Store>,
    /// Whether guards on shared records are kept in a collection of their own, as in MongoDB.
    slots: bool,
    tables: Arc<Mutex<Tables>>,
}

/// What an [`Observer`] has noted.
#[derive(Clone)]
pub(crate) struct Noted(Arc<Mutex<Tables>>);

impl Noted {
    /// The tables touched since the last call.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Observer {
    /// Watches a store.
    pub(crate) fn new(inner: Arc<dyn Store>, slots: bool) -> (Self, Noted) {
        let tables = Arc::<Mutex<Tables>>::default();
        (Self { inner, slots, tables: Arc::clone(&tables) }, Noted(tables))
    }

    fn note(&self, touched: impl IntoIterator<Item = &'static str>) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).extend(touched);
    }
}

fn of_filter(filter: &Filter, into: &mut Tables) {
    match filter {
        Filter::All(all) | Filter::Any(all) => all.iter().for_each(|filter| of_filter(filter, into)),
        Filter::Not(filter) => of_filter(filter, into),
        Filter::Leaf(leaf) => {
            into.extend(leaf.path.links.iter().map(|(def, _)| def.table));
            into.insert(leaf.path.def.table);
        }
    }
}

fn of_read(read: &Read) -> Tables {
    let mut tables = Tables::new();
    match read {
        Read::Get { def, .. } | Read::Ancestors { def, .. } | Read::Subtree { def, .. } => {
            tables.insert(def.table);
        }
        Read::Find(query) => {
            tables.insert(query.def.table);
            of_filter(&query.filter, &mut tables);
            if !query.tokens.is_empty() || query.token_prefix.is_some() {
                tables.insert("crm_tokens");
            }
        }
        Read::Group(query) => {
            tables.insert(query.def.table);
            of_filter(&query.filter, &mut tables);
        }
        Read::Timeline(_) => tables.extend(["crm_timeline", "customers"]),
        Read::Key { .. } => tables.extend(["crm_keys"]),
        Read::History { .. } | Read::Log { .. } => tables.extend(["crm_log"]),
        Read::LogHead => tables.extend(["crm_log_head"]),
        Read::Position { .. } => tables.extend(["crm_consumers"]),
    }
    tables
}

fn of_change(change: &ChangeSet, slots: bool) -> Tables {
    let mut tables: Tables = change.writes.iter().map(|write: &Write| write.def().table).collect();
    for guard in &change.guards {
        let (def, _) = guard.target();
        let slot = slots && def.shared && matches!(guard, Guard::Live { .. });
        tables.insert(if slot { "crm_guards" } else { def.table });
    }
    tables.extend(change.none_refer.iter().map(|none| none.def.table));
    tables.insert("crm_log");
    if change.key.is_some() {
        tables.insert("crm_keys");
    }
    if !change.timeline_put.is_empty() || !change.timeline_drop.is_empty() {
        tables.insert("crm_timeline");
    }
    if !change.tokens_put.is_empty() || !change.tokens_drop.is_empty() {
        tables.insert("crm_tokens");
    }
    tables
}

#[async_trait]
impl Layer for Observer {
    fn within(&self) -> &dyn Store {
        &*self.inner
    }

    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        self.note(of_change(change, self.slots));
        self.inner.commit(change).await
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        self.note(reads.iter().flat_map(of_read));
        self.inner.read(tenant, reads).await
    }
}
