//! What different areas write of one customer at once (SPEC LC-02, LC-04, LC-05, LC-11).

use std::collections::BTreeMap;

use crm_core::account::Account;
use crm_core::catalog::Entity;
use crm_core::customer::{Customer, CustomerId, CustomerType};
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, InvoiceStatus, NewInvoice};
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::lifecycle::{AdvanceStage, CustomerLifecycle, StageCategory};
use crm_core::log::Op;
use crm_core::renewal::{Renewal, RenewalStatus};
use crm_core::score::{Score, ScoreType, ScoringModel};
use crm_core::timeline::{Anchor, TimelineChange, TimelineRequest};
use crm_core::{Context, Crm, Env as _, Error, Expect};
use futures_util::StreamExt as _;
use rust_decimal::Decimal;

use super::dice::Dice;
use super::scores::factors;
use super::world::{START, World, all, at, at_once, person, seed};
use crate::{Harness, size};

/// One of the things that change where a customer stands. Only what the rules refuse may fail.
async fn change(
    crm: &Crm,
    ctx: &Context,
    customer: CustomerId,
    place: usize,
    dice: &mut Dice,
    now: crm_core::value::Instant,
) {
    let stages = crm.lifecycle().stages(ctx).await.unwrap();
    match dice.below(7) {
        0 => {
            let at = now - chrono::Duration::hours(dice.between(0, 10_000));
            let total = Decimal::new(dice.between(-500, 5_000), 2);
            let invoice =
                Invoice { total, ..Invoice::issued(customer, format!("A-{place}"), at, Currency::USD) };
            crm.invoices().record(ctx, NewInvoice { invoice, lines: Vec::new() }).await.unwrap();
        }
        1 => {
            let to = AdvanceStage::new(customer, dice.pick(&stages).id);
            match crm.lifecycle().advance(ctx, to).await {
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        2 => {
            let renewal = Renewal::new(customer, format!("Plan {place}"), now.date_naive());
            match crm.renewals().create(ctx, renewal).await {
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        3 => {
            let known = factors(&[("login_frequency", &dice.between(0, 100).to_string())]);
            crm.scores().record(ctx, customer, ScoreType::Health, known).await.unwrap();
        }
        4 => {
            let reached = *dice.pick(&[MilestoneType::FirstContact, MilestoneType::OnboardingComplete]);
            crm.journey().reach(ctx, Milestone::new(customer, reached, now)).await.unwrap();
        }
        5 => {
            if let Some(invoice) = all::<Invoice>(crm, ctx).await.first() {
                let status = *dice.pick(&[InvoiceStatus::Void, InvoiceStatus::Issued]);
                crm.invoices().update(ctx, invoice.id, Expect::Any, |i| i.status = status).await.unwrap();
            }
        }
        _ => {
            let rename = |customer: &mut Customer| customer.display_name = format!("Name {place}");
            crm.customers().update(ctx, customer, Expect::Any, rename).await.unwrap();
        }
    }
}

/// Purchases, steps, renewals, scores and milestones of one customer, from two processes at once and with clocks that
/// disagree: whatever the order, the lifecycle is what its invoices, history and scores make of it.
pub async fn lc_02_what_all_areas_write_at_once_agrees(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let other = world.second(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    crm.scores().put_model(&world.system(), ScoringModel::health()).await.unwrap();
    let id = world.customer("Busy").await.id;
    let seed = seed();
    let mut dice = Dice::new(seed);
    for round in 0..size(8, 60) {
        let back = chrono::Duration::minutes(dice.between(-90, 120));
        world.env.advance(back);
        let now = at(START) - chrono::Duration::hours(400);
        let seeds: Vec<u64> = (0..6).map(|_| dice.bits()).collect();
        at_once(seeds.len(), |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let mut dice = Dice::new(seeds[n]);
            async move { change(&crm, &ctx, id, round * 10 + n, &mut dice, now).await }
        })
        .await;
        let found = crm.lifecycle().get(&ctx, id).await.unwrap();
        let stages = crm.lifecycle().stages(&ctx).await.unwrap();
        let history = crm.lifecycle().history(&ctx, id).await.unwrap();
        let mut stage = stages[0].id;
        let mut since = None;
        for (row, sequence) in history.iter().rev().zip(1..) {
            assert_eq!((row.sequence, row.from_stage_id), (sequence, Some(stage)), "seed {seed}");
            assert!(since.is_none_or(|since| since <= row.changed_at), "seed {seed}: time runs backward");
            (stage, since) = (row.to_stage_id, Some(row.changed_at));
        }
        assert_eq!(
            (found.current_stage_id, found.stage_changes),
            (stage, history.len() as i64),
            "seed {seed}"
        );
        assert!(since.is_none_or(|since| since == found.entered_stage_at), "seed {seed}");
        let invoices: Vec<Invoice> = all(crm, &ctx).await;
        let revenue: Decimal = invoices.iter().filter(|i| i.counts()).map(|i| i.total).sum();
        let bought = invoices.iter().filter(|i| i.is_purchase()).count() as i64;
        assert_eq!((found.total_revenue, found.purchase_count), (revenue, bought), "seed {seed}");
        let scores: Vec<Score> = all(crm, &ctx).await;
        assert_eq!(scores.first().map(|score| score.score_value), found.health_score, "seed {seed}");
        let milestones: Vec<Milestone> = all(crm, &ctx).await;
        for once in
            [MilestoneType::FirstContact, MilestoneType::FirstPurchase, MilestoneType::OnboardingComplete]
        {
            let count = milestones.iter().filter(|m| m.milestone_type == once).count();
            assert!(count <= 1, "seed {seed}: {once:?}");
            assert!(once != MilestoneType::FirstPurchase || count as i64 == bought.min(1), "seed {seed}");
        }
        let stage = stages.iter().find(|of| of.id == stage).unwrap();
        let customer = crm.customers().get(&ctx, id).await.unwrap();
        assert_eq!(customer.status, stage.category.status(), "seed {seed}");
        let renewals: Vec<Renewal> = all(crm, &ctx).await;
        if stage.category == StageCategory::PostCustomer {
            assert!(renewals.iter().all(|renewal| renewal.status == RenewalStatus::Paused), "seed {seed}");
        }
    }
    crm.log().verify(&world.system()).await.unwrap().unwrap();
}

/// A lifecycle and an account have their customer's id; each has the history of its own, and is as it was at any time.
pub async fn pr_08_what_shares_an_id_has_its_own_history(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, manager) = (&world.crm, world.ada(), world.manager());
    let seed = seed();
    let mut dice = Dice::new(seed);
    crm.scores().put_model(&world.system(), ScoringModel::health()).await.unwrap();
    let firm = Customer { r#type: CustomerType::Organization, ..person("Firm") };
    let id = crm.customers().create(&ctx, firm).await.unwrap().id;
    crm.accounts().create(&ctx, Account::new(id, "Firm")).await.unwrap();
    let mut seen = Vec::new();
    for place in 0..size(15, 100) {
        world.env.advance(chrono::Duration::minutes(5));
        let now = world.env.now();
        change(crm, &ctx, id, place, &mut dice, now).await;
        let name = |account: &mut Account| account.legal_name = format!("Firm {}", place % 3);
        crm.accounts().update(&ctx, id, Expect::Any, name).await.unwrap();
        let lifecycle = crm.lifecycle().get(&ctx, id).await.unwrap();
        seen.push((now, lifecycle, crm.accounts().get(&ctx, id).await.unwrap()));
    }
    for (at, lifecycle, account) in &seen {
        let found = crm.log().as_of::<CustomerLifecycle>(&manager, id, *at).await.unwrap();
        assert_eq!(found.record.unwrap(), lifecycle.to_record(), "seed {seed}");
        let found = crm.log().as_of::<Account>(&manager, id, *at).await.unwrap();
        assert_eq!(found.record.unwrap(), account.to_record(), "seed {seed}");
    }
    let (_, lifecycle, account) = seen.pop().unwrap();
    let history = crm.log().history::<CustomerLifecycle>(&manager, id).await.unwrap();
    assert_eq!(history.len() as i64, lifecycle.meta.version, "seed {seed}");
    assert!(history.iter().all(|change| change.row.entity == "customer_lifecycle"));
    assert!(history.iter().all(|change| change.fields.values().all(|field| field.proven == Some(true))));
    assert_eq!(history.iter().filter(|change| change.row.op == Op::Insert).count(), 1);
    let history = crm.log().history::<Account>(&manager, id).await.unwrap();
    assert_eq!((history.len() as i64, history[0].row.record_id), (account.meta.version, id.0));
}

/// Who watches a customer knows its timeline: the page of before with what was told since is the page of now.
pub async fn tl_11_what_is_told_of_a_journey_makes_its_timeline(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, seed) = (&world.crm, world.ada(), seed());
    let mut dice = Dice::new(seed);
    crm.scores().put_model(&world.system(), ScoringModel::health()).await.unwrap();
    let id = world.customer("Watched").await.id;
    let request =
        TimelineRequest { all_time: true, limit: 1_000, ..TimelineRequest::of(Anchor::Customer(id)) };
    let page = async || {
        let page = crm.timeline().page(&ctx, &request).await.unwrap();
        page.entries.into_iter().map(|row| (row.key(), row)).collect::<BTreeMap<_, _>>()
    };
    let mut known = page().await;
    let mut told = crm.timeline().watch(&ctx, Anchor::Customer(id)).await.unwrap();
    for place in 0..size(6, 40) {
        for step in 0..5 {
            world.env.advance(chrono::Duration::minutes(5));
            change(crm, &ctx, id, place * 10 + step, &mut dice, world.env.now()).await;
        }
        let invoices: Vec<Invoice> = all(crm, &ctx).await;
        let told_of = |invoice: &&Invoice| known.keys().any(|key| key.entry_id == invoice.id.0);
        if let Some(invoice) = invoices.iter().find(told_of) {
            let draft = |invoice: &mut Invoice| invoice.status = InvoiceStatus::Draft;
            crm.invoices().update(&ctx, invoice.id, Expect::Any, draft).await.unwrap();
        }
        let milestones: Vec<Milestone> = all(crm, &ctx).await;
        if let Some(milestone) = milestones.first() {
            crm.journey().delete(&ctx, milestone.id, Expect::Any).await.unwrap();
        }
        // Numbers the rows: what comes now is behind them in the order of the log.
        crm.log().next(&world.system(), "seal", 1).await.unwrap();
        let last = world.interaction(id, "That is all").await.id;
        loop {
            match told.next().await.unwrap().unwrap() {
                TimelineChange::Put(row) => {
                    let (key, is_last) = (row.key(), row.entry_id == last.0);
                    known.insert(key, *row);
                    if is_last {
                        break;
                    }
                }
                TimelineChange::Removed(key) => _ = known.remove(&key),
            }
        }
        let shown = page().await;
        for (key, row) in &shown {
            assert_eq!(known.get(key), Some(row), "seed {seed}: {key:?}");
        }
        let kept: Vec<_> = known.keys().filter(|key| !shown.contains_key(key)).collect();
        assert!(kept.is_empty(), "seed {seed}: {kept:?}");
    }
}
