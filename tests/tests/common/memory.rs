use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_store_memory::MemoryStore;

use super::Made;

/// Stores in memory; a clone is a second handle.
#[derive(Default)]
pub(crate) struct MemoryHarness(Made<MemoryStore>);

#[async_trait]
impl Harness for MemoryHarness {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        let store = MemoryStore::new(catalog);
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        self.0.remember(&shared, store);
        shared
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        let second: Arc<dyn Store> = Arc::new(self.0.address(store));
        self.0.remember(&second, self.0.address(store));
        second
    }
}
