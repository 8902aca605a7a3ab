//! A store in front of another.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Answer, ChangeSet, CommitError, Query, Read, Store, StoreError};
use crate::catalog::Catalog;
use crate::id::TenantId;
use crate::record::Record;
use crate::value::Instant;

/// Hands every call on to another store, but for those that it says something about: metrics, a read-only switch, a
/// fault for a test. Whatever is a `Layer` is a [`Store`] that promises as much as the one within.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use async_trait::async_trait;
/// use crm_core::TenantId;
/// use crm_core::store::{Answer, Layer, Read, Store, StoreError};
///
/// struct Metered<S> {
///     store: S,
///     reads: AtomicU64,
/// }
///
/// #[async_trait]
/// impl<S: Store> Layer for Metered<S> {
///     fn within(&self) -> &dyn Store {
///         &self.store
///     }
///
///     async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
///         self.reads.fetch_add(1, Ordering::Relaxed);
///         self.store.read(tenant, reads).await
///     }
/// }
///
/// fn is_a_store(_: impl Store) {}
/// # fn metered(store: impl Store) {
/// is_a_store(Metered { store, reads: AtomicU64::new(0) });
/// # }
/// ```
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// The store that calls are handed on to.
    fn within(&self) -> &dyn Store;

    /// See [`Store::commit`].
    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        self.within().commit(change).await
    }

    /// See [`Store::read`].
    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        self.within().read(tenant, reads).await
    }

    /// See [`Store::scan`].
    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        self.within().scan(tenant, query)
    }

    /// See [`Store::seal_log`].
    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        self.within().seal_log(tenant, limit).await
    }

    /// See [`Store::acknowledge`].
    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        self.within().acknowledge(tenant, consumer, number).await
    }

    /// See [`Store::expire_keys`].
    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.within().expire_keys(tenant, before, limit).await
    }

    /// See [`Store::wakes`].
    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        self.within().wakes(tenant).await
    }

    /// See [`Store::rest`].
    async fn rest(&self, attempt: u32) {
        self.within().rest(attempt).await;
    }
}

#[async_trait]
impl<L: Layer> Store for L {
    fn catalog(&self) -> &Catalog {
        self.within().catalog()
    }

    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        Layer::commit(self, change).await
    }

    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        Layer::read(self, tenant, reads).await
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        Layer::scan(self, tenant, query)
    }

    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        Layer::seal_log(self, tenant, limit).await
    }

    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        Layer::acknowledge(self, tenant, consumer, number).await
    }

    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        Layer::expire_keys(self, tenant, before, limit).await
    }

    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        Layer::wakes(self, tenant).await
    }

    async fn rest(&self, attempt: u32) {
        Layer::rest(self, attempt).await;
    }
}
