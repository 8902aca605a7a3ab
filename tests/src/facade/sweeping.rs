//! Sweeps over records that others rest on, and over those of a customer's journey (SPEC LC-04, PR-04).

use crm_core::approval::{Approval, ApprovalRequest};
use crm_core::behavior::{BehaviorEvent, BehaviorType};
use crm_core::customer::{Customer, CustomerId};
use crm_core::format::Currency;
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, NewInvoice};
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::lifecycle::{AdvanceStage, CustomerLifecycle};
use crm_core::renewal::{Renewal, RenewalStatus};
use crm_core::score::{Factors, ScoreType, ScoringModel};
use crm_core::sweep::{Sweep, SweepAction};
use crm_core::{Env as _, Expect};
use rust_decimal::Decimal;
use serde_json::json;

use super::approvals::deletion;
use super::tenants::dump;
use super::world::{World, all, is};
use crate::Harness;

fn bought(customer: CustomerId, number: &str, world: &World) -> NewInvoice {
    let invoice = Invoice::issued(customer, number, world.env.now(), Currency::USD);
    NewInvoice { invoice: Invoice { total: Decimal::TEN, ..invoice }, lines: Vec::new() }
}

async fn sweep(world: &World, entity: &str, action: SweepAction) -> Sweep {
    let system = world.system();
    let planned = world.crm.sweeps().plan(&system, entity, None, action, "erasure").await.unwrap();
    world.crm.sweeps().run(&system, planned.id).await.unwrap()
}

/// What totals, scores, stages or users rest on is not deleted alone, planned or approved; the refusal names the way.
pub async fn lc_04_what_others_rest_on_is_not_swept_away(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let id = world.customer("Buyer").await.id;
    crm.scores().put_model(&system, ScoringModel::health()).await.unwrap();
    crm.scores().record(&ctx, id, ScoreType::Health, Factors::new()).await.unwrap();
    crm.invoices().record(&ctx, bought(id, "K-1", &world)).await.unwrap();
    crm.settings().update(&system, |settings| settings.backdated_after_days = 7).await.unwrap();
    let before = dump(crm, world.tenant).await;
    for (entity, way) in [
        ("user", "users().deactivate"),
        ("assignee", "users().deactivate"),
        ("invoice", "void"),
        ("invoice_line", "void"),
        ("score", "scores().record"),
        ("lifecycle_stage", "lifecycle().delete_stage"),
        ("team", "teams().put"),
        ("tenant_settings", "settings().update"),
        ("customer_lifecycle", "part of its customer"),
        ("account", "part of its customer"),
    ] {
        let planned =
            crm.sweeps().plan(&system, entity, None, SweepAction::Delete, "away").await.unwrap_err();
        assert_eq!(planned.code(), "sweep_kept", "{entity}");
        assert!(planned.to_string().contains(way), "{planned}");
        let asked = crm.approvals().request(&ctx, deletion(entity, json!({ "all": [] }))).await.unwrap_err();
        assert_eq!(asked.code(), "sweep_kept", "{entity}");
    }
    assert_eq!(dump(crm, world.tenant).await, before);
    assert!(all::<Sweep>(crm, &system).await.is_empty());
}

/// The criteria of bulk work cannot be taken away before it is done: it would be on everything.
pub async fn pr_04_bulk_work_keeps_its_criteria_until_it_is_done(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let id = world.customer("Talker").await.id;
    for subject in ["Kept", "Gone"] {
        world.interaction(id, subject).await;
    }
    let gone = Some(is("subject", "eq", "Gone"));
    let planned = crm.sweeps().plan(&system, "interaction", gone, SweepAction::Delete, "away").await.unwrap();
    let masking = crm.sweeps().plan(&system, "sweep", None, SweepAction::Mask, "erasure").await;
    if let Ok(masking) = &masking {
        crm.sweeps().run(&system, masking.id).await.unwrap();
    }
    assert_eq!(crm.sweeps().run(&system, planned.id).await.unwrap().changed, 1);
    let left: Vec<_> = all::<Interaction>(crm, &ctx).await.into_iter().map(|left| left.subject).collect();
    assert_eq!(left, [Some("Kept".to_owned())]);
    assert_eq!(masking.unwrap_err().code(), "sweep_unmasked");
}

/// Lifecycle and score of a live customer are not purged, so it still buys and moves and its score grows stale; those of
/// a deleted one are.
pub async fn pr_04_a_live_customer_keeps_its_lifecycle(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let [live, gone] = [world.customer("Live").await.id, world.customer("Gone").await.id];
    crm.scores().put_model(&world.system(), ScoringModel::health()).await.unwrap();
    for id in [live, gone] {
        crm.scores().record(&ctx, id, ScoreType::Health, Factors::new()).await.unwrap();
    }
    crm.customers().delete(&ctx, gone, Expect::Any).await.unwrap();
    for entity in ["score", "customer_lifecycle"] {
        assert_eq!(sweep(&world, entity, SweepAction::Purge).await.changed, 1, "{entity}");
    }
    assert_eq!(crm.scores().of_customer(&ctx, live).await.unwrap().len(), 1);
    let left: Vec<_> = all::<CustomerLifecycle>(crm, &ctx).await.into_iter().map(|left| left.id).collect();
    assert_eq!(left, [live]);
    crm.invoices().record(&ctx, bought(live, "L-1", &world)).await.unwrap();
    assert_eq!(crm.lifecycle().get(&ctx, live).await.unwrap().purchase_count, 1);
    assert_eq!(sweep(&world, "customer", SweepAction::Mask).await.changed, 2);
}

/// Masking leaves nothing of what was written about a journey, in no record, timeline or log row, and every record can
/// still be changed.
pub async fn pr_04_a_masked_journey_goes_on_and_tells_nothing(harness: &dyn Harness) {
    const SECRET: &str = "Zanzibar";
    let world = World::new(harness).await;
    let (crm, ctx, system) = (&world.crm, world.ada(), world.system());
    let text = || Some(format!("{SECRET} \u{202e}\u{1f469}\u{200d}\u{1f4bb} said so"));
    let details = || Some(json!({ SECRET: [SECRET, { SECRET: 1 }] }));
    let id = world.customer(SECRET).await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    crm.lifecycle()
        .advance(&ctx, AdvanceStage { reason: text(), ..AdvanceStage::new(id, stages[1].id) })
        .await
        .unwrap();
    crm.lifecycle().allow_with_approval(&system, stages[1].id, stages[2].id).await.unwrap();
    let step = ApprovalRequest::AdvanceStage { customer: id, to: stages[2].id, reason: text() };
    let approval = crm.approvals().request(&ctx, step.clone()).await.unwrap().id;
    let other = crm.approvals().request(&ctx, step).await.unwrap().id;
    crm.approvals().reject(&ctx, other, Expect::Any, text().as_deref()).await.unwrap();
    let milestone = Milestone {
        details: details(),
        ..Milestone::new(id, MilestoneType::OnboardingComplete, world.env.now())
    };
    let milestone = crm.journey().reach(&ctx, milestone).await.unwrap().id;
    crm.journey()
        .update(&ctx, milestone, Expect::Any, |m| m.details = Some(json!({ "by": [SECRET] })))
        .await
        .unwrap();
    let renewal = Renewal::new(id, text().unwrap(), world.env.now().date_naive());
    let renewal = crm.renewals().create(&ctx, renewal).await.unwrap().id;
    crm.renewals()
        .update(&ctx, renewal, Expect::Any, |r| r.subject = format!("{SECRET} again"))
        .await
        .unwrap();
    let event = BehaviorEvent {
        subject: text(),
        details: details(),
        external_id: text(),
        ..BehaviorEvent::new(id, BehaviorType::FormSubmit, "app", world.env.now())
    };
    crm.behavior().record(&ctx, event).await.unwrap();
    crm.scores().put_model(&system, ScoringModel::health()).await.unwrap();
    crm.scores().record(&ctx, id, ScoreType::Health, Factors::new()).await.unwrap();
    crm.invoices().record(&ctx, bought(id, "M-1", &world)).await.unwrap();
    let shows = |shown: &[String]| shown.iter().any(|line| line.contains(SECRET));
    assert!(shows(&dump(crm, world.tenant).await));
    for entity in [
        "customer",
        "lifecycle_history",
        "approval",
        "milestone",
        "renewal",
        "behavior_event",
        "score",
        "customer_lifecycle",
        "invoice",
    ] {
        sweep(&world, entity, SweepAction::Mask).await;
    }
    for line in dump(crm, world.tenant).await {
        assert!(!line.contains(SECRET), "{line}");
    }
    for status in [RenewalStatus::InProgress, RenewalStatus::Renewed] {
        crm.renewals().set_status(&ctx, renewal, status).await.unwrap();
    }
    let later = |milestone: &mut Milestone| milestone.occurred_at -= chrono::Duration::days(1);
    crm.journey().update(&ctx, milestone, Expect::Any, later).await.unwrap();
    crm.scores().record(&ctx, id, ScoreType::Health, Factors::new()).await.unwrap();
    crm.invoices().record(&ctx, bought(id, "M-2", &world)).await.unwrap();
    crm.approvals().reject(&ctx, approval, Expect::Any, None).await.unwrap();
    let rename = |customer: &mut Customer| customer.display_name = "Somebody".to_owned();
    crm.customers().update(&ctx, id, Expect::Any, rename).await.unwrap();
    assert_eq!(all::<Approval>(crm, &ctx).await.len(), 2);
    let history = crm.lifecycle().history(&ctx, id).await.unwrap();
    let now = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((history[0].to_stage_id, history.len() as i64), (now.current_stage_id, now.stage_changes));
    assert_eq!(crm.profiles().of(&ctx, id).await.unwrap().milestones.len(), 3);
    crm.log().verify(&system).await.unwrap().unwrap();
}
