//! Lists and search (SPEC CM-11).

use std::cmp::Ordering;

use crm_core::catalog::Entity;
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::format::{Country, fold};
use crm_core::interaction::Interaction;
use crm_core::invoice::InvoiceLine;
use crm_core::store::Direction;
use crm_core::timeline::Visibility;
use crm_core::{Context, Crm, Env as _, Error, Find, RecordId as _};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::criteria_data::Data;
use super::criteria_naive::Plain;
use super::dice::Dice;
use super::world::{RED, World, contact, is, person, seed};
use crate::{Harness, size};

async fn pages<E: Entity>(crm: &Crm, ctx: &Context, find: &Find) -> Vec<Uuid> {
    let mut found: Vec<Uuid> = Vec::new();
    let mut find = find.clone();
    loop {
        let page = crm.find::<E>(ctx, &find).await.unwrap();
        assert!(page.items.len() <= find.limit && (page.next.is_none() || page.items.len() == find.limit));
        found.extend(page.items.iter().map(|entity| entity.id().uuid()));
        match page.next {
            None => return found,
            Some(next) => find = find.after(next),
        }
    }
}

fn order(a: &Plain, b: &Plain) -> Ordering {
    match (a, b) {
        (Plain::Missing, Plain::Missing) => Ordering::Equal,
        (Plain::Missing, _) => Ordering::Less,
        (_, Plain::Missing) => Ordering::Greater,
        (Plain::Bool(a), Plain::Bool(b)) => a.cmp(b),
        (Plain::Number(a), Plain::Number(b)) => a.cmp(b),
        (Plain::Text(a), Plain::Text(b)) | (Plain::Folded(a), Plain::Folded(b)) => {
            a.as_bytes().cmp(b.as_bytes())
        }
        (Plain::Instant(a), Plain::Instant(b)) => a.cmp(b),
        (Plain::Day(a), Plain::Day(b)) => a.cmp(b),
        other => panic!("{other:?}"),
    }
}

/// By any sort, through links, with missing values and pages of any size: the pages together are the sorted whole.
pub async fn cm_11_the_pages_of_any_sort_are_the_sorted_whole(harness: &dyn Harness) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let world = World::new(harness).await;
    let data = Data::fill(&world, &mut dice, 50).await;
    let (crm, ctx) = (&world.crm, world.system());
    let keys: [(&str, &[&str]); 3] = [
        (
            "customer",
            &[
                "display_name",
                "email",
                "source",
                "is_vip",
                "owner.name",
                "parent.display_name",
                "parent.owner.name",
                "created_at",
                "version",
                "preferred_language",
                "id",
                "parent_id",
            ],
        ),
        (
            "interaction",
            &[
                "occurred_at",
                "subject",
                "duration_minutes",
                "customer.display_name",
                "customer.owner.name",
                "contact.last_name",
                "contact.customer.email",
                "category",
            ],
        ),
        (
            "invoice_line",
            &[
                "quantity",
                "amount",
                "invoice.due_on",
                "invoice.total",
                "invoice.customer.owner.name",
                "position",
            ],
        ),
    ];
    for round in 0..size(60, 2_000) {
        let (entity, paths) = *dice.pick(&keys);
        let sort: Vec<(String, Direction)> = (0..dice.below(4))
            .map(|_| {
                ((*dice.pick(paths)).to_owned(), *dice.pick(&[Direction::Ascending, Direction::Descending]))
            })
            .collect();
        let find = Find { order: sort.clone(), limit: *dice.pick(&[1, 3, 17, 200]), ..Find::all() };
        let found = match entity {
            "customer" => pages::<Customer>(crm, &ctx, &find).await,
            "interaction" => pages::<Interaction>(crm, &ctx, &find).await,
            _ => pages::<InvoiceLine>(crm, &ctx, &find).await,
        };
        let mut expected = data.population(entity);
        expected.sort_by(|a, b| {
            let by_keys = sort.iter().map(|(path, direction)| {
                let path: Vec<&str> = path.split('.').collect();
                let by_key = order(&data.value(entity, *a, &path), &data.value(entity, *b, &path));
                if *direction == Direction::Ascending { by_key } else { by_key.reverse() }
            });
            by_keys.fold(Ordering::Equal, Ordering::then).then(a.cmp(b))
        });
        assert_eq!(
            found, expected,
            "seed {seed}, round {round}: {entity} by {sort:?} in pages of {}",
            find.limit
        );
    }
}

/// By words, their beginning, in any case, with or without accents; by e-mail and by number in any format.
pub async fn cm_11_search_finds_words_beginnings_addresses_and_numbers(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    crm.settings().update(&world.system(), |s| s.region = Some(Country::parse("DE").unwrap())).await.unwrap();
    let jose = Customer {
        email: Some("Jose.Garcia@Example.com".to_owned()),
        phone: Some("030 901820".to_owned()),
        tags: vec!["Großkunde".to_owned()],
        ..person("José García-López GmbH")
    };
    let jose = crm.customers().create(&ctx, jose).await.unwrap().id;
    let other = crm.customers().create(&ctx, person("Joseph Gardner 100% Straße")).await.unwrap().id;
    for (text, expected) in [
        ("josé", vec![jose, other]),
        ("JOSE ", vec![jose]),
        ("garcia jos", vec![jose]),
        ("ga jo", vec![]),
        ("lop", vec![jose]),
        ("López-García", vec![jose]),
        ("jose.garcia@example.com", vec![jose]),
        ("JOSE.GARCIA@EXAMPLE.COM", vec![jose]),
        ("jose.garcia", vec![jose]),
        ("030/901820", vec![jose]),
        ("+49 30 90 18 20", vec![jose]),
        ("0049-30-901820", vec![jose]),
        ("STRASSE", vec![other]),
        ("straße joseph", vec![other]),
        ("100%", vec![other]),
        ("gmbh joseph", vec![]),
        ("zzz", vec![]),
    ] {
        let mut found: Vec<_> =
            crm.customers().search(&ctx, text, 10).await.unwrap().iter().map(|c| c.id).collect();
        let mut expected = expected;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
    for nothing in ["", "  ", "!?", "%"] {
        match crm.customers().search(&ctx, nothing, 10).await {
            Err(Error::Criteria(error)) => assert_eq!(error.at, "text"),
            other => panic!("{nothing:?}: {other:?}"),
        }
    }
    // The words follow the record.
    crm.customers()
        .update(&ctx, jose, crm_core::Expect::Any, |c| c.display_name = "Renamed".to_owned())
        .await
        .unwrap();
    assert!(crm.customers().search(&ctx, "lopez", 10).await.unwrap().is_empty());
    assert_eq!(crm.customers().search(&ctx, "rena", 10).await.unwrap()[0].id, jose);
    // Search and criteria together, page by page.
    for n in 0..7 {
        let contact = contact(other, &format!("Search{n}"), "Word");
        crm.contacts().create(&ctx, contact).await.unwrap();
    }
    let find = Find {
        text: Some("word sear".to_owned()),
        criteria: Some(is("first_name", "gt", "search2")),
        ..Find::all()
    };
    let found = pages::<Contact>(crm, &ctx, &find.descending("first_name").limit(2)).await;
    assert_eq!(found.len(), 4);
    assert_eq!(fold("Straße"), fold("STRASSE"));
}

/// A cursor of another question, sort, user or tenant is refused.
pub async fn cm_11_a_cursor_of_another_question_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    for n in 0..4 {
        world.customer(&format!("C {n}")).await;
    }
    let find = Find::all().ascending("display_name").limit(2);
    let next = crm.customers().find(&ctx, &find).await.unwrap().next.unwrap();
    assert_eq!(
        crm.customers().find(&ctx, &find.clone().after(next.as_str())).await.unwrap().items[0].display_name,
        "C 2"
    );
    let tampered = format!("{}A{}", &next[..5], &next[6..]);
    for (ctx, find) in [
        (ctx.clone(), Find::all().descending("display_name").limit(2).after(next.as_str())),
        (ctx.clone(), Find::all().limit(2).after(next.as_str())),
        (
            ctx.clone(),
            Find { criteria: Some(is("is_vip", "eq", false)), ..find.clone() }.after(next.as_str()),
        ),
        (ctx.clone(), Find { text: Some("c".to_owned()), ..find.clone() }.after(next.as_str())),
        (ctx.clone(), find.clone().after(if tampered == next { "x" } else { &tampered })),
        (ctx.clone(), find.clone().after("")),
        (world.bob(), find.clone().after(next.as_str())),
        (
            Context { tenant: crm_core::TenantId(Uuid::from_u128(5)), ..ctx.clone() },
            find.clone().after(next.as_str()),
        ),
    ] {
        match crm.customers().find(&ctx, &find).await {
            Err(Error::Criteria(error)) => assert_eq!(error.at, "cursor", "{find:?}"),
            other => panic!("{find:?}: {other:?}"),
        }
    }
    let contacts = crm.contacts().find(&ctx, &Find::all().ascending("last_name").limit(2).after(next)).await;
    assert!(contacts.is_err(), "a cursor of another entity");
}

/// An export is all pages in one, for each viewer, in any order, whatever the limit says; wrong questions are refused.
pub async fn it_01_an_export_is_all_pages_in_one(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, mut dice) = (&world.crm, Dice::new(seed()));
    let customers = [world.customer("First").await.id, world.customer("Second").await.id];
    for writer in [world.ada().with_team(RED), world.bob(), world.system()] {
        let batch = (0..size(60, 900)).map(|n| Interaction {
            visibility: *dice.pick(&[Visibility::All, Visibility::Team, Visibility::Private]),
            tags: if n % 3 == 0 { vec!["third".to_owned()] } else { Vec::new() },
            occurred_at: world.env.now() - chrono::Duration::minutes(dice.between(0, 50)),
            ..world.touch(*dice.pick(&customers), &format!("Talk {n}"))
        });
        crm.interactions().log_batch(&writer, batch.collect()).await.unwrap();
    }
    let finds = [
        Find::all(),
        Find::matching(is("tags", "contains", "third")).descending("occurred_at").limit(1),
        Find::search("talk 1").ascending("customer.display_name").limit(7),
    ];
    for deleted in [false, true] {
        if deleted {
            crm.customers().delete(&world.ada(), customers[0], crm_core::Expect::Any).await.unwrap();
        }
        for ctx in [world.ada(), world.ada().with_team(RED), world.bob(), world.system()] {
            for find in &finds {
                let exported = crm.interactions().export(&ctx, find).await.unwrap();
                let exported: Vec<Uuid> = exported.map(|talk| talk.unwrap().id.0).collect().await;
                assert_eq!(exported, pages::<Interaction>(crm, &ctx, find).await, "{find:?}");
            }
        }
    }
    let wrong = crm.interactions().export(&world.ada(), &Find::matching(is("nonsense", "eq", 1))).await;
    assert!(matches!(wrong.err(), Some(Error::Criteria(_))));
    let mut portal = world.ada();
    portal.actor.kind = crm_core::log::ActorKind::Customer;
    let refused = crm.interactions().export(&portal, &Find::all()).await;
    assert!(matches!(refused.err(), Some(Error::Forbidden { .. })));
}
