//! How to write an adapter: a store of your own for crm-core.
//!
//! A store knows records, not rules. It implements one trait, [`Store`](crm_core::store::Store), whose page says what
//! is promised; this page shows a complete one. [`SmallStore`] keeps everything in maps behind one mutex. It has no
//! indexes and copies a tenant's data for each commit, so it is of no use beyond a few thousand records, but it keeps
//! the whole contract: it passes every property of this suite, and it is what the memory store is compared with.
//!
//! # In this order
//!
//! 1. **A place for the catalog.** A store is made with a [`Catalog`](crm_core::catalog::Catalog) and treats every
//!    entity alike: what it needs to know of fields, unique rules, links and indexes is in the
//!    [`EntityDef`](crm_core::catalog::EntityDef). Nothing in an adapter names an entity, with one exception: timeline
//!    rows are hidden while the customer in their [`root`](crm_core::store::TimelineRow::root) is deleted.
//! 2. **Records.** [`Read::Get`](crm_core::store::Read::Get) and inserts by [`commit`](crm_core::store::Store::commit).
//!    Run `xt_06_generated_records_come_back_exactly` early: it finds every type that does not survive the way to the
//!    server and back.
//! 3. **The commit.** All in one transaction, in this order: a commit id that is in the log already is a success;
//!    claim the key; lock what is written and guarded, in one order for all (by entity and id), and compare
//!    versions; write; check links; check the conditions of absence after all writes; add log rows, timeline rows and
//!    tokens. Errors of the server that trying again may cure become
//!    [`CommitError::Contended`](crm_core::store::CommitError::Contended). A check before the transaction, however
//!    short the time between, is no guard: the properties in [`races`](crate::contract::races) find that.
//! 4. **The log.** Rows are committed without a number. Whoever reads gives numbers to what is committed, one after
//!    another, under a lock of the tenant's log head, with [`seal`](crm_core::log::seal). A number that is taken when
//!    the row is written, a sequence or a clock, will skip rows of transactions that commit late.
//! 5. **Finds.** [`Matcher::holds`](crm_core::criteria::Matcher::holds) is the definition. An engine that cannot express
//!    a leaf exactly may fetch too much and let the core decide; it may never fetch too little.
//! 6. **The rest**: groups, hierarchies, the timeline, scans, wake-ups.
//!
//! # Running the suite
//!
//! Make a [`Harness`](crate::Harness) that gives empty stores, and name it in a test of your crate:
//!
//! ```text
//! crm_conformance::contract_properties!(MyHarness::default());
//! ```
//!
//! That is one `#[tokio::test]` for each property. `CRM_FULL=1` runs them at full size, `CRM_SEED=7` repeats the
//! generated ones with that seed. [`broken`](crate::broken) shows what it looks like when a property fails.
//!
//! # The whole store
//!
//! The data and the trait:
//!
#![doc = concat!("```text\n", include_str!("guide/store.rs"), "\n```")]
//!
//! Applying a change set:
//!
#![doc = concat!("```text\n", include_str!("guide/apply.rs"), "\n```")]
//!
//! Answering questions:
//!
#![doc = concat!("```text\n", include_str!("guide/answer.rs"), "\n```")]

mod answer;
mod apply;
mod store;

pub use store::SmallStore;
