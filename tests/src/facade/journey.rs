//! Milestones of the journey with a customer (SPEC LC-11).

use std::collections::BTreeMap;

use chrono::Duration;
use crm_core::journey::{Milestone, MilestoneId, MilestoneType};
use crm_core::lifecycle::AdvanceStage;
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::{Context, Env as _, Error, Expect};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, World, all, at, at_once, is, matching, seed};
use crate::{Harness, size};

const TYPES: [MilestoneType; 9] = [
    MilestoneType::FirstContact,
    MilestoneType::FirstPurchase,
    MilestoneType::OnboardingComplete,
    MilestoneType::Renewal,
    MilestoneType::Upsell,
    MilestoneType::ReferralMade,
    MilestoneType::SupportEscalation,
    MilestoneType::ChurnSignal,
    MilestoneType::WinBack,
];

/// However many record at once, in two processes, that a customer bought for the first time, one milestone is stored and
/// told, and all are given it; a stage that brings the same one at the same time adds none.
pub async fn lc_11_a_milestone_reached_once_is_one_among_racing_writers(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let now = world.env.now();
    for round in 0..size(3, 20) {
        let customer = world.customer(&format!("Racer {round}")).await.id;
        let stages = crm.lifecycle().stages(&ctx).await.unwrap();
        for to in [1, 2] {
            crm.lifecycle().advance(&ctx, AdvanceStage::new(customer, stages[to].id)).await.unwrap();
        }
        let to = stages[3].id;
        let given = at_once(16, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                if n == 7 {
                    crm.lifecycle().advance(&ctx, AdvanceStage::new(customer, to)).await.unwrap();
                    return None;
                }
                let details = Some(json!({ "writer": n }));
                let milestone = Milestone::new(customer, MilestoneType::FirstPurchase, now);
                Some(crm.journey().reach(&ctx, Milestone { details, ..milestone }).await.unwrap())
            }
        })
        .await;
        let stored = matching::<Milestone>(&crm, &ctx, is("customer_id", "eq", customer.to_string())).await;
        assert!(stored.len() == 1 && stored[0].is_once, "{stored:?}");
        let written: usize = given.iter().flatten().map(|done| done.written.len()).sum();
        assert!(written <= 1 && given.iter().flatten().all(|done| done.value == stored[0]), "{given:?}");
        assert_eq!(world.told("milestone.reached").await.len(), round + 1);
    }
}

/// Whatever is reached, changed and deleted: what is stored is what a model of it says, page by page.
pub async fn lc_11_milestones_are_those_of_a_model(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let customers = [world.customer("One").await.id, world.customer("Two").await.id];
    let mut model: BTreeMap<MilestoneId, Milestone> = BTreeMap::new();
    for step in 0..size(80, 1_000) {
        let occurred_at = now - Duration::minutes(dice.between(-5, 400_000));
        let details = dice.maybe(2, |_| json!({ "step": step }));
        let known: Vec<MilestoneId> = model.keys().copied().collect();
        if known.is_empty() || dice.one_in(2) {
            let (customer, kind) = (*dice.pick(&customers), *dice.pick(&TYPES));
            let given = Milestone { details, ..Milestone::new(customer, kind, occurred_at) };
            let done = crm.journey().reach(&ctx, given.clone()).await.unwrap();
            let mut there = model.values().filter(|m| m.customer_id == customer && m.milestone_type == kind);
            if kind.is_once()
                && let Some(there) = there.next()
            {
                assert!(done.written.is_empty() && &done.value == there, "seed {seed}");
                continue;
            }
            let by_ada = Some(crm_core::directory::UserId(ADA));
            let expected =
                Milestone { id: done.id, meta: done.meta.clone(), created_by: by_ada, ..given.clone() };
            assert_eq!(done.value, expected, "seed {seed}");
            model.insert(done.id, done.value);
        } else if dice.one_in(3) {
            let id = *dice.pick(&known);
            let gone =
                crm.journey().delete(&ctx, id, Expect::Version(model[&id].meta.version)).await.unwrap();
            assert!(gone.meta.deleted_at.is_some());
            model.remove(&id);
        } else {
            let id = *dice.pick(&known);
            let change = |m: &mut Milestone| (m.occurred_at, m.details) = (occurred_at, details.clone());
            let done = crm.journey().update(&ctx, id, Expect::Any, change).await.unwrap();
            assert_eq!((done.occurred_at, &done.details), (occurred_at, &details), "seed {seed}");
            model.insert(id, done.value);
        }
    }
    for customer in customers {
        let mut expected: Vec<_> = model.values().filter(|m| m.customer_id == customer).cloned().collect();
        expected.sort_by_key(|m| (std::cmp::Reverse(m.occurred_at), m.id));
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = crm.journey().of_customer(&ctx, customer, 3, cursor).await.unwrap();
            found.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// All nine types are in the timeline, highlighted, found by kind and type, and follow the record; they are hidden with
/// a deleted customer and back when it is restored. The customer sees none of them in a portal.
pub async fn lc_11_milestones_are_highlighted_in_the_timeline(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Travelled").await.id;
    world.interaction(customer, "between").await;
    let mut reached = Vec::new();
    for (kind, day) in TYPES.into_iter().zip(1..) {
        let milestone = Milestone::new(customer, kind, now - Duration::days(day));
        reached.push(crm.journey().reach(&ctx, milestone).await.unwrap().value);
    }
    let mut request = TimelineRequest::of(Anchor::Customer(customer));
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap().entries.len(), 10);
    request.filter.kinds = vec!["milestone".to_owned()];
    let page = crm.timeline().page(&ctx, &request).await.unwrap();
    assert_eq!(page.entries.len(), 9);
    for (row, milestone) in page.entries.iter().zip(&reached) {
        let code = milestone.milestone_type.code();
        assert!(
            row.highlight && row.entry_id == milestone.id.0 && row.at == milestone.occurred_at,
            "{row:?}"
        );
        assert_eq!((row.subtype.as_deref(), row.actor), (Some(code), Some(ADA)));
        assert_eq!(row.display.title, format!("Milestone: {}", code.replace('_', " ")));
    }
    request.filter.subtypes = vec!["upsell".to_owned()];
    let upsell = reached[4].id;
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap().entries[0].entry_id, upsell.0);
    crm.journey().update(&ctx, upsell, Expect::Any, |m| m.occurred_at = now).await.unwrap();
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap().entries[0].at, now);
    crm.journey().delete(&ctx, upsell, Expect::Any).await.unwrap();
    assert!(crm.timeline().page(&ctx, &request).await.unwrap().entries.is_empty());
    request.filter.subtypes.clear();
    let portal = Context {
        actor: crm_core::log::Actor { kind: crm_core::log::ActorKind::Customer, id: Some(customer.0) },
        ..world.ada()
    };
    assert!(crm.timeline().page(&portal, &request).await.unwrap().entries.is_empty());
    crm.customers().delete(&ctx, customer, Expect::Any).await.unwrap();
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap_err().code(), "not_found");
    let tenant = TimelineRequest { anchor: Anchor::Tenant, ..request.clone() };
    assert!(crm.timeline().page(&ctx, &tenant).await.unwrap().entries.is_empty());
    assert!(all::<Milestone>(crm, &ctx).await.is_empty());
    assert!(crm.journey().of_customer(&ctx, customer, 10, None).await.unwrap().items.is_empty());
    let codes = [
        crm.journey().get(&ctx, reached[0].id).await.unwrap_err().code(),
        crm.journey().reach(&ctx, reached[3].clone()).await.unwrap_err().code(),
        crm.journey().update(&ctx, reached[0].id, Expect::Any, |_| ()).await.unwrap_err().code(),
        crm.journey().delete(&ctx, reached[0].id, Expect::Any).await.unwrap_err().code(),
    ];
    assert_eq!(codes, ["not_found"; 4]);
    crm.customers().restore(&ctx, customer).await.unwrap();
    assert_eq!(crm.timeline().page(&ctx, &request).await.unwrap().entries.len(), 8);
    assert_eq!(crm.timeline().page(&ctx, &tenant).await.unwrap().entries.len(), 8);
}

/// Wrong input is refused with its field and nothing is stored; what follows from the type, and whose it is, stays; who
/// may not, and another tenant, change nothing; a repeat gives what the first one gave.
pub async fn lc_11_wrong_milestones_are_refused_and_repeats_change_nothing(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Careful").await.id;
    let upsell = |occurred_at| Milestone::new(customer, MilestoneType::Upsell, occurred_at);
    let with = |details: Json| Milestone { details: Some(details), ..upsell(now) };
    for (field, wrong) in [
        ("occurred_at", upsell(now + Duration::minutes(5) + Duration::milliseconds(1))),
        ("occurred_at", upsell(at("+010000-01-01T00:00:00Z"))),
        ("occurred_at", upsell(at("0000-12-31T23:59:59Z"))),
        ("details", with(json!("text"))),
        ("details", with(json!({ "a": ["\0"] }))),
        ("details", with(json!({ "a": "ß".repeat(5_000) }))),
    ] {
        match crm.journey().reach(&ctx, wrong).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field, "{errors:?}"),
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    assert!(all::<Milestone>(crm, &ctx).await.is_empty());
    let odd = json!({ "e\u{301} \u{202e}\u{1F600}": ["\\u0000", "$where", "a.b", -1, { "": null }] });
    let keyed = ctx.clone().with_key("once");
    let first = crm.journey().reach(&keyed, with(odd.clone())).await.unwrap();
    assert_eq!(crm.journey().get(&ctx, first.id).await.unwrap().details, Some(odd.clone()));
    let again = crm.journey().reach(&keyed, with(odd.clone())).await.unwrap();
    assert!(again.repeated && again.value == first.value && again.written == first.written);
    assert_eq!(crm.journey().reach(&keyed, upsell(now)).await.unwrap_err().code(), "key_reused");
    assert_ne!(crm.journey().reach(&ctx, with(odd)).await.unwrap().id, first.id, "upsold again");
    let early = upsell(at("0001-01-01T00:00:00Z"));
    crm.journey().reach(&ctx, early).await.unwrap();

    // A repeat of what found a milestone finds it again, and says so when it is gone.
    let first_contact = Milestone::new(customer, MilestoneType::FirstContact, now);
    let there = crm.journey().reach(&ctx, first_contact.clone()).await.unwrap();
    let keyed = ctx.clone().with_key("found");
    for repeated in [false, true] {
        let found = crm.journey().reach(&keyed, first_contact.clone()).await.unwrap();
        assert!(found.value == there.value && found.repeated == repeated && found.written.is_empty());
    }
    let forged = Milestone { is_once: false, ..first_contact.clone() };
    assert_eq!(crm.journey().reach(&ctx, forged).await.unwrap().id, there.id);
    crm.journey().delete(&ctx.clone().with_key("gone"), there.id, Expect::Any).await.unwrap();
    assert_eq!(crm.journey().reach(&keyed, first_contact.clone()).await.unwrap_err().code(), "not_found");
    let repeat = crm.journey().delete(&ctx.clone().with_key("gone"), there.id, Expect::Any).await.unwrap();
    assert!(repeat.repeated && repeat.meta.deleted_at.is_some());
    assert_ne!(crm.journey().reach(&ctx, first_contact).await.unwrap().id, there.id, "reached again");

    let other = world.customer("Other").await.id;
    for field in ["milestone_type", "is_once", "customer_id", "created_by"] {
        let change = |m: &mut Milestone| match field {
            "milestone_type" => m.milestone_type = MilestoneType::WinBack,
            "is_once" => m.is_once = true,
            "customer_id" => m.customer_id = other,
            _ => m.created_by = None,
        };
        match crm.journey().update(&ctx, first.id, Expect::Any, change).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field),
            other => panic!("{field} was changed: {other:?}"),
        }
    }
    let late = |m: &mut Milestone| m.occurred_at += Duration::days(1);
    assert_eq!(crm.journey().update(&ctx, first.id, Expect::Any, late).await.unwrap_err().code(), "invalid");
    let same = crm.journey().update(&ctx, first.id, Expect::Version(1), |_| ()).await.unwrap();
    assert!(same.written.is_empty());
    let stale = crm.journey().delete(&ctx, first.id, Expect::Version(7)).await;
    assert_eq!(stale.unwrap_err().code(), "version_conflict");

    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    for (ctx, code) in [(&theirs, "not_found"), (&reader, "forbidden")] {
        let codes = [
            crm.journey().reach(ctx, upsell(now)).await.unwrap_err().code(),
            crm.journey().update(ctx, first.id, Expect::Any, |m| m.details = None).await.unwrap_err().code(),
            crm.journey().delete(ctx, first.id, Expect::Any).await.unwrap_err().code(),
        ];
        assert_eq!(codes, [code; 3]);
    }
    assert!(all::<Milestone>(crm, &theirs).await.is_empty());
    assert_eq!(crm.journey().get(&reader, first.id).await.unwrap(), first.value);
    assert_eq!(crm.journey().get(&theirs, first.id).await.unwrap_err().code(), "not_found");
}
