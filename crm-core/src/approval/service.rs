//! `crm.approvals()`.

use serde_json::json;

use crate::approval::{
    Approval, ApprovalId, ApprovalRefusal, ApprovalRequest, Approve, EXPIRE_BATCH, ExpireApprovals, Reject,
    RequestApproval,
};
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::Expect;
use crate::policy::Action;
use crate::query::{Find, Page};
use crate::value::{Instant, truncate};

/// Approvals: ask, approve, reject, expire, read, find.
#[derive(Clone, Copy)]
pub struct Approvals<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<ApprovalRefusal>>;

impl<'a> Approvals<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Asks for something that another user has to approve within 14 days. What would be refused if it were approved now
    /// is refused.
    pub async fn request(&self, ctx: &Context, request: ApprovalRequest) -> Outcome<Approval> {
        self.ask(ctx, request, None).await
    }

    /// As [`request`](Self::request), to be decided on before an instant, at most 365 days from now.
    pub async fn request_until(
        &self,
        ctx: &Context,
        request: ApprovalRequest,
        expires_at: Instant,
    ) -> Outcome<Approval> {
        self.ask(ctx, request, Some(expires_at)).await
    }

    /// Approves a request and carries it out, in one commit, once. When the command that was asked for declines, this
    /// declines with its refusal, and the request goes on waiting.
    ///
    /// The actor needs [`Action::Approve`] on approvals and what the command itself needs, and is not who asked. Bulk
    /// work is only planned by it: [`Sweeps::run`](crate::sweep::Sweeps::run) with [`Approval::sweep_id`] does it.
    pub async fn approve(
        &self,
        ctx: &Context,
        id: ApprovalId,
        expect: Expect,
        note: Option<&str>,
    ) -> Outcome<Approval> {
        let note = note.map(str::to_owned);
        self.crm.run(ctx, &Approve { id, expect, note, policy: self.crm.policy() }).await
    }

    /// Rejects a request. The user who asked may do that, to withdraw it, and whoever has [`Action::Approve`] on approvals.
    pub async fn reject(
        &self,
        ctx: &Context,
        id: ApprovalId,
        expect: Expect,
        note: Option<&str>,
    ) -> Outcome<Approval> {
        let may_decide = self.crm.allow(ctx, Action::Approve, "approval").is_ok();
        self.crm.run(ctx, &Reject { id, expect, note: note.map(str::to_owned), may_decide }).await
    }

    /// Marks the requests that nobody has decided on in time and says how many; call it now and then. It only tells what
    /// is so already: an expired request can be decided on as little before as after.
    pub async fn expire(&self, ctx: &Context) -> Result<usize, Error<ApprovalRefusal>> {
        // Each batch is idempotent by itself: a key of the request would name only one of them.
        let ctx = Context { key: None, ..ctx.clone() };
        let mut expired = 0;
        loop {
            let at = truncate(self.crm.env().now());
            let some = self.crm.run(&ctx, &ExpireApprovals { at }).await?.value;
            expired += some;
            if some < EXPIRE_BATCH {
                return Ok(expired);
            }
        }
    }

    /// The request as it is stored: [`Approval::status_at`] says where it stands.
    pub async fn get(&self, ctx: &Context, id: ApprovalId) -> Result<Approval, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the requests that meet criteria, as they are stored.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Approval>, Error> {
        self.crm.find(ctx, find).await
    }

    /// A page of the requests that can be decided on now, those that expire first before the others; `limit` is 1 to
    /// 9,999, `after` what the page before returned as next.
    pub async fn pending(
        &self,
        ctx: &Context,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<Approval>, Error> {
        let pending = json!({ "all": [
            { "field": "status", "operator": "eq", "value": "pending" },
            { "field": "expires_at", "operator": "gt", "value": "now" },
        ] });
        let find = Find::matching(pending).ascending("expires_at").limit(limit);
        self.crm.find(ctx, &Find { cursor: after.map(str::to_owned), ..find }).await
    }

    async fn ask(
        &self,
        ctx: &Context,
        request: ApprovalRequest,
        expires_at: Option<Instant>,
    ) -> Outcome<Approval> {
        self.crm.run(ctx, &RequestApproval { request, expires_at, policy: self.crm.policy() }).await
    }
}
