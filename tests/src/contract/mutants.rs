//! What no other property noticed when it was taken out of an adapter.

use crm_core::FixedEnv;
use crm_core::catalog::Entity;
use crm_core::customer::Customer;
use crm_core::directory::User;
use crm_core::store::{
    Answer, CommitError, Guard, Query, Read, TimelineAnchor, TimelineFilter, TimelineQuery,
};

use crate::contract::bench::{
    ACME, Bench, OTHER, all, claim, customer, id, note, start, user, whole_timeline,
};
use crate::contract::extra_entity::ProjectNote;
use crate::{Harness, size};

/// Words that only the other tenant's record of the same id has find nothing: in queries, by their beginning, and in
/// the timeline.
pub async fn xt_01_another_tenants_words_find_nothing(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    for (tenant, word) in [(ACME, "Aardvark"), (OTHER, "Okapi")] {
        bench.insert(tenant, &[customer(10, word)]).await;
        let mut written = note(40, 10);
        written.title = Some(word.to_owned());
        bench.insert(tenant, &[written]).await;
    }
    let find = async |tenant, def, tokens: &[&str], prefix: Option<&str>| {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        bench.find(tenant, Query { tokens, token_prefix: prefix.map(str::to_owned), ..all(def) }).await
    };
    for (tenant, own, foreign) in [(ACME, "aardvark", "okapi"), (OTHER, "okapi", "aardvark")] {
        for (def, n) in [(Customer::def(), 10), (ProjectNote::def(), 40)] {
            assert_eq!(find(tenant, def, &[own], None).await, [n], "{own}");
            assert!(find(tenant, def, &[foreign], None).await.is_empty(), "{foreign}");
            assert!(find(tenant, def, &[own, foreign], None).await.is_empty(), "{own} {foreign}");
            assert_eq!(find(tenant, def, &[], Some(&own[..3])).await, [n], "{own}, its beginning");
            assert!(find(tenant, def, &[], Some(&foreign[..3])).await.is_empty(), "{foreign}, its beginning");
            let mixed = find(tenant, def, &[own], Some(&foreign[..3])).await;
            assert!(mixed.is_empty(), "{own} and the beginning of {foreign}");
        }
        let anchors = [
            TimelineAnchor::Records(vec![id(10)]),
            TimelineAnchor::Records(vec![id(10), id(11)]),
            TimelineAnchor::Tenant,
        ];
        for anchor in anchors {
            let page = async |words: &[&str]| {
                let tokens = words.iter().map(|word| (*word).to_owned()).collect();
                let filter = TimelineFilter { tokens, ..TimelineFilter::default() };
                let query = TimelineQuery { filter, ..whole_timeline(anchor.clone()) };
                bench.page(tenant, query).await.len()
            };
            assert_eq!(page(&[own]).await, 1, "{anchor:?}");
            assert_eq!(page(&[foreign]).await, 0, "{anchor:?}");
            assert_eq!(page(&[own, foreign]).await, 0, "{anchor:?}");
        }
    }
}

/// The answers of one call are of one moment, however many commits fall between its reads.
pub async fn xt_02_all_answers_of_a_call_are_of_one_moment(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let writer = bench.second(harness).await;
    bench.insert(ACME, &[user(1)]).await;
    bench.insert(ACME, &(1..=50).map(|n| customer(n, "Start")).collect::<Vec<_>>()).await;
    let rounds = size(20, 200);
    let (first, last): (Customer, User) = (bench.load(ACME, 1).await, bench.load(ACME, 1).await);
    let writing = tokio::spawn(async move {
        let (mut first, mut last) = (first.to_record(), last.to_record());
        for round in 0..rounds {
            let value = crm_core::value::Value::Text(format!("Round {round}"));
            let (mut customer, mut user) = (first.clone(), last.clone());
            customer.set("display_name", value.clone());
            user.set("name", value);
            writer
                .put(ACME, |c| {
                    c.update_record(&first, customer).unwrap();
                    c.update_record(&last, user).unwrap();
                })
                .await;
            first = writer.get(ACME, Customer::def(), id(1)).await.unwrap();
            last = writer.get(ACME, User::def(), id(1)).await.unwrap();
        }
    });
    let mut calls = 0;
    while !writing.is_finished() || calls == 0 {
        let reads = [
            Read::Get { def: Customer::def(), ids: vec![id(1)] },
            Read::Find(all(Customer::def())),
            Read::Get { def: User::def(), ids: vec![id(1)] },
            Read::History { def: Customer::def(), id: id(1), before_version: None, limit: 1 },
        ];
        let answers = bench.store.read(ACME, &reads).await.unwrap();
        let [Answer::Records(one), Answer::Records(many), Answer::Records(other), Answer::Log(rows)] =
            &answers[..]
        else {
            panic!("{answers:?}")
        };
        assert_eq!(one[0], many[0], "a record twice");
        assert_eq!(one[0].version(), other[0].version(), "two records that change together");
        assert_eq!(one[0].version(), rows[0].version, "a record and its history");
        calls += 1;
    }
    writing.await.unwrap();
    assert_eq!(bench.get(ACME, User::def(), id(1)).await.unwrap().version(), rounds as i64 + 1);
}

/// A guard counts also on a record that the change set writes, and two guards on one record must both hold.
pub async fn xt_02_expectations_that_contradict_each_other_are_a_conflict(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "Guarded"), customer(2, "Other")]).await;
    bench.change::<Customer>(ACME, 1, |c| c.is_vip = true).await;
    let before: Customer = bench.load(ACME, 1).await;
    let def = Customer::def();
    let guard = |version| Guard::Version { def, id: id(1), version };
    let conflict = Err(CommitError::Conflict { entity: "customer", id: id(1) });
    for version in [1, 3] {
        let after = Customer { is_blocked: true, ..before.clone() };
        let mut set = bench.set(ACME, |c| drop(c.update(&before, &after).unwrap()));
        set.guards.push(guard(version));
        assert_eq!(bench.commit(&set).await, conflict, "an update and a guard at version {version}");
        for guards in [[guard(2), guard(version)], [guard(version), guard(2)]] {
            let mut set = bench.set(ACME, |c| drop(c.insert(&customer(3, "Not there")).unwrap()));
            set.guards.extend(guards);
            assert_eq!(bench.commit(&set).await, conflict, "{guards:?}");
        }
    }
    assert_eq!(bench.load::<Customer>(ACME, 1).await, before);
    assert_eq!(bench.get(ACME, def, id(3)).await, None);
    let after = Customer { is_blocked: true, ..before.clone() };
    let mut set = bench.set(ACME, |c| drop(c.update(&before, &after).unwrap()));
    set.guards.extend([guard(2), Guard::Live { def, id: id(1) }]);
    assert_eq!(bench.commit(&set).await, Ok(()), "expectations that agree");
    assert!(bench.load::<Customer>(ACME, 1).await.is_blocked);
}

/// A change set with a key, whose log is empty, is known again by its key.
pub async fn xt_03_a_keyed_change_set_of_nothing_committed_again_is_a_success(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let set = bench.keyed(ACME, Some(claim("nothing", "kept")), |_| {});
    assert!(set.log.is_empty());
    for time in 1..=3 {
        assert_eq!(bench.commit(&set).await, Ok(()), "time {time}");
    }
    assert_eq!(bench.key(ACME, "nothing").await.unwrap().result, "kept");
    let other = bench.keyed(ACME, Some(claim("nothing", "new")), |_| {});
    assert!(matches!(bench.commit(&other).await, Err(CommitError::KeyUsed(_))), "another one is told");
}

/// Sealed a few at a time, the log has the same order as sealed at once: a record's versions follow each other.
pub async fn xt_02_rows_sealed_one_by_one_are_in_order(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[customer(1, "First"), customer(2, "Second")]).await;
    for _ in 0..4 {
        bench.change::<Customer>(ACME, 2, |c| c.is_vip = !c.is_vip).await;
        bench.change::<Customer>(ACME, 1, |c| c.is_vip = !c.is_vip).await;
    }
    for number in 1..=10 {
        assert_eq!(bench.store.seal_log(ACME, 1).await, Ok(1), "row {number}");
    }
    assert_eq!(bench.store.seal_log(ACME, 1).await, Ok(0));
    let rows = bench.log(ACME, Read::Log { after: 0, limit: 100 }).await;
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=10).map(Some).collect::<Vec<_>>());
    for n in 1..=2 {
        let versions: Vec<i64> =
            rows.iter().filter(|row| row.record_id == id(n)).map(|row| row.version).collect();
        assert_eq!(versions, [1, 2, 3, 4, 5], "record {n}");
    }
}

/// A change set that takes long and relies on a record, and a deletion of that record meanwhile: not both.
pub async fn xt_07_a_long_change_set_and_a_deletion_exclude_each_other(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let second = bench.second(harness).await;
    for round in 0..size(4, 20) as u128 {
        bench.insert(ACME, &[user(round + 1)]).await;
        let owner = bench.get(ACME, User::def(), id(round + 1)).await.unwrap();
        let long = bench.set(ACME, |c| {
            c.guard_live(User::def(), owner.id());
            for n in 0..300 {
                let mut owned = customer(1_000 * (round + 1) + n, "Owned");
                owned.owner_id = Some(user(round + 1).id);
                c.insert(&owned).unwrap();
            }
        });
        let delete = bench.set(ACME, |c| {
            c.delete_record(&owner);
            c.none_refer(Customer::def(), "owner_id", owner.id());
        });
        let late = async {
            // Some way into the other's work, another way each round; the outcome is right whatever it is.
            tokio::time::sleep(std::time::Duration::from_millis(4 * round as u64)).await;
            second.commit(&delete).await
        };
        let (relied, deleted) = tokio::join!(bench.commit(&long), late);
        assert!(relied.is_ok() != deleted.is_ok(), "one of two: {relied:?}, {deleted:?}");
        let live = bench.get(ACME, User::def(), owner.id()).await.unwrap().is_live();
        assert_eq!(live, relied.is_ok());
    }
}

/// Whatever the clocks of the writers said, a record's versions stand in their order, also when few rows are sealed at
/// a time.
pub async fn xt_02_versions_are_in_order_whatever_the_clocks_said(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    let early = FixedEnv::seeded(start() - chrono::Duration::hours(1), 7);
    let behind = Bench { env: std::sync::Arc::new(early), ..bench.clone() };
    bench.insert(ACME, &[customer(1, "Two clocks")]).await;
    behind.change::<Customer>(ACME, 1, |c| c.is_vip = true).await;
    bench.change::<Customer>(ACME, 1, |c| c.is_vip = false).await;
    while bench.store.seal_log(ACME, 1).await.unwrap() > 0 {}
    let rows = bench.log(ACME, Read::Log { after: 0, limit: 100 }).await;
    assert_eq!(rows.iter().map(|row| row.version).collect::<Vec<_>>(), [1, 2, 3]);
}
