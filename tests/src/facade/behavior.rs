//! Behaviour events (SPEC LC-11).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use crm_core::behavior::{BehaviorEvent, BehaviorRefusal, BehaviorType};
use crm_core::contact::ContactId;
use crm_core::customer::CustomerId;
use crm_core::store::{MAX_WRITES, TimelineRow};
use crm_core::sweep::SweepAction;
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::value::Value;
use crm_core::{Context, Crm, Env as _, Error, Expect, Totals};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{World, all, at, at_once, contact, is, matching, seed};
use crate::{Harness, size};

const TYPES: [BehaviorType; 5] = [
    BehaviorType::Login,
    BehaviorType::FeatureUse,
    BehaviorType::PageView,
    BehaviorType::FormSubmit,
    BehaviorType::Conversion,
];

/// Something an app saw a customer do, an hour ago, with an id there.
fn seen(world: &World, customer: CustomerId, source: &str, id: &str) -> BehaviorEvent {
    BehaviorEvent {
        external_id: Some(id.to_owned()),
        ..BehaviorEvent::new(customer, BehaviorType::Login, source, world.env.now() - Duration::hours(1))
    }
}

async fn timeline(crm: &Crm, ctx: &Context, anchor: Anchor) -> Vec<TimelineRow> {
    let mut request = TimelineRequest { limit: 1_000, all_time: true, ..TimelineRequest::of(anchor) };
    request.filter.kinds = vec!["behavior_event".to_owned()];
    crm.timeline().page(ctx, &request).await.unwrap().entries
}

/// An external id of a source is recorded once, also when many record it at once in batches that overlap; what comes
/// again changes nothing, whatever it says; without an id each is one of its own.
pub async fn lc_11_an_event_that_arrives_again_is_recorded_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Active").await.id;
    let given = at_once(16, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let mut batch: Vec<_> = (0..8)
            .map(|place| seen(&world, customer, " app ", &format!(" e-{} ", (n + place) % 12)))
            .collect();
        batch.push(batch[0].clone());
        async move { (batch.clone(), crm.behavior().record_batch(&ctx, batch).await.unwrap().value) }
    })
    .await;
    let stored: Vec<BehaviorEvent> = all(&crm, &ctx).await;
    assert_eq!(stored.len(), 12);
    let by_id: BTreeMap<_, _> =
        stored.iter().map(|event| (event.external_id.clone().unwrap(), event)).collect();
    for (batch, answers) in &given {
        assert_eq!(batch.len(), answers.len());
        for (event, answer) in batch.iter().zip(answers) {
            assert_eq!(by_id[event.external_id.as_ref().unwrap().trim()], answer);
        }
    }
    assert_eq!(world.told("behavior.recorded").await.len(), 12);
    let elsewhere = world.customer("Elsewhere").await.id;
    let batch = vec![
        BehaviorEvent { subject: Some("changed".to_owned()), ..seen(&world, elsewhere, "app", "e-0") },
        seen(&world, customer, "site", "e-0"),
        BehaviorEvent { external_id: None, ..seen(&world, customer, "app", "") },
        seen(&world, customer, "app", " "),
        seen(&world, customer, "App", "e-0"),
    ];
    let keyed = ctx.clone().with_key("mixed");
    let mixed = crm.behavior().record_batch(&keyed, batch.clone()).await.unwrap();
    assert_eq!((&mixed.value[0], mixed.written.len()), (by_id["e-0"], 4));
    let ids: BTreeSet<_> = mixed.value.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 5, "another source and no id are others");
    let again = crm.behavior().record_batch(&keyed, batch.clone()).await.unwrap();
    assert!(again.repeated && again.value == mixed.value && again.written == mixed.written);
    assert_eq!(
        crm.behavior().record_batch(&keyed, batch[1..].to_vec()).await.unwrap_err().code(),
        "key_reused"
    );
    assert_eq!(all::<BehaviorEvent>(&crm, &ctx).await.len(), 16);
}

/// In whatever order and batches events arrive, and however often, the timeline is the same, and so are the totals.
pub async fn lc_11_any_order_of_arrival_gives_the_same_timeline(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let customers = [world.customer("Forward").await.id, world.customer("Shuffled").await.id];
    let facts: Vec<(BehaviorType, i64, Option<Decimal>)> = (0..size(40, 400))
        .map(|_| {
            (*dice.pick(&TYPES), dice.between(0, 30), dice.maybe(3, |d| Decimal::new(d.between(-99, 99), 2)))
        })
        .collect();
    let event = |customer: CustomerId, place: usize| {
        let (kind, minutes, amount) = facts[place];
        BehaviorEvent {
            id: crm_core::behavior::BehaviorEventId(Uuid::from_u128(
                (u128::from(customer == customers[1]) << 64) + place as u128 + 1,
            )),
            subject: Some(format!("fact {place}")),
            external_id: Some(format!("{customer}-{place}")),
            amount,
            ..BehaviorEvent::new(customer, kind, "app", now - Duration::minutes(minutes))
        }
    };
    for place in 0..facts.len() {
        crm.behavior().record(&ctx, event(customers[0], place)).await.unwrap();
    }
    let mut missing: BTreeSet<usize> = (0..facts.len()).collect();
    while !missing.is_empty() {
        let batch: Vec<usize> = (0..=dice.below(6)).map(|_| dice.below(facts.len())).collect();
        let events = batch.iter().map(|place| event(customers[1], *place)).collect();
        crm.behavior().record_batch(&ctx, events).await.unwrap();
        missing.retain(|place| !batch.contains(place));
    }
    let mut shown = Vec::new();
    for customer in customers {
        let rows = timeline(crm, &ctx, Anchor::Customer(customer)).await;
        let rows = rows.into_iter().map(|row| (row.at, row.subtype, row.source, row.display, row.highlight));
        shown.push(rows.collect::<Vec<_>>());
    }
    assert_eq!(shown[0], shown[1], "seed {seed}");
    assert_eq!(shown[0].len(), facts.len());
    let totals = Totals::by(&["customer_id", "behavior_type"]).sum("amount");
    let groups = crm.behavior().totals(&ctx, &totals).await.unwrap();
    for customer in customers {
        for kind in TYPES {
            let of_kind = facts.iter().filter(|fact| fact.0 == kind);
            let sum: Decimal = of_kind.clone().filter_map(|fact| fact.2).sum();
            let count = of_kind.count() as i64;
            let key = [Value::Id(customer.0), Value::Text(kind.code().to_owned())];
            let group = groups.iter().find(|group| group.by == key);
            let found = group.map_or((0, Decimal::ZERO), |group| match group.measures[..] {
                [Value::Int(count), Value::Decimal(sum)] => (count, sum),
                _ => panic!("{group:?}"),
            });
            assert_eq!(found, (count, sum), "seed {seed}: {kind:?}");
        }
    }
}

/// The contact belongs to the customer or has a role there, and its timeline has the event too.
pub async fn lc_11_the_contact_belongs_to_the_customer_or_has_a_role_there(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (home, away) = (world.customer("Home").await.id, world.customer("Away").await.id);
    let someone = crm.contacts().create(&ctx, contact(home, "Some", "One")).await.unwrap().id;
    let by = |customer, contact: ContactId, id: &str| BehaviorEvent {
        contact_id: Some(contact),
        ..seen(&world, customer, "app", id)
    };
    crm.behavior().record(&ctx, by(home, someone, "1")).await.unwrap();
    match crm.behavior().record(&ctx, by(away, someone, "2")).await {
        Err(Error::Refused(BehaviorRefusal::ForeignContact { contact, customer })) => {
            assert_eq!((contact, customer), (someone, away));
        }
        other => panic!("{other:?}"),
    }
    crm.contacts().add_role(&ctx, someone, away, "advisor").await.unwrap();
    crm.behavior().record(&ctx, by(away, someone, "2")).await.unwrap();
    assert_eq!(timeline(crm, &ctx, Anchor::Contact(someone)).await.len(), 2);
    let mixed = vec![by(home, someone, "3"), by(home, ContactId(Uuid::from_u128(404)), "4")];
    assert_eq!(crm.behavior().record_batch(&ctx, mixed).await.unwrap_err().code(), "not_found");
    crm.contacts().delete(&ctx, someone, Expect::Any).await.unwrap();
    assert_eq!(crm.behavior().record(&ctx, by(home, someone, "5")).await.unwrap_err().code(), "not_found");
    assert_eq!(all::<BehaviorEvent>(crm, &ctx).await.len(), 2, "all or none");
}

/// Wrong input is refused with its field and its place, and nothing is stored; a thousand are one commit and more are
/// refused; a deleted customer hides its events; a sweep removes what is old, and frees the ids.
pub async fn lc_11_wrong_events_are_refused_and_old_ones_swept(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Busy").await.id;
    let good = |id: &str| seen(&world, customer, "app", id);
    let long = |n: usize| "ß".repeat(n);
    for (field, wrong) in [
        ("source", BehaviorEvent { source: " ".to_owned(), ..good("1") }),
        ("source", BehaviorEvent { source: long(51), ..good("1") }),
        ("source", BehaviorEvent { source: "a\0".to_owned(), ..good("1") }),
        ("external_id", good(&long(201))),
        ("external_id", good("a\0b")),
        ("subject", BehaviorEvent { subject: Some(long(201)), ..good("1") }),
        ("amount", BehaviorEvent { amount: Some(Decimal::new(1, 5)), ..good("1") }),
        ("details", BehaviorEvent { details: Some(json!(["a"])), ..good("1") }),
        ("occurred_at", BehaviorEvent { occurred_at: now + Duration::hours(1), ..good("1") }),
        ("occurred_at", BehaviorEvent { occurred_at: at("-000044-03-15T00:00:00Z"), ..good("1") }),
    ] {
        match crm.behavior().record_batch(&ctx, vec![good("0"), wrong]).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, format!("[1].{field}"), "{errors:?}"),
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    let odd = BehaviorEvent {
        source: long(50),
        external_id: Some(long(200)),
        subject: Some("e\u{301}\u{200d}\u{1F600}".to_owned()),
        occurred_at: at("2024-02-29T00:00:00.0009Z"),
        ..good("1")
    };
    let kept = crm.behavior().record(&ctx, odd).await.unwrap();
    assert_eq!(kept.subject.as_deref(), Some("é\u{200d}\u{1F600}"));
    assert_eq!(crm.behavior().get(&ctx, kept.id).await.unwrap(), kept.value);
    let thousand: Vec<_> = (0..MAX_WRITES).map(|n| good(&format!("t-{n}"))).collect();
    let mut more = thousand.clone();
    more.push(good("one more"));
    let refused = crm.behavior().record_batch(&ctx, more).await;
    assert!(matches!(&refused, Err(Error::Invalid(errors)) if errors[0].field == "events"), "{refused:?}");
    let done = crm.behavior().record_batch(&ctx, thousand.clone()).await.unwrap();
    assert_eq!(done.written.len(), MAX_WRITES);
    assert!(crm.behavior().record_batch(&ctx, thousand).await.unwrap().written.is_empty());

    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let reader = Context { roles: vec!["reader".to_owned()], ..world.ada() };
    assert_eq!(crm.behavior().record(&theirs, good("x")).await.unwrap_err().code(), "not_found");
    assert_eq!(crm.behavior().record(&reader, good("x")).await.unwrap_err().code(), "forbidden");
    assert_eq!(crm.behavior().get(&theirs, kept.id).await.unwrap_err().code(), "not_found");
    assert!(crm.behavior().get(&reader, kept.id).await.is_ok());
    crm.customers().delete(&ctx, customer, Expect::Any).await.unwrap();
    assert!(all::<BehaviorEvent>(crm, &ctx).await.is_empty());
    assert!(timeline(crm, &ctx, Anchor::Tenant).await.is_empty());
    assert_eq!(crm.behavior().totals(&ctx, &Totals::default()).await.unwrap()[0].measures, [Value::Int(0)]);
    assert_eq!(crm.behavior().record(&ctx, good("t-0")).await.unwrap_err().code(), "not_found");
    crm.customers().restore(&ctx, customer).await.unwrap();
    assert_eq!(all::<BehaviorEvent>(crm, &ctx).await.len(), MAX_WRITES + 1);

    let system = world.system();
    let old = is("occurred_at", "gte", "2024-02-29T10:00:00Z");
    for (action, left) in [(SweepAction::Delete, 1), (SweepAction::Purge, 1)] {
        let sweep =
            crm.sweeps().plan(&system, "behavior_event", Some(old.clone()), action, "old").await.unwrap();
        crm.sweeps().run(&system, sweep.id).await.unwrap();
        assert_eq!(all::<BehaviorEvent>(crm, &ctx).await.len(), left);
    }
    assert_eq!(timeline(crm, &ctx, Anchor::Customer(customer)).await.len(), 1);
    let fresh = crm.behavior().record(&ctx, good("t-0")).await.unwrap();
    let found = matching::<BehaviorEvent>(crm, &ctx, is("external_id", "eq", "t-0")).await;
    assert_eq!((fresh.written.len(), found), (1, vec![fresh.value.clone()]));
    let personal = BehaviorEvent {
        subject: Some("/reset?mail=erika@example.com".to_owned()),
        details: Some(json!({ "mail": "erika@example.com" })),
        ..good("erika@example.com")
    };
    crm.behavior().record(&ctx, personal).await.unwrap();
    let sweep =
        crm.sweeps().plan(&system, "behavior_event", None, SweepAction::Mask, "erasure").await.unwrap();
    crm.sweeps().run(&system, sweep.id).await.unwrap();
    let shown = format!(
        "{:?} {:?}",
        all::<BehaviorEvent>(crm, &system).await,
        timeline(crm, &system, Anchor::Tenant).await
    );
    assert!(!shown.contains("erika"), "{shown}");
}
