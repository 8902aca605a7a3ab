//! Approvals: one record for whatever somebody else has to decide on (SPEC XT-08).
//!
//! A request waits until somebody else decides or its time is over. What is approved is carried out in the commit that
//! says so, once: the command that was asked for decides within [`Approve`], and when it declines nothing happens and
//! the request goes on waiting.

mod ask;
mod bulk;
mod commands;
mod entity;
mod request;
mod service;

pub use ask::{LONGEST_WAIT_DAYS, RequestApproval, USUAL_WAIT_DAYS};
pub use bulk::{BulkDeletion, DeleteMatching, MOST_AT_ONCE};
pub use commands::{ApprovalRefusal, Approve, EXPIRE_BATCH, ExpireApprovals, Reject};
pub use entity::{Approval, ApprovalId, ApprovalStatus};
pub use request::ApprovalRequest;
pub use service::Approvals;
