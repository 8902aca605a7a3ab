//! Steps from stage to stage that somebody else approves of (SPEC LC-02, XT-08).

use crm_core::approval::{ApprovalId, ApprovalRequest, ApprovalStatus};
use crm_core::customer::CustomerId;
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, NewInvoice};
use crm_core::lifecycle::{AdvanceStage, LifecycleStage, StageId};
use crm_core::{Context, Env as _, Expect};
use rust_decimal::Decimal;

use super::approvals::{DAN, log_of, someone};
use super::world::{World, at_once};
use crate::Harness;

/// A tenant in which the step from lead to prospect takes an approval.
async fn guarded(world: &World) -> (CustomerId, Vec<LifecycleStage>) {
    let id = world.customer("Guarded").await.id;
    let stages = world.crm.lifecycle().stages(&world.ada()).await.unwrap();
    let lifecycle = world.crm.lifecycle();
    let changed = lifecycle.allow_with_approval(&world.system(), stages[0].id, stages[1].id).await.unwrap();
    assert!(changed.requires_approval && !changed.written.is_empty());
    let again = lifecycle.allow_with_approval(&world.system(), stages[0].id, stages[1].id).await.unwrap();
    assert!(again.written.is_empty());
    (id, stages)
}

async fn ask(world: &World, customer: CustomerId, to: StageId) -> ApprovalId {
    let request = ApprovalRequest::AdvanceStage { customer, to, reason: Some("met at a fair".to_owned()) };
    world.crm.approvals().request(&world.ada(), request).await.unwrap().id
}

fn boss(world: &World) -> Context {
    someone(world, DAN, "manager")
}

/// Without an approval the step is refused; with one it is taken in the commit that approves, with history, event and
/// status; of many who approve at once one does it; who asked does not; a manager overrides with a reason.
pub async fn lc_02_a_step_that_takes_approval_is_taken_with_it_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let (id, stages) = guarded(&world).await;
    let step = AdvanceStage::new(id, stages[1].id);
    let refused = crm.lifecycle().advance(&world.ada(), step.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "stage_needs_approval");
    let asked = ask(&world, id, stages[1].id).await;
    assert_eq!(crm.lifecycle().get(&world.ada(), id).await.unwrap().current_stage_id, stages[0].id);
    assert_eq!(crm.approvals().get(&world.ada(), asked).await.unwrap().customer_id, Some(id));
    let own = crm.approvals().approve(&world.manager(), asked, Expect::Any, None).await.unwrap_err();
    assert_eq!(own.code(), "own_request");
    let approved = at_once(16, |_| {
        let (crm, ctx) = (crm.clone(), boss(&world));
        async move { crm.approvals().approve(&ctx, asked, Expect::Any, None).await.map(drop) }
    })
    .await;
    assert_eq!(approved.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let losers = approved.iter().filter_map(|outcome| outcome.as_ref().err());
    let codes: Vec<_> = losers.map(crm_core::Error::code).collect();
    assert_eq!(codes, ["already_decided"; 15]);
    let history = crm.lifecycle().history(&world.ada(), id).await.unwrap();
    assert_eq!((history.len(), history[0].reason.as_deref()), (1, Some("met at a fair")));
    assert_eq!(history[0].to_stage_id, stages[1].id);
    let rows = log_of(&world).await;
    let commit = |entity: &str, event: &str| {
        let told = |row: &&crm_core::log::LogRow| {
            row.entity == entity && row.body.events.iter().any(|told| told.name == event)
        };
        rows.iter().find(told).unwrap().commit_id
    };
    let decided = commit("approval", "approval.approved");
    assert_eq!(decided, commit("lifecycle_history", "lifecycle.stage_changed"));

    let other = world.customer("Overridden").await.id;
    let hurry = AdvanceStage {
        override_rules: true,
        reason: Some("in a hurry".to_owned()),
        ..AdvanceStage::new(other, stages[1].id)
    };
    crm.lifecycle().advance(&world.manager(), hurry).await.unwrap();
}

/// What is no longer allowed when it is approved is refused with its reason, and stays pending; what was never allowed
/// is not asked for; a purchase takes no step that needs an approval; without the requirement anybody steps.
pub async fn lc_02_an_approved_step_is_decided_on_what_is_then_there(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (id, stages) = guarded(&world).await;
    let never = ApprovalRequest::AdvanceStage { customer: id, to: stages[3].id, reason: None };
    let refused = crm.approvals().request(&ctx, never).await.unwrap_err();
    assert_eq!(refused.code(), "stage_not_allowed");
    let asked = ask(&world, id, stages[1].id).await;
    crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[5].id)).await.unwrap();
    let late = crm.approvals().approve(&boss(&world), asked, Expect::Any, None).await.unwrap_err();
    assert_eq!(late.code(), "stage_backward");
    let waiting = crm.approvals().get(&ctx, asked).await.unwrap();
    assert_eq!(waiting.status, ApprovalStatus::Pending);
    crm.approvals().reject(&ctx, asked, Expect::Any, None).await.unwrap();

    let buyer = world.customer("Buyer").await.id;
    let invoice =
        Invoice { total: Decimal::ONE, ..Invoice::issued(buyer, "1", world.env.now(), Currency::USD) };
    crm.invoices().record(&ctx, NewInvoice { invoice, lines: Vec::new() }).await.unwrap();
    let bought = crm.lifecycle().get(&ctx, buyer).await.unwrap();
    assert_eq!((bought.current_stage_id, bought.purchase_count), (stages[0].id, 1));
    let asked = ask(&world, buyer, stages[1].id).await;
    crm.customers().delete(&ctx, buyer, Expect::Any).await.unwrap();
    let gone = crm.approvals().approve(&boss(&world), asked, Expect::Any, None).await.unwrap_err();
    assert_eq!(gone.code(), "not_found");
    crm.customers().restore(&ctx, buyer).await.unwrap();
    crm.lifecycle().allow(&world.system(), stages[0].id, stages[1].id).await.unwrap();
    crm.lifecycle().advance(&ctx, AdvanceStage::new(buyer, stages[1].id)).await.unwrap();
}
