//! The facade's properties over the memory store.

use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use crm_store_memory::MemoryStore;

struct Memory;

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(catalog))
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        store.clone()
    }
}

crm_conformance::facade_properties!(Memory);
