//! Deciding on requests, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::approval::{Approval, ApprovalId, ApprovalStatus};
use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, Expect};
use crate::directory::UserId;
use crate::lifecycle::LifecycleRefusal;
use crate::policy::{Action, Policy};
use crate::store::Query;
use crate::sweep::SweepRefusal;
use crate::value::{Instant, Value};

/// How many requests are marked as expired in one commit.
pub const EXPIRE_BATCH: usize = 500;

/// Why something is not asked for, or a request not decided.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefusal {
    /// Somebody was faster. What is decided stays so.
    #[error("approval {id} is {} already; ask anew for something else", .status.code())]
    AlreadyDecided {
        /// The request.
        id: ApprovalId,
        /// What was decided.
        status: ApprovalStatus,
    },
    /// Nobody decided in time.
    #[error("approval {id} has expired at {at}; ask anew")]
    Expired {
        /// The request.
        id: ApprovalId,
        /// The first instant at which it could no longer be decided on.
        at: Instant,
    },
    /// Whoever asks does not approve.
    #[error(
        "approval {0} is the actor's own request, so another user has to approve it; reject it to withdraw it"
    )]
    OwnRequest(ApprovalId),
    /// What was asked for was erased, with what else was known of a person.
    #[error("what approval {0} asks for was erased, so it cannot be carried out; reject it and ask anew")]
    Erased(ApprovalId),
    /// Bulk work is refused.
    #[error(transparent)]
    Sweep(#[from] SweepRefusal),
    /// The customer does not change its stage.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleRefusal),
}

impl Refusal for ApprovalRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyDecided { .. } => "already_decided",
            Self::Expired { .. } => "expired",
            Self::OwnRequest(_) => "own_request",
            Self::Erased(_) => "request_erased",
            Self::Sweep(refusal) => refusal.code(),
            Self::Lifecycle(refusal) => refusal.code(),
        }
    }
}

pub(super) type Decision<T> = Result<T, Decline<ApprovalRefusal>>;

/// Approves a request and carries it out, in one commit. Another user than who asked does that, who may do what is asked
/// for.
pub struct Approve<'p> {
    /// The request.
    pub id: ApprovalId,
    /// Which version it applies to.
    pub expect: Expect,
    /// Why, at most 500 characters.
    pub note: Option<String>,
    /// Says whether the actor may do what is asked for.
    pub policy: &'p dyn Policy,
}

impl Command for Approve<'_> {
    type Output = Approval;
    type Refusal = ApprovalRefusal;

    fn name(&self) -> &'static str {
        "approvals.approve"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Approve, "approval")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json(), self.note])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = needs(self.id, loaded);
        if let Ok(Some(approval)) = loaded.live::<Approval>(self.id)
            && approval.status == ApprovalStatus::Pending
            && let Ok(Some(request)) = approval.asked()
        {
            needs.extend(request.deed(self.id).needs(loaded));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Approval> {
        let before = pending(self.id, self.expect, loaded, changes)?;
        let decided_by = changes.context().user_id().map(UserId);
        if decided_by == before.requested_by {
            return Err(Decline::Refused(ApprovalRefusal::OwnRequest(self.id)));
        }
        let request = before.asked()?.ok_or(Decline::Refused(ApprovalRefusal::Erased(self.id)))?;
        let deed = request.deed(self.id);
        may(deed.permission(), self.policy, changes)?;
        let sweep_id = deed.decide(loaded, changes)?;
        let after = Approval {
            status: ApprovalStatus::Approved,
            decided_by,
            decision_note: self.note.clone(),
            sweep_id,
            ..before.clone()
        };
        settle(&before, after, json!({ "sweep_id": sweep_id }), changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Approval> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Rejects a request; who asked withdraws it so.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The request.
    pub id: ApprovalId,
    /// Which version it applies to.
    pub expect: Expect,
    /// Why, at most 500 characters.
    pub note: Option<String>,
    /// Whether the actor may decide on other users' requests: has [`Action::Approve`] on approvals.
    pub may_decide: bool,
}

impl Command for Reject {
    type Output = Approval;
    type Refusal = ApprovalRefusal;

    fn name(&self) -> &'static str {
        "approvals.reject"
    }

    fn permission(&self) -> (Action, &'static str) {
        (if self.may_decide { Action::Approve } else { Action::Write }, "approval")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json(), self.note])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        needs(self.id, loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Approval> {
        let before = pending(self.id, self.expect, loaded, changes)?;
        let decided_by = changes.context().user_id().map(UserId);
        let withdrawn = decided_by.is_some() && decided_by == before.requested_by;
        if !withdrawn && !self.may_decide {
            return Err(Decline::Forbidden { action: Action::Approve.code(), entity: "approval" });
        }
        let after = Approval {
            status: ApprovalStatus::Rejected,
            decided_by,
            decision_note: self.note.clone(),
            ..before.clone()
        };
        settle(&before, after, json!({ "withdrawn": withdrawn }), changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Approval> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Marks requests that nobody has decided on in time, at most [`EXPIRE_BATCH`]; gives how many.
#[derive(Clone, Copy, Debug)]
pub struct ExpireApprovals {
    /// Those whose time is over at this instant.
    pub at: Instant,
}

impl Command for ExpireApprovals {
    type Output = usize;
    type Refusal = ApprovalRefusal;

    fn name(&self) -> &'static str {
        "approvals.expire"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "approval")
    }

    fn input(&self) -> Json {
        json!([])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let def = Approval::def();
        let pending = Value::Text(ApprovalStatus::Pending.code().to_owned());
        let due =
            Path::own(def, "expires_at").zip(Filter::eq(def, "status", pending)).map(|(expiry, pending)| {
                pending
                    .and(Filter::leaf(expiry, Test::Le(Value::Instant(self.at))))
                    .and(Filter::undeleted(def))
            });
        let find = |due| Need::Find("due".to_owned(), Box::new(Query::new(def, due, EXPIRE_BATCH)));
        due.map(find).into_iter().collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<usize> {
        let due = loaded.all::<Approval>("due")?;
        for before in &due {
            let after = Approval {
                status: ApprovalStatus::Expired,
                decided_at: Some(before.expires_at),
                ..before.clone()
            };
            settle(before, after, json!({}), changes)?;
        }
        Ok(due.len())
    }

    fn recall(&self, _: &Loaded, written: &[(String, Uuid, i64)]) -> Option<usize> {
        Some(written.len())
    }
}

/// Declines what the actor may not do.
pub(super) fn may(
    (action, entity): (Action, &'static str),
    policy: &dyn Policy,
    changes: &Changes<'_>,
) -> Decision<()> {
    if policy.allows(changes.context(), action, entity) {
        return Ok(());
    }
    Err(Decline::Forbidden { action: action.code(), entity })
}

/// A request and the customer that it is hidden with.
fn needs(id: ApprovalId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(Approval::def(), vec![id.0])];
    if let Ok(Some(Approval { customer_id: Some(customer), .. })) = loaded.live::<Approval>(id) {
        needs.push(Need::Records(Customer::def(), vec![customer.0]));
    }
    needs
}

/// The request, if it can be decided on now.
fn pending(id: ApprovalId, expect: Expect, loaded: &Loaded, changes: &Changes<'_>) -> Decision<Approval> {
    let missing = || Decline::NotFound("approval", id.0);
    let approval: Approval = loaded.live(id)?.ok_or_else(missing)?;
    if let Some(customer) = approval.customer_id {
        loaded.live::<Customer>(customer)?.ok_or_else(missing)?;
    }
    match approval.status_at(changes.now()) {
        ApprovalStatus::Pending => {}
        ApprovalStatus::Expired => {
            let at = approval.expires_at;
            return Err(Decline::Refused(ApprovalRefusal::Expired { id, at }));
        }
        status @ (ApprovalStatus::Approved | ApprovalStatus::Rejected) => {
            return Err(Decline::Refused(ApprovalRefusal::AlreadyDecided { id, status }));
        }
    }
    expect.check("approval", id.0, approval.meta.version)?;
    Ok(approval)
}

/// Ends a request; what it asked for is forgotten.
fn settle(
    before: &Approval,
    after: Approval,
    mut data: Json,
    changes: &mut Changes<'_>,
) -> Decision<Approval> {
    let decided_at = after.decided_at.or(Some(changes.now()));
    // The input may name a person; the log must not keep what the record forgets.
    changes.erase_log(&before.to_record());
    let after = changes.update(before, &Approval { request: None, decided_at, ..after })?;
    data["approval_id"] = json!(after.id);
    data["command"] = json!(after.command);
    changes.event(&format!("approval.{}", after.status.code()), data);
    Ok(after)
}
