//! Customers who leave and come back while renewals are under way (SPEC LC-11; seed 004, "Churn during renewal" and
//! "Win-back re-churn").

use crm_core::catalog::Entity as _;
use crm_core::customer::{Customer, CustomerId};
use crm_core::lifecycle::{AdvanceStage, LifecycleStage, StageId};
use crm_core::renewal::{
    CreateRenewal, MAX_ACTIVE_RENEWALS, Renewal, RenewalId, RenewalRefusal, RenewalStatus,
};
use crm_core::{Context, Crm, Error};
use serde_json::{Value as Json, json};

use super::dice::Dice;
use super::raw::Raw;
use super::renewals::{STATUSES, renewal};
use super::world::{World, at_once, is, matching, seed, tally};
use crate::{Harness, size};

/// The stages, and a customer in the one named Customer.
async fn subscriber(world: &World, name: &str) -> (CustomerId, Vec<LifecycleStage>) {
    let (crm, ctx) = (&world.crm, world.ada());
    let id = world.customer(name).await.id;
    let stages = crm.lifecycle().stages(&ctx).await.unwrap();
    for to in [1, 2, 3] {
        crm.lifecycle().advance(&ctx, AdvanceStage::new(id, stages[to].id)).await.unwrap();
    }
    (id, stages)
}

async fn walk(crm: &Crm, ctx: &Context, customer: CustomerId, to: StageId) {
    crm.lifecycle().advance(ctx, AdvanceStage::new(customer, to)).await.unwrap();
}

async fn of(crm: &Crm, ctx: &Context, customer: CustomerId) -> Vec<Renewal> {
    matching(crm, ctx, is("customer_id", "eq", customer.to_string())).await
}

/// Leaving pauses what is upcoming or in progress and alerts sales once; coming back resumes nothing; leaving again is
/// flagged. For one who has left nothing is opened, and what is paused can be given up.
pub async fn lc_11_churn_pauses_renewals_and_alerts_sales(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (customer, stages) = subscriber(&world, "Leaver").await;
    let (bystander, _) = subscriber(&world, "Bystander").await;
    let mut ids = Vec::new();
    for status in [RenewalStatus::Upcoming, RenewalStatus::InProgress, RenewalStatus::Paused] {
        ids.push(crm.renewals().create(&ctx, renewal(customer, status)).await.unwrap().id);
    }
    let done = crm.renewals().create(&ctx, renewal(customer, RenewalStatus::InProgress)).await.unwrap().id;
    crm.renewals().set_status(&ctx, done, RenewalStatus::Renewed).await.unwrap();
    crm.renewals().create(&ctx, renewal(bystander, RenewalStatus::InProgress)).await.unwrap();
    let keyed = ctx.clone().with_key("leave");
    let leave =
        AdvanceStage { reason: Some("price".to_owned()), ..AdvanceStage::new(customer, stages[5].id) };
    let left = crm.lifecycle().advance(&keyed, leave.clone()).await.unwrap();
    let again = crm.lifecycle().advance(&keyed, leave).await.unwrap();
    assert!(again.repeated && again.written == left.written && again.value == left.value);
    assert_eq!(left.written.iter().filter(|(entity, ..)| entity == "renewal").count(), 2);
    for renewal in of(crm, &ctx, customer).await {
        let expected = if renewal.id == done { RenewalStatus::Renewed } else { RenewalStatus::Paused };
        assert_eq!(renewal.status, expected);
    }
    assert_eq!(of(crm, &ctx, bystander).await[0].status, RenewalStatus::InProgress);
    assert_eq!(world.told("renewal.paused").await.len(), 2);
    let alerts = world.told("sales.alerted").await;
    assert_eq!(alerts.len(), 1);
    let mut alerted: Vec<RenewalId> = serde_json::from_value(alerts[0]["renewal_ids"].clone()).unwrap();
    alerted.sort_unstable();
    let mut active = ids[..2].to_vec();
    active.sort_unstable();
    assert_eq!(alerted, active);
    assert_eq!(alerts[0]["reason"], "churn_during_renewal");
    assert_eq!(alerts[0]["owner_id"], json!(crm.customers().get(&ctx, customer).await.unwrap().owner_id));

    for status in RenewalStatus::ACTIVE {
        let refused = [
            crm.renewals().create(&ctx, renewal(customer, status)).await.unwrap_err(),
            crm.renewals().set_status(&ctx, ids[0], status).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.code(), "customer_left", "{error}");
            assert!(error.to_string().contains("Churned"), "{error}");
        }
    }
    crm.renewals().create(&ctx, renewal(customer, RenewalStatus::Paused)).await.unwrap();
    crm.renewals().set_status(&ctx, ids[1], RenewalStatus::Lost).await.unwrap();
    walk(crm, &ctx, customer, stages[6].id).await;
    assert!(
        of(crm, &ctx, customer).await.iter().all(|renewal| !renewal.status.is_active()),
        "nothing resumes"
    );
    assert!(!crm.lifecycle().get(&ctx, customer).await.unwrap().is_re_churned);
    walk(crm, &ctx, customer, stages[5].id).await;
    assert_eq!(world.told("sales.alerted").await.len(), 1, "there was nothing to pause");
    assert_eq!(world.told("lifecycle.re_churned").await, [json!({ "customer_id": customer })]);
    let flagged = matching::<Customer>(crm, &ctx, is("lifecycle.is_re_churned", "eq", true)).await;
    assert!(flagged.len() == 1 && flagged[0].id == customer);
    walk(crm, &ctx, customer, stages[6].id).await;
    crm.renewals().set_status(&ctx, ids[0], RenewalStatus::InProgress).await.unwrap();
    walk(crm, &ctx, customer, stages[5].id).await;
    assert_eq!(crm.renewals().get(&ctx, ids[0]).await.unwrap().status, RenewalStatus::Paused);
    assert_eq!(
        (world.told("sales.alerted").await.len(), world.told("lifecycle.re_churned").await.len()),
        (2, 2)
    );
}

/// Whatever opens, resumes, moves and leaves at once, in two processes: whenever all has settled, a customer who has left
/// has no renewal that is upcoming or in progress, and nothing is lost.
pub async fn lc_11_no_renewal_of_a_customer_who_left_is_active_whatever_happens_at_once(
    harness: &dyn Harness,
) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let (customer, stages) = subscriber(&world, "Restless").await;
    let (churned, won_back) = (stages[5].id, stages[6].id);
    let (mut outcomes, mut left) = (Vec::new(), 0);
    for round in 0..size(10, 100) {
        let known: Vec<RenewalId> = of(&crm, &ctx, customer).await.iter().map(|renewal| renewal.id).collect();
        let plan: Vec<(usize, Option<RenewalId>, RenewalStatus)> = (0..12)
            .map(|_| {
                let id = (!known.is_empty()).then(|| *dice.pick(&known));
                (dice.below(3), id, *dice.pick(&STATUSES[..3]))
            })
            .collect();
        let results = at_once(12, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let (what, id, status) = plan[n];
            async move {
                if n == 0 {
                    let is_in = crm.lifecycle().get(&ctx, customer).await.unwrap().current_stage_id;
                    let to = if is_in == churned { won_back } else { churned };
                    return match crm.lifecycle().advance(&ctx, AdvanceStage::new(customer, to)).await {
                        Ok(_) => "moved",
                        Err(error) => panic!("{error:?}"),
                    };
                }
                let outcome = match id {
                    Some(id) if what > 0 => crm.renewals().set_status(&ctx, id, status).await,
                    _ => crm.renewals().create(&ctx, renewal(customer, status)).await,
                };
                match outcome {
                    Ok(_) => "done",
                    Err(Error::Refused(refusal)) => match refusal {
                        RenewalRefusal::CustomerLeft { .. } => "left",
                        RenewalRefusal::Transition { .. } => "step",
                        other => panic!("{other:?}"),
                    },
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let stage = crm.lifecycle().get(&ctx, customer).await.unwrap().current_stage_id;
        let active =
            of(&crm, &ctx, customer).await.iter().filter(|renewal| renewal.status.is_active()).count();
        assert!(stage != churned || active == 0, "seed {seed}, round {round}: {active} are active");
        left += usize::from(stage == churned);
        outcomes.extend(results);
    }
    println!("{}: left {left} times; {:?}", harness.name(), tally(outcomes.into_iter()));
    let lifecycle = crm.lifecycle().get(&ctx, customer).await.unwrap();
    let mut opened = 0;
    for name in ["renewal.created", "renewal.upcoming", "renewal.in_progress"] {
        let status = |data: &Json, field: &str| {
            serde_json::from_value::<Option<RenewalStatus>>(data[field].clone()).unwrap()
        };
        let is_active = |status: Option<RenewalStatus>| status.is_some_and(RenewalStatus::is_active);
        let told = world.told(name).await;
        let opens = |data: &&Json| is_active(status(data, "status")) && !is_active(status(data, "from"));
        opened += told.iter().filter(opens).count();
    }
    assert_eq!(opened as i64, lifecycle.renewals_opened, "seed {seed}");
}

/// A customer has at most 900 that are upcoming or in progress, so that leaving is one commit; the next is refused.
pub async fn lc_11_leaving_pauses_as_many_as_there_may_be(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (customer, stages) = subscriber(&world, "Large").await;
    // A record at a time would take long: an embedder's import writes them at once.
    let stock = (1..MAX_ACTIVE_RENEWALS).map(|_| renewal(customer, RenewalStatus::Upcoming).to_record());
    let stock = Raw::Insert(stock.collect());
    crm.run(&ctx, &stock).await.unwrap();
    let paused = crm.renewals().create(&ctx, renewal(customer, RenewalStatus::Paused)).await.unwrap().id;
    let last = at_once(4, |n| {
        let (crm, ctx) = (crm.clone(), ctx.clone());
        async move {
            if n == 0 {
                return crm.renewals().set_status(&ctx, paused, RenewalStatus::InProgress).await.is_ok();
            }
            let command = CreateRenewal { renewal: renewal(customer, RenewalStatus::Upcoming) };
            match crm.run(&ctx, &command).await {
                Ok(_) => true,
                Err(Error::Refused(RenewalRefusal::TooMany(_))) => false,
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert_eq!(last.iter().filter(|opened| **opened).count(), 1, "one place was left");
    let left = crm.lifecycle().advance(&ctx, AdvanceStage::new(customer, stages[5].id)).await.unwrap();
    assert_eq!(left.written.iter().filter(|(entity, ..)| entity == "renewal").count(), MAX_ACTIVE_RENEWALS);
    let active = is("status", "in", json!(["upcoming", "in_progress"]));
    assert!(matching::<Renewal>(crm, &ctx, active).await.is_empty());
    assert_eq!(
        world.told("sales.alerted").await[0]["renewal_ids"].as_array().unwrap().len(),
        MAX_ACTIVE_RENEWALS
    );
}
