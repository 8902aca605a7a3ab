//! The conformance suite over the memory store.

mod common;

crm_conformance::conformance!(common::memory::MemoryHarness::default());
