use std::sync::Arc;

use async_trait::async_trait;
use crm_conformance::Harness;
use crm_conformance::guide::SmallStore;
use crm_core::catalog::Catalog;
use crm_core::store::Store;

/// Stores of the guide; a clone is a second handle.
pub(crate) struct SmallHarness;

#[async_trait]
impl Harness for SmallHarness {
    fn name(&self) -> &'static str {
        "small"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        Arc::new(SmallStore::new(catalog))
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::clone(store)
    }
}
