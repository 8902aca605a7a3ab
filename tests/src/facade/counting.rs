//! A store that counts how often it is read, and on which records can stay contended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::store::{Answer, ChangeSet, CommitError, Layer, Read, Store, StoreError};
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
impl Layer for Counting {
    fn within(&self) -> &dyn Store {
        &*self.store
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
}
