//! Contacts: the primary one, addresses and numbers, roles (SPEC CM-02).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crm_core::contact::{Contact, ContactRefusal};
use crm_core::format::Country;
use crm_core::{Error, Expect};

use super::world::{World, all, at_once, contact, is, matching, person};
use crate::{Harness, size};

/// However many are made primary at once, in two processes, there is always exactly one, and nobody sees two.
pub async fn cm_02_a_customer_has_one_primary_contact_whatever_happens_at_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let customer = world.customer("Crowd").await.id;
    let first = Contact { is_primary: true, ..contact(customer, "First", "One") };
    let mut contacts = vec![crm.contacts().create(&ctx, first).await.unwrap().id];
    for n in 0..15 {
        contacts
            .push(crm.contacts().create(&ctx, contact(customer, "C", &format!("N{n}"))).await.unwrap().id);
    }
    let done = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (crm, ctx, done) = (crm.clone(), ctx.clone(), done.clone());
        tokio::spawn(async move {
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) {
                let primaries: Vec<Contact> = matching(&crm, &ctx, is("is_primary", "eq", true)).await;
                assert_eq!(primaries.len(), 1, "seen at once: {primaries:?}");
                looks += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks
        })
    };
    let results = at_once(size(64, 256), |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let id = contacts[n % contacts.len()];
        async move {
            if n % 4 == 0 {
                let new = Contact { is_primary: true, ..contact(customer, "New", &format!("N{n}")) };
                crm.contacts().create(&ctx, new).await.map(|done| done.is_primary)
            } else {
                crm.contacts().set_primary(&ctx, id).await.map(|done| done.is_primary)
            }
        }
    })
    .await;
    done.store(true, Ordering::SeqCst);
    assert!(watcher.await.unwrap() > 0);
    for result in results {
        assert!(result.unwrap(), "each has been the primary one");
    }
    let primaries: Vec<Contact> = matching(&crm, &ctx, is("is_primary", "eq", true)).await;
    assert_eq!(primaries.len(), 1);
    assert_eq!(
        crm.contacts().of_customer(&ctx, customer).await.unwrap()[0],
        primaries[0],
        "the primary one is first"
    );

    // Two in one batch contradict each other.
    let twin = |name: &str| Contact { is_primary: true, ..contact(customer, name, "Twin") };
    let (quick, _) = super::world::process(&world.store, super::world::at(super::world::START));
    match quick.contacts().create_batch(&ctx, vec![twin("A"), twin("B")]).await {
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "[1].is_primary"),
        other => panic!("two primary contacts in one batch: {other:?}"),
    }
    // Deleting the primary one leaves none, and another can follow.
    crm.contacts().delete(&ctx, primaries[0].id, Expect::Any).await.unwrap();
    assert!(matching::<Contact>(&crm, &ctx, is("is_primary", "eq", true)).await.is_empty());
    assert!(crm.contacts().create(&ctx, twin("Next")).await.unwrap().is_primary);
}

/// An e-mail address that is none is refused with the reason; a number is read in the tenant's region, and one that
/// cannot be read is kept as it was given.
pub async fn cm_02_email_is_checked_and_phone_normalised_in_the_tenants_region(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let customer = world.customer("Numbers").await.id;
    for (email, because) in [
        ("nobody", "@"),
        ("a b@example.com", "space"),
        ("a@example.test", "reserved"),
        ("a@b@example.com", "@"),
    ] {
        let wrong = Contact { email: Some(email.to_owned()), ..contact(customer, "A", "B") };
        match crm.contacts().create(&ctx, wrong).await {
            Err(Error::Invalid(errors)) => {
                assert_eq!(errors[0].field, "email");
                assert!(errors[0].why.contains("is not an e-mail address"), "{} ({because})", errors[0].why);
            }
            other => panic!("{email} was accepted: {other:?}"),
        }
    }
    assert!(all::<Contact>(crm, &ctx).await.is_empty());
    let with = |phone: &str| Contact { phone: Some(phone.to_owned()), ..contact(customer, "A", "B") };
    let unknown = crm.contacts().create(&ctx, with("030 901820")).await.unwrap();
    assert_eq!((unknown.phone.as_deref(), unknown.phone_e164.as_deref()), (Some("030 901820"), None));
    crm.settings().update(&world.system(), |s| s.region = Some(Country::parse("DE").unwrap())).await.unwrap();
    for (given, normal) in [
        ("030 901820", Some("+4930901820")),
        ("+49 (30) 90-18-20", Some("+4930901820")),
        ("001 650 253 0000", Some("+16502530000")),
        ("call me", None),
        ("12", None),
    ] {
        let created = crm.contacts().create(&ctx, with(given)).await.unwrap();
        assert_eq!((created.phone.as_deref(), created.phone_e164.as_deref()), (Some(given), normal));
        assert_eq!(crm.contacts().get(&ctx, created.id).await.unwrap(), created.value);
    }
    let changed = crm
        .contacts()
        .update(&ctx, unknown.id, Expect::Any, |c| c.phone = Some("030-901 820".to_owned()))
        .await
        .unwrap();
    assert_eq!(changed.phone_e164.as_deref(), Some("+4930901820"));
    let forged = crm
        .contacts()
        .update(&ctx, unknown.id, Expect::Any, |c| c.phone_e164 = Some("+1".to_owned()))
        .await
        .unwrap();
    assert_eq!(forged.phone_e164.as_deref(), Some("+4930901820"), "the normal form follows the number");
    let gone = crm.contacts().update(&ctx, unknown.id, Expect::Any, |c| c.phone = None).await.unwrap();
    assert_eq!(gone.phone_e164, None);
    let customer = crm
        .customers()
        .create(&ctx, crm_core::customer::Customer { phone: Some("030 901820".to_owned()), ..person("P") })
        .await
        .unwrap();
    assert_eq!(customer.phone_e164.as_deref(), Some("+4930901820"));
}

/// A role is for a further customer, once, and hidden with that customer.
pub async fn cm_02_a_contact_has_roles_at_further_customers(harness: &dyn Harness) {
    use crm_core::contact::ContactRole;
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let (home, away) = (world.customer("Home").await.id, world.customer("Away").await.id);
    let lawyer = crm.contacts().create(&ctx, contact(home, "Lara", "Law")).await.unwrap().id;
    match crm.contacts().add_role(&ctx, lawyer, home, "owner").await {
        Err(Error::Refused(ContactRefusal::OwnCustomer(id))) => assert_eq!(id, lawyer),
        other => panic!("a role at the own customer: {other:?}"),
    }
    let role = crm.contacts().add_role(&ctx, lawyer, away, "lawyer").await.unwrap();
    assert_eq!((role.contact_id, role.customer_id, role.role.as_str()), (lawyer, away, "lawyer"));
    assert_eq!(crm.contacts().add_role(&ctx, lawyer, away, "again").await.unwrap_err().code(), "not_unique");
    assert_eq!(crm.contacts().add_role(&ctx, lawyer, away, "").await.unwrap_err().code(), "invalid");
    assert_eq!(all::<ContactRole>(crm, &ctx).await, std::slice::from_ref(&role.value));
    crm.customers().delete(&ctx, away, Expect::Any).await.unwrap();
    assert!(all::<ContactRole>(crm, &ctx).await.is_empty());
    assert_eq!(crm.contacts().add_role(&ctx, lawyer, away, "late").await.unwrap_err().code(), "not_found");
    crm.customers().restore(&ctx, away).await.unwrap();
    assert_eq!(all::<ContactRole>(crm, &ctx).await, [role.value]);
}
