//! The in-memory store of [`crm_core`]: as strict as the databases, and the oracle that they are tested against.
//!
//! [`MemoryStore`] keeps the contract of [`crm_core::store`] to the letter: versions, guards, unique rules by name,
//! links that must lead somewhere, the order of the log, idempotency keys. Beyond what the contract names it refuses
//! what a database's columns would refuse: a value of another type, a missing required value, a broken
//! [`Check`](crm_core::catalog::Check), U+0000 in text, an instant finer than a millisecond, an empty text, list or
//! map in the place of null. Nothing is kept when the process ends.
//!
//! # How it works
//!
//! Each tenant has one lock. A commit checks everything that it can check without writing, then writes with an undo
//! log, and takes it all back when a unique rule, a link or a condition of absence does not hold. There is no copy of
//! the state.
//!
//! Records lie in an ordered map by id. Every [`IndexDef`](crm_core::catalog::IndexDef), unique rule and link of the
//! catalog is an ordered index besides, whose entries are bytes that sort as the values do. A find counts how many
//! records the useful indexes hold for its conditions, up to a bound, and takes the smallest, or walks the index that
//! has the requested order. The filter is asked of every candidate, so an index decides how long an answer takes and
//! never what it is.
//!
//! Calls do not await while they hold a lock, and do their work on the calling thread: a group over a million records
//! keeps it busy for some hundred milliseconds.

mod commit;
mod constraint;
mod dump;
mod find;
mod group;
mod hierarchy;
mod index;
mod key;
mod keys;
mod log;
#[cfg(test)]
mod model;
mod plan;
mod schema;
mod shape;
mod store;
mod table;
mod tenant;
#[cfg(test)]
mod testing;
mod timeline;

pub use store::MemoryStore;
