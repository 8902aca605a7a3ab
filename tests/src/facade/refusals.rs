//! Wrong input is refused with field and reason, and nothing of it is stored; roles and settings (SPEC XT-04, XT-06,
//! XT-11).

use chrono::{Duration, NaiveDate, TimeZone as _, Utc};
use crm_core::contact::Contact;
use crm_core::customer::{Customer, ExternalKey};
use crm_core::directory::{User, UserId};
use crm_core::format::{Country, Currency};
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, InvoiceLine, NewInvoice};
use crm_core::record::FieldError;
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::value::{Value, truncate};
use crm_core::{Context, Env as _, Error, Expect, Find, Totals};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::tenants::dump;
use super::world::{World, contact, is, person};
use crate::Harness;

fn refused<T: std::fmt::Debug, R: crm_core::command::Refusal>(outcome: Result<T, Error<R>>, field: &str) {
    match outcome {
        Err(Error::Invalid(errors)) => {
            let found: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(found, [field], "{errors:?}");
            let FieldError { why, .. } = &errors[0];
            assert!(why.len() > 10 && why.len() < 400, "{why}");
        }
        other => panic!("{field}: {other:?}"),
    }
}

fn text(length: usize) -> String {
    "é".repeat(length)
}

/// Every wrong field of every entity is named with the reason; a batch is refused as a whole, with the place.
pub async fn cm_01_wrong_input_is_refused_with_its_field_and_nothing_is_stored(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let home = world.customer("Home").await.id;
    let before = dump(crm, world.tenant).await;
    let some = |text: &str| Some(text.to_owned());
    let customers: Vec<(&str, Customer)> = vec![
        ("display_name", person("")),
        ("display_name", person(" \t ")),
        ("display_name", person(&text(201))),
        ("display_name", person(&text(1_000_000))),
        ("display_name", person("a\0b")),
        ("display_name", person("a\u{7}b")),
        ("display_name", person("two\nlines")),
        ("email", Customer { email: some("nobody"), ..person("A") }),
        ("email", Customer { email: some(&format!("{}@example.com", text(300))), ..person("A") }),
        ("phone", Customer { phone: some(&"1".repeat(1_000)), ..person("A") }),
        ("preferred_language", Customer { preferred_language: some("klingonese language"), ..person("A") }),
        ("tags", Customer { tags: (0..101).map(|n| n.to_string()).collect(), ..person("A") }),
        ("tags", Customer { tags: vec![text(51)], ..person("A") }),
        ("tags", Customer { tags: vec!["a\0".to_owned()], ..person("A") }),
        ("custom", Customer { custom: [("a.b".to_owned(), Value::Bool(true))].into(), ..person("A") }),
        ("custom", Customer { custom: [("$a".to_owned(), Value::Bool(true))].into(), ..person("A") }),
        ("custom", Customer { custom: [(String::new(), Value::Bool(true))].into(), ..person("A") }),
        (
            "custom",
            Customer { custom: [("a".to_owned(), Value::Text("\0".to_owned()))].into(), ..person("A") },
        ),
        ("custom", Customer { custom: [("a".to_owned(), Value::Text(text(10_001)))].into(), ..person("A") }),
        ("custom", Customer { custom: [("a".to_owned(), Value::Id(Uuid::nil()))].into(), ..person("A") }),
        (
            "custom",
            Customer {
                custom: [("a".to_owned(), Value::Decimal(Decimal::new(1, 13)))].into(),
                ..person("A")
            },
        ),
        (
            "custom",
            Customer {
                custom: [("a".to_owned(), Value::Decimal(Decimal::from(10_i64.pow(15))))].into(),
                ..person("A")
            },
        ),
        (
            "custom",
            Customer {
                custom: (0..201).map(|n| (n.to_string(), Value::Bool(true))).collect(),
                ..person("A")
            },
        ),
        (
            "custom",
            Customer {
                custom: [("a".to_owned(), Value::Instant(chrono::DateTime::<Utc>::MAX_UTC))].into(),
                ..person("A")
            },
        ),
    ];
    for (field, customer) in customers {
        refused(crm.customers().create(&ctx, customer.clone()).await, field);
        let change = |stored: &mut Customer| {
            stored.display_name.clone_from(&customer.display_name);
            stored.email.clone_from(&customer.email);
            stored.phone.clone_from(&customer.phone);
            stored.preferred_language.clone_from(&customer.preferred_language);
            stored.tags.clone_from(&customer.tags);
            stored.custom.clone_from(&customer.custom);
        };
        refused(crm.customers().update(&ctx, home, Expect::Any, change).await, field);
        let batch = vec![(person("Fine"), Vec::new()), (customer, Vec::new())];
        refused(crm.customers().create_batch(&ctx, batch).await, &format!("[1].{field}"));
    }
    for (field, system, value) in [
        ("system", "", "1"),
        ("system", &text(65)[..], "1"),
        ("value", "shop", ""),
        ("value", "shop", &text(201)),
        ("value", "shop", "a\0"),
    ] {
        let keys = vec![ExternalKey::new(system, value)];
        refused(crm.customers().create_with_ids(&ctx, person("A"), keys).await, field);
    }
    for (field, wrong) in [
        ("first_name", contact(home, "", "B")),
        ("last_name", contact(home, "A", &text(101))),
        ("job_title", Contact { job_title: some(&text(101)), ..contact(home, "A", "B") }),
        ("email", Contact { email: some("@"), ..contact(home, "A", "B") }),
    ] {
        refused(crm.contacts().create(&ctx, wrong).await, field);
    }
    let year = |year: i32| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    for (field, wrong) in [
        ("subject", Interaction { subject: some(&text(501)), ..world.touch(home, "") }),
        ("description", Interaction { description: some(&text(50_001)), ..world.touch(home, "") }),
        ("description", Interaction { description: some("a\0"), ..world.touch(home, "") }),
        ("duration_minutes", Interaction { duration_minutes: Some(-1), ..world.touch(home, "") }),
        ("duration_minutes", Interaction { duration_minutes: Some(10_081), ..world.touch(home, "") }),
        ("occurred_at", Interaction { occurred_at: year(0), ..world.touch(home, "") }),
        ("occurred_at", Interaction { occurred_at: year(-5_000), ..world.touch(home, "") }),
        ("occurred_at", Interaction { occurred_at: year(10_000), ..world.touch(home, "") }),
        ("external_id", Interaction { external_id: some(&text(201)), ..world.touch(home, "") }),
        ("external_id", Interaction { external_id: some("a\0"), ..world.touch(home, "") }),
    ] {
        refused(crm.interactions().log(&ctx, wrong).await, field);
    }
    let invoice = || Invoice::issued(home, "R-1", world.env.now(), Currency::USD);
    let number = |text: &str| text.parse::<Decimal>().unwrap();
    let lines = |quantity: &str, price: &str| {
        vec![
            InvoiceLine::new("x", Decimal::ONE, Decimal::ONE),
            InvoiceLine::new("y", number(quantity), number(price)),
        ]
    };
    for (field, invoice, lines) in [
        ("number", Invoice { number: String::new(), ..invoice() }, Vec::new()),
        ("number", Invoice { number: text(51), ..invoice() }, Vec::new()),
        ("due_on", Invoice { due_on: NaiveDate::from_ymd_opt(10_000, 1, 1), ..invoice() }, Vec::new()),
        ("issued_at", Invoice { issued_at: year(10_000), ..invoice() }, Vec::new()),
        ("lines[1].quantity", invoice(), lines("0.00001", "1")),
        ("lines[1].unit_price", invoice(), lines("1", "0.0000001")),
        ("lines[1].unit_price", invoice(), lines("999999999999999", "999999999999999")),
    ] {
        refused(crm.invoices().record(&ctx, NewInvoice { invoice, lines }).await, field);
    }
    for key in ["", &"k".repeat(201), "a\0b"] {
        refused(crm.customers().create(&ctx.clone().with_key(key), person("A")).await, "idempotency key");
    }
    let many = (0..1_001).map(|n| (person(&n.to_string()), Vec::new())).collect();
    assert!(matches!(crm.customers().create_batch(&ctx, many).await, Err(Error::Write(_))));
    let many = (0..1_001).map(|_| world.touch(home, "x")).collect();
    assert!(matches!(crm.interactions().log_batch(&ctx, many).await, Err(Error::Write(_))));
    for limit in [0, 10_000, usize::MAX] {
        let outcome = crm.customers().find(&ctx, &Find::all().limit(limit)).await;
        assert!(matches!(outcome, Err(Error::Criteria(error)) if error.at == "limit"));
        let request = TimelineRequest { limit, ..TimelineRequest::of(Anchor::Tenant) };
        assert!(
            matches!(crm.timeline().page(&ctx, &request).await, Err(Error::Criteria(error)) if error.at == "limit")
        );
    }
    let anchor = Anchor::Record("planet".to_owned(), home.0);
    assert!(
        matches!(crm.timeline().page(&ctx, &TimelineRequest::of(anchor)).await, Err(Error::Criteria(error)) if error.at == "anchor")
    );
    for (totals, place) in [
        (Totals::by(&["nonsense"]), "by[0]"),
        (Totals::by(&["currency", "customer.tags"]), "by[1]"),
        (Totals::default().sum("number"), "sums[0]"),
        (Totals::default().matching(is("total", "eq", "many")), "value"),
    ] {
        assert!(
            matches!(crm.invoices().totals(&ctx, &totals).await, Err(Error::Criteria(error)) if error.at == place)
        );
    }
    for (sort, place) in [
        ("nonsense", "order[0]"),
        ("tags", "order[0]"),
        ("custom.a", "order[0]"),
        ("owner.nonsense", "order[0]"),
    ] {
        let outcome = crm.customers().find(&ctx, &Find::all().ascending(sort)).await;
        assert!(matches!(outcome, Err(Error::Criteria(error)) if error.at == place), "{sort}");
    }
    for name in ["", "a\0", &text(101)] {
        refused(crm.log().next(&world.manager(), name, 10).await, "consumer");
        refused(crm.log().acknowledge(&world.manager(), name, 1).await, "consumer");
    }
    assert_eq!(dump(crm, world.tenant).await, before, "something of what was refused is stored");
}

/// A record that is given the id of another is refused at once, not after a deadline.
pub async fn cm_01_an_id_that_is_taken_is_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let first = world.customer("First").await;
    let crm = crm_core::Crm::builder_shared(world.store.clone())
        .shared_env(world.env.clone())
        .cursor_key(super::world::KEY)
        .deadline(std::time::Duration::from_millis(300))
        .build()
        .unwrap();
    let second = crm.customers().create(&world.ada(), Customer { id: first.id, ..person("Second") }).await;
    assert!(second.is_err(), "{second:?}");
    assert_eq!(crm.customers().get(&world.ada(), first.id).await.unwrap(), first);
}

/// A reader reads, a user writes, a manager audits, an admin administers; a customer reads what is meant for them.
pub async fn xt_04_each_role_may_do_its_own(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let crm = &world.crm;
    let id = world.customer("Subject").await.id;
    let role = |role: &str| Context { roles: vec![role.to_owned()], ..world.ada() };
    let portal = Context {
        actor: crm_core::log::Actor { kind: crm_core::log::ActorKind::Customer, id: Some(id.0) },
        ..role("admin")
    };
    let roles = [
        ("none", Context { roles: Vec::new(), ..world.ada() }, "......"),
        ("stranger", role("root"), "......"),
        ("portal", portal, "......"),
        ("reader", role("reader"), "r....."),
        ("user", role("user"), "rwd..."),
        ("manager", role("manager"), "rwda.."),
        ("admin", role("admin"), "rwdauk"),
    ];
    for (name, ctx, may) in roles {
        let before = dump(crm, world.tenant).await;
        let mut codes = Vec::new();
        let mut tried = |letter: char, code: Option<&'static str>| codes.push((letter, code));
        tried('r', crm.customers().get(&ctx, id).await.err().map(|e| e.code()));
        tried('r', crm.customers().find(&ctx, &Find::all()).await.err().map(|e| e.code()));
        tried(
            'r',
            crm.timeline().page(&ctx, &TimelineRequest::of(Anchor::Tenant)).await.err().map(|e| e.code()),
        );
        tried('r', crm.invoices().totals(&ctx, &Totals::default()).await.err().map(|e| e.code()));
        tried('r', crm.timeline().watch(&ctx, Anchor::Tenant).await.err().map(|e| e.code()));
        tried('w', crm.customers().create(&ctx, person("New")).await.err().map(|e| e.code()));
        tried(
            'w',
            crm.customers()
                .update(&ctx, id, Expect::Any, |c| c.is_vip = !c.is_vip)
                .await
                .err()
                .map(|e| e.code()),
        );
        tried('w', crm.contacts().create(&ctx, contact(id, "N", "E")).await.err().map(|e| e.code()));
        tried('w', crm.interactions().log(&ctx, world.touch(id, "n")).await.err().map(|e| e.code()));
        tried('d', crm.customers().delete(&ctx, id, Expect::Any).await.err().map(|e| e.code()));
        if may.contains('d') {
            tried('d', crm.customers().restore(&ctx, id).await.err().map(|e| e.code()));
        }
        tried('a', crm.log().history::<Customer>(&ctx, id).await.err().map(|e| e.code()));
        tried('a', crm.log().as_of::<Customer>(&ctx, id, world.env.now()).await.err().map(|e| e.code()));
        tried('a', crm.log().next(&ctx, "c", 1).await.err().map(|e| e.code()));
        tried('a', crm.log().acknowledge(&ctx, "c", 1).await.err().map(|e| e.code()));
        tried('a', crm.log().subscribe(&ctx).await.err().map(|e| e.code()));
        tried('a', crm.log().verify(&ctx).await.err().map(|e| e.code()));
        tried(
            'u',
            crm.users()
                .put(
                    &ctx,
                    vec![User { id: UserId(Uuid::from_u128(9)), name: name.to_owned(), ..User::default() }],
                )
                .await
                .err()
                .map(|e| e.code()),
        );
        tried(
            'u',
            crm.settings().update(&ctx, |s| s.backdated_after_days += 1).await.err().map(|e| e.code()),
        );
        tried('k', crm.expire_keys(&ctx).await.err().map(|e| e.code()));
        for (letter, code) in codes {
            let expected = if may.contains(letter) { None } else { Some("forbidden") };
            assert_eq!(code, expected, "{name}: {letter}");
        }
        if !may.contains('w') {
            assert_eq!(dump(crm, world.tenant).await, before, "{name} changed something");
        }
    }
}

/// Whatever is finer than a millisecond is cut off on the way in, so that what is returned is what is stored.
pub async fn xt_06_instants_are_truncated_to_milliseconds(harness: &dyn Harness) {
    let fine = super::world::at("2024-02-29T12:00:00Z") + Duration::nanoseconds(999_999);
    let world = World::starting(harness, fine).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let custom = [("at".to_owned(), Value::Instant(fine - Duration::days(1)))].into();
    let created = crm.customers().create(&ctx, Customer { custom, ..person("Fine") }).await.unwrap().value;
    assert_eq!(created.meta.created_at, truncate(fine));
    assert_eq!(created.custom["at"], Value::Instant(truncate(fine - Duration::days(1))));
    assert_eq!(crm.customers().get(&ctx, created.id).await.unwrap(), created);
    let given = Interaction { occurred_at: fine - Duration::seconds(1), ..world.touch(created.id, "fine") };
    let logged = crm.interactions().log(&ctx, given).await.unwrap().value;
    assert_eq!(logged.occurred_at, truncate(fine - Duration::seconds(1)));
    assert_eq!(crm.interactions().get(&ctx, logged.id).await.unwrap(), logged);
    let page = crm.timeline().page(&ctx, &TimelineRequest::of(Anchor::Customer(created.id))).await.unwrap();
    assert_eq!(page.entries[0].at, logged.occurred_at);
}

/// Without stored settings the defaults hold; the zone decides which day it is, the region where numbers are from.
pub async fn xt_11_settings_decide_zone_region_and_currency(harness: &dyn Harness) {
    let world = World::starting(harness, super::world::at("2024-03-01T02:00:00Z")).await;
    let (crm, ctx, admin) = (&world.crm, world.ada(), world.system());
    let defaults = crm.settings().get(&ctx).await.unwrap();
    assert_eq!(
        (defaults.zone.as_str(), defaults.currency, defaults.region, defaults.backdated_after_days),
        ("UTC", Currency::USD, None, 30)
    );
    world.customer("Today").await;
    let today = is("created_at", "gte", "today");
    world.env.advance(Duration::hours(4));
    // At 06:00 UTC it is 01:00 in New York: what was created four hours ago, at 21:00, is yesterday's.
    assert_eq!(crm.customers().find(&ctx, &Find::matching(today.clone())).await.unwrap().items.len(), 1);
    let change = |settings: &mut crm_core::tenant::Settings| {
        settings.zone = "america/new_york".to_owned();
        settings.currency = Currency::parse("EUR").unwrap();
        settings.region = Some(Country::parse("FR").unwrap());
    };
    let stored = crm.settings().update(&admin, change).await.unwrap();
    assert_eq!((stored.zone.as_str(), stored.meta.version), ("America/New_York", 1));
    assert_eq!(crm.settings().get(&ctx).await.unwrap(), stored.value);
    assert!(crm.customers().find(&ctx, &Find::matching(today.clone())).await.unwrap().items.is_empty());
    let mut named = today;
    named["zone"] = "UTC".into();
    assert_eq!(crm.customers().find(&ctx, &Find::matching(named)).await.unwrap().items.len(), 1);
    let french = Customer { phone: Some("01 42 68 53 00".to_owned()), ..person("Paris") };
    assert_eq!(
        crm.customers().create(&ctx, french).await.unwrap().phone_e164.as_deref(),
        Some("+33142685300")
    );
    refused(crm.settings().update(&admin, |s| s.zone = "Mars/Base".to_owned()).await, "zone");
    refused(crm.settings().update(&admin, |s| s.backdated_after_days = -1).await, "backdated_after_days");
    assert_eq!(crm.settings().get(&ctx).await.unwrap(), stored.value);
    let elsewhere = Context { tenant: crm_core::TenantId(Uuid::from_u128(77)), ..ctx };
    assert_eq!(crm.settings().get(&elsewhere).await.unwrap().zone, "UTC");
}
