//! The store itself: tenants behind locks, and the contract's calls.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::record::Record;
use crm_core::store::{Answer, ChangeSet, CommitError, Query, Read, Store, StoreError};
use crm_core::value::Instant;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::find::After;
use crate::schema::Schema;
use crate::tenant::Tenant;
use crate::{dump, shape};

/// Keeps records in memory. Clones are handles to the same store.
///
/// ```
/// use crm_core::catalog::Catalog;
/// use crm_store_memory::MemoryStore;
///
/// let catalog = Catalog::builder().build().unwrap();
/// let store = MemoryStore::new(catalog);
/// assert_eq!(store.dump(), "");
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    inner: Arc<Inner>,
    slow: Duration,
}

#[derive(Debug)]
struct Inner {
    schema: Arc<Schema>,
    tenants: RwLock<BTreeMap<TenantId, Arc<Cell>>>,
}

/// One tenant with its lock and those who wait for news.
#[derive(Debug)]
struct Cell {
    state: RwLock<Tenant>,
    wake: watch::Sender<()>,
}

impl MemoryStore {
    /// An empty store of these entities.
    pub fn new(catalog: Catalog) -> Self {
        let inner = Inner { schema: Arc::new(Schema::new(catalog)), tenants: RwLock::default() };
        Self { inner: Arc::new(inner), slow: Duration::from_secs(1) }
    }

    /// Calls through this handle that take longer are logged as a warning, with their name and time; one second
    /// unless said otherwise.
    pub fn warn_after(mut self, slow: Duration) -> Self {
        self.slow = slow;
        self
    }

    /// Everything stored for all tenants, a line for each record, search token, timeline row, log row, idempotency
    /// key and consumer: for tests that something is not there any more.
    ///
    /// Says so instead when a panic in another thread has left the store in an unknown state.
    pub fn dump(&self) -> String {
        let mut out = String::new();
        let Ok(tenants) = self.inner.tenants.read() else { return POISONED.to_owned() };
        for (id, cell) in tenants.iter() {
            let Ok(state) = cell.state.read() else { return POISONED.to_owned() };
            // Writing to a string does not fail.
            let _ = writeln!(out, "tenant {id}");
            dump::tenant(&mut out, &state);
        }
        out
    }

    /// The tenant's cell, if anything was ever written or waited for.
    fn find_cell(&self, tenant: TenantId) -> Result<Option<Arc<Cell>>, StoreError> {
        Ok(self.inner.tenants.read().map_err(|_| poisoned())?.get(&tenant).cloned())
    }

    fn cell(&self, tenant: TenantId) -> Result<Arc<Cell>, StoreError> {
        if let Some(cell) = self.find_cell(tenant)? {
            return Ok(cell);
        }
        let mut tenants = self.inner.tenants.write().map_err(|_| poisoned())?;
        let cell = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(Cell {
                state: RwLock::new(Tenant::new(Arc::clone(&self.inner.schema))),
                wake: watch::Sender::new(()),
            })
        });
        Ok(Arc::clone(cell))
    }

    /// Runs a read on the tenant's state; on an empty one for a tenant that is not known.
    fn look<T>(&self, tenant: TenantId, read: impl FnOnce(&Tenant) -> T) -> Result<T, StoreError> {
        match self.find_cell(tenant)? {
            Some(cell) => Ok(read(&*cell.state.read().map_err(|_| poisoned())?)),
            None => Ok(read(&Tenant::new(Arc::clone(&self.inner.schema)))),
        }
    }

    fn change<T>(&self, tenant: TenantId, write: impl FnOnce(&mut Tenant) -> T) -> Result<T, StoreError> {
        let cell = self.cell(tenant)?;
        let mut state = cell.state.write().map_err(|_| poisoned())?;
        Ok(write(&mut state))
    }

    /// Runs a call and warns when it was slow.
    fn timed<T>(&self, call: &'static str, run: impl FnOnce() -> T) -> T {
        let start = std::time::Instant::now();
        let out = run();
        let took = start.elapsed();
        if took >= self.slow {
            tracing::warn!(call, took_ms = took.as_millis() as u64, "slow store call");
        }
        out
    }

    /// Reads the next part of a scan, and moves the position behind it; nothing when there is no more.
    fn next_part(
        &self,
        tenant: TenantId,
        query: &Query,
        at: &mut Position,
    ) -> Result<Vec<Record>, StoreError> {
        self.look(tenant, |state| {
            while !at.is_last || !at.listed.is_empty() {
                if at.listed.is_empty() && state.is_walk(query, PART) {
                    let found = state.find(query, PART, at.after.as_ref());
                    at.move_behind(state, query, &found, PART);
                    return found.into_iter().cloned().collect();
                }
                if at.listed.is_empty() {
                    // Each look at all records lists the places of many, so that there are few such looks.
                    let found = state.find(query, LISTED, at.after.as_ref());
                    at.listed = found.iter().map(|record| (record.id(), record.version())).collect();
                    at.move_behind(state, query, &found, LISTED);
                }
                let listed = at.listed.drain(..PART.min(at.listed.len()));
                let records = state.unchanged(query, listed);
                if !records.is_empty() {
                    return records.into_iter().cloned().collect();
                }
            }
            Vec::new()
        })
    }
}

/// How far a scan has come.
#[derive(Default)]
struct Position {
    after: Option<After>,
    /// Records that come next, at the versions that have their places here.
    listed: VecDeque<(Uuid, i64)>,
    /// Whether nothing comes after those.
    is_last: bool,
}

impl Position {
    fn move_behind(&mut self, state: &Tenant, query: &Query, found: &[&Record], wanted: usize) {
        self.is_last = found.len() < wanted;
        if let Some(last) = found.last() {
            self.after = Some(After::record(state, &query.order, last));
        }
    }
}

/// How many records a scan holds at once. Tests take many parts.
const PART: usize = if cfg!(test) { 4 } else { 512 };
/// How many ids it holds where no index has the order, and it must look at all records to find the next.
const LISTED: usize = if cfg!(test) { 7 } else { 131_072 };

#[async_trait]
impl Store for MemoryStore {
    fn catalog(&self) -> &Catalog {
        &self.inner.schema.catalog
    }

    #[tracing::instrument(name = "memory.commit", skip_all, fields(tenant = %change.tenant, writes = change.writes.len()))]
    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        self.timed("commit", || {
            shape::check(&self.inner.schema, change)?;
            let cell = self.cell(change.tenant)?;
            let applied = cell.state.write().map_err(|_| poisoned())?.commit(change)?;
            if applied {
                cell.wake.send_replace(());
            }
            Ok(())
        })
    }

    #[tracing::instrument(name = "memory.read", skip_all, fields(%tenant, reads = reads.len()))]
    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        self.timed("read", || {
            reads.iter().try_for_each(|read| read.check(&self.inner.schema.catalog))?;
            self.look(tenant, |state| reads.iter().map(|read| answer(state, read)).collect())?
        })
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        if let Err(error) = query.check(&self.inner.schema.catalog) {
            return stream::once(async { Err(error) }).boxed();
        }
        let store = self.clone();
        stream::unfold(Some(Position::default()), move |position| {
            let part = position.map(|mut position| {
                let span = tracing::info_span!("memory.scan", %tenant);
                let records =
                    span.in_scope(|| store.timed("scan", || store.next_part(tenant, &query, &mut position)));
                (records, position)
            });
            async move {
                match part? {
                    (Ok(records), _) if records.is_empty() => None,
                    (Ok(records), position) => {
                        Some((stream::iter(records).map(Ok).left_stream(), Some(position)))
                    }
                    (Err(error), _) => Some((stream::once(async { Err(error) }).right_stream(), None)),
                }
            }
        })
        .flatten()
        .boxed()
    }

    #[tracing::instrument(name = "memory.seal_log", skip_all, fields(%tenant))]
    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        self.timed("seal_log", || match self.find_cell(tenant)? {
            Some(_) => self.change(tenant, |state| state.log.seal(limit)),
            None => Ok(0),
        })
    }

    #[tracing::instrument(name = "memory.acknowledge", skip_all, fields(%tenant))]
    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        self.timed("acknowledge", || {
            self.change(tenant, |state| {
                let position = state.consumers.entry(consumer.to_owned()).or_insert(0);
                *position = number.max(*position);
            })
        })
    }

    #[tracing::instrument(name = "memory.expire_keys", skip_all, fields(%tenant))]
    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.timed("expire_keys", || match self.find_cell(tenant)? {
            Some(_) => self.change(tenant, |state| state.keys.expire(before, limit)),
            None => Ok(0),
        })
    }

    #[tracing::instrument(name = "memory.wakes", skip_all, fields(%tenant))]
    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        let wake = self.cell(tenant)?.wake.subscribe();
        Ok(stream::unfold(wake, |mut wake| async move { wake.changed().await.ok().map(|()| ((), wake)) })
            .boxed())
    }

    /// Waits 0.2 ms at first, twice as long each time, 5 ms at most, less up to half of it. Needs a tokio runtime
    /// with time enabled.
    async fn rest(&self, attempt: u32) {
        let longest = 200_u64.saturating_mul(1 << attempt.saturating_sub(1).min(5)).min(5_000);
        // A new hasher is seeded differently each time.
        let random = std::hash::RandomState::new().build_hasher().finish();
        tokio::time::sleep(Duration::from_micros(longest - random % (longest / 2))).await;
    }
}

fn answer(state: &Tenant, read: &Read) -> Result<Answer, StoreError> {
    let records = |found: Vec<&Record>| Answer::Records(found.into_iter().cloned().collect());
    Ok(match read {
        Read::Get { def, ids } => {
            let ids: std::collections::BTreeSet<_> = ids.iter().collect();
            records(ids.into_iter().filter_map(|id| state.record(def.name, *id)).collect())
        }
        Read::Find(query) => records(state.find(query, query.limit, None)),
        Read::Group(query) => Answer::Groups(state.group(query)?),
        Read::Ancestors { def, id, limit } => records(state.ancestors(def, *id, *limit)),
        Read::Subtree { def, id, limit } => records(state.subtree(def, *id, *limit)),
        Read::Timeline(query) => Answer::Timeline(state.page(query)),
        Read::Key { command, key } => Answer::Key(state.keys.get(command, key).cloned()),
        Read::LogHead => Answer::Position(state.log.head()),
        Read::History { def, id, before_version, limit } => {
            Answer::Log(state.log.history(def.name, *id, *before_version, *limit))
        }
        Read::Log { after, limit } => Answer::Log(state.log.after(*after, *limit)),
        Read::Position { consumer } => Answer::Position(state.consumers.get(consumer).copied().unwrap_or(0)),
    })
}

const POISONED: &str = "a call panicked while it held the store's lock; build a new store";

fn poisoned() -> StoreError {
    StoreError::NotReady { why: POISONED.to_owned() }
}

#[cfg(test)]
mod tests;
