//! From stage to stage, and the history of it (SPEC LC-02, LC-03).

use std::collections::BTreeSet;

use crm_core::catalog::Entity as _;
use crm_core::lifecycle::{AdvanceStage, LifecycleHistory, LifecycleRefusal, LifecycleStage, StageId};
use crm_core::store::WriteError;
use crm_core::sweep::SweepAction;
use crm_core::value::Value;
use crm_core::{Context, Error, Expect};
use uuid::Uuid;

use super::dice::Dice;
use super::raw::Raw;
use super::stages::stage;
use super::world::{World, at_once, seed};
use crate::{Harness, size};

/// Many advance one customer at once without an expected version: each step is decided on what it then sees, so that the
/// history is a walk along listed transitions, without a gap, that ends where the customer stands.
pub async fn lc_02_advances_of_many_are_each_decided_on_what_they_see(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let id = world.customer("Pushed").await.id;
    let begin = crm.lifecycle().get(&ctx, id).await.unwrap().current_stage_id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let listed: BTreeSet<_> = crm
        .lifecycle()
        .transitions(&ctx)
        .await
        .unwrap()
        .iter()
        .map(|t| (t.from_stage_id, t.to_stage_id))
        .collect();
    let mut made = 0;
    for _ in 0..size(4, 40) {
        let targets: Vec<StageId> = (0..16).map(|_| dice.pick(&stages).id).collect();
        let results = at_once(16, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let to = targets[n];
            async move {
                match crm.lifecycle().advance(&ctx, AdvanceStage::new(id, to)).await {
                    Ok(done) => {
                        assert_eq!(done.current_stage_id, to);
                        1
                    }
                    Err(Error::Refused(_)) => 0,
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        made += results.into_iter().sum::<usize>();
    }
    let mut history = crm.lifecycle().history(&ctx, id).await.unwrap();
    history.reverse();
    assert!(made > 0 && history.len() == made, "seed {seed}: {made} were made, {} recorded", history.len());
    let mut at = begin;
    for (row, sequence) in history.iter().zip(1..) {
        assert_eq!((row.sequence, row.from_stage_id), (sequence, Some(at)), "seed {seed}");
        assert!(listed.contains(&(at, row.to_stage_id)), "seed {seed}: step {sequence}");
        at = row.to_stage_id;
    }
    let stands = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((stands.current_stage_id, stands.stage_changes), (at, made as i64));
    assert_eq!(world.told("lifecycle.stage_changed").await.len(), made);
}

/// A stage that is not active, that nobody may go to, of another tenant, or where the customer is: refused by name; a
/// repeat gives what the first one gave; the customer of another tenant, or a deleted one, does not move.
pub async fn lc_02_a_step_is_refused_or_repeated_and_changes_nothing(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, admin) = (&world.crm, world.ada(), world.system());
    let id = world.customer("Stepping").await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let alien = crm.lifecycle().add_stage(&theirs, stage("Alien", 1)).await.unwrap().id;
    let step = |to| AdvanceStage::new(id, to);
    for to in [alien, StageId(Uuid::from_u128(404))] {
        let missing = crm.lifecycle().advance(&ctx, step(to)).await;
        assert!(matches!(&missing, Err(Error::NotFound { entity: "lifecycle_stage", .. })), "{missing:?}");
    }
    assert_eq!(crm.lifecycle().advance(&theirs, step(stages[1].id)).await.unwrap_err().code(), "not_found");
    assert_eq!(crm.lifecycle().get(&theirs, id).await.unwrap_err().code(), "not_found");
    assert!(crm.lifecycle().history(&theirs, id).await.unwrap().is_empty());
    crm.lifecycle().update_stage(&admin, stages[1].id, Expect::Any, |s| s.is_active = false).await.unwrap();
    let forced = AdvanceStage { override_rules: true, reason: Some("must".to_owned()), ..step(stages[1].id) };
    let managed = world.manager();
    for (ctx, step) in [(&ctx, step(stages[1].id)), (&managed, forced)] {
        match crm.lifecycle().advance(ctx, step).await {
            Err(Error::Refused(LifecycleRefusal::Inactive(name))) => assert_eq!(name, "Prospect"),
            other => panic!("{other:?}"),
        }
    }
    match crm.lifecycle().advance(&ctx, step(stages[3].id)).await {
        Err(Error::Refused(LifecycleRefusal::NotAllowed { allowed, .. })) => assert_eq!(allowed, ["Churned"]),
        other => panic!("{other:?}"),
    }
    crm.lifecycle().update_stage(&admin, stages[1].id, Expect::Any, |s| s.is_active = true).await.unwrap();
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(crm.lifecycle().advance(&reader, step(stages[1].id)).await.unwrap_err().code(), "forbidden");
    let long = AdvanceStage { reason: Some("ß".repeat(501)), ..step(stages[1].id) };
    let long = crm.lifecycle().advance(&ctx, long).await;
    assert!(matches!(&long, Err(Error::Invalid(errors)) if errors[0].field == "reason"), "{long:?}");
    assert!(crm.lifecycle().history(&ctx, id).await.unwrap().is_empty());

    let keyed = ctx.clone().with_key("step");
    let first = crm.lifecycle().advance(&keyed, step(stages[1].id)).await.unwrap();
    let repeats = at_once(8, |_| {
        let (crm, keyed, step) = (crm.clone(), keyed.clone(), step(stages[1].id));
        async move { crm.lifecycle().advance(&keyed, step).await.unwrap() }
    })
    .await;
    for again in repeats {
        assert!(again.repeated && again.value == first.value && again.written == first.written);
    }
    assert_eq!(crm.lifecycle().advance(&keyed, step(stages[2].id)).await.unwrap_err().code(), "key_reused");
    let on = crm.lifecycle().advance(&ctx, step(stages[2].id)).await.unwrap();
    let again = crm.lifecycle().advance(&keyed, step(stages[1].id)).await.unwrap();
    assert!(again.value == on.value && again.written == first.written, "as it is now, what was written then");
    assert_eq!(crm.lifecycle().history(&ctx, id).await.unwrap().len(), 2);
    let stale = AdvanceStage { expect: Expect::Version(1), ..step(stages[3].id) };
    assert_eq!(crm.lifecycle().advance(&ctx, stale).await.unwrap_err().code(), "version_conflict");
    crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
    assert_eq!(crm.lifecycle().advance(&ctx, step(stages[3].id)).await.unwrap_err().code(), "not_found");
    assert!(crm.lifecycle().history(&ctx, id).await.unwrap().is_empty(), "hidden with its customer");
    crm.customers().restore(&ctx, id).await.unwrap();
    assert_eq!(crm.lifecycle().history(&ctx, id).await.unwrap().len(), 2);
}

/// No command changes, deletes or forges a row of the history, nor does a sweep; it keeps the names that stages had then.
pub async fn lc_03_history_is_only_added_to_and_keeps_the_names_of_then(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, admin) = (&world.crm, world.ada(), world.system());
    let id = world.customer("Remembered").await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let reason = Some("asked for it".to_owned());
    let step = AdvanceStage { reason: reason.clone(), ..AdvanceStage::new(id, stages[1].id) };
    crm.lifecycle().advance(&ctx, step).await.unwrap();
    let before = crm.lifecycle().history(&ctx, id).await.unwrap();
    assert_eq!((before.len(), &before[0].reason), (1, &reason));
    let row = before[0].to_record();
    let mut forged = row.clone();
    forged.set("reason", Value::Text("never said".to_owned()));
    for command in [Raw::Update(Box::new((row.clone(), forged))), Raw::Delete(Box::new(row.clone()))] {
        match crm.run(&admin, &command).await {
            Err(Error::Write(WriteError::AppendOnly { entity })) => assert_eq!(entity, "lifecycle_history"),
            other => panic!("the history was changed: {other:?}"),
        }
    }
    let mut second = row.clone();
    second.set("id", Value::Id(Uuid::from_u128(2)));
    let twice = crm.run(&admin, &Raw::Insert(vec![second])).await;
    assert!(matches!(twice, Err(Error::NotUnique { rule: "stage_change_once" })), "{twice:?}");
    let sweep = crm.sweeps().plan(&admin, "lifecycle_history", None, SweepAction::Delete, "away").await;
    assert_eq!(sweep.unwrap_err().code(), "sweep_append_only");
    for (place, name) in [(0, "Newcomer"), (1, "Hopeful")] {
        let rename = |s: &mut LifecycleStage| s.name = name.to_owned();
        crm.lifecycle().update_stage(&admin, stages[place].id, Expect::Any, rename).await.unwrap();
    }
    assert_eq!(crm.lifecycle().history(&ctx, id).await.unwrap(), before);
    crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[2].id)).await.unwrap();
    let after = crm.lifecycle().history(&ctx, id).await.unwrap();
    let names: Vec<_> =
        after.iter().map(|row| (row.from_stage.as_deref().unwrap(), row.to_stage.as_str())).collect();
    assert_eq!(names, [("Hopeful", "Opportunity"), ("Lead", "Prospect")]);
    assert_eq!(after[1], before[0]);
    // Erasure masks the reason, and nothing else.
    let sweep =
        crm.sweeps().plan(&admin, "lifecycle_history", None, SweepAction::Mask, "erasure").await.unwrap();
    crm.sweeps().run(&admin, sweep.id).await.unwrap();
    let masked = crm.lifecycle().history(&ctx, id).await.unwrap();
    let meta = masked[1].meta.clone();
    assert_eq!(masked[1], LifecycleHistory { reason: None, meta, ..before[0].clone() });
    let customer = crm.customers().get(&ctx, id).await.unwrap();
    assert_eq!(customer.meta.version, 1, "a step within one category leaves the customer as it is");
}
