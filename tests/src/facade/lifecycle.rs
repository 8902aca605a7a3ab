//! Stages and how customers go through them (SPEC LC-01 to LC-03).

use std::collections::BTreeMap;

use crm_core::customer::CustomerStatus;
use crm_core::lifecycle::{AdvanceStage, LifecycleRefusal, StageCategory};
use crm_core::{Error, Expect};

use super::dice::Dice;
use super::world::{World, at_once, person, seed};
use crate::{Harness, size};

/// However many first customers come at once, in two processes, the tenant gets the seven stages with their 15
/// transitions once, and each customer stands in the first.
pub async fn lc_01_racing_first_customers_bring_the_default_stages_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let other = world.second(harness).await;
    let created = at_once(8, |n| {
        let (crm, ctx) = (if n % 2 == 0 { world.crm.clone() } else { other.clone() }, world.ada());
        async move { crm.customers().create(&ctx, person("First")).await.unwrap().id }
    })
    .await;
    let (crm, ctx) = (&world.crm, world.ada());
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["Lead", "Prospect", "Opportunity", "Customer", "At Risk", "Churned", "Won Back"]);
    assert_eq!(crm.lifecycle().transitions(&ctx).await.unwrap().len(), 15);
    for id in created {
        assert_eq!(crm.lifecycle().get(&ctx, id).await.unwrap().current_stage_id, stages[0].id);
    }
    let used = crm.lifecycle().delete_stage(&world.system(), stages[0].id, Expect::Any).await;
    assert_eq!(used.unwrap_err().code(), "in_use");
    crm.lifecycle().delete_stage(&world.system(), stages[6].id, Expect::Any).await.unwrap();
    assert_eq!(crm.lifecycle().transitions(&ctx).await.unwrap().len(), 12);
}

/// Any walk is that of a model of the listed transitions, and its history leads to where the customer stands.
pub async fn lc_02_a_random_walk_is_that_of_the_model(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let id = world.customer("Walker").await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let listed: BTreeMap<usize, &[usize]> = BTreeMap::from([
        (0, &[1, 5][..]),
        (1, &[2, 0, 5]),
        (2, &[3, 1, 5]),
        (3, &[4, 5]),
        (4, &[3, 5]),
        (5, &[6]),
        (6, &[3, 5]),
    ]);
    let (mut current, mut steps, mut won, mut again) = (0, Vec::new(), false, false);
    for _ in 0..size(60, 400) {
        let to = dice.below(7);
        let done = crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[to].id)).await;
        match done {
            Ok(_) => assert!(listed[&current].contains(&to), "seed {seed}: {current} to {to}"),
            Err(Error::Refused(refusal)) => {
                assert!(!listed[&current].contains(&to), "seed {seed}: {current} to {to}: {refusal}");
                let fits = match refusal {
                    LifecycleRefusal::SameStage(_) => to == current,
                    LifecycleRefusal::Backward { .. } => to < current,
                    LifecycleRefusal::NotAllowed { .. } => to > current,
                    _ => false,
                };
                assert!(fits, "seed {seed}: {current} to {to}");
                continue;
            }
            Err(other) => panic!("seed {seed}: {other:?}"),
        }
        steps.push((current, to));
        current = to;
        again |= won && to == 5;
        won |= to == 6;
        let status = crm.customers().get(&ctx, id).await.unwrap().status;
        assert_eq!(status, stages[to].category.status());
    }
    let lifecycle = crm.lifecycle().get(&ctx, id).await.unwrap();
    assert_eq!((lifecycle.current_stage_id, lifecycle.is_re_churned), (stages[current].id, again));
    let mut history = crm.lifecycle().history(&ctx, id).await.unwrap();
    history.reverse();
    assert!(history.iter().map(|row| row.sequence).eq(1..=lifecycle.stage_changes));
    let replayed = history.iter().map(|row| (row.from_stage_id.unwrap(), row.to_stage_id));
    assert!(replayed.eq(steps.iter().map(|(from, to)| (stages[*from].id, stages[*to].id))), "seed {seed}");
}

/// Of many advances with one expected version exactly one wins; backward without a listed transition needs a manager
/// and a reason; an inactive customer stays so, and the status is not set by hand.
pub async fn lc_02_one_of_many_wins_and_backward_needs_the_override(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer("Contended").await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    let won = at_once(16, |_| {
        let (crm, ctx) = (crm.clone(), ctx.clone());
        let step = AdvanceStage { expect: Expect::Version(1), ..AdvanceStage::new(id, stages[1].id) };
        async move { crm.lifecycle().advance(&ctx, step).await.is_ok() }
    })
    .await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    for to in [2, 3] {
        crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[to].id)).await.unwrap();
    }
    let back = AdvanceStage { override_rules: true, ..AdvanceStage::new(id, stages[0].id) };
    let code = |outcome: Result<_, Error<LifecycleRefusal>>| outcome.map(drop).unwrap_err().code();
    assert_eq!(code(crm.lifecycle().advance(&ctx, back.clone()).await), "forbidden");
    assert_eq!(
        code(crm.lifecycle().advance(&world.manager(), back.clone()).await),
        "override_without_reason"
    );
    let active = crm.customers().update(&ctx, id, Expect::Any, |c| c.status = CustomerStatus::Churned).await;
    assert_eq!(active.unwrap_err().code(), "customer_status");
    crm.customers().update(&ctx, id, Expect::Any, |c| c.status = CustomerStatus::Inactive).await.unwrap();
    let reason = Some("typed by mistake".to_owned());
    crm.lifecycle().advance(&world.manager(), AdvanceStage { reason, ..back }).await.unwrap();
    assert_eq!(crm.customers().get(&ctx, id).await.unwrap().status, CustomerStatus::Inactive);
    let status = StageCategory::PreCustomer.status();
    let back = crm.customers().update(&ctx, id, Expect::Any, |c| c.status = status).await.unwrap();
    assert_eq!(back.status, CustomerStatus::Prospect);
}
