//! Deleting what meets criteria (SPEC CM-10, IT-01).

use chrono::Duration;
use crm_core::approval::{Approval, ApprovalStatus, BulkDeletion, MOST_AT_ONCE};
use crm_core::customer::Customer;
use crm_core::interaction::{Interaction, InteractionType};
use crm_core::sweep::Sweep;
use crm_core::timeline::{Anchor, TimelineRequest, Visibility};
use crm_core::{Context, Env as _, Error, Expect};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::approvals::{log_of, told};
use super::dice::Dice;
use super::tenants::dump;
use super::world::{World, all, at_once, is, matching, person, seed, tally};
use crate::{Harness, size};

const DAN: Uuid = Uuid::from_u128(0xda4);

fn tagged(tag: &str) -> Json {
    is("tags", "contains", tag)
}

/// A hundred customers are deleted at once, in one commit; of one more none is, before another user has approved it and
/// the bulk work was run.
pub async fn cm_10_more_than_a_hundred_customers_are_deleted_after_an_approval(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let dan = Context { roles: vec!["admin".to_owned()], ..Context::user(world.tenant, DAN) };
    let people = |tag: &str, count: usize| {
        let tags = vec![tag.to_owned()];
        (0..count)
            .map(|n| (Customer { tags: tags.clone(), ..person(&format!("{tag} {n}")) }, Vec::new()))
            .collect()
    };
    crm.customers().create_batch(&ada, people("few", MOST_AT_ONCE)).await.unwrap();
    crm.customers().create_batch(&ada, people("many", MOST_AT_ONCE + 1)).await.unwrap();
    let before = dump(crm, world.tenant).await;
    let none = crm.customers().delete_matching(&ada, tagged("nobody"), "cleanup").await.unwrap();
    assert_eq!((&none.value, none.written.len()), (&BulkDeletion::Deleted(0), 0));
    assert_eq!(dump(crm, world.tenant).await, before);

    let key = ada.clone().with_key("few");
    let few = crm.customers().delete_matching(&key, tagged("few"), "cleanup").await.unwrap();
    assert_eq!((&few.value, few.written.len()), (&BulkDeletion::Deleted(MOST_AT_ONCE), MOST_AT_ONCE));
    let again = crm.customers().delete_matching(&key, tagged("few"), "cleanup").await.unwrap();
    assert!(again.repeated && again.value == few.value && again.written == few.written);
    let other = crm.customers().delete_matching(&key, tagged("many"), "cleanup").await;
    assert!(matches!(other, Err(Error::KeyReused)));
    assert_eq!(told(&world, &["customer."]).await["customer.deleted"], MOST_AT_ONCE);
    let rows = log_of(&world).await;
    let commits: std::collections::BTreeSet<_> = rows
        .iter()
        .filter(|row| row.body.command == "customers.delete_matching")
        .map(|row| row.commit_id)
        .collect();
    assert_eq!(commits.len(), 1, "all in one commit");
    assert_eq!(all::<Customer>(crm, &ada).await.len(), MOST_AT_ONCE + 1);

    let key = ada.clone().with_key("many");
    let many = crm.customers().delete_matching(&key, tagged("many"), "asked by letter").await.unwrap();
    let again = crm.customers().delete_matching(&key, tagged("many"), "asked by letter").await.unwrap();
    assert!(again.repeated && again.value == many.value);
    let BulkDeletion::NeedsApproval(approval) = many.value else { panic!("{many:?}") };
    assert_eq!(all::<Approval>(crm, &ada).await, [*approval.clone()]);
    assert_eq!((approval.status, approval.command.as_str()), (ApprovalStatus::Pending, "sweeps.delete"));
    assert_eq!((approval.entity.as_str(), approval.reason.as_deref()), ("customer", Some("asked by letter")));
    assert_eq!(approval.expires_at, world.env.now() + Duration::days(14));
    assert_eq!(all::<Customer>(crm, &ada).await.len(), MOST_AT_ONCE + 1, "deleted before it was approved");
    assert_eq!(told(&world, &["approval."]).await["approval.requested"], 1);
    let own = crm.approvals().approve(&world.ada().with_role("admin"), approval.id, Expect::Any, None).await;
    assert_eq!(own.unwrap_err().code(), "own_request");
    let approved = crm.approvals().approve(&dan, approval.id, Expect::Any, None).await.unwrap();
    assert_eq!(all::<Customer>(crm, &ada).await.len(), MOST_AT_ONCE + 1, "deleted before it was run");
    let sweep = crm.sweeps().run(&dan, approved.sweep_id.unwrap()).await.unwrap();
    assert_eq!(sweep.changed, MOST_AT_ONCE as i64 + 1);
    assert!(all::<Customer>(crm, &ada).await.is_empty());
    assert_eq!(told(&world, &["customer."]).await["customer.swept"], MOST_AT_ONCE + 1);
    let rows = log_of(&world).await;
    let changed = tally(rows.iter().map(|row| row.entity.as_str()));
    assert_eq!((changed["customer"], changed["approval"], changed["sweep"]), (201 * 2, 2, 2), "each audited");
}

/// Of interactions only those count, and are deleted, that the actor may see; what is approved deletes all. Each deletion
/// is in the log, and out of the timeline.
pub async fn it_01_a_bulk_deletion_takes_what_the_actor_may_see(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada, bob) = (&world.crm, world.ada(), world.bob());
    let dan = Context { roles: vec!["admin".to_owned()], ..Context::user(world.tenant, DAN) };
    let customer = world.customer("Talker").await.id;
    let gone = world.customer("Gone").await.id;
    let call = |visibility, customer| Interaction {
        interaction_type: InteractionType::Call,
        visibility,
        ..world.touch(customer, "Talk")
    };
    let log = async |ctx: &Context, count: usize, visibility, customer| {
        let calls = (0..count).map(|_| call(visibility, customer)).collect();
        crm.interactions().log_batch(ctx, calls).await.unwrap();
    };
    log(&ada, MOST_AT_ONCE - 1, Visibility::All, customer).await;
    log(&ada, 1, Visibility::Private, customer).await;
    log(&bob, 3, Visibility::Private, customer).await;
    log(&ada, 5, Visibility::All, gone).await;
    crm.customers().delete(&ada, gone, Expect::Any).await.unwrap();
    let kept = world.interaction(customer, "Kept").await.id;
    let calls = || is("interaction_type", "eq", "call");
    let done = crm.interactions().delete_matching(&ada, calls(), "asked for").await.unwrap();
    assert_eq!(done.value, BulkDeletion::Deleted(MOST_AT_ONCE));
    assert!(matching::<Interaction>(crm, &ada, calls()).await.is_empty());
    assert_eq!(matching::<Interaction>(crm, &bob, calls()).await.len(), 3, "another's private ones");
    crm.customers().restore(&ada, gone).await.unwrap();
    assert_eq!(matching::<Interaction>(crm, &ada, calls()).await.len(), 5, "those of a deleted customer");
    let page =
        crm.timeline().page(&world.system(), &TimelineRequest::of(Anchor::Customer(customer))).await.unwrap();
    assert_eq!(page.entries.len(), 4);
    let rows = log_of(&world).await;
    let deleted: Vec<_> =
        rows.iter().filter(|row| row.body.command == "interactions.delete_matching").collect();
    assert_eq!(deleted.len(), MOST_AT_ONCE);
    for row in deleted {
        let event = &row.body.events[0];
        assert_eq!((event.name.as_str(), row.root), ("interaction.deleted", Some(customer.0)));
        assert_eq!(event.data, json!({ "interaction_id": row.record_id, "customer_id": customer }));
    }

    log(&ada, MOST_AT_ONCE - 5, Visibility::All, customer).await;
    let exactly =
        crm.interactions().delete_matching(&bob, is("subject", "eq", "None"), "asked for").await.unwrap();
    assert_eq!(exactly.value, BulkDeletion::Deleted(0));
    // Bob sees three more than Ada, and so one too many.
    let asked = crm.interactions().delete_matching(&bob, calls(), "asked for").await.unwrap();
    let BulkDeletion::NeedsApproval(approval) = asked.value else { panic!("{asked:?}") };
    assert_eq!(matching::<Interaction>(crm, &bob, calls()).await.len(), MOST_AT_ONCE + 3);
    log(&ada, 1, Visibility::Private, customer).await;
    let approved = crm.approvals().approve(&dan, approval.id, Expect::Any, None).await.unwrap();
    let swept = crm.sweeps().run(&dan, approved.sweep_id.unwrap()).await.unwrap();
    assert_eq!(swept.changed, MOST_AT_ONCE as i64 + 4, "all that meet the criteria, seen or not");
    let left = all::<Interaction>(crm, &world.system()).await;
    assert_eq!(left.iter().map(|interaction| interaction.id).collect::<Vec<_>>(), [kept]);
}

/// For any criteria, also relative to the tenant's day, what is deleted is what was found before.
pub async fn it_01_a_bulk_deletion_deletes_what_a_find_finds(harness: &dyn Harness) {
    let world = World::starting(harness, super::world::at("2024-03-01T02:00:00Z")).await;
    let (crm, ada) = (&world.crm, world.ada());
    // It is still the leap day in New York.
    crm.settings().update(&world.system(), |s| s.zone = "America/New_York".to_owned()).await.unwrap();
    let seed = seed();
    let mut dice = Dice::new(seed);
    let vip = crm.customers().create(&ada, Customer { is_vip: true, ..person("Vip") }).await.unwrap().id;
    let customers = [vip, world.customer("Plain").await.id];
    let types = [InteractionType::Call, InteractionType::Email, InteractionType::Chat];
    let mut found_any = [false; 2];
    for round in 0..size(12, 100) {
        let count = 1 + dice.below(12);
        let calls = (0..count)
            .map(|_| Interaction {
                interaction_type: *dice.pick(&types),
                occurred_at: world.env.now() - Duration::hours(dice.between(0, 60)),
                duration_minutes: dice.maybe(3, |dice| dice.between(0, 60)),
                ..world.touch(*dice.pick(&customers), "Talk")
            })
            .collect();
        crm.interactions().log_batch(&ada, calls).await.unwrap();
        let criteria = dice
            .pick(&[
                is("occurred_at", "gte", "today"),
                is("occurred_at", "lt", "today-1d"),
                json!({ "field": "occurred_at", "operator": "gte", "value": "today", "zone": "UTC" }),
                is("customer.is_vip", "eq", true),
                is("interaction_type", "in", json!(["call", "chat"])),
                json!({ "not": is("duration_minutes", "gte", 30) }),
                json!({ "all": [is("occurred_at", "gte", "now-12h"), is("customer.display_name", "ne", "vip")] }),
            ])
            .clone();
        let doomed = matching::<Interaction>(crm, &ada, criteria.clone()).await;
        let mut left = all::<Interaction>(crm, &ada).await;
        left.retain(|interaction| !doomed.contains(interaction));
        let done = crm.interactions().delete_matching(&ada, criteria.clone(), "asked for").await.unwrap();
        assert_eq!(done.value, BulkDeletion::Deleted(doomed.len()), "seed {seed}, {round}: {criteria}");
        let mut written: Vec<Uuid> = done.written.iter().map(|(_, id, _)| *id).collect();
        written.sort_unstable();
        assert_eq!(written, doomed.iter().map(|interaction| interaction.id.0).collect::<Vec<_>>());
        assert_eq!(all::<Interaction>(crm, &ada).await, left, "seed {seed}, {round}: {criteria}");
        found_any[usize::from(doomed.is_empty())] = true;
    }
    assert!(found_any[0], "seed {seed}: nothing was deleted in any round");
}

/// Many who delete the same at once, while others change what makes them meet the criteria: each is deleted once, and
/// none that no longer meets them.
pub async fn it_01_what_is_changed_meanwhile_is_judged_again(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ada) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Contended").await.id;
    let (mut deleted_in_all, mut saved_in_all) = (0, 0);
    for _ in 0..size(4, 30) {
        let calls = (0..30)
            .map(|_| Interaction { category: Some("spam".to_owned()), ..world.touch(customer, "Talk") })
            .collect();
        let ids: Vec<_> =
            crm.interactions().log_batch(&ada, calls).await.unwrap().iter().map(|i| i.id).collect();
        let results = at_once(10, |n| {
            let (crm, ada) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ada.clone());
            let ids = ids.clone();
            async move {
                if n < 4 {
                    let spam = is("category", "eq", "spam");
                    match crm.interactions().delete_matching(&ada, spam, "spam").await.unwrap().value {
                        BulkDeletion::Deleted(count) => return (count, 0),
                        other @ BulkDeletion::NeedsApproval(_) => panic!("{other:?}"),
                    }
                }
                let keep = |interaction: &mut Interaction| interaction.category = Some("kept".to_owned());
                match crm.interactions().update(&ada, ids[n], Expect::Any, keep).await {
                    Ok(_) => (0, 1),
                    Err(Error::NotFound { .. }) => (0, 0),
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let deleted: usize = results.iter().map(|(deleted, _)| deleted).sum();
        let saved: usize = results.iter().map(|(_, saved)| saved).sum();
        assert_eq!(deleted + saved, ids.len(), "{results:?}");
        let left = matching::<Interaction>(&crm, &ada, is("category", "eq", "kept")).await;
        assert_eq!(left.len(), saved_in_all + saved);
        assert!(matching::<Interaction>(&crm, &ada, is("category", "eq", "spam")).await.is_empty());
        (deleted_in_all, saved_in_all) = (deleted_in_all + deleted, saved_in_all + saved);
    }
    assert_eq!(told(&world, &["interaction."]).await["interaction.deleted"], deleted_in_all);
    println!("{}: {deleted_in_all} deleted, {saved_in_all} saved", harness.name());
}

/// Wrong input is refused alike for few and for many; who may not delete does not ask for it either.
pub async fn cm_10_a_wrong_bulk_deletion_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada) = (&world.crm, world.ada());
    let customer = world.customer("Home").await.id;
    let few = || is("duration_minutes", "eq", 1);
    let call = |minutes| Interaction { duration_minutes: Some(minutes), ..world.touch(customer, "Talk") };
    let calls = (0..MOST_AT_ONCE + 3).map(|n| call(if n < 2 { 1 } else { 2 })).collect();
    crm.interactions().log_batch(&ada, calls).await.unwrap();
    let before = dump(crm, world.tenant).await;
    for criteria in [few(), json!({ "all": [] })] {
        for reason in ["", " ", "a\0b", "two\nlines", &"é".repeat(501)] {
            match crm.interactions().delete_matching(&ada, criteria.clone(), reason).await {
                Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "reason", "{errors:?}"),
                other => panic!("{reason:?}: {other:?}"),
            }
        }
        let reader = Context { roles: vec!["reader".to_owned()], ..world.bob() };
        for outcome in [
            crm.interactions().delete_matching(&reader, criteria.clone(), "x").await.map_err(|e| e.code()),
            crm.customers().delete_matching(&reader, json!({ "all": [] }), "x").await.map_err(|e| e.code()),
        ] {
            assert_eq!(outcome.unwrap_err(), "forbidden");
        }
    }
    for (at, criteria) in [
        ("", json!("all")),
        ("field", is("colour", "eq", "red")),
        ("all[0].value", json!({ "all": [is("subject", "eq", "a\0b")] })),
        ("value", is("occurred_at", "lt", "now-3M")),
    ] {
        match crm.interactions().delete_matching(&ada, criteria.clone(), "x").await {
            Err(Error::Criteria(error)) => assert_eq!(error.at, at, "{error}"),
            other => panic!("{criteria}: {other:?}"),
        }
    }
    assert_eq!(dump(crm, world.tenant).await, before, "something of what was refused is stored");
    assert!(all::<Sweep>(crm, &world.system()).await.is_empty());
    let done = crm.interactions().delete_matching(&ada, few(), &"é".repeat(500)).await.unwrap();
    assert_eq!(done.value, BulkDeletion::Deleted(2));
}
