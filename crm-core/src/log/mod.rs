//! The change log: audit trail, event feed and journal in one (SPEC PR-08, XT-02).
//!
//! Each changed record adds one row in the same commit. The row holds ids, codes and commitments (salted hashes)
//! of the values; the values that were replaced, the salts and the request's origin stand beside it in a
//! [`Private`] part that can be destroyed without breaking the chain of hashes.

mod as_of;
mod row;
mod seal;
mod service;

pub use as_of::{AsOf, Change, FieldChange, as_of, changes, value_from_json};
pub use row::{Actor, ActorKind, Body, Event, LogRow, Op, Origin, Private, commitment};
pub(crate) use row::{commitment_to_json, hex};
pub use seal::{ChainBreak, GENESIS, seal, verify};
pub use service::Logs;
