//! Events, history, idempotency (SPEC XT-02, XT-03, PR-08).

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use crm_core::behavior::{BehaviorEvent, BehaviorType};
use crm_core::catalog::Entity as _;
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId, ExternalKey};
use crm_core::directory::{Team, TeamId, User, UserId};
use crm_core::format::Currency;
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceStatus, NewInvoice};
use crm_core::journey::{Milestone, MilestoneType};
use crm_core::log::{LogRow, Op, Origin};
use crm_core::renewal::{Renewal, RenewalStatus};
use crm_core::score::{Factors, ScoreType, ScoringModel};
use crm_core::value::{Instant, Value};
use crm_core::{Context, Crm, Done, Env as _, Error, Expect};
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{ADA, EMPLOYED, World, at_once, contact, person, seed};
use crate::{Harness, size};

/// Texts that must not appear in the log's lasting part.
const PERSONAL: &[&str] = &[
    "Muster",
    "Erika",
    "erika@example.com",
    "901820",
    "geheim",
    "Geheimnis",
    "203.0.113.7",
    "kaputt",
    "gold-kunde",
];

/// Every kind of command once, under keys of one round. What each wrote, by name.
async fn every_command(
    world: &World,
    ctx: &Context,
    round: &str,
    state: &mut State,
) -> Vec<(&'static str, Vec<(String, Uuid, i64)>, bool)> {
    let crm = &world.crm;
    let key = |name: &str| ctx.clone().with_key(format!("{round}-{name}"));
    let (system, now) = (world.system(), at_noon());
    let mut done = Vec::new();
    macro_rules! told {
        ($name:literal, $done:expr) => {{
            let done_: Done<_> = $done.await.unwrap_or_else(|error| panic!("{}: {error:?}", $name));
            done.push(($name, done_.written.clone(), done_.repeated));
            done_.value
        }};
    }
    let team = Team { id: TeamId(Uuid::from_u128(0xa)), name: "Vertrieb".to_owned(), ..Team::default() };
    told!("teams.put", crm.teams().put(&system.clone().with_key(format!("{round}-teams")), vec![team]));
    let anna = User { id: UserId(Uuid::from_u128(0xa)), name: "Anna Muster".to_owned(), ..User::default() };
    told!("users.put", crm.users().put(&system.clone().with_key(format!("{round}-users")), vec![anna]));
    told!(
        "settings.put",
        crm.settings()
            .update(&system.with_key(format!("{round}-settings")), |s| s.zone = "Europe/Berlin".to_owned())
    );
    let erika = Customer {
        email: Some("erika@example.com".to_owned()),
        tags: vec!["gold-kunde".to_owned()],
        ..person("Erika Muster")
    };
    let customer = told!(
        "customers.create",
        crm.customers().create_with_ids(&key("create"), erika, vec![ExternalKey::new("shop", "geheim-1")])
    )
    .id;
    let other =
        told!("customers.create other", crm.customers().create(&key("other"), person("Muster & Co"))).id;
    let rename = |c: &mut Customer| c.display_name = "Erika Muster-Geheimnis".to_owned();
    told!("customers.update", crm.customers().update(&key("update"), customer, Expect::Any, rename));
    told!("customers.set_parent", crm.customers().set_parent(&key("parent"), other, Some(customer)));
    let someone = Contact {
        is_primary: true,
        phone: Some("+49 30 901820".to_owned()),
        ..contact(customer, "Erika", "Muster")
    };
    let someone = told!("contacts.create", crm.contacts().create(&key("contact"), someone)).id;
    let second = told!(
        "contacts.create second",
        crm.contacts().create(&key("contact2"), contact(customer, "Zweite", "Muster"))
    )
    .id;
    told!("contacts.set_primary", crm.contacts().set_primary(&key("primary"), second));
    told!("contacts.add_role", crm.contacts().add_role(&key("role"), someone, other, "geheim"));
    told!("contacts.delete", crm.contacts().delete(&key("contact delete"), second, Expect::Any));
    let talk = Interaction {
        occurred_at: now,
        contact_id: Some(someone),
        description: Some("kaputt".to_owned()),
        ..world.touch(customer, "Geheimnis")
    };
    let talk = told!("interactions.log", crm.interactions().log(&key("log"), talk)).id;
    told!("interactions.update", crm.interactions().mark_replied(&key("replied"), talk));
    told!("interactions.delete", crm.interactions().delete(&key("log delete"), talk, Expect::Any));
    let invoice = Invoice::issued(customer, "R-1", now, Currency::USD);
    let lines = vec![InvoiceLine::new("geheim", Decimal::ONE, Decimal::TEN)];
    let invoice =
        told!("invoices.record", crm.invoices().record(&key("invoice"), NewInvoice { invoice, lines })).id;
    told!(
        "invoices.update",
        crm.invoices().update(&key("paid"), invoice, Expect::Any, |i| i.status = InvoiceStatus::Paid)
    );
    let referral = Milestone {
        details: Some(json!({ "by": "Erika Muster" })),
        ..Milestone::new(customer, MilestoneType::ReferralMade, now)
    };
    let referral = told!("journey.reach", crm.journey().reach(&key("reach"), referral)).id;
    let forget = |m: &mut Milestone| m.details = None;
    told!("journey.update", crm.journey().update(&key("milestone"), referral, Expect::Any, forget));
    told!("journey.delete", crm.journey().delete(&key("milestone delete"), referral, Expect::Any));
    let form = BehaviorEvent {
        subject: Some("Geheimnis".to_owned()),
        details: Some(json!({ "mail": "erika@example.com" })),
        external_id: Some("geheim-2".to_owned()),
        ..BehaviorEvent::new(customer, BehaviorType::FormSubmit, "site", now)
    };
    told!("behavior.record", crm.behavior().record(&key("form"), form));
    let plan = Renewal::new(customer, "Muster plan", now.date_naive());
    let plan = told!("renewals.create", crm.renewals().create(&key("plan"), plan)).id;
    let status = RenewalStatus::Paused;
    told!("renewals.update", crm.renewals().set_status(&key("plan paused"), plan, status));
    let admin = world.system().with_key(format!("{round}-model"));
    told!("scores.put_model", crm.scores().put_model(&admin, ScoringModel::health()));
    let known = Factors::from([("payment_history".to_owned(), Decimal::TEN)]);
    told!("scores.record", crm.scores().record(&key("score"), customer, ScoreType::Health, known));
    let health = ScoreType::Health;
    told!("scores.record none", crm.scores().record(&key("score2"), other, health, Factors::new()));
    told!("customers.delete", crm.customers().delete(&key("delete"), customer, Expect::Any));
    told!("customers.restore", crm.customers().restore(&key("restore"), customer));
    state.customer = Some(customer);
    done
}

#[derive(Default)]
struct State {
    customer: Option<CustomerId>,
}

fn at_noon() -> Instant {
    super::world::at("2024-02-29T11:00:00Z")
}

/// Each command of each kind tells events, which hold ids and codes only; nothing of a person stands in the lasting
/// part of the log. The request's origin is kept beside it.
pub async fn xt_02_each_command_tells_events_without_anything_personal(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let origin =
        Origin { ip: Some("203.0.113.7".to_owned()), user_agent: None, source: Some("api".to_owned()) };
    let ctx = world.ada().with_origin(origin.clone());
    let mut state = State::default();
    let done = every_command(&world, &ctx, "once", &mut state).await;
    let rows = world.crm.log().next(&world.manager(), "all", 10_000).await.unwrap();
    let written: usize = done.iter().map(|(_, written, _)| written.len()).sum();
    assert_eq!(rows.len(), written + EMPLOYED, "one row for each record written, and the users before");
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|row| &row.body.events).map(|event| event.name.as_str()).collect();
    for name in [
        "team.added",
        "user.added",
        "settings.changed",
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "customer.restored",
        "contact.created",
        "contact.updated",
        "contact.primary_lost",
        "contact.role_added",
        "contact.deleted",
        "interaction.logged",
        "interaction.updated",
        "interaction.deleted",
        "behavior.recorded",
        "invoice.recorded",
        "invoice.updated",
        "milestone.deleted",
        "milestone.reached",
        "milestone.updated",
        "renewal.created",
        "renewal.paused",
        "scoring_model.added",
        "score.changed",
        "score.needs_review",
    ] {
        assert!(names.contains(name), "{name} was not told; told were {names:?}");
    }
    let mut events = BTreeSet::new();
    for row in &rows {
        let lasting = serde_json::to_string(&row.body).unwrap();
        for personal in PERSONAL {
            assert!(!lasting.contains(personal), "{personal} stands in {lasting}");
        }
        assert!(row.body.events.iter().all(|event| events.insert(event.id)), "an event's id is repeated");
        let private = row.private.as_ref().unwrap();
        let by_ada = row.body.actor.id == Some(ADA);
        assert_eq!(private.origin == origin, by_ada);
        assert_eq!(row.body.commitments.contains_key("origin"), by_ada);
    }
    assert_eq!(world.crm.log().verify(&world.manager()).await.unwrap(), Ok(rows.len() as i64));
}

/// A repeat of a command of any kind gives the ids and versions of the first time and changes nothing.
pub async fn xt_03_a_repeat_of_any_command_changes_nothing(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let mut state = State::default();
    let first = every_command(&world, &world.ada(), "key", &mut state).await;
    let before = super::tenants::dump(&world.crm, world.tenant).await;
    world.env.advance(Duration::days(1));
    let again = every_command(&world, &world.ada(), "key", &mut state).await;
    for ((name, written, repeated), (_, written_again, repeated_again)) in first.iter().zip(&again) {
        assert_eq!(written, written_again, "{name}");
        assert!(!repeated && *repeated_again, "{name}");
    }
    assert_eq!(super::tenants::dump(&world.crm, world.tenant).await, before);
    // A key that is free again after 30 days; what was logged by external id gives the same again.
    let (crm, ctx) = (&world.crm, world.ada().with_key("mail"));
    let mail = || Interaction {
        external_id: Some("m".to_owned()),
        occurred_at: at_noon(),
        ..world.touch(state.customer.unwrap(), "m")
    };
    let logged = crm.interactions().log(&world.ada(), mail()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            crm.interactions().log(&ctx, mail()).await.unwrap().value,
            logged.value,
            "known by external id, under a key"
        );
    }
    assert!(matches!(
        crm.interactions().log(&ctx, world.touch(state.customer.unwrap(), "other")).await,
        Err(Error::KeyReused)
    ));
    // Only successes are kept.
    let ctx = world.ada().with_key("late");
    let late = CustomerId(Uuid::from_u128(0x1a7e));
    assert_eq!(crm.customers().delete(&ctx, late, Expect::Any).await.unwrap_err().code(), "not_found");
    crm.customers().create(&world.ada(), Customer { id: late, ..person("Late") }).await.unwrap();
    assert!(!crm.customers().delete(&ctx, late, Expect::Any).await.unwrap().repeated);
    // Somebody else's key gives nothing that they may not see.
    let private = Interaction {
        visibility: crm_core::timeline::Visibility::Private,
        ..world.touch(state.customer.unwrap(), "Ada's secret")
    };
    let private = crm.interactions().log(&world.ada(), private).await.unwrap().id;
    crm.interactions().mark_replied(&world.ada().with_key("shared"), private).await.unwrap();
    let theirs = crm.interactions().mark_replied(&world.bob().with_key("shared"), private).await;
    assert!(theirs.is_err(), "{theirs:?}");
}

/// Whoever consumes sees the same rows in the same order, by version within a record, without a gap; what was not
/// acknowledged comes again.
pub async fn xt_02_all_consumers_see_one_order_and_nothing_is_lost(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other) = (world.crm.clone(), world.second(harness).await);
    let (ctx, manager) = (world.ada(), world.manager());
    let customers: Vec<_> = (0..8).map(|n| (person(&format!("C{n}")), Vec::new())).collect();
    let ids: Vec<_> =
        crm.customers().create_batch(&ctx, customers).await.unwrap().iter().map(|c| c.id).collect();
    let read_all = async |crm: &Crm, name: &str, limit: usize, dies: bool| {
        let mut seen: Vec<LogRow> = Vec::new();
        let mut dice = Dice::new(seed());
        // Users and customers, where these stand, the default stages with their transitions, and the changes.
        while seen.len() < EMPLOYED + 8 + 8 + 22 + 256 {
            let rows = crm.log().next(&manager, name, limit).await.unwrap();
            let Some(last) = rows.last() else {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                continue;
            };
            if dies && dice.one_in(2) {
                // It dies before it acknowledges: the same rows come again.
                let again = crm.log().next(&manager, name, rows.len()).await.unwrap();
                assert_eq!(again, rows);
                continue;
            }
            crm.log().acknowledge(&manager, name, last.number.unwrap()).await.unwrap();
            seen.extend(rows);
        }
        seen
    };
    let writing = at_once(64, |n| {
        let (crm, ctx, id) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone(), ids[n % 8]);
        async move {
            for step in 0..4 {
                let tag = |c: &mut Customer| c.tags = vec![format!("{n}-{step}")];
                crm.customers().update(&ctx, id, Expect::Any, tag).await.unwrap();
            }
        }
    });
    let (_, first, second) =
        tokio::join!(writing, read_all(&crm, "first", 7, true), read_all(&other, "second", 100, false));
    assert_eq!(first, second);
    assert!(first.iter().zip(1..).all(|(row, number)| row.number == Some(number)), "a number is missing");
    let mut versions: BTreeMap<(&str, Uuid), i64> = BTreeMap::new();
    for row in &first {
        let version = versions.entry((&row.entity, row.record_id)).or_default();
        assert_eq!(row.version, *version + 1, "out of order within a record");
        *version = row.version;
    }
    assert_eq!(crm.log().verify(&manager).await.unwrap(), Ok(first.len() as i64));
    crm.log().acknowledge(&manager, "first", 1).await.unwrap();
    assert!(crm.log().next(&manager, "first", 10).await.unwrap().is_empty(), "a position never moves back");
}

fn edit(dice: &mut Dice, customer: &mut Customer) {
    match dice.below(6) {
        0 => customer.display_name = (*dice.pick(super::criteria_data::NAMES)).to_owned(),
        1 => customer.email = dice.maybe(2, |dice| format!("{}@example.com", dice.pick(&["a", "b", "C"]))),
        2 => {
            customer.tags =
                dice.some_of(super::criteria_data::TAGS, 2).iter().map(|tag| (*tag).to_owned()).collect();
        }
        3 => customer.is_vip = dice.one_in(2),
        4 => {
            let value = Value::Decimal(Decimal::new(dice.between(-9_999, 9_999), dice.below(5) as u32));
            customer.custom.insert("n".to_owned(), value);
        }
        _ => {
            customer.custom.insert(
                "at".to_owned(),
                Value::Instant(at_noon() + Duration::milliseconds(dice.between(0, 99))),
            );
        }
    }
}

/// After any sequence of changes, the record as of each instant is what was recorded then, and each change shows what
/// was before and after, proven.
pub async fn pr_08_history_and_as_of_equal_what_was_recorded(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx, manager) = (&world.crm, world.ada(), world.manager());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let before = world.env.now();
    world.env.advance(Duration::milliseconds(5));
    let mut now = world.customer("Subject").await;
    let id = now.id;
    let mut recording = vec![(world.env.now(), now.clone())];
    for _ in 0..size(60, 1_000) {
        world.env.advance(Duration::milliseconds(dice.between(0, 3)));
        let live = now.meta.deleted_at.is_none();
        let done = match dice.below(10) {
            0 if live => crm.customers().delete(&ctx, id, Expect::Any).await.unwrap(),
            _ if !live => crm.customers().restore(&ctx, id).await.unwrap(),
            _ => {
                let mut target = now.clone();
                edit(&mut dice, &mut target);
                crm.customers().update(&ctx, id, Expect::Any, |c| *c = target.clone()).await.unwrap()
            }
        };
        now = done.value;
        recording.push((world.env.now(), now.clone()));
    }
    for (instant, _) in &recording {
        let expected = &recording.iter().rev().find(|(at, _)| at <= instant).unwrap().1;
        let found = crm.log().as_of::<Customer>(&manager, id, *instant).await.unwrap();
        assert!(found.erased.is_empty() && !found.purged);
        assert_eq!(
            &Customer::from_record(&found.record.unwrap()).unwrap(),
            expected,
            "seed {seed} at {instant}"
        );
    }
    assert_eq!(
        crm.log().as_of::<Customer>(&manager, id, before).await.unwrap().record,
        None,
        "before it was created"
    );
    let history = crm.log().history::<Customer>(&manager, id).await.unwrap();
    let mut versions: BTreeMap<i64, Customer> = BTreeMap::new();
    for (_, customer) in recording {
        versions.insert(customer.meta.version, customer);
    }
    assert_eq!(history.len(), versions.len(), "seed {seed}");
    for change in &history {
        let (version, def) = (change.row.version, Customer::def());
        let after = versions[&version].to_record();
        let before = versions.get(&(version - 1)).map(Customer::to_record);
        for (name, field) in &change.fields {
            assert_eq!(field.proven, Some(true), "seed {seed}, version {version}: {name}");
            assert_eq!(field.after.as_ref(), Some(&after.get(name).to_json()), "version {version}: {name}");
            let earlier =
                before.as_ref().map_or(serde_json::Value::Null, |before| before.get(name).to_json());
            assert_eq!(field.before.as_ref(), Some(&earlier), "version {version}: {name}");
        }
        let changed = def.fields.iter().skip(4).filter(|field| match &before {
            Some(before) => before.get(field.name) != after.get(field.name),
            None => !after.get(field.name).is_missing(),
        });
        assert_eq!(changed.count(), change.fields.len(), "seed {seed}, version {version}");
        assert_eq!(change.row.op == Op::Insert, version == 1);
    }
    assert!(matches!(
        crm.log().verify(&manager).await.unwrap(),
        Ok(rows) if rows as usize == versions.len() + EMPLOYED + 1 + 22
    ));
    let unknown = crm.log().history::<Customer>(&manager, CustomerId(Uuid::from_u128(404))).await;
    assert_eq!(unknown.unwrap_err().code(), "not_found");
}

/// Settings hold JSON of any shape, and their history is proven all the same.
pub async fn pr_08_the_history_of_json_is_proven(harness: &dyn Harness) {
    use crm_core::tenant::{Settings, SettingsId};
    let world = World::new(harness).await;
    let options = serde_json::json!({ "z": 1.0, "a": [1e3, 0.1, -0.0, 12_345_678_901_i64], "text": "é \" \\ \u{1F600}", "nested": { "b": null, "a": true }, "empty": {} });
    let change = |settings: &mut Settings| settings.options = options.clone();
    world.crm.settings().update(&world.system(), change).await.unwrap();
    assert_eq!(world.crm.settings().get(&world.ada()).await.unwrap().options, options);
    world
        .crm
        .settings()
        .update(&world.system(), |settings| settings.options = serde_json::json!({ "z": 2 }))
        .await
        .unwrap();
    let history =
        world.crm.log().history::<Settings>(&world.system(), SettingsId(world.tenant.0)).await.unwrap();
    assert_eq!(history.len(), 2);
    for change in history {
        assert!(change.fields.values().all(|field| field.proven == Some(true)), "{change:?}");
    }
}
