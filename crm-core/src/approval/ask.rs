//! Asking, as a pure decision.

use chrono::Duration;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::approval::commands::{Decision, may};
use crate::approval::{Approval, ApprovalId, ApprovalRefusal, ApprovalRequest, ApprovalStatus};
use crate::catalog::Entity;
use crate::command::{Changes, Command, Loaded, Need};
use crate::directory::UserId;
use crate::policy::{Action, Policy};
use crate::record::{FieldError, Meta};
use crate::value::{Instant, truncate};

/// After how many days a request expires unless its asker says otherwise.
pub const USUAL_WAIT_DAYS: i64 = 14;

/// After how many days a request expires at the latest.
pub const LONGEST_WAIT_DAYS: i64 = 365;

/// Asks for something that somebody else has to approve. What would be refused if it were approved now is refused.
pub struct RequestApproval<'p> {
    /// What.
    pub request: ApprovalRequest,
    /// The first instant at which it can no longer be decided on, at most [`LONGEST_WAIT_DAYS`] from now;
    /// [`USUAL_WAIT_DAYS`] from now unless given.
    pub expires_at: Option<Instant>,
    /// Says whether the actor may ask for this.
    pub policy: &'p dyn Policy,
}

impl Command for RequestApproval<'_> {
    type Output = Approval;
    type Refusal = ApprovalRefusal;

    fn name(&self) -> &'static str {
        "approvals.request"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "approval")
    }

    fn input(&self) -> Json {
        json!([self.request, self.expires_at])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        self.request.deed(ApprovalId(Uuid::nil())).needs(loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Approval> {
        may(self.request.asking(changes.catalog())?, self.policy, changes)?;
        let approval = draft(&self.request, self.expires_at, changes)?;
        self.request.deed(approval.id).decide(loaded, &mut changes.rehearsal())?;
        Ok(insert(&approval, changes)?)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Approval> {
        written.iter().find_map(|(_, id, _)| loaded.get(ApprovalId(*id)).ok().flatten())
    }
}

/// A request that is not stored yet.
pub(super) fn draft(
    request: &ApprovalRequest,
    expires_at: Option<Instant>,
    changes: &Changes<'_>,
) -> Result<Approval, Vec<FieldError>> {
    let now = changes.now();
    let expires_at = truncate(expires_at.unwrap_or(now + Duration::days(USUAL_WAIT_DAYS)));
    let latest = now + Duration::days(LONGEST_WAIT_DAYS);
    if expires_at <= now || expires_at > latest {
        let why = format!("is {expires_at}; accepted is what comes after {now}, up to {latest}");
        return Err(vec![FieldError::new("expires_at", why)]);
    }
    let summary = request.summary();
    if summary.needs_reason && summary.reason.trim().is_empty() {
        return Err(vec![FieldError::new("reason", "is missing; say why this is asked for")]);
    }
    let (command, input) = request.to_parts();
    let draft = Approval {
        id: changes.new_id(),
        meta: Meta::default(),
        command,
        entity: summary.entity.to_owned(),
        customer_id: summary.customer,
        request: input,
        reason: Some(summary.reason.to_owned()),
        status: ApprovalStatus::Pending,
        requested_by: changes.context().user_id().map(UserId),
        expires_at,
        decided_by: None,
        decided_at: None,
        decision_note: None,
        sweep_id: None,
    };
    let errors = draft.to_record().clean();
    if errors.is_empty() { Ok(draft) } else { Err(errors) }
}

/// Stores a request.
pub(super) fn insert(draft: &Approval, changes: &mut Changes<'_>) -> Result<Approval, Vec<FieldError>> {
    let approval = changes.insert(draft)?;
    changes.event(
        "approval.requested",
        json!({
            "approval_id": approval.id, "command": approval.command, "entity": approval.entity,
            "customer_id": approval.customer_id, "expires_at": approval.expires_at,
        }),
    );
    Ok(approval)
}
