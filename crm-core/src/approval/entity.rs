//! The approval record.

use serde_json::Value as Json;

use crate::approval::ApprovalRequest;
use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::record::{FieldError, Meta, Unreadable, Validate};
use crate::record_id;
use crate::sweep::SweepId;
use crate::value::Instant;

const MOST_BYTES: usize = 100_000;

record_id! {
    /// The id of an [`Approval`].
    ApprovalId
}

crate::codes! {
    /// Where a request stands. Only a pending one ever changes its status.
    pub enum ApprovalStatus {
        /// Nobody has decided yet.
        #[default]
        Pending = "pending",
        /// It was carried out.
        Approved = "approved",
        /// It was refused, or withdrawn by who asked.
        Rejected = "rejected",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

/// A request that somebody else has to decide on (SPEC XT-08).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "approval",
    table = "approvals",
    root = "customer_id",
    validate,
    index(name = "approvals_by_status", fields("status", "expires_at")),
    index(name = "approvals_by_customer", fields("customer_id"))
)]
pub struct Approval {
    /// The id.
    pub id: ApprovalId,
    /// Version and instants.
    pub meta: Meta,
    /// The command that is asked for: `sweeps.delete`.
    #[field(line(64), keep, frozen)]
    pub command: String,
    /// The entity of the records that it changes.
    #[field(line(48), keep, frozen)]
    pub entity: String,
    /// The customer it is about, if it is about one: the request is hidden with it.
    #[field(link = "customer", frozen)]
    pub customer_id: Option<CustomerId>,
    /// The command's input, at most 100,000 bytes: see [`asked`](Self::asked). Forgotten, also by the log, as soon as the
    /// request is no longer pending.
    #[field(json, mask)]
    pub request: Option<Json>,
    /// Why it is asked for, at most 500 characters.
    #[field(line(500), mask)]
    pub reason: Option<String>,
    /// Where it stands in the store: see [`status_at`](Self::status_at).
    pub status: ApprovalStatus,
    /// The user who asked; none when no user did, and then a user has to approve.
    #[field(frozen)]
    pub requested_by: Option<UserId>,
    /// The first instant at which it can no longer be decided on.
    #[field(frozen)]
    pub expires_at: Instant,
    /// The user who decided; none when no user did.
    pub decided_by: Option<UserId>,
    /// When it was decided, or expired.
    pub decided_at: Option<Instant>,
    /// Why so, at most 500 characters.
    #[field(line(500), mask)]
    pub decision_note: Option<String>,
    /// The bulk work that an approved request has planned: [`Sweeps::run`](crate::sweep::Sweeps::run) does it.
    #[field(link = "sweep")]
    pub sweep_id: Option<SweepId>,
}

impl Approval {
    /// Where the request stands at an instant: one that nobody decided on in time is expired, marked as such or not.
    pub fn status_at(&self, now: Instant) -> ApprovalStatus {
        match self.status {
            ApprovalStatus::Pending if now >= self.expires_at => ApprovalStatus::Expired,
            status => status,
        }
    }

    /// What is asked for; `None` once that is decided or erased.
    ///
    /// # Errors
    /// [`Unreadable`] when the command is not one of this version.
    pub fn asked(&self) -> Result<Option<ApprovalRequest>, Unreadable> {
        self.request.as_ref().map(|input| ApprovalRequest::from_parts(&self.command, input)).transpose()
    }
}

impl Validate for Approval {
    fn check(&self) -> Vec<FieldError> {
        match self.request.as_ref().map_or(0, |request| request.to_string().len()) {
            0..=MOST_BYTES => Vec::new(),
            bytes => {
                let why = format!(
                    "has {bytes} bytes; accepted are at most {MOST_BYTES}, choose by fewer conditions"
                );
                vec![FieldError::new("request", why)]
            }
        }
    }
}
