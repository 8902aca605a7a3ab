//! A store that counts how often it is read, and on which records can stay contended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::record::Record;
use crm_core::store::{Answer, ChangeSet, CommitError, Query, Read, Store, StoreError};
use crm_core::value::Instant;
use futures_util::stream::BoxStream;
use uuid::Uuid;

/// Hands everything else on, and counts the reads.
pub(super) struct Counting {
    store: Arc<dyn Store>,
    reads: Arc<AtomicUsize>,
    contended: BTreeSet<Uuid>,
}

impl Counting {
    /// The store over another one, and the count.
    pub(super) fn over(store: Arc<dyn Store>) -> (Self, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        (Self { store, reads: reads.clone(), contended: BTreeSet::new() }, reads)
    }

    /// The same, but whoever writes one of these records always comes too late.
    pub(super) fn contended(self, records: impl IntoIterator<Item = Uuid>) -> Self {
        Self { contended: records.into_iter().collect(), ..self }
    }
}

#[async_trait]
impl Store for Counting {
    fn catalog(&self) -> &Catalog {
        self.store.catalog()
    }

    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        if change.writes.iter().any(|write| self.contended.contains(&write.record().id())) {
            return Err(CommitError::Contended);
        }
        self.store.commit(change).await
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.store.read(tenant, reads).await
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        self.store.scan(tenant, query)
    }

    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        self.store.seal_log(tenant, limit).await
    }

    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        self.store.acknowledge(tenant, consumer, number).await
    }

    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.store.expire_keys(tenant, before, limit).await
    }

    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        self.store.wakes(tenant).await
    }

    async fn rest(&self, attempt: u32) {
        self.store.rest(attempt).await;
    }
}
