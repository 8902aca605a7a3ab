//! The contract between the core, which decides, and a store, which keeps.
//!
//! A store knows records, not rules. It offers one way to write, [`Store::commit`], and one way to read,
//! [`Store::read`]; everything else in this module is the data those two exchange. The conformance suite (the
//! package `crm-conformance`) states what each sentence below means as a property that any store can be run
//! against.
//!
//! # What a store promises
//!
//! - **Tenant.** Nothing read or written under one tenant is seen or changed under another.
//! - **Commit.** A [`ChangeSet`] is applied whole or not at all, and seen whole or not at all by a
//!   [`read`](Store::read), whose answers all come from one snapshot. It is applied at most once, however often it is handed in: its
//!   [`commit_id`](ChangeSet::commit_id) is remembered with the log.
//! - **Versions and guards.** An update or deletion applies to the version it names; a guarded record is, at the
//!   moment of commit, as the guard says. Otherwise [`CommitError::Conflict`]: of two change sets that contradict
//!   each other in this way, at most one is applied (no lost update, no write skew).
//! - **Unique rules and links** hold for what is stored, by name, in the order of [`ChangeSet::writes`].
//! - **Order of the log.** [`Store::seal_log`] gives committed rows their place: one order for all readers, by
//!   version within a record, in which nothing is ever inserted before what has been read.
//! - **No deadlock and no transient failure reaches the caller** as anything but [`CommitError::Contended`].
//!
//! # What a store does not do
//!
//! It makes no ids, reads no clock for data, validates no input, and decides nothing: if a rule can be stated
//! about an entity, it belongs in the core.

mod change;
mod error;
mod layer;
mod question;
mod read;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use change::{
    ChangeSet, Guard, KeyClaim, MAX_WRITES, NoneRefer, TimelineKey, TimelineRow, TokenRow, Write, WriteError,
};
pub use error::{CommitError, StoreError};
pub use layer::Layer;
pub use read::{
    Answer, Direction, Group, GroupQuery, KeyRecord, MAX_LIMIT, Measure, Order, Query, Read, TimelineAnchor,
    TimelineFilter, TimelinePosition, TimelineQuery, Viewer,
};

use crate::catalog::Catalog;
use crate::id::TenantId;
use crate::record::Record;
use crate::value::Instant;

/// Keeps records. See the [module](self) for what it promises.
///
/// All methods are required: a default would be a weaker guarantee that nobody sees.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The entities this store keeps.
    fn catalog(&self) -> &Catalog;

    /// Applies the change set, whole or not at all.
    ///
    /// A change set whose commit id is already in the log is not applied again, and that is a success.
    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError>;

    /// Answers several reads from one snapshot, in their order, one answer each.
    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError>;

    /// Streams the records of a query in its order, in bounded memory, ignoring its limit. A record that is
    /// there, unchanged, throughout appears exactly once.
    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>>;

    /// Gives up to `limit` committed, unsealed log rows their place in the tenant's log: consecutive numbers
    /// from 1 and the hash that chains each row to the one before ([`crate::log::seal`] computes both). Safe
    /// from many processes at once. Returns how many were sealed.
    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError>;

    /// Remembers that the named consumer has done its work up to and including this number. Never moves back.
    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError>;

    /// Forgets up to `limit` idempotency keys that were claimed before this instant. Returns how many.
    async fn expire_keys(&self, tenant: TenantId, before: Instant, limit: usize)
    -> Result<usize, StoreError>;

    /// A stream that yields when something may have been committed for the tenant: a wake-up, not the news
    /// itself. Several commits may share one item. Dropping it frees what it holds.
    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError>;

    /// Waits a little before attempt number `attempt` (from 1) at something that was contended: longer each
    /// time, with jitter.
    async fn rest(&self, attempt: u32);
}
