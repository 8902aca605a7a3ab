//! The hierarchy of customers (SPEC CM-04).

use std::collections::{BTreeMap, BTreeSet};

use crm_core::customer::{Customer, CustomerId, CustomerRefusal, MAX_HIERARCHY_DEPTH};
use crm_core::{Error, Expect};

use super::dice::Dice;
use super::world::{World, all, at_once, person, seed, tally};
use crate::{Harness, size};

/// Whether following the parents always ends.
fn is_forest(customers: &[Customer]) -> bool {
    let parents: BTreeMap<_, _> = customers.iter().map(|c| (c.id, c.parent_id)).collect();
    parents.keys().all(|start| {
        let mut seen = BTreeSet::new();
        let mut at = Some(*start);
        while let Some(id) = at {
            if !seen.insert(id) {
                return false;
            }
            at = parents.get(&id).copied().flatten();
        }
        true
    })
}

/// Customers are moved at random, many at once, by two processes: the hierarchy stays a forest, and the only answers
/// are success and the refusal of a cycle.
pub async fn cm_04_the_hierarchy_stays_a_forest_while_many_move_at_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let batch = (0..12).map(|n| (person(&format!("Node {n}")), Vec::new())).collect();
    let nodes: Vec<CustomerId> =
        crm.customers().create_batch(&ctx, batch).await.unwrap().iter().map(|c| c.id).collect();
    let seed = seed();
    let mut codes = Vec::new();
    for round in 0..size(3, 20) {
        let results = at_once(64, |n| {
            let mut dice = Dice::new(seed + (round * 64 + n) as u64);
            let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            let (node, parent) = (*dice.pick(&nodes), dice.maybe(8, |dice| *dice.pick(&nodes)));
            async move {
                match crm.customers().set_parent(&ctx, node, parent).await {
                    Ok(_) => "moved",
                    Err(Error::Refused(CustomerRefusal::Cycle { customer, parent: above })) => {
                        assert_eq!((customer, Some(above)), (node, parent));
                        "cycle"
                    }
                    Err(other) => panic!("seed {seed}: {other:?}"),
                }
            }
        })
        .await;
        codes.extend(results);
        let customers: Vec<Customer> = all(&crm, &ctx).await;
        assert!(is_forest(&customers), "seed {seed}: {customers:?}");
    }
    let counts = tally(codes.into_iter());
    println!("{}: {counts:?}", harness.name());
    assert!(counts["moved"] > 0 && counts.contains_key("cycle"), "seed {seed}: {counts:?}");
    // Two that would stand above each other: one of them at most.
    for _ in 0..size(10, 100) {
        let (a, b) = (world.customer("A").await.id, world.customer("B").await.id);
        let results = at_once(2, |n| {
            let (crm, ctx) = (if n == 0 { crm.clone() } else { other.clone() }, ctx.clone());
            async move {
                let (node, parent) = if n == 0 { (a, b) } else { (b, a) };
                crm.customers().set_parent(&ctx, node, Some(parent)).await.map(|_| ())
            }
        })
        .await;
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
    }
}

/// A circle of any length is refused, through deleted customers too; so is one level too many, however it comes to be.
pub async fn cm_04_a_cycle_and_too_deep_a_hierarchy_are_refused(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let mut chain = vec![world.customer("Top").await.id];
    while chain.len() < MAX_HIERARCHY_DEPTH {
        let below = Customer { parent_id: chain.last().copied(), ..person("Below") };
        chain.push(crm.customers().create(&ctx, below).await.unwrap().id);
    }
    let deeper = Customer { parent_id: chain.last().copied(), ..person("Too deep") };
    let deep = crm.customers().create(&ctx, deeper).await;
    assert!(matches!(deep, Err(Error::Refused(CustomerRefusal::TooDeep))), "{deep:?}");
    let single = world.customer("Single").await.id;
    let moved = crm.customers().set_parent(&ctx, single, chain.last().copied()).await;
    assert!(matches!(moved, Err(Error::Refused(CustomerRefusal::TooDeep))), "{moved:?}");
    for (place, parent) in [(0, 1), (0, 50), (0, 99), (40, 41)] {
        match crm.customers().set_parent(&ctx, chain[place], Some(chain[parent])).await {
            Err(Error::Refused(CustomerRefusal::Cycle { customer, parent: above })) => {
                assert_eq!((customer, above), (chain[place], chain[parent]));
            }
            other => panic!("{place} below {parent}: {other:?}"),
        }
    }
    match crm.customers().set_parent(&ctx, chain[3], Some(chain[3])).await {
        Err(Error::Refused(CustomerRefusal::Cycle { .. })) => {}
        Err(Error::Invalid(errors)) => assert_eq!(errors[0].field, "parent_id"),
        other => panic!("below itself: {other:?}"),
    }
    assert_eq!(crm.customers().subtree(&ctx, chain[0]).await.unwrap().len(), MAX_HIERARCHY_DEPTH);
    // A deleted customer in between still stands there: once restored, the circle would be closed.
    crm.customers().delete(&ctx, chain[2], Expect::Any).await.unwrap();
    let around = crm.customers().set_parent(&ctx, chain[1], Some(chain[3])).await;
    assert!(matches!(around, Err(Error::Refused(CustomerRefusal::Cycle { .. }))), "{around:?}");
    let below = crm.customers().subtree(&ctx, chain[1]).await.unwrap();
    let below: Vec<_> = below.iter().map(|c| c.id).collect();
    let live: Vec<_> = std::iter::once(chain[1]).chain(chain[3..].iter().copied()).collect();
    assert_eq!(below, live, "those below a deleted one are still below");
}
