//! What every store of crm-core must keep, as properties over a store.
//!
//! An adapter's test names a [`Harness`] and calls the macro; each property becomes one test:
//!
//! ```text
//! crm_conformance::conformance!(MyHarness::new());
//! ```
//!
//! - [`contract`] holds what the trait [`Store`] promises, stated over change sets and reads;
//! - [`broken`] holds stores that break one promise each, and shows that it is noticed;
//! - [`guide`] shows how to write an adapter;
//! - [`facade`] holds what an embedding service sees, stated over a [`Crm`](crm_core::Crm).
//!
//! The environment variable `CRM_FULL=1` runs everything at full size.

pub mod broken;
pub mod contract;
pub mod facade;
pub mod guide;

use std::sync::Arc;

use async_trait::async_trait;
use crm_core::catalog::Catalog;
use crm_core::store::Store;

/// Makes empty stores of one kind.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The kind, for messages: `memory`, `postgres`.
    fn name(&self) -> &'static str;

    /// A new, empty store for the catalog, that shares nothing with any other. A missing server is a panic that says
    /// how to start one.
    async fn store(&self, catalog: Catalog) -> Arc<dyn Store>;

    /// A second handle to the same data as a store of this harness, as another process would have it: its own pool
    /// or client.
    async fn second_handle(&self, store: &Arc<dyn Store>) -> Arc<dyn Store>;
}

/// Whether everything runs at full size: `CRM_FULL=1`.
pub fn is_full() -> bool {
    std::env::var("CRM_FULL").is_ok_and(|value| value == "1")
}

/// `small` in CI, `full` with `CRM_FULL=1`.
pub fn size(small: usize, full: usize) -> usize {
    if is_full() { full } else { small }
}

/// Runs the whole suite against the stores of a harness: one `#[tokio::test]` for each property.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::contract_properties!($harness);
        $crate::facade_properties!($harness);
    };
}
