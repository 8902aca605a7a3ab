//! Running a property on a broken store.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use crm_core::catalog::Catalog;
use crm_core::store::Store;
use futures_util::FutureExt;

use super::Fault;
use super::store::BrokenStore;
use crate::Harness;

/// Makes stores with one fault. A second handle is the same store.
#[derive(Clone, Copy, Debug)]
pub struct BrokenHarness(pub Fault);

#[async_trait]
impl Harness for BrokenHarness {
    fn name(&self) -> &'static str {
        "broken"
    }

    async fn store(&self, catalog: Catalog) -> Arc<dyn Store> {
        Arc::new(BrokenStore::new(catalog, self.0))
    }

    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::clone(store)
    }
}

/// Whether a property, run on the store of such a harness, fails. The failure's message goes to standard error, as that
/// of any test.
pub async fn fails(property: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(property).catch_unwind().await.is_err()
}
