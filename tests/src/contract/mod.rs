//! What a store promises, over change sets and reads.

/// One test for each property of the contract.
#[macro_export]
macro_rules! contract_properties {
    ($harness:expr) => {};
}
