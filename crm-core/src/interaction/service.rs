//! `crm.interactions()`.

use serde_json::{Value as Json, json};

use crate::approval::BulkDeletion;
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::Expect;
use crate::interaction::{
    Interaction, InteractionId, InteractionRefusal, LogInteractions, ReplyStatus, UpdateInteraction,
};
use crate::query::{Find, Page};

/// Interactions: log, read, change, delete, find.
#[derive(Clone, Copy)]
pub struct Interactions<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<InteractionRefusal>>;

impl<'a> Interactions<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Logs an interaction. With an external id that is known for its source, the stored one is returned and nothing
    /// changes.
    pub async fn log(&self, ctx: &Context, interaction: Interaction) -> Outcome<Interaction> {
        Ok(self.log_batch(ctx, vec![interaction]).await?.map(|mut list| list.remove(0)))
    }

    /// Logs many interactions, all or none; at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub async fn log_batch(
        &self,
        ctx: &Context,
        interactions: Vec<Interaction>,
    ) -> Outcome<Vec<Interaction>> {
        self.crm.run(ctx, &LogInteractions { interactions }).await
    }

    /// Changes an interaction by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: InteractionId,
        expect: Expect,
        change: impl Fn(&mut Interaction) + Send + Sync,
    ) -> Outcome<Interaction> {
        self.crm.run(ctx, &UpdateInteraction { id, expect, delete: false, change: &change }).await
    }

    /// Says that a message was answered.
    pub async fn mark_replied(&self, ctx: &Context, id: InteractionId) -> Outcome<Interaction> {
        self.update(ctx, id, Expect::Any, |interaction| interaction.reply_status = ReplyStatus::Replied).await
    }

    /// Deletes an interaction.
    pub async fn delete(&self, ctx: &Context, id: InteractionId, expect: Expect) -> Outcome<Interaction> {
        self.crm.run(ctx, &UpdateInteraction { id, expect, delete: true, change: &|_| {} }).await
    }

    /// Deletes the interactions that meet criteria and that the actor may see, all in one commit, if they are at most
    /// 100. For more it asks for an approval, and none is deleted before that (SPEC IT-01): what is approved is
    /// [`ApprovalRequest::BulkDelete`](crate::approval::ApprovalRequest::BulkDelete), which is wider.
    pub async fn delete_matching(
        &self,
        ctx: &Context,
        criteria: Json,
        reason: &str,
    ) -> Outcome<BulkDeletion> {
        let one = |id| UpdateInteraction { id, expect: Expect::Any, delete: true, change: &|_| {} };
        let name = "interactions.delete_matching";
        self.crm.delete_matching::<Interaction, _>(ctx, name, criteria, reason, one).await
    }

    /// The interaction, if the actor may see it.
    pub async fn get(&self, ctx: &Context, id: InteractionId) -> Result<Interaction, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the interactions that meet criteria and that the actor may see.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Interaction>, Error> {
        self.crm.find(ctx, find).await
    }

    /// The messages that wait for an answer, longest waiting first.
    pub async fn awaiting_reply(&self, ctx: &Context, limit: usize) -> Result<Vec<Interaction>, Error> {
        let waiting = json!({ "field": "reply_status", "operator": "eq", "value": "awaiting" });
        Ok(self.crm.find(ctx, &Find::matching(waiting).ascending("occurred_at").limit(limit)).await?.items)
    }
}
