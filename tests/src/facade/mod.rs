//! What an embedding service sees, over a `Crm`.

/// One test for each property of the facade.
#[macro_export]
macro_rules! facade_properties {
    ($harness:expr) => {};
}
