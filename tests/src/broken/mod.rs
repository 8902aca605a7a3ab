//! Stores that break one promise each, to show that the suite notices.
//!
//! Each wraps the memory store and does one thing wrong that adapters have done before: it alters the change sets on
//! their way in or the answers on their way out. The tests of this package run the property that is meant to catch it
//! and expect it to fail; on the unbroken store it passes.

mod fault;
mod harness;
mod store;

pub use fault::Fault;
pub use harness::{BrokenHarness, fails};
