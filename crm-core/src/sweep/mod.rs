//! Bulk work on any number of records, in pieces that are each one commit (DESIGN.md 2).
//!
//! A sweep is a record of its own: which entity, which criteria, what to do, how far it has come. Each piece changes
//! its records and moves the sweep on in the same change set, so that a killed process resumes where it was and two
//! processes at once never do a piece twice.

mod piece;
mod service;

pub use piece::{PIECE, SweepPiece, SweepRefusal, masked};
pub(crate) use service::PlanSweep;
pub use service::Sweeps;

use uuid::Uuid;

use crate::catalog::Entity;
use crate::record::Meta;
use crate::record_id;
use crate::value::Instant;

record_id! {
    /// The id of a [`Sweep`].
    SweepId
}

crate::codes! {
    /// What a sweep does to each record.
    pub enum SweepAction {
        /// Marks it as deleted.
        #[default]
        Delete = "delete",
        /// Replaces its personal fields by the catalog's masks and destroys what its log rows hold of values.
        Mask = "mask",
        /// Removes it for good, with what its log rows hold of values. A record that others refer to is refused. Of
        /// lifecycles and scores only those of deleted customers are removed. What was computed from a record stays: a
        /// customer's revenue keeps what purged invoices added.
        Purge = "purge",
    }
}

/// A piece of bulk work and how far it has come.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(name = "sweep", table = "sweeps", index(name = "sweeps_by_state", fields("is_done", "created_at")))]
pub struct Sweep {
    /// The id.
    pub id: SweepId,
    /// Version and instants.
    pub meta: Meta,
    /// Why, 1 to 200 characters.
    #[field(line(200), keep, frozen)]
    pub reason: String,
    /// The entity whose records are changed.
    #[field(line(48), keep, frozen)]
    pub entity: String,
    /// Which of them, in the JSON form of criteria. Holds no personal data once the sweep is done.
    #[field(json, mask)]
    pub criteria: Option<serde_json::Value>,
    /// The instant that the criteria's relative dates refer to.
    #[field(frozen)]
    pub as_of: Instant,
    /// What is done to each.
    #[field(frozen)]
    pub action: SweepAction,
    /// The last record that was looked at.
    pub reached: Option<Uuid>,
    /// How many records were changed.
    pub changed: i64,
    /// Whether all is done.
    pub is_done: bool,
}
