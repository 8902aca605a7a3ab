//! What many callers at once may rely on (SPEC CM-01, XT-03).

use std::collections::BTreeSet;
use std::time::Instant;

use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::value::Value;
use crm_core::{Error, Expect};
use rust_decimal::Decimal;

use super::world::{World, all, at_once, contact, is, matching, person, tally};
use crate::{Harness, size};

const TASKS: usize = 64;

/// Of many changes that expect the same version exactly one is made; all others are told the version that is stored.
pub async fn cm_01_of_many_with_one_expected_version_exactly_one_wins(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Wanted").await.id;
    for version in 1..=size(3, 20) as i64 {
        let results = at_once(TASKS, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                let rename = |c: &mut Customer| c.display_name = format!("Winner {n} of {version}");
                match crm.customers().update(&ctx, customer, Expect::Version(version), rename).await {
                    Ok(done) => (n, done.meta.version),
                    Err(Error::VersionConflict { expected, found, .. }) => {
                        assert!(expected == version && found == version + 1, "{expected} {found}");
                        (usize::MAX, found)
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let winners: Vec<_> = results.iter().filter(|(n, _)| *n != usize::MAX).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        let stored = crm.customers().get(&ctx, customer).await.unwrap();
        assert_eq!(stored.display_name, format!("Winner {} of {version}", winners[0].0));
        assert_eq!(stored.meta.version, version + 1);
    }
}

/// Without an expected version all changes are made, each on what it then sees.
pub async fn cm_01_without_an_expected_version_all_of_many_changes_are_made(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let customer = world.customer("Counted").await.id;
    let started = Instant::now();
    let results = at_once(TASKS, |n| {
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        async move {
            let count = |c: &mut Customer| {
                let now = match c.custom.get("count") {
                    Some(Value::Decimal(now)) => *now,
                    _ => Decimal::ZERO,
                };
                c.custom.insert("count".to_owned(), Value::Decimal(now + Decimal::ONE));
            };
            crm.customers().update(&ctx, customer, Expect::Any, count).await.unwrap().meta.version
        }
    })
    .await;
    let took = started.elapsed().as_secs_f64();
    println!("{}: {TASKS} changes of one record, {:.0} a second", harness.name(), TASKS as f64 / took);
    let versions: BTreeSet<i64> = results.into_iter().collect();
    assert_eq!(versions, (2..=TASKS as i64 + 1).collect(), "each change made a version of its own");
    let stored = crm.customers().get(&ctx, customer).await.unwrap();
    assert_eq!(stored.custom["count"], Value::Decimal(Decimal::from(TASKS)));
    assert_eq!(crm.log().history::<Customer>(&world.manager(), customer).await.unwrap().len(), TASKS + 1);
}

/// Of many with the same key and input one is carried out, and all get its ids and versions; the same key with other
/// input is refused, before and during.
pub async fn xt_03_a_key_used_many_times_at_once_is_carried_out_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, other) = (world.crm.clone(), world.second(harness).await);
    for round in 0..size(3, 20) {
        let ctx = world.ada().with_key(format!("order-{round}"));
        let results = at_once(TASKS, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                let name = if n % 8 == 7 { "Other input" } else { "Once" };
                match crm.customers().create(&ctx, person(&format!("{name} {round}"))).await {
                    Ok(done) => Ok((done.repeated, done.written.clone(), done.value)),
                    Err(Error::KeyReused) => Err(name),
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let done: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        let names: BTreeSet<_> = done.iter().map(|(_, _, customer)| &customer.display_name).collect();
        assert_eq!(names.len(), 1, "two inputs were carried out under one key");
        let refused = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(done.len() + refused, TASKS);
        assert!(refused == TASKS / 8 || refused == TASKS - TASKS / 8, "{refused} were refused");
        assert_eq!(done.iter().filter(|(repeated, ..)| !repeated).count(), 1);
        assert!(done.windows(2).all(|pair| pair[0].1 == pair[1].1 && pair[0].2 == pair[1].2));
        assert_eq!(all::<Customer>(&crm, &ctx).await.len(), round + 1);
    }
}

/// A child that is inserted while its customer is deleted is refused, or hidden with it and restored with it.
pub async fn cm_01_a_child_inserted_while_its_customer_is_deleted_is_refused_or_hidden(
    harness: &dyn Harness,
) {
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let mut outcomes = Vec::new();
    for round in 0..size(8, 60) {
        let customer = world.customer(&format!("Doomed {round}")).await.id;
        let results = at_once(TASKS / 4, |n| {
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                if n == 0 {
                    crm.customers().delete(&ctx, customer, Expect::Any).await.unwrap();
                    return "deleted";
                }
                match crm.contacts().create(&ctx, contact(customer, "Child", &n.to_string())).await {
                    Ok(_) => "inserted",
                    Err(Error::NotFound { entity: "customer", .. }) => "refused",
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
        .await;
        let inserted = results.iter().filter(|outcome| **outcome == "inserted").count();
        let of = is("customer_id", "eq", customer.to_string());
        assert!(
            matching::<Contact>(&crm, &ctx, of.clone()).await.is_empty(),
            "a child of a deleted customer is seen"
        );
        crm.customers().restore(&ctx, customer).await.unwrap();
        assert_eq!(matching::<Contact>(&crm, &ctx, of).await.len(), inserted);
        outcomes.extend(results);
    }
    println!("{}: {:?}", harness.name(), tally(outcomes.into_iter()));
}

/// A user that is taken out of service while customers are given to them: who was given before goes to the manager, who
/// comes after is refused, and no failure of the store is seen.
pub async fn cm_06_an_owner_who_is_deactivated_meanwhile_gets_no_new_customers(harness: &dyn Harness) {
    use crm_core::customer::CustomerRefusal;
    use crm_core::directory::{User, UserId};
    let world = World::new(harness).await;
    let (crm, other, ctx) = (world.crm.clone(), world.second(harness).await, world.ada());
    let bob = UserId(super::world::BOB);
    let system = world.system();
    let results = at_once(TASKS, |n| {
        let (crm, ctx, system) =
            (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone(), system.clone());
        async move {
            if n == TASKS / 2 {
                crm.users().deactivate(&system, bob).await.unwrap();
                return None;
            }
            let given = Customer { owner_id: Some(bob), ..person(&format!("Given {n}")) };
            match crm.customers().create(&ctx, given).await {
                Ok(done) => Some(done.id),
                Err(Error::Refused(CustomerRefusal::Owner(_))) => None,
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await;
    let given: BTreeSet<_> = results.into_iter().flatten().collect();
    let customers: Vec<Customer> = all(&crm, &ctx).await;
    assert_eq!(given, customers.iter().map(|c| c.id).collect());
    assert!(customers.iter().all(|c| c.owner_id == Some(UserId(super::world::ADA))), "{customers:?}");
    let late = Customer { owner_id: Some(bob), ..person("Late") };
    assert!(matches!(
        other.customers().create(&ctx, late).await,
        Err(Error::Refused(CustomerRefusal::Owner(_)))
    ));
    // In the order of the log nobody is given to a user who is retired already.
    let rows = crm.log().history::<User>(&world.manager(), bob).await.unwrap();
    assert_eq!(rows.len(), 2);
}
