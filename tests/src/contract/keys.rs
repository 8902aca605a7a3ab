//! Idempotency keys.

use crm_core::catalog::Entity;
use crm_core::customer::Customer;
use crm_core::store::{CommitError, KeyClaim, KeyRecord};
use futures_util::future::join_all;

use crate::contract::bench::{ACME, Bench, OTHER, all, claim, customer, id, start};
use crate::{Harness, size};

/// The first result is kept, for its tenant and command, and given to whoever comes with the key again.
pub async fn xt_03_a_key_gives_its_first_result_and_nothing_is_written_again(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let with = |tenant, command: &'static str, n: u128, result: &str| {
        let key = KeyClaim { command, ..claim("key 'ä'", result) };
        bench.keyed(tenant, Some(key), |c| drop(c.insert(&customer(n, "Keyed")).unwrap()))
    };
    bench.commit(&with(ACME, "test.command", 1, "first")).await.unwrap();
    let kept = KeyRecord { digest: "d".to_owned(), result: "first".to_owned(), at: start() };
    let again = bench.commit(&with(ACME, "test.command", 2, "second")).await;
    assert_eq!(again, Err(CommitError::KeyUsed(kept.clone())));
    assert_eq!(bench.key(ACME, "key 'ä'").await, Some(kept.clone()));
    assert_eq!(bench.key(ACME, "KEY 'Ä'").await, None, "keys are compared as they are");
    bench.commit(&with(ACME, "test.other", 3, "third")).await.unwrap();
    bench.commit(&with(OTHER, "test.command", 4, "fourth")).await.unwrap();
    assert_eq!(bench.key(ACME, "key 'ä'").await, Some(kept));
    assert_eq!(bench.key(OTHER, "key 'ä'").await.unwrap().result, "fourth");
    assert_eq!(bench.find(ACME, all(Customer::def())).await, [1, 3]);
    assert!(bench.history(ACME, Customer::def(), id(2)).await.is_empty());
    // The key is looked at before anything else: what the change set would have met does not matter.
    let mut stale = with(ACME, "test.command", 1, "fifth");
    stale.guards.push(crm_core::store::Guard::Version { def: Customer::def(), id: id(99), version: 9 });
    assert!(matches!(bench.commit(&stale).await, Err(CommitError::KeyUsed(_))));
}

/// A change set that was not applied leaves its key free.
pub async fn xt_03_a_failed_change_set_keeps_no_key(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "There")]).await;
    let with =
        |n| bench.keyed(ACME, Some(claim("k", "r")), |c| drop(c.insert(&customer(n, "Keyed")).unwrap()));
    assert!(matches!(bench.commit(&with(1)).await, Err(CommitError::Conflict { .. })));
    assert_eq!(bench.key(ACME, "k").await, None);
    bench.commit(&with(2)).await.unwrap();
    assert!(bench.key(ACME, "k").await.is_some());
}

/// Of many at once with one key, one is applied and all others get its result.
pub async fn xt_03_of_many_with_one_key_one_is_applied(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let benches = [bench.clone(), bench.second(harness).await];
    for round in 0..size(1, 10) as u128 {
        let tasks = (0..64_u128).map(|n| {
            let bench = benches[(n % 2) as usize].clone();
            let key = claim(&format!("round {round}"), &n.to_string());
            let set = bench
                .keyed(ACME, Some(key), |c| drop(c.insert(&customer(round * 100 + n + 1, "Keyed")).unwrap()));
            tokio::spawn(async move { bench.commit(&set).await })
        });
        let outcomes: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<usize> = (0..64).filter(|n| outcomes[*n].is_ok()).collect();
        let [winner] = winners[..] else { panic!("exactly one is applied: {winners:?}") };
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            let Err(CommitError::KeyUsed(record)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(record.result, winner.to_string());
        }
        let stored = bench.find(ACME, all(Customer::def())).await;
        assert_eq!(stored.len(), round as usize + 1);
    }
}

/// Old keys are forgotten, up to a limit, the tenant's own only.
pub async fn xt_03_old_keys_are_forgotten(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    for (tenant, n) in [(ACME, 1), (ACME, 2), (ACME, 3), (ACME, 10), (OTHER, 1)] {
        let mut key = claim(&format!("k{n}"), "r");
        key.record.at = start() + chrono::Duration::minutes(n);
        bench.commit(&bench.keyed(tenant, Some(key), |_| {})).await.unwrap();
    }
    let before = start() + chrono::Duration::minutes(10);
    assert_eq!(bench.store.expire_keys(ACME, start(), 10).await, Ok(0));
    assert_eq!(bench.store.expire_keys(ACME, before, 2).await, Ok(2));
    assert_eq!(bench.store.expire_keys(ACME, before, 2).await, Ok(1));
    assert_eq!(bench.store.expire_keys(ACME, before, 2).await, Ok(0));
    assert_eq!(bench.key(ACME, "k2").await, None);
    assert!(bench.key(ACME, "k10").await.is_some(), "not older than the instant");
    assert!(bench.key(OTHER, "k1").await.is_some());
    let again = bench.keyed(ACME, Some(claim("k2", "new")), |c| drop(c.insert(&customer(1, "New")).unwrap()));
    bench.commit(&again).await.unwrap();
}
