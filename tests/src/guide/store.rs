//! The data, and the trait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::{Catalog, EntityDef};
use crm_core::criteria::Links;
use crm_core::log::{GENESIS, LogRow, seal};
use crm_core::record::Record;
use crm_core::store::{
    Answer, ChangeSet, CommitError, KeyRecord, Query, Read, Store, StoreError, TimelineKey, TimelineRow,
    TokenRow,
};
use crm_core::value::Instant;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;
use uuid::Uuid;

/// Everything of one tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenant {
    pub(super) records: BTreeMap<(&'static str, Uuid), Record>,
    /// The change sets that were applied, also those without a log row.
    pub(super) applied: BTreeSet<Uuid>,
    /// In the order of the commits; sealed rows have numbers.
    pub(super) log: Vec<LogRow>,
    pub(super) timeline: BTreeMap<TimelineKey, TimelineRow>,
    pub(super) tokens: BTreeSet<TokenRow>,
    pub(super) keys: BTreeMap<(String, String), KeyRecord>,
    pub(super) consumers: BTreeMap<String, i64>,
}

/// A store of maps behind a mutex. Clones are handles to the same data.
#[derive(Clone, Debug)]
pub struct SmallStore {
    catalog: Catalog,
    tenants: Arc<Mutex<BTreeMap<TenantId, Tenant>>>,
    news: Arc<watch::Sender<()>>,
}

impl SmallStore {
    /// An empty store.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, tenants: Arc::default(), news: Arc::new(watch::Sender::new(())) }
    }

    fn lock(&self) -> Result<MutexGuard<'_, BTreeMap<TenantId, Tenant>>, StoreError> {
        self.tenants
            .lock()
            .map_err(|_| StoreError::NotReady { why: "a call panicked; start again".to_owned() })
    }
}

/// Criteria follow links through this.
impl Links for Tenant {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.records.get(&(def.name, id))
    }
}

#[async_trait]
impl Store for SmallStore {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        let mut tenants = self.lock()?;
        let tenant = tenants.entry(change.tenant).or_default();
        // Whole or not at all: the work is done on a copy, which takes the place of the data at the end.
        let mut copy = tenant.clone();
        copy.apply(&self.catalog, change)?;
        *tenant = copy;
        self.news.send_replace(());
        Ok(())
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        // One lock for all of them: one snapshot.
        let tenants = self.lock()?;
        let empty = Tenant::default();
        let tenant = tenants.get(&tenant).unwrap_or(&empty);
        reads.iter().map(|read| tenant.answer(&self.catalog, read)).collect()
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        // What there is now, which is not the bounded memory that the contract asks of a real store.
        let found = self.lock().map(|tenants| match tenants.get(&tenant) {
            Some(tenant) => tenant.find(&query, usize::MAX),
            None => Vec::new(),
        });
        match found {
            Ok(records) => stream::iter(records).map(Ok).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        let mut tenants = self.lock()?;
        let Some(tenant) = tenants.get_mut(&tenant) else { return Ok(0) };
        let mut sealed: Vec<LogRow> = tenant.log.iter().filter(|row| row.number.is_some()).cloned().collect();
        sealed.sort_by_key(|row| row.number);
        let (mut open, later): (Vec<LogRow>, Vec<LogRow>) = {
            let mut open: Vec<LogRow> =
                tenant.log.iter().filter(|row| row.number.is_none()).cloned().collect();
            let later = open.split_off(limit.min(open.len()));
            (open, later)
        };
        let last = sealed.last().and_then(|row| row.hash.clone());
        seal(&mut open, sealed.len() as i64, last.as_deref().unwrap_or(GENESIS));
        let count = open.len();
        tenant.log = sealed.into_iter().chain(open).chain(later).collect();
        Ok(count)
    }

    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        let mut tenants = self.lock()?;
        let position = tenants.entry(tenant).or_default().consumers.entry(consumer.to_owned()).or_default();
        *position = number.max(*position);
        Ok(())
    }

    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut tenants = self.lock()?;
        let keys = &mut tenants.entry(tenant).or_default().keys;
        let old: Vec<_> = keys
            .iter()
            .filter(|(_, record)| record.at < before)
            .map(|(key, _)| key.clone())
            .take(limit)
            .collect();
        for key in &old {
            keys.remove(key);
        }
        Ok(old.len())
    }

    async fn wakes(&self, _: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        let news = self.news.subscribe();
        Ok(stream::unfold(news, |mut news| async move { news.changed().await.ok().map(|()| ((), news)) })
            .boxed())
    }

    async fn rest(&self, attempt: u32) {
        // A mutex is never contended for long. A store that others work in too adds jitter.
        tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(5)))).await;
    }
}
