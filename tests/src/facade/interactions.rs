//! Interactions (SPEC IT-01) and who sees them (SPEC IT-02).

use chrono::Duration;
use crm_core::interaction::{
    Direction, Interaction, InteractionRefusal, InteractionSource, InteractionType, ReplyStatus,
};
use crm_core::timeline::{Anchor, TimelineChange, TimelineRequest, Visibility};
use crm_core::value::Value;
use crm_core::{Context, Env as _, Error, Expect, Find, Totals};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::world::{ADA, RED, World, all, at_once, contact, is, matching};
use crate::Harness;

/// The external id of a source is logged once, also when many log it at once, and a repeat changes nothing; deleting
/// the interaction frees the id.
pub async fn it_01_an_external_id_of_a_source_is_logged_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Mailer").await.id;
    let mail = |id: &str, source: InteractionSource, subject: &str| Interaction {
        external_id: Some(id.to_owned()),
        source,
        ..world.touch(customer, subject)
    };
    let results = at_once(64, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let given = mail(&format!(" m-{} ", n % 4), InteractionSource::EmailSync, &format!("Sync {n}"));
        async move { (n % 4, crm.interactions().log(&ctx, given).await.unwrap().value) }
    })
    .await;
    let stored: Vec<Interaction> = all(&crm, &ctx).await;
    assert_eq!(stored.len(), 4);
    for (id, given) in results {
        assert_eq!(given.external_id, Some(format!("m-{id}")));
        assert!(stored.contains(&given), "another was returned than is stored");
    }
    let before = stored.clone();
    let batch = vec![
        mail("m-0", InteractionSource::EmailSync, "changed"),
        mail("m-0", InteractionSource::Api, "another source"),
        mail("new", InteractionSource::Api, "first"),
        mail("new", InteractionSource::Api, "second"),
    ];
    let again = crm.interactions().log_batch(&ctx, batch).await.unwrap();
    assert_eq!(again.written.len(), 2);
    assert_eq!(again.value[2], again.value[3], "one of two in a batch");
    assert!(before.contains(&again.value[0]));
    let after: Vec<Interaction> = all(&crm, &ctx).await;
    assert!(before.iter().all(|interaction| after.contains(interaction)) && after.len() == 6);
    // Of the source Api, m-0 is taken already.
    let take = |i: &mut Interaction| i.external_id = Some("m-0".to_owned());
    let taken = crm.interactions().update(&ctx, again.value[2].id, Expect::Any, take).await;
    assert!(matches!(taken, Err(Error::NotUnique { rule: "interaction_external_id" })), "{taken:?}");
    let gone = before.iter().find(|i| i.external_id.as_deref() == Some("m-0")).unwrap().id;
    crm.interactions().delete(&ctx, gone, Expect::Any).await.unwrap();
    let fresh =
        crm.interactions().log(&ctx, mail("m-0", InteractionSource::EmailSync, "fresh")).await.unwrap();
    assert!(fresh.id != gone && fresh.subject.as_deref() == Some("fresh"));
}

/// Past 30 days it is flagged, by the tenant's own number if set; what is yet to come is refused; inbound messages
/// wait for a reply.
pub async fn it_01_backdating_is_flagged_and_the_future_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, now) = (&world.crm, world.ada(), world.env.now());
    let customer = world.customer("Late").await.id;
    let when = |at| Interaction { occurred_at: at, ..world.touch(customer, "when") };
    let edge = now - Duration::days(30);
    for (at, backdated) in [
        (now, false),
        (edge, false),
        (edge - Duration::milliseconds(1), true),
        (now + Duration::minutes(5), false),
    ] {
        assert_eq!(crm.interactions().log(&ctx, when(at)).await.unwrap().is_backdated, backdated, "{at}");
    }
    let forged = Interaction { is_backdated: true, ..when(now) };
    assert!(!crm.interactions().log(&ctx, forged).await.unwrap().is_backdated);
    match crm.interactions().log(&ctx, when(now + Duration::minutes(5) + Duration::milliseconds(1))).await {
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "occurred_at"),
        other => panic!("the future was accepted: {other:?}"),
    }
    crm.settings().update(&world.system(), |s| s.backdated_after_days = 1).await.unwrap();
    assert!(crm.interactions().log(&ctx, when(now - Duration::hours(25))).await.unwrap().is_backdated);
    for (kind, direction, status) in [
        (InteractionType::Email, Direction::Inbound, ReplyStatus::Awaiting),
        (InteractionType::Whatsapp, Direction::Inbound, ReplyStatus::Awaiting),
        (InteractionType::Email, Direction::Outbound, ReplyStatus::None),
        (InteractionType::Call, Direction::Inbound, ReplyStatus::None),
    ] {
        let given = Interaction { interaction_type: kind, direction, ..when(now - Duration::hours(2)) };
        assert_eq!(crm.interactions().log(&ctx, given).await.unwrap().reply_status, status);
    }
    let waiting = crm.interactions().awaiting_reply(&ctx, 10).await.unwrap();
    assert_eq!(waiting.len(), 2);
    crm.interactions().mark_replied(&ctx, waiting[0].id).await.unwrap();
    assert_eq!(crm.interactions().awaiting_reply(&ctx, 10).await.unwrap(), waiting[1..]);
}

/// The contact belongs to the customer or has a role there; anyone else is refused by name.
pub async fn it_01_the_contact_belongs_to_the_customer_or_has_a_role_there(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (home, away) = (world.customer("Home").await.id, world.customer("Away").await.id);
    let someone = crm.contacts().create(&ctx, contact(home, "Some", "One")).await.unwrap().id;
    let with = |customer| Interaction { contact_id: Some(someone), ..world.touch(customer, "talk") };
    crm.interactions().log(&ctx, with(home)).await.unwrap();
    match crm.interactions().log(&ctx, with(away)).await {
        Err(Error::Refused(InteractionRefusal::ForeignContact { contact, customer })) => {
            assert_eq!((contact, customer), (someone, away));
        }
        other => panic!("{other:?}"),
    }
    let alone = world.interaction(away, "alone").await.id;
    let join = |i: &mut Interaction| i.contact_id = Some(someone);
    assert_eq!(
        crm.interactions().update(&ctx, alone, Expect::Any, join).await.unwrap_err().code(),
        "foreign_contact"
    );
    crm.contacts().add_role(&ctx, someone, away, "advisor").await.unwrap();
    crm.interactions().log(&ctx, with(away)).await.unwrap();
    crm.interactions().update(&ctx, alone, Expect::Any, join).await.unwrap();
    let of_contact = TimelineRequest::of(Anchor::Contact(someone));
    assert_eq!(crm.timeline().page(&ctx, &of_contact).await.unwrap().entries.len(), 3);
    let missing =
        Interaction { contact_id: Some(crm_core::contact::ContactId(Uuid::from_u128(404))), ..with(home) };
    assert_eq!(crm.interactions().log(&ctx, missing).await.unwrap_err().code(), "not_found");
    crm.contacts().delete(&ctx, someone, Expect::Any).await.unwrap();
    assert_eq!(crm.interactions().log(&ctx, with(home)).await.unwrap_err().code(), "not_found");
}

/// A private interaction is its author's, a team's is the team's: for anyone else it is not there, on any path.
pub async fn it_02_visibility_holds_on_every_path(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, bob) = (&world.crm, world.bob());
    let ada = world.ada().with_team(RED);
    let red = Context::user(world.tenant, Uuid::from_u128(0x4ed)).with_team(RED);
    let customer = world.customer("Shared").await.id;
    let live = crm.timeline().watch(&bob, Anchor::Customer(customer)).await.unwrap();
    let note = |visibility, subject: &str| Interaction {
        visibility,
        interaction_type: InteractionType::Email,
        tags: vec!["hush".to_owned()],
        ..world.touch(customer, subject)
    };
    let mut notes = Vec::new();
    for (visibility, subject) in [
        (Visibility::Private, "Private word"),
        (Visibility::Team, "Team word"),
        (Visibility::All, "Open word"),
    ] {
        let pinned = Interaction { is_pinned: true, ..note(visibility, &format!("{subject} pinned")) };
        notes.push(crm.interactions().log(&ada, note(visibility, subject)).await.unwrap().value);
        notes.push(crm.interactions().log(&ada, pinned).await.unwrap().value);
    }
    let manager = world.bob().with_role("manager");
    for (who, ctx, first) in [
        ("author", &ada, 0),
        ("system", &world.system(), 0),
        ("team", &red, 2),
        ("other", &bob, 4),
        ("manager", &manager, 4),
    ] {
        let visible: Vec<_> = notes[first..].iter().map(|note| note.id).collect();
        for (place, note) in notes.iter().enumerate() {
            let got = crm.interactions().get(ctx, note.id).await;
            assert_eq!(got.is_ok(), place >= first, "{who} gets {:?}", note.subject);
            let anchor = Anchor::Record("interaction".to_owned(), note.id.0);
            let page = crm.timeline().page(ctx, &TimelineRequest::of(anchor)).await;
            assert_eq!(page.is_ok(), place >= first, "{who} reads the timeline of {:?}", note.subject);
        }
        let mut found: Vec<Vec<_>> = Vec::new();
        found.push(all::<Interaction>(crm, ctx).await.iter().map(|i| i.id).collect());
        found.push(
            matching::<Interaction>(crm, ctx, is("tags", "contains", "hush"))
                .await
                .iter()
                .map(|i| i.id)
                .collect(),
        );
        found.push(
            crm.interactions()
                .find(ctx, &Find::search("word"))
                .await
                .unwrap()
                .items
                .iter()
                .map(|i| i.id)
                .collect(),
        );
        found.push(crm.interactions().awaiting_reply(ctx, 50).await.unwrap().iter().map(|i| i.id).collect());
        for anchor in
            [Anchor::Customer(customer), Anchor::Tenant, Anchor::User(crm_core::directory::UserId(ADA))]
        {
            for text in [None, Some("word".to_owned())] {
                let page = crm
                    .timeline()
                    .page(ctx, &TimelineRequest { text, ..TimelineRequest::of(anchor.clone()) })
                    .await
                    .unwrap();
                assert_eq!(
                    (page.entries.len(), page.pinned.len()),
                    (visible.len() / 2, visible.len() / 2),
                    "{who}"
                );
                found.push(
                    page.entries
                        .iter()
                        .chain(&page.pinned)
                        .map(|row| crm_core::interaction::InteractionId(row.entry_id))
                        .collect(),
                );
            }
        }
        for (question, mut ids) in found.into_iter().enumerate() {
            let mut expected = visible.clone();
            ids.sort_unstable();
            expected.sort_unstable();
            assert_eq!(ids, expected, "{who}, question {question}");
        }
        let totals = crm.totals::<Interaction>(ctx, &Totals::default()).await.unwrap();
        assert_eq!(totals[0].measures, [Value::Int(visible.len() as i64)], "{who}");
    }
    for (ctx, hidden) in [(&bob, &notes[..4]), (&red, &notes[..2])] {
        for note in hidden {
            let codes = [
                crm.interactions()
                    .update(ctx, note.id, Expect::Any, |i| i.visibility = Visibility::All)
                    .await
                    .unwrap_err()
                    .code(),
                crm.interactions()
                    .update(ctx, note.id, Expect::Version(9), |i| i.is_pinned = true)
                    .await
                    .unwrap_err()
                    .code(),
                crm.interactions().mark_replied(ctx, note.id).await.unwrap_err().code(),
                crm.interactions().delete(ctx, note.id, Expect::Any).await.unwrap_err().code(),
            ];
            assert_eq!(codes, ["not_found"; 4]);
        }
    }
    let told: Vec<_> = live.take(2).map(Result::unwrap).collect().await;
    let open = |change: &TimelineChange| matches!(change, TimelineChange::Put(row) if notes[4..].iter().any(|note| note.id.0 == row.entry_id));
    assert!(told.iter().all(open) && told[0] != told[1], "Bob was told {told:?}");
    // The customer, through a portal, sees what is meant for them.
    let portal = Context {
        actor: crm_core::log::Actor { kind: crm_core::log::ActorKind::Customer, id: Some(customer.0) },
        ..world.ada()
    };
    let found = crm.find::<Interaction>(&portal, &Find::all()).await;
    assert!(matches!(found, Err(Error::Forbidden { .. })), "{found:?}");
    let other = TimelineRequest::of(Anchor::Tenant);
    assert!(matches!(crm.timeline().page(&portal, &other).await, Err(Error::Forbidden { .. })));
    let page = crm.timeline().page(&portal, &TimelineRequest::of(Anchor::Customer(customer))).await.unwrap();
    assert!(page.entries.is_empty() && page.pinned.is_empty());
}

/// Somebody else's private interaction is not handed out because its external id is known.
pub async fn it_02_logging_a_known_external_id_hands_out_nothing_private(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let customer = world.customer("Shared").await.id;
    let given = |subject: &str| Interaction {
        external_id: Some("m-1".to_owned()),
        visibility: Visibility::Private,
        ..world.touch(customer, subject)
    };
    crm.interactions().log(&world.ada(), given("Ada's secret")).await.unwrap();
    let answer = crm.interactions().log(&world.bob(), given("Bob's copy")).await;
    assert!(!format!("{answer:?}").contains("Ada's secret"), "{answer:?}");
    assert_eq!(all::<Interaction>(crm, &world.system()).await.len(), 1);
}
