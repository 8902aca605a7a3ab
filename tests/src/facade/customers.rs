//! Customers: fields, versions, deletion, external ids, owners and parents (SPEC CM-01).

use crm_core::catalog::Entity;
use crm_core::contact::Contact;
use crm_core::customer::{
    Customer, CustomerId, CustomerRefusal, CustomerSource, CustomerStatus, CustomerType, ExternalKey,
};
use crm_core::directory::UserId;
use crm_core::interaction::Interaction;
use crm_core::invoice::{Invoice, InvoiceLine, InvoiceStatus, NewInvoice};
use crm_core::record::{Custom, Meta};
use crm_core::timeline::{Anchor, TimelineRequest};
use crm_core::value::Value;
use crm_core::{Context, Crm, Env as _, Error, Expect, Find, Totals};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::world::{ADA, BOB, GONE, World, all, at, contact, is, matching, person};
use crate::Harness;

/// All fields come back as they were given; each change makes the next version; an old version is refused; what
/// differs in nothing is not written.
pub async fn cm_01_a_customer_keeps_every_field_and_counts_its_versions(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let parent = world.customer("Holding").await;
    let custom = Custom::from([
        ("tier".to_owned(), Value::Text("gold".to_owned())),
        ("score".to_owned(), Value::Decimal(Decimal::new(123_456_789_012, 12))),
        ("is_key".to_owned(), Value::Bool(false)),
        ("met at".to_owned(), Value::Instant(at("2023-12-31T23:59:59.999Z"))),
        ("likes".to_owned(), Value::List(vec!["Kaffee".to_owned(), "Tee".to_owned()])),
    ]);
    let given = Customer {
        r#type: CustomerType::Organization,
        display_name: "Łódź Sp. z o.o. 株式会社".to_owned(),
        status: CustomerStatus::Active,
        source: Some(CustomerSource::Referral),
        email: Some("Office@example.com".to_owned()),
        phone: Some("+49 30 901820".to_owned()),
        owner_id: Some(UserId(BOB)),
        parent_id: Some(parent.id),
        tags: vec!["a".to_owned(), "b".to_owned()],
        is_vip: true,
        is_blocked: true,
        preferred_language: Some("pt-BR".to_owned()),
        processing_restricted: true,
        do_not_process: true,
        custom,
        ..Customer::default()
    };
    let created = crm.customers().create(&ctx, given.clone()).await.unwrap();
    let written = ["customer", "customer_lifecycle"].map(|entity| (entity.to_owned(), created.id.0, 1));
    assert_eq!(created.written, written);
    let now = world.env.now();
    let expected = Customer {
        id: created.id,
        meta: Meta { version: 1, created_at: now, updated_at: now, deleted_at: None },
        phone_e164: Some("+4930901820".to_owned()),
        created_by: Some(UserId(ADA)),
        ..given
    };
    assert_eq!(created.value, expected);
    assert_eq!(crm.customers().get(&ctx, created.id).await.unwrap(), expected);
    let plain = world.customer("Plain").await;
    assert_eq!((plain.status, plain.owner_id), (CustomerStatus::Prospect, Some(UserId(ADA))));

    world.env.advance(chrono::Duration::minutes(5));
    let rename = |customer: &mut Customer| customer.display_name = "Renamed".to_owned();
    let renamed = crm.customers().update(&ctx, created.id, Expect::Version(1), rename).await.unwrap();
    let meta = Meta { version: 2, updated_at: world.env.now(), ..expected.meta };
    assert_eq!(renamed.value, Customer { display_name: "Renamed".to_owned(), meta, ..expected });
    assert_eq!(crm.customers().get(&ctx, created.id).await.unwrap(), renamed.value);
    match crm.customers().update(&ctx, created.id, Expect::Version(1), |c| c.is_vip = false).await {
        Err(Error::VersionConflict { entity: "customer", expected: 1, found: 2, .. }) => {}
        other => panic!("an old version was accepted: {other:?}"),
    }
    let same = crm.customers().update(&ctx, created.id, Expect::Any, rename).await.unwrap();
    assert_eq!(
        (same.written.len(), &same.value),
        (0, &renamed.value),
        "nothing changed, so nothing is written"
    );
    match crm.customers().update(&ctx, created.id, Expect::Any, |c| c.r#type = CustomerType::Individual).await
    {
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "type"),
        other => panic!("a frozen field changed: {other:?}"),
    }
    let nobody = CustomerId(Uuid::from_u128(404));
    assert!(matches!(crm.customers().get(&ctx, nobody).await, Err(Error::NotFound { .. })));
    let given = crm.customers().get_many(&ctx, &[plain.id, nobody, created.id]).await.unwrap();
    assert_eq!(given, [plain, renamed.value]);
}

/// Everything that can be asked about a customer and its children, by question; nothing where it is hidden.
async fn seen(
    crm: &Crm,
    ctx: &Context,
    customer: CustomerId,
    word: &str,
) -> Vec<(&'static str, Vec<String>)> {
    async fn of<E: Entity + std::fmt::Debug>(
        crm: &Crm,
        ctx: &Context,
        field: &str,
        id: CustomerId,
    ) -> Vec<String> {
        matching::<E>(crm, ctx, is(field, "eq", id.to_string()))
            .await
            .iter()
            .map(|e| format!("{e:?}"))
            .collect()
    }
    let mut timelines = Vec::new();
    for anchor in [Anchor::Customer(customer), Anchor::Tenant, Anchor::User(UserId(ADA))] {
        let request = TimelineRequest { all_time: true, ..TimelineRequest::of(anchor) };
        timelines.push(match crm.timeline().page(ctx, &request).await {
            Ok(page) => page.pinned.iter().chain(&page.entries).map(|row| format!("{row:?}")).collect(),
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(error) => panic!("{error}"),
        });
    }
    let plain = |found: Vec<Customer>| -> Vec<String> {
        let mut plain = found;
        for customer in &mut plain {
            customer.meta = Meta::default();
        }
        plain.iter().map(|customer| format!("{customer:?}")).collect()
    };
    let groups = |groups: Vec<crm_core::store::Group>| -> Vec<String> {
        groups
            .iter()
            .filter(|group| group.measures[0] != Value::Int(0))
            .map(|group| format!("{group:?}"))
            .collect()
    };
    let contacts: Vec<Contact> = all(crm, ctx).await;
    let mut got = Vec::new();
    for contact in &contacts {
        got.push(format!("{:?}", crm.contacts().get(ctx, contact.id).await.unwrap()));
    }
    let tenant = timelines.split_off(1);
    vec![
        ("customer", plain(crm.customers().get_many(ctx, &[customer]).await.unwrap())),
        ("find", plain(matching(crm, ctx, is("display_name", "contains", word)).await)),
        ("search", plain(crm.customers().search(ctx, word, 10).await.unwrap())),
        ("contacts", of::<Contact>(crm, ctx, "customer_id", customer).await),
        (
            "contacts of",
            crm.contacts()
                .of_customer(ctx, customer)
                .await
                .unwrap()
                .iter()
                .map(|c| format!("{c:?}"))
                .collect(),
        ),
        ("contacts by id", got),
        ("interactions", of::<Interaction>(crm, ctx, "customer_id", customer).await),
        (
            "found interactions",
            crm.interactions()
                .find(ctx, &Find::search(word))
                .await
                .unwrap()
                .items
                .iter()
                .map(|i| format!("{i:?}"))
                .collect(),
        ),
        (
            "awaiting reply",
            crm.interactions()
                .awaiting_reply(ctx, 10)
                .await
                .unwrap()
                .iter()
                .map(|i| format!("{i:?}"))
                .collect(),
        ),
        ("invoices", of::<Invoice>(crm, ctx, "customer_id", customer).await),
        ("lines", of::<InvoiceLine>(crm, ctx, "invoice.customer_id", customer).await),
        (
            "invoice totals",
            groups(crm.invoices().totals(ctx, &Totals::by(&["currency"]).sum("total")).await.unwrap()),
        ),
        (
            "line totals",
            groups(crm.totals::<InvoiceLine>(ctx, &Totals::default().sum("amount")).await.unwrap()),
        ),
        (
            "interaction totals",
            groups(crm.totals::<Interaction>(ctx, &Totals::by(&["interaction_type"])).await.unwrap()),
        ),
        ("timeline", timelines.remove(0)),
        ("tenant's timeline", tenant[0].clone()),
        ("user's timeline", tenant[1].clone()),
        (
            "by external id",
            plain(
                crm.customers()
                    .by_external_id(ctx, &ExternalKey::new("shop", "4711"))
                    .await
                    .unwrap()
                    .into_iter()
                    .collect(),
            ),
        ),
    ]
}

/// Deleting a customer hides everything that is read through it, on every read; restoring it brings all back as it
/// was, but for the customer's own version and instant.
pub async fn cm_01_a_deleted_customer_hides_all_that_is_read_through_it_and_brings_it_back(
    harness: &dyn Harness,
) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let keys = vec![ExternalKey::new("shop", "4711")];
    let customer = crm.customers().create_with_ids(&ctx, person("Zebra Works"), keys).await.unwrap().value;
    let someone = crm
        .contacts()
        .create(&ctx, Contact { is_primary: true, ..contact(customer.id, "Jo", "Zebra") })
        .await
        .unwrap();
    let mut mail = world.touch(customer.id, "Zebra mail");
    mail.interaction_type = crm_core::interaction::InteractionType::Email;
    mail.contact_id = Some(someone.id);
    let mail = crm.interactions().log(&ctx, mail).await.unwrap();
    crm.interactions()
        .log(&ctx, Interaction { is_pinned: true, ..world.touch(customer.id, "Zebra pin") })
        .await
        .unwrap();
    let usd = crm_core::format::Currency::USD;
    let invoice = crm
        .invoices()
        .record(
            &ctx,
            NewInvoice {
                invoice: Invoice {
                    status: InvoiceStatus::Issued,
                    ..Invoice::issued(customer.id, "Z-1", mail.occurred_at, usd)
                },
                lines: vec![InvoiceLine::new("Stripes", Decimal::from(3), Decimal::new(1999, 2))],
            },
        )
        .await
        .unwrap();
    let before = seen(crm, &ctx, customer.id, "zebra").await;
    for (question, answer) in &before {
        assert!(!answer.is_empty(), "the test shows nothing for {question}");
    }

    let version = crm.customers().get(&ctx, customer.id).await.unwrap().meta.version;
    let deleted = crm.customers().delete(&ctx, customer.id, Expect::Version(version)).await.unwrap();
    assert_eq!((deleted.meta.version, deleted.meta.deleted_at), (version + 1, Some(world.env.now())));
    for (question, answer) in seen(crm, &ctx, customer.id, "zebra").await {
        assert!(answer.is_empty(), "{question} still shows {answer:?}");
    }
    assert!(matches!(crm.invoices().get(&ctx, invoice.id).await, Err(Error::NotFound { .. })));
    let hidden = [
        crm.contacts()
            .update(&ctx, someone.id, Expect::Any, |c| c.do_not_contact = true)
            .await
            .unwrap_err()
            .code(),
        crm.contacts().create(&ctx, contact(customer.id, "New", "Child")).await.unwrap_err().code(),
        crm.interactions().mark_replied(&ctx, mail.id).await.unwrap_err().code(),
        crm.interactions().log(&ctx, world.touch(customer.id, "late")).await.unwrap_err().code(),
        crm.invoices()
            .update(&ctx, invoice.id, Expect::Any, |i| i.status = InvoiceStatus::Void)
            .await
            .unwrap_err()
            .code(),
        crm.customers().update(&ctx, customer.id, Expect::Any, |c| c.is_vip = true).await.unwrap_err().code(),
        crm.customers().delete(&ctx, customer.id, Expect::Any).await.unwrap_err().code(),
        crm.customers().subtree(&ctx, customer.id).await.unwrap_err().code(),
    ];
    assert_eq!(hidden, ["not_found"; 8]);

    let restored = crm.customers().restore(&ctx, customer.id).await.unwrap();
    assert_eq!((restored.meta.version, restored.meta.deleted_at), (version + 2, None));
    assert_eq!(seen(crm, &ctx, customer.id, "zebra").await, before);
    match crm.customers().restore(&ctx, customer.id).await {
        Err(Error::Refused(CustomerRefusal::NotDeleted(id))) => assert_eq!(id, customer.id),
        other => panic!("restored twice: {other:?}"),
    }
}

/// A second customer with the id of a live one is refused with the holder's name; the id of a deleted one is free.
pub async fn cm_01_an_external_id_belongs_to_one_live_customer(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let key = ExternalKey::new("shop", "7");
    let create = async |name: &str, keys: Vec<ExternalKey>| {
        crm.customers().create_with_ids(&ctx, person(name), keys).await
    };
    let first = create("First", vec![key.clone(), ExternalKey::new("erp", "7")]).await.unwrap();
    assert_eq!(first.written.iter().filter(|(entity, ..)| entity == "external_id").count(), 2);
    match create("Second", vec![ExternalKey::new(" shop ", " 7 ")]).await {
        Err(Error::Refused(CustomerRefusal::ExternalIdTaken { system, value, holder })) => {
            assert_eq!((system.as_str(), value.as_str(), holder), ("shop", "7", first.id));
        }
        other => panic!("two customers have one id: {other:?}"),
    }
    assert_eq!(crm.customers().by_external_id(&ctx, &key).await.unwrap(), Some(first.value.clone()));
    let twice = create("Twice", vec![ExternalKey::new("shop", "8"), ExternalKey::new("shop", "8")]).await;
    assert!(twice.is_err(), "one id twice for one customer");
    crm.customers().delete(&ctx, first.id, Expect::Any).await.unwrap();
    assert_eq!(crm.customers().by_external_id(&ctx, &key).await.unwrap(), None);
    let second = create("Second", vec![key.clone()]).await.unwrap();
    assert_eq!(crm.customers().by_external_id(&ctx, &key).await.unwrap(), Some(second.value.clone()));
    crm.customers().restore(&ctx, first.id).await.unwrap();
    assert_eq!(crm.customers().by_external_id(&ctx, &key).await.unwrap(), Some(second.value));
    assert_eq!(
        crm.customers().by_external_id(&ctx, &ExternalKey::new("erp", "7")).await.unwrap().unwrap().id,
        first.id
    );
    // Two of one batch cannot both take what a deleted one had.
    let other = create("Other", vec![ExternalKey::new("shop", "9")]).await.unwrap();
    crm.customers().delete(&ctx, other.id, Expect::Any).await.unwrap();
    let nine = || vec![ExternalKey::new("shop", "9")];
    let batch = crm.customers().create_batch(&ctx, vec![(person("A"), nine()), (person("B"), nine())]).await;
    assert!(batch.is_err(), "two customers of one batch took one id");
    assert_eq!(all::<Customer>(crm, &ctx).await.len(), 2, "nothing of a refused batch is stored");
}

/// An unknown, inactive or foreign owner and a parent that is not there are refused by name.
pub async fn cm_01_an_owner_is_an_active_user_and_a_parent_a_live_customer(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Owned").await;
    for owner in [GONE, Uuid::from_u128(404), world.tenant.0] {
        let owned = Customer { owner_id: Some(UserId(owner)), ..person("Other") };
        let create = crm.customers().create(&ctx, owned).await;
        assert!(
            matches!(create, Err(Error::Refused(CustomerRefusal::Owner(id))) if id == owner),
            "{create:?}"
        );
        let update = crm
            .customers()
            .update(&ctx, customer.id, Expect::Any, |c| c.owner_id = Some(UserId(owner)))
            .await;
        assert!(
            matches!(update, Err(Error::Refused(CustomerRefusal::Owner(id))) if id == owner),
            "{update:?}"
        );
    }
    let deleted = world.customer("Deleted").await.id;
    crm.customers().delete(&ctx, deleted, Expect::Any).await.unwrap();
    for parent in [deleted, CustomerId(Uuid::from_u128(404))] {
        let below = Customer { parent_id: Some(parent), ..person("Below") };
        let create = crm.customers().create(&ctx, below).await;
        assert!(
            matches!(create, Err(Error::Refused(CustomerRefusal::Parent(id))) if id == parent),
            "{create:?}"
        );
        let moved = crm.customers().set_parent(&ctx, customer.id, Some(parent)).await;
        assert!(
            matches!(moved, Err(Error::Refused(CustomerRefusal::Parent(id))) if id == parent),
            "{moved:?}"
        );
    }
    assert_eq!(all::<Customer>(crm, &ctx).await, [customer], "nothing of what was refused is stored");
    // The acting user owns what nobody else does, if the directory knows them as active.
    for (user, owner) in [(BOB, Some(UserId(BOB))), (GONE, None), (Uuid::from_u128(404), None)] {
        let created =
            crm.customers().create(&Context::user(world.tenant, user), person("New")).await.unwrap();
        assert_eq!((created.owner_id, created.created_by), (owner, Some(UserId(user))));
    }
}
