//! Live updates (SPEC TL-11).

use std::collections::BTreeMap;

use crm_core::Expect;
use crm_core::interaction::{Interaction, InteractionId};
use crm_core::record::RecordRef;
use crm_core::sweep::SweepAction;
use crm_core::timeline::{Anchor, TimelineChange, Visibility};
use futures_util::StreamExt as _;
use serde_json::json;

use super::world::{World, all, contact};
use crate::Harness;

/// Who watches is told what appears, what changes and what goes, at each anchor, and nothing of others.
pub async fn tl_11_watching_tells_puts_and_removals(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, other) = (&world.crm, world.ada(), world.second(harness).await);
    let customer = world.customer("Watched").await.id;
    let elsewhere = world.customer("Elsewhere").await.id;
    let someone = crm.contacts().create(&ctx, contact(customer, "Wa", "Tcher")).await.unwrap().id;
    let mut of_customer = crm.timeline().watch(&world.bob(), Anchor::Customer(customer)).await.unwrap();
    let mut of_contact = crm.timeline().watch(&world.bob(), Anchor::Contact(someone)).await.unwrap();
    world.interaction(elsewhere, "not told").await;
    let talk = Interaction { contact_id: Some(someone), ..world.touch(customer, "told") };
    let talk = other.interactions().log(&ctx, talk).await.unwrap().id;
    for stream in [&mut of_customer, &mut of_contact] {
        let told = stream.next().await.unwrap().unwrap();
        assert!(matches!(&told, TimelineChange::Put(row) if row.entry_id == talk.0), "{told:?}");
    }
    other
        .interactions()
        .update(&ctx, talk, Expect::Any, |i| i.subject = Some("changed".to_owned()))
        .await
        .unwrap();
    for stream in [&mut of_customer, &mut of_contact] {
        let told = stream.next().await.unwrap().unwrap();
        assert!(
            matches!(&told, TimelineChange::Put(row) if row.display.title.ends_with("changed")),
            "{told:?}"
        );
    }
    other.interactions().delete(&ctx, talk, Expect::Any).await.unwrap();
    for stream in [&mut of_customer, &mut of_contact] {
        let told = stream.next().await.unwrap().unwrap();
        assert!(matches!(&told, TimelineChange::Removed(key) if key.entry_id == talk.0), "{told:?}");
    }
    assert_eq!(all::<Interaction>(crm, &ctx).await.len(), 1);
}

/// Who watches is told when an entry leaves: it belongs to another, it is not for them any more, it is purged.
pub async fn tl_11_watching_tells_what_leaves(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ada, bob) = (&world.crm, world.ada(), world.bob());
    let customer = world.customer("Watched").await.id;
    let elsewhere = world.customer("Elsewhere").await.id;
    let someone = crm.contacts().create(&ada, contact(customer, "Wa", "Tcher")).await.unwrap().id;
    let mut streams = BTreeMap::new();
    for (name, anchor) in [
        ("customer", Anchor::Customer(customer)),
        ("contact", Anchor::Contact(someone)),
        ("elsewhere", Anchor::Customer(elsewhere)),
        ("tenant", Anchor::Tenant),
    ] {
        streams.insert(name, crm.timeline().watch(&bob, anchor).await.unwrap());
    }
    let mut told = async |entry: InteractionId, expected: &[(&'static str, &'static str)]| {
        for (name, what) in expected {
            let next = streams.get_mut(name).unwrap().next().await.unwrap().unwrap();
            let fits = match &next {
                TimelineChange::Put(row) => *what == "put" && row.entry_id == entry.0,
                TimelineChange::Removed(key) => *what == "removed" && key.entry_id == entry.0,
            };
            assert!(fits, "{name} is told {next:?} and not {what}");
        }
    };
    let change = async |id: InteractionId, change: fn(&mut Interaction)| {
        crm.interactions().update(&ada, id, Expect::Any, change).await.unwrap();
    };
    let talk = Interaction {
        contact_id: Some(someone),
        related: vec![RecordRef::new("customer", elsewhere.0)],
        ..world.touch(customer, "for all")
    };
    let talk = crm.interactions().log(&ada, talk).await.unwrap().id;
    let everywhere = ["customer", "contact", "elsewhere", "tenant"];
    told(talk, &everywhere.map(|name| (name, "put"))).await;
    change(talk, |i| i.contact_id = None).await;
    told(talk, &[("customer", "put"), ("contact", "removed"), ("elsewhere", "put"), ("tenant", "put")]).await;
    change(talk, |i| i.related.clear()).await;
    told(talk, &[("customer", "put"), ("elsewhere", "removed"), ("tenant", "put")]).await;
    change(talk, |i| i.visibility = Visibility::Private).await;
    told(talk, &[("customer", "removed"), ("tenant", "removed")]).await;
    // Of what happens to it now Bob hears nothing, and it comes back as a whole.
    change(talk, |i| i.subject = Some("for Ada".to_owned())).await;
    change(talk, |i| i.visibility = Visibility::All).await;
    told(talk, &[("customer", "put"), ("tenant", "put")]).await;
    crm.interactions().delete(&ada, talk, Expect::Any).await.unwrap();
    told(talk, &[("customer", "removed"), ("tenant", "removed")]).await;
    let last = world.interaction(customer, "for good").await.id;
    told(last, &[("customer", "put"), ("tenant", "put")]).await;
    let (system, named) =
        (world.system(), json!({ "field": "subject", "operator": "eq", "value": "for good" }));
    let sweep = crm
        .sweeps()
        .plan(&system, "interaction", Some(named), SweepAction::Purge, "retention")
        .await
        .unwrap();
    assert_eq!(crm.sweeps().run(&system, sweep.id).await.unwrap().changed, 1);
    told(last, &[("customer", "removed"), ("tenant", "removed")]).await;
}
