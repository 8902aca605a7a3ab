//! The hierarchy of customers (SPEC CM-04).

use std::collections::{BTreeMap, BTreeSet};

use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId, CustomerNode, CustomerRefusal, MAX_HIERARCHY_DEPTH};
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, NewInvoice};
use crm_core::{Context, Env as _, Error, Expect};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{World, all, at_once, contact, person, seed, tally};
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

/// The nodes of a tree with their depth, parents before children.
fn nodes(tree: &CustomerNode) -> Vec<(usize, &CustomerNode)> {
    let mut stack = vec![(0, tree)];
    let mut nodes = Vec::new();
    while let Some((depth, node)) = stack.pop() {
        nodes.push((depth, node));
        stack.extend(node.children.iter().rev().map(|child| (depth + 1, child)));
    }
    nodes
}

/// Whether each count is that of the node itself and its children.
fn adds_up(tree: &CustomerNode, contacts_of: impl Fn(CustomerId) -> usize) -> bool {
    nodes(tree).iter().all(|(_, node)| {
        node.customers == 1 + node.children.iter().map(|child| child.customers).sum::<usize>()
            && node.contacts
                == contacts_of(node.customer.id)
                    + node.children.iter().map(|child| child.contacts).sum::<usize>()
    })
}

/// Over a random forest with contacts and deletions, the tree of each customer has those of a naive walk, with their
/// counts; whoever stands below a deleted one is below whoever stands above that.
pub async fn cm_04_a_tree_rolls_up_what_is_below(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (&world.crm, world.ada());
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut parents: BTreeMap<CustomerId, Option<CustomerId>> = BTreeMap::new();
    let mut contacts: BTreeMap<CustomerId, usize> = BTreeMap::new();
    let mut revenue: BTreeMap<CustomerId, (&str, Decimal)> = BTreeMap::new();
    for n in 0..size(40, 300) {
        let known: Vec<CustomerId> = parents.keys().copied().collect();
        let parent_id = if known.is_empty() { None } else { dice.maybe(10, |dice| *dice.pick(&known)) };
        let new = Customer { parent_id, ..person(&format!("Node {n}")) };
        let id = crm.customers().create(&ctx, new).await.unwrap().id;
        parents.insert(id, parent_id);
        let people: Vec<Contact> = (0..dice.below(4)).map(|n| contact(id, "C", &n.to_string())).collect();
        let people = crm.contacts().create_batch(&ctx, people).await.unwrap().value;
        let gone = people.iter().filter(|_| dice.one_in(4)).map(|contact| contact.id).collect::<Vec<_>>();
        for id in &gone {
            crm.contacts().delete(&ctx, *id, Expect::Any).await.unwrap();
        }
        contacts.insert(id, people.len() - gone.len());
        if n == 20 {
            // Who buys for the first time from now on has its revenue in another currency.
            crm.settings()
                .update(&world.system(), |s| s.currency = Currency::parse("JPY").unwrap())
                .await
                .unwrap();
        }
        if dice.one_in(2) {
            let total = Decimal::from(dice.between(1, 999));
            let currency = Currency::parse(if n < 20 { "USD" } else { "JPY" }).unwrap();
            let invoice = Invoice { total, ..Invoice::issued(id, n.to_string(), world.env.now(), currency) };
            crm.invoices().record(&ctx, NewInvoice { invoice, lines: Vec::new() }).await.unwrap();
            revenue.insert(id, (currency.code(), total));
        }
    }
    let ids: Vec<CustomerId> = parents.keys().copied().collect();
    let deleted: BTreeSet<CustomerId> = dice.some_of(&ids, 4).into_iter().collect();
    for id in &deleted {
        crm.customers().delete(&ctx, *id, Expect::Any).await.unwrap();
    }
    let live_parent = |id: CustomerId| {
        let mut at = parents[&id];
        while let Some(parent) = at.filter(|parent| deleted.contains(parent)) {
            at = parents[&parent];
        }
        at
    };
    for root in &ids {
        let tree = crm.customers().tree(&ctx, *root).await;
        if deleted.contains(root) {
            assert_eq!(tree.unwrap_err().code(), "not_found");
            continue;
        }
        let tree = tree.unwrap();
        let found: BTreeMap<CustomerId, Vec<CustomerId>> = nodes(&tree)
            .iter()
            .map(|(_, node)| {
                (node.customer.id, node.children.iter().map(|child| child.customer.id).collect())
            })
            .collect();
        let mut expected: BTreeMap<CustomerId, Vec<CustomerId>> = BTreeMap::new();
        let mut open = vec![*root];
        while let Some(at) = open.pop() {
            let below = ids.iter().filter(|id| !deleted.contains(id) && live_parent(**id) == Some(at));
            let below: Vec<CustomerId> = below.copied().collect();
            open.extend(&below);
            expected.insert(at, below);
        }
        assert_eq!(found, expected, "seed {seed}: {root}");
        assert_eq!(tree.customers, expected.len(), "seed {seed}");
        assert!(adds_up(&tree, |id| contacts[&id]), "seed {seed}: {tree:?}");
        for (_, node) in nodes(&tree) {
            let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
            for (currency, amount) in nodes(node).iter().filter_map(|(_, n)| revenue.get(&n.customer.id)) {
                *sums.entry(currency).or_default() += amount;
            }
            assert_eq!(node.revenue, sums, "seed {seed}");
        }
    }
    // As deep as it gets, and deeper by moving what stands below.
    let mut chain = vec![world.customer("Top").await.id];
    while chain.len() < MAX_HIERARCHY_DEPTH {
        let below = Customer { parent_id: chain.last().copied(), ..person("Below") };
        chain.push(crm.customers().create(&ctx, below).await.unwrap().id);
    }
    let above = world.customer("Above").await.id;
    crm.customers().set_parent(&ctx, chain[0], Some(above)).await.unwrap();
    crm.contacts().create(&ctx, contact(chain[MAX_HIERARCHY_DEPTH - 1], "Deep", "Down")).await.unwrap();
    let tree = crm.customers().tree(&ctx, above).await.unwrap();
    assert_eq!((tree.customers, tree.contacts), (MAX_HIERARCHY_DEPTH + 1, 1));
    assert_eq!(nodes(&tree).last().unwrap().0, MAX_HIERARCHY_DEPTH);
    let theirs = Context::system(crm_core::TenantId(Uuid::from_u128(u128::from(super::world::seed()))));
    assert_eq!(crm.customers().tree(&theirs, above).await.unwrap_err().code(), "not_found");
    let nobody = Context { roles: Vec::new(), ..world.ada() };
    assert_eq!(crm.customers().tree(&nobody, above).await.unwrap_err().code(), "forbidden");
}

/// While many move and delete at once, each tree that is read is one: nobody is in it twice and the counts add up.
pub async fn cm_04_a_tree_is_read_whole_while_many_move_at_once(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (crm, ctx) = (world.crm.clone(), world.ada());
    let other = world.second(harness).await;
    let root = world.customer("Root").await.id;
    let batch = (0..12).map(|n| (Customer { parent_id: Some(root), ..person(&format!("N{n}")) }, Vec::new()));
    let below = crm.customers().create_batch(&ctx, batch.collect()).await.unwrap().value;
    let below: Vec<CustomerId> = below.iter().map(|customer| customer.id).collect();
    let seed = seed();
    let results = at_once(64, |n| {
        let mut dice = Dice::new(seed + n as u64);
        let (crm, ctx) = (if n % 2 == 0 { crm.clone() } else { other.clone() }, ctx.clone());
        let (node, parent) = (*dice.pick(&below), dice.maybe(4, |dice| *dice.pick(&below)).unwrap_or(root));
        async move {
            if n % 8 == 0 {
                let deleted = crm.customers().delete(&ctx, node, Expect::Any).await.is_ok();
                let restored = deleted && crm.customers().restore(&ctx, node).await.is_ok();
                return if restored { "restored" } else { "not there" };
            }
            let moved = crm.customers().set_parent(&ctx, node, Some(parent)).await;
            let tree = crm.customers().tree(&ctx, root).await.unwrap();
            let ids: BTreeSet<CustomerId> = nodes(&tree).iter().map(|(_, node)| node.customer.id).collect();
            assert_eq!(
                (ids.len(), ids.len()),
                (tree.customers, nodes(&tree).len()),
                "somebody is in it twice"
            );
            assert!(adds_up(&tree, |_| 0));
            match moved {
                Ok(_) => "moved",
                Err(Error::Refused(CustomerRefusal::Cycle { .. })) => "cycle",
                Err(Error::Refused(CustomerRefusal::Parent(_)) | Error::NotFound { .. }) => "not there",
                Err(error) => panic!("seed {seed}: {error:?}"),
            }
        }
    })
    .await;
    let counts = tally(results.into_iter());
    assert!(counts["moved"] > 0, "seed {seed}: {counts:?}");
    let customers: Vec<Customer> = all(&crm, &ctx).await;
    assert!(is_forest(&customers), "seed {seed}");
    let tree = crm.customers().tree(&ctx, root).await.unwrap();
    assert_eq!(tree.customers, customers.len(), "seed {seed}: everybody is below the root again");
}
