//! `crm.lifecycle()`.

use serde_json::json;

use crate::command::{Error, NoRefusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::lifecycle::{
    AddStage, AdvanceStage, AllowTransition, CustomerLifecycle, DeleteStage, ForbidTransition,
    LifecycleHistory, LifecycleRefusal, LifecycleStage, StageId, StageTransition, UpdateStage,
};
use crate::policy::Action;
use crate::query::Find;
use crate::store::MAX_LIMIT;

/// Stages, and the customers in them.
#[derive(Clone, Copy)]
pub struct Lifecycles<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<NoRefusal>>;

impl<'a> Lifecycles<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// The stages by their order. A tenant has none before its first customer, which brings the seven default ones
    /// with their transitions, unless it had others before.
    pub async fn stages(&self, ctx: &Context) -> Result<Vec<LifecycleStage>, Error> {
        let find = Find::all().ascending("display_order").limit(MAX_LIMIT - 1);
        Ok(self.crm.find(ctx, &find).await?.items)
    }

    /// The transitions that customers may make.
    pub async fn transitions(&self, ctx: &Context) -> Result<Vec<StageTransition>, Error> {
        Ok(self.crm.find(ctx, &Find::all().limit(MAX_LIMIT - 1)).await?.items)
    }

    /// Adds a stage; its name is unique.
    pub async fn add_stage(&self, ctx: &Context, stage: LifecycleStage) -> Outcome<LifecycleStage> {
        self.crm.run(ctx, &AddStage { stage }).await
    }

    /// Changes a stage by a function over it, which is called again if others were faster. Its category stays.
    pub async fn update_stage(
        &self,
        ctx: &Context,
        id: StageId,
        expect: Expect,
        change: impl Fn(&mut LifecycleStage) + Send + Sync,
    ) -> Outcome<LifecycleStage> {
        self.crm.run(ctx, &UpdateStage { id, expect, change: &change }).await
    }

    /// Deletes a stage with its transitions, unless a customer is in it or came from it.
    pub async fn delete_stage(&self, ctx: &Context, id: StageId, expect: Expect) -> Outcome<LifecycleStage> {
        self.crm.run(ctx, &DeleteStage { id, expect }).await
    }

    /// Lets customers go from one stage to another.
    pub async fn allow(&self, ctx: &Context, from: StageId, to: StageId) -> Outcome<StageTransition> {
        self.crm.run(ctx, &AllowTransition { from, to, requires_approval: false }).await
    }

    /// Lets customers go from one stage to another when somebody else approves of it.
    pub async fn allow_with_approval(
        &self,
        ctx: &Context,
        from: StageId,
        to: StageId,
    ) -> Outcome<StageTransition> {
        self.crm.run(ctx, &AllowTransition { from, to, requires_approval: true }).await
    }

    /// No longer lets customers go from one stage to another.
    pub async fn forbid(&self, ctx: &Context, from: StageId, to: StageId) -> Outcome<()> {
        self.crm.run(ctx, &ForbidTransition { from, to }).await
    }

    /// Where a customer stands.
    pub async fn get(&self, ctx: &Context, customer: CustomerId) -> Result<CustomerLifecycle, Error> {
        self.crm.get(ctx, customer).await
    }

    /// Brings a customer to another stage, with its history, its status, and the stage's milestone if it has one. One who
    /// leaves has its [renewals](crate::renewal::Renewals) paused.
    pub async fn advance(
        &self,
        ctx: &Context,
        step: AdvanceStage,
    ) -> Result<Done<CustomerLifecycle>, Error<LifecycleRefusal>> {
        let (action, entity) = (Action::Write, "customer_lifecycle");
        if self.crm.allow(ctx, action, entity).is_err() {
            return Err(Error::Forbidden { action: action.code(), entity });
        }
        self.crm.run(ctx, &step).await
    }

    /// How a customer came to its stage, newest first; at most 9,999 changes.
    pub async fn history(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<LifecycleHistory>, Error> {
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        let find = Find::matching(of).descending("sequence").limit(MAX_LIMIT - 1);
        Ok(self.crm.find(ctx, &find).await?.items)
    }
}
