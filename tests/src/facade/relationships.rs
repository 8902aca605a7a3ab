//! Relationships between customers (SPEC CM-04).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use crm_core::customer::CustomerId;
use crm_core::relationship::{Relationship, RelationshipId, RelationshipRefusal, RelationshipType};
use crm_core::{Context, Error, Expect};
use uuid::Uuid;

use super::dice::Dice;
use super::world::{World, all, at_once, seed, tally};
use crate::{Harness, size};

type Change = fn(&mut Relationship);

const TYPES: [RelationshipType; 4] = [
    RelationshipType::Partner,
    RelationshipType::Referral,
    RelationshipType::Reseller,
    RelationshipType::Subsidiary,
];

/// Random creations, deletions and deletions of customers: what is refused and what is read are those of a model.
pub async fn cm_04_relationships_are_unique_dated_and_seen_from_both_ends(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let mut customers = Vec::new();
    for n in 0..4 {
        customers.push((world.customer(&format!("C{n}")).await.id, true));
    }
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut model: BTreeMap<RelationshipId, Relationship> = BTreeMap::new();
    for step in 0..size(150, 2_000) {
        let live = |id: CustomerId| customers.iter().any(|(other, live)| *other == id && *live);
        match dice.below(8) {
            0 => {
                let (id, live) = dice.pick(&customers).to_owned();
                if live {
                    crm.customers().delete(&ctx, id, Expect::Any).await.unwrap();
                } else {
                    crm.customers().restore(&ctx, id).await.unwrap();
                }
                customers.iter_mut().find(|(other, _)| *other == id).unwrap().1 = !live;
            }
            1 if !model.is_empty() => {
                let ids: Vec<RelationshipId> = model.keys().copied().collect();
                let id = *dice.pick(&ids);
                let both = live(model[&id].from_customer_id) && live(model[&id].to_customer_id);
                let notes = |r: &mut Relationship| r.notes = Some(format!("step {step}"));
                let updated = crm.relationships().update(&ctx, id, Expect::Any, notes).await;
                let deleted = if dice.one_in(2) {
                    Some(crm.relationships().delete(&ctx, id, Expect::Any).await)
                } else {
                    None
                };
                if both {
                    model.insert(id, updated.unwrap().value);
                    if let Some(deleted) = deleted {
                        deleted.unwrap();
                        model.remove(&id);
                    }
                } else {
                    assert_eq!(updated.unwrap_err().code(), "not_found", "seed {seed}, step {step}");
                    assert!(deleted.is_none_or(|deleted| deleted.unwrap_err().code() == "not_found"));
                }
            }
            _ => {
                let (from, to, kind) = (dice.pick(&customers).0, dice.pick(&customers).0, *dice.pick(&TYPES));
                let same = model.values().find(|r| {
                    (r.from_customer_id, r.to_customer_id, r.relationship_type) == (from, to, kind)
                });
                let expected = match same {
                    _ if !live(from) || !live(to) => Some("not_found"),
                    _ if from == to => Some("relationship_itself"),
                    Some(_) => Some("relationship_exists"),
                    None => None,
                };
                let outcome = crm.relationships().create(&ctx, Relationship::new(from, to, kind)).await;
                if let Err(Error::Refused(RelationshipRefusal::Exists(id))) = &outcome {
                    assert_eq!(Some(*id), same.map(|same| same.id), "seed {seed}, step {step}");
                }
                let code = outcome.as_ref().err().map(Error::code);
                assert_eq!(code, expected, "seed {seed}, step {step}: {from} {to}");
                if let Ok(created) = outcome {
                    model.insert(created.id, created.value);
                }
            }
        }
        let of = dice.pick(&customers).0;
        let live = |id: CustomerId| customers.iter().any(|(other, live)| *other == id && *live);
        let seen = model.values().filter(|r| live(r.from_customer_id) && live(r.to_customer_id));
        let mut expected: Vec<Relationship> =
            seen.clone().filter(|r| r.from_customer_id == of).cloned().collect();
        expected.extend(seen.filter(|r| r.to_customer_id == of).cloned());
        let found = crm.relationships().of(&ctx, of).await.unwrap();
        assert_eq!(found, expected, "seed {seed}, step {step}");
    }
}

/// Of many that are created at once one is; the type of the hierarchy is refused with where it is kept; wrong input,
/// other tenants' ids and frozen fields are refused.
pub async fn cm_04_of_the_same_relationship_there_is_one_and_the_hierarchy_is_elsewhere(
    harness: &dyn Harness,
) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let (a, b) = (world.customer("A").await.id, world.customer("B").await.id);
    let results = at_once(64, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let (from, to) = if n % 4 < 2 { (a, b) } else { (b, a) };
        async move {
            let new = Relationship::new(from, to, RelationshipType::Referral);
            crm.relationships().create(&ctx, new).await.err().map_or("created", |error| error.code())
        }
    })
    .await;
    let counts = tally(results.into_iter());
    assert_eq!((counts["created"], counts["relationship_exists"]), (2, 62), "one of each direction");
    assert_eq!(crm.relationships().of(&ctx, a).await.unwrap().len(), 2);

    let parent = Relationship::new(a, b, RelationshipType::ParentChild);
    let refused = crm.relationships().create(&ctx, parent).await.unwrap_err();
    assert_eq!(refused.code(), "relationship_hierarchy");
    assert!(refused.to_string().contains("set_parent"), "{refused}");
    let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d);
    let new = || Relationship::new(a, b, RelationshipType::Partner);
    for (field, wrong) in [
        ("end_date", Relationship { start_date: day(2024, 2, 29), end_date: day(2024, 2, 28), ..new() }),
        ("start_date", Relationship { start_date: day(10_000, 1, 1), ..new() }),
        ("end_date", Relationship { end_date: day(-1, 1, 1), ..new() }),
        ("notes", Relationship { notes: Some("x".repeat(5_001)), ..new() }),
        ("notes", Relationship { notes: Some("a\0".to_owned()), ..new() }),
    ] {
        match crm.relationships().create(&ctx, wrong).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field),
            other => panic!("a wrong {field} was accepted: {other:?}"),
        }
    }
    assert_eq!(all::<Relationship>(&crm, &ctx).await.len(), 2, "nothing of what was refused is stored");
    let leap = Relationship { start_date: day(2024, 2, 29), end_date: day(2024, 2, 29), ..new() };
    let keyed = ctx.clone().with_key("once");
    let leap = crm.relationships().create(&keyed, leap.clone()).await.unwrap();
    let again = Relationship { start_date: day(2024, 2, 29), end_date: day(2024, 2, 29), ..new() };
    let again = crm.relationships().create(&keyed, again).await.unwrap();
    assert!(again.repeated && again.value == leap.value && again.written == leap.written);
    let end = |r: &mut Relationship| r.end_date = NaiveDate::from_ymd_opt(2025, 2, 28);
    let ended = crm.relationships().update(&ctx, leap.id, Expect::Version(1), end).await.unwrap();
    assert_eq!((ended.end_date, ended.meta.version), (day(2025, 2, 28), 2));
    let old = crm.relationships().delete(&ctx, leap.id, Expect::Version(1)).await.unwrap_err();
    assert_eq!(old.code(), "version_conflict");
    let frozen: [(&str, Change); 3] = [
        ("from_customer_id", |r| r.from_customer_id = CustomerId(Uuid::from_u128(1))),
        ("to_customer_id", |r| r.to_customer_id = CustomerId(Uuid::from_u128(1))),
        ("relationship_type", |r| r.relationship_type = RelationshipType::ParentChild),
    ];
    for (field, change) in frozen {
        match crm.relationships().update(&ctx, leap.id, Expect::Any, change).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, field),
            other => panic!("{field} changed: {other:?}"),
        }
    }
    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(seed()))));
    let nobody = Context { roles: Vec::new(), ..world.ada() };
    for (ctx, code) in [(&theirs, "not_found"), (&nobody, "forbidden")] {
        assert_eq!(crm.relationships().create(ctx, new()).await.unwrap_err().code(), code);
        assert_eq!(
            crm.relationships().update(ctx, leap.id, Expect::Any, end).await.unwrap_err().code(),
            code
        );
        assert_eq!(crm.relationships().delete(ctx, leap.id, Expect::Any).await.unwrap_err().code(), code);
    }
    assert!(crm.relationships().of(&theirs, a).await.unwrap().is_empty());
    assert_eq!(crm.relationships().of(&nobody, a).await.unwrap_err().code(), "forbidden");
    // A deleted one makes room for another.
    crm.relationships().delete(&ctx, leap.id, Expect::Any).await.unwrap();
    crm.relationships().create(&ctx, new()).await.unwrap();
}
