//! Versions and guards: of what contradicts each other at most one is applied.

use std::sync::Arc;

use crm_core::catalog::Entity;
use crm_core::customer::Customer;
use crm_core::directory::User;
use crm_core::store::{ChangeSet, CommitError, Read};
use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::contract::bench::{ACME, Bench, all, customer, id, note, user};
use crate::contract::extra_entity::ProjectNote;
use crate::{Harness, size};

/// Commits all at once and gives the outcomes in order.
async fn race(benches: &[Bench], sets: Vec<ChangeSet>) -> Vec<Result<(), CommitError>> {
    let barrier = Arc::new(Barrier::new(sets.len()));
    let tasks = sets.into_iter().enumerate().map(|(n, set)| {
        let (bench, barrier) = (benches[n % benches.len()].clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            bench.commit(&set).await
        })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// Of many updates at one version exactly one wins, and the others are told which record.
pub async fn cm_01_of_racing_updates_at_one_version_exactly_one_wins(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    bench.insert(ACME, &[customer(1, "Start")]).await;
    for round in 0..size(4, 40) {
        let before: Customer = bench.load(ACME, 1).await;
        let sets = (0..8)
            .map(|n| {
                let after = Customer { display_name: format!("Round {round} by {n}"), ..before.clone() };
                bench.set(ACME, |c| drop(c.update(&before, &after).unwrap()))
            })
            .collect();
        let outcomes = race(&benches, sets).await;
        let winners: Vec<usize> = (0..8).filter(|n| outcomes[*n].is_ok()).collect();
        let [winner] = winners[..] else { panic!("exactly one wins: {outcomes:?}") };
        for (n, outcome) in outcomes.iter().enumerate().filter(|(n, _)| *n != winner) {
            let conflict = CommitError::Conflict { entity: "customer", id: id(1) };
            assert_eq!(*outcome, Err(conflict), "loser {n}");
        }
        let stored: Customer = bench.load(ACME, 1).await;
        assert_eq!(stored.display_name, format!("Round {round} by {winner}"));
        assert_eq!(stored.meta.version, before.meta.version + 1);
    }
    assert_eq!(bench.history(ACME, Customer::def(), id(1)).await.len(), size(4, 40) + 1);
}

/// Of many inserts of one id exactly one wins.
pub async fn cm_01_of_racing_inserts_of_one_id_exactly_one_wins(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    for round in 0..size(4, 40) as u128 {
        let sets = (0..8)
            .map(|n| bench.set(ACME, |c| drop(c.insert(&customer(round + 1, &format!("By {n}"))).unwrap())))
            .collect();
        let outcomes = race(&benches, sets).await;
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
        let lost = Err(CommitError::Conflict { entity: "customer", id: id(round + 1) });
        assert_eq!(outcomes.iter().filter(|o| **o == lost).count(), 7, "{outcomes:?}");
        assert_eq!(bench.history(ACME, Customer::def(), id(round + 1)).await.len(), 1);
    }
}

/// Those who read, add one and write until it works lose no addition.
pub async fn cm_01_no_update_is_lost(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    let counter = ProjectNote { customer_id: None, rank: Some(0), ..note(1, 2) };
    bench.insert(ACME, &[counter]).await;
    let each = size(8, 50);
    let tasks = (0..6).map(|n| {
        let bench = benches[n % 2].clone();
        tokio::spawn(async move {
            for _ in 0..each {
                for attempt in 1.. {
                    let before: ProjectNote = bench.load(ACME, 1).await;
                    let mut after = before.clone();
                    after.rank = after.rank.map(|rank| rank + 1);
                    let set = bench.set(ACME, |c| drop(c.update(&before, &after).unwrap()));
                    match bench.commit(&set).await {
                        Ok(()) => break,
                        Err(CommitError::Conflict { .. }) => bench.store.rest(attempt).await,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
    let stored: ProjectNote = bench.load(ACME, 1).await;
    assert_eq!(stored.rank, Some(6 * each as i64));
    assert_eq!(stored.meta.version, 6 * each as i64 + 1);
}

/// Two that each rest on what the other changes: at most one is applied.
pub async fn xt_02_guards_keep_two_change_sets_from_contradicting_each_other(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    bench.insert(ACME, &[customer(1, "A"), customer(2, "B")]).await;
    let mut applied = 0;
    for round in 0..size(12, 200) {
        let a = bench.get(ACME, Customer::def(), id(1)).await.unwrap();
        let b = bench.get(ACME, Customer::def(), id(2)).await.unwrap();
        let write = |read: &crm_core::record::Record, written: &crm_core::record::Record| {
            let mut after = written.clone();
            after.set("display_name", crate::contract::bench::text(&format!("Round {round}")));
            bench.set(ACME, |c| {
                c.guard_version(read);
                c.update_record(written, after).unwrap();
            })
        };
        let outcomes = race(&benches, vec![write(&a, &b), write(&b, &a)]).await;
        let won = outcomes.iter().filter(|o| o.is_ok()).count();
        assert!(won <= 1, "both were applied, each on what the other changed");
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(()) | Err(CommitError::Conflict { .. })), "{outcome:?}");
        }
        applied += won;
    }
    assert!(applied > 0, "one of the two is applied now and then");
}

/// Whoever refers to a shared record guards its life; whoever deletes it finds nobody who refers, or is refused.
pub async fn xt_07_a_shared_record_is_not_deleted_under_those_who_refer_to_it(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    for round in 0..size(8, 100) as u128 {
        bench.insert(ACME, &[user(round + 1)]).await;
        let owner = bench.get(ACME, User::def(), id(round + 1)).await.unwrap();
        let mut sets: Vec<ChangeSet> = (0..3)
            .map(|n| {
                let mut owned = customer(1_000 + round * 10 + n, "Owned");
                owned.owner_id = Some(user(round + 1).id);
                bench.set(ACME, |c| {
                    c.guard_live(User::def(), id(round + 1));
                    c.insert(&owned).unwrap();
                })
            })
            .collect();
        let delete = bench.set(ACME, |c| {
            c.delete_record(&owner);
            c.none_refer(Customer::def(), "owner_id", id(round + 1));
        });
        sets.insert((round % 4) as usize, delete);
        let outcomes = race(&benches, sets).await;
        let deleted = !bench.get(ACME, User::def(), id(round + 1)).await.unwrap().is_live();
        let filter = crm_core::criteria::Filter::eq(
            Customer::def(),
            "owner_id",
            crm_core::value::Value::Id(id(round + 1)),
        );
        let owned = bench
            .find(ACME, crm_core::store::Query { filter: filter.unwrap(), ..all(Customer::def()) })
            .await;
        assert_eq!(deleted, outcomes[(round % 4) as usize].is_ok());
        assert!(!deleted || owned.is_empty(), "deleted, and {owned:?} refer to it");
        assert_eq!(owned.len(), outcomes.iter().filter(|o| o.is_ok()).count() - usize::from(deleted));
        for outcome in outcomes {
            let expected =
                matches!(outcome, Ok(()) | Err(CommitError::Conflict { .. } | CommitError::InUse { .. }));
            assert!(expected, "{outcome:?}");
        }
    }
}

/// Guards on the life of one record do not hinder each other.
pub async fn xt_07_many_who_refer_to_one_shared_record_all_pass(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    bench.insert(ACME, &[user(1)]).await;
    let sets = (0..size(32, 256) as u128)
        .map(|n| {
            bench.set(ACME, |c| {
                c.guard_live(User::def(), id(1));
                c.insert(&customer(100 + n, "Many")).unwrap();
            })
        })
        .collect();
    for outcome in race(&benches, sets).await {
        outcome.unwrap();
    }
    assert_eq!(bench.get(ACME, User::def(), id(1)).await.unwrap().version(), 1, "a guard is no change");
    assert_eq!(bench.history(ACME, User::def(), id(1)).await.len(), 1);
    // And many together with one that changes it: all of them, whatever the order.
    let before: User = bench.load(ACME, 1).await;
    let after = User { name: "Renamed".to_owned(), ..before.clone() };
    let mut sets = vec![bench.set(ACME, |c| drop(c.update(&before, &after).unwrap()))];
    sets.extend((0..16).map(|n| {
        bench.set(ACME, |c| {
            c.guard_live(User::def(), id(1));
            c.insert(&customer(5_000 + n, "Many")).unwrap();
        })
    }));
    for outcome in race(&benches, sets).await {
        outcome.unwrap();
    }
    let read = Read::Find(all(Customer::def()));
    assert_eq!(bench.records(ACME, read).await.len(), size(32, 256) + 16);
}

/// Change sets that write the same records in opposite orders end, each applied or refused.
pub async fn xt_02_opposite_orders_do_not_deadlock(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    bench.insert(ACME, &(1..=6).map(|n| customer(n, "Start")).collect::<Vec<_>>()).await;
    for round in 0..size(8, 100) {
        let mut loaded = Vec::new();
        for n in 1..=6 {
            loaded.push(bench.load::<Customer>(ACME, n).await);
        }
        let sets = (0..4)
            .map(|n| {
                let mut order = loaded.clone();
                order.rotate_left(n);
                if n % 2 == 1 {
                    order.reverse();
                }
                bench.set(ACME, |c| {
                    for before in &order {
                        let after = Customer { display_name: format!("{round} {n}"), ..before.clone() };
                        c.update(before, &after).unwrap();
                    }
                })
            })
            .collect();
        let outcomes = race(&benches, sets).await;
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
    }
}
