//! Interactions that belong to further records (SPEC IT-01).

use std::collections::BTreeSet;

use crm_core::format::Currency;
use crm_core::interaction::{Interaction, InteractionId};
use crm_core::invoice::{Invoice, NewInvoice};
use crm_core::record::RecordRef;
use crm_core::timeline::{Anchor, TimelineRequest, Visibility};
use crm_core::{Context, Crm, Env as _, Error, Expect, TenantId};
use uuid::Uuid;

use super::dice::Dice;
use super::notes::put;
use super::world::{ADA, BOB, START, World, all, at, contact, is, matching, seed};
use crate::contract::extra_entity::{self, ProjectNote};
use crate::{Harness, size};

/// An interaction, its person, and what else it belongs to.
type Linked = (InteractionId, Option<Uuid>, BTreeSet<RecordRef>);

/// The interactions in a timeline, sorted; each once.
async fn shown(crm: &Crm, ctx: &Context, anchor: Anchor) -> Vec<Uuid> {
    let mut request = TimelineRequest { limit: 1_000, ..TimelineRequest::of(anchor) };
    request.filter.kinds = vec!["interaction".to_owned()];
    let page = crm.timeline().page(ctx, &request).await.unwrap();
    let mut ids: Vec<Uuid> = page.pinned.iter().chain(&page.entries).map(|row| row.entry_id).collect();
    ids.sort_unstable();
    ids
}

fn anchor(record: &RecordRef) -> Anchor {
    Anchor::Record(record.entity.clone().into_owned(), record.id)
}

/// Whatever links are set and changed: the interaction is in the timeline of each record that it belongs to, once, and
/// once in its customer's and the tenant's; it is hidden with its own customer only.
pub async fn it_01_an_interaction_is_in_the_timelines_of_all_it_belongs_to(harness: &dyn Harness) {
    let world = World::knowing(harness, extra_entity::catalog(), at(START)).await;
    let (crm, ada) = (&world.crm, world.ada());
    let (home, away) = (world.customer("Home").await.id, world.customer("Away").await.id);
    let of_home = crm.contacts().create(&ada, contact(home, "Of", "Home")).await.unwrap().id;
    let of_away = crm.contacts().create(&ada, contact(away, "Of", "Away")).await.unwrap().id;
    let invoice = Invoice::issued(away, "R-1", world.env.now(), Currency::USD);
    let invoice = crm.invoices().record(&ada, NewInvoice { invoice, lines: Vec::new() }).await.unwrap().id;
    let opportunity =
        put(&world, ProjectNote { happened_at: world.env.now(), ..ProjectNote::default() }).await;
    let targets: Vec<RecordRef> = vec![
        ("contact", of_home.0).into(),
        ("contact", of_away.0).into(),
        ("customer", home.0).into(),
        ("customer", away.0).into(),
        ("invoice", invoice.0).into(),
        ("project_note", opportunity).into(),
        ("user", BOB).into(),
    ];
    let mut dice = Dice::new(seed());
    let choose = |dice: &mut Dice| -> Vec<RecordRef> {
        (0..dice.below(6)).map(|_| dice.pick(&targets).clone()).collect()
    };
    let mut model: Vec<Linked> = Vec::new();
    for _ in 0..size(40, 600) {
        let chosen = choose(&mut dice);
        let person = dice.maybe(2, |_| of_home);
        if model.is_empty() || dice.one_in(3) {
            let given =
                Interaction { related: chosen.clone(), contact_id: person, ..world.touch(home, "linked") };
            let stored = crm.interactions().log(&ada, given).await.unwrap().value;
            assert_eq!(
                stored.related,
                chosen.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
            );
            model.push((stored.id, person.map(|id| id.0), chosen.into_iter().collect()));
        } else {
            let place = dice.below(model.len());
            let (id, at_person, links) = &mut model[place];
            let change = |i: &mut Interaction| (i.related, i.contact_id) = (chosen.clone(), person);
            crm.interactions().update(&ada, *id, Expect::Any, change).await.unwrap();
            (*at_person, *links) = (person.map(|id| id.0), chosen.into_iter().collect());
            if dice.one_in(8) {
                crm.interactions().delete(&ada, *id, Expect::Any).await.unwrap();
                model.remove(place);
            }
        }
    }
    let check = async |hidden: bool, gone: &[&RecordRef]| {
        let ids = |keep: &dyn Fn(&Linked) -> bool| {
            let mut ids: Vec<Uuid> =
                model.iter().filter(|row| !hidden && keep(row)).map(|(id, ..)| id.0).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(shown(crm, &ada, Anchor::Tenant).await, ids(&|_| true));
        assert_eq!(shown(crm, &ada, Anchor::User(crm_core::directory::UserId(ADA))).await, ids(&|_| true));
        for target in &targets {
            if gone.contains(&target) {
                let page = crm.timeline().page(&ada, &TimelineRequest::of(anchor(target))).await;
                assert!(matches!(page, Err(Error::NotFound { .. })), "{target}: {page:?}");
                continue;
            }
            let here = ids(&|(_, person, links)| {
                links.contains(target) || *person == Some(target.id) || target.id == home.0
            });
            assert_eq!(shown(crm, &ada, anchor(target)).await, here, "{target}");
        }
    };
    check(false, &[]).await;
    for target in &targets {
        let linked: Vec<Interaction> =
            matching(crm, &ada, is("related", "contains", target.to_string())).await;
        let expected = model.iter().filter(|(.., links)| links.contains(target)).count();
        assert_eq!(linked.len(), expected, "{target} by criteria");
    }
    crm.customers().delete(&ada, away, Expect::Any).await.unwrap();
    check(false, &[&targets[1], &targets[3], &targets[4]]).await;
    crm.customers().restore(&ada, away).await.unwrap();
    crm.customers().delete(&ada, home, Expect::Any).await.unwrap();
    check(true, &[&targets[0], &targets[2]]).await;
    crm.customers().restore(&ada, home).await.unwrap();
    check(false, &[]).await;
}

/// A link to what is not there, or not to be seen, is refused by name; a link that is there already stays.
pub async fn it_01_a_link_to_nothing_is_refused_by_name(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada, bob) = (&world.crm, world.ada(), world.bob());
    let customer = world.customer("Linked").await.id;
    let someone = crm.contacts().create(&ada, contact(customer, "Some", "One")).await.unwrap().id;
    let secret = Interaction { visibility: Visibility::Private, ..world.touch(customer, "secret") };
    let secret = crm.interactions().log(&ada, secret).await.unwrap().id;
    let tenant = TenantId(Uuid::from_u128(u128::from(seed())));
    world.employ(tenant).await;
    let foreign = crm
        .customers()
        .create(&Context::user(tenant, ADA), super::world::person("Foreign"))
        .await
        .unwrap()
        .id;
    let linked =
        |record: &RecordRef| Interaction { related: vec![record.clone()], ..world.touch(customer, "linked") };
    let good: RecordRef = ("contact", someone.0).into();
    let stored = crm.interactions().log(&bob, linked(&good)).await.unwrap().value;
    let before = all::<Interaction>(crm, &world.system()).await;
    for (entity, id) in [
        ("contact", Uuid::from_u128(404)),
        ("customer", foreign.0),
        ("interaction", secret.0),
        ("contact", customer.0),
    ] {
        let wrong = RecordRef::new(entity, id);
        let set = |i: &mut Interaction| i.related.push(wrong.clone());
        for error in [
            crm.interactions().log(&bob, linked(&wrong)).await.unwrap_err(),
            crm.interactions().update(&bob, stored.id, Expect::Any, set).await.unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::NotFound { entity: e, id: i } if (e, i) == (entity, id)),
                "{wrong}: {error}"
            );
        }
    }
    for entity in ["opportunity", "", "a\0b", "Ω:Ω"] {
        let wrong = RecordRef::new(entity, customer.0);
        match crm.interactions().log_batch(&bob, vec![linked(&good), linked(&wrong)]).await {
            Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "[1].related"),
            other => panic!("{entity:?}: {other:?}"),
        }
    }
    let many =
        |count: u128| (0..count).map(|n| RecordRef::new("user", Uuid::from_u128(n))).collect::<Vec<_>>();
    let flood = Interaction { related: many(10_000), ..world.touch(customer, "flood") };
    assert_eq!(crm.interactions().log(&bob, flood).await.unwrap_err().code(), "not_found");
    assert_eq!(all::<Interaction>(crm, &world.system()).await, before);
    // What it is linked to may go; other changes are still made.
    crm.contacts().delete(&ada, someone, Expect::Any).await.unwrap();
    let rename = |i: &mut Interaction| i.subject = Some("renamed".to_owned());
    let after = crm.interactions().update(&bob, stored.id, Expect::Any, rename).await.unwrap().value;
    assert_eq!(after.related, std::slice::from_ref(&good));
    assert_eq!(crm.interactions().log(&bob, linked(&good)).await.unwrap_err().code(), "not_found");
}
