//! What is applied, what is refused, and by which name.

use crm_core::criteria::Test;
use crm_core::store::{Answer, KeyClaim, KeyRecord, MAX_WRITES, Read, Store, WriteError};

use super::*;
use crate::testing::*;

fn conflict(entity: &'static str, n: u128) -> Result<(), CommitError> {
    Err(CommitError::Conflict { entity, id: id(n) })
}

#[tokio::test]
async fn a_change_set_is_applied_once() {
    let store = store();
    let first = inserts(&[customer(1, &[])]);
    store.commit(&first).await.unwrap();
    commit(&store, vec![update(&customer(1, &[]), &[("score", Value::Int(7))])]).await.unwrap();
    let before = store.dump();
    store.commit(&first).await.unwrap();
    assert_eq!(store.dump(), before);
}

#[tokio::test]
async fn an_update_needs_the_version_it_names() {
    let store = store();
    let old = customer(1, &[]);
    put(&store, std::slice::from_ref(&old)).await;
    commit(&store, vec![update(&old, &[("score", Value::Int(1))])]).await.unwrap();
    let late = commit(&store, vec![update(&old, &[("score", Value::Int(2))])]).await;
    assert_eq!(late, conflict("customer", 1));
    assert_eq!(commit(&store, vec![Write::Purge(old.clone())]).await, conflict("customer", 1));
    assert_eq!(commit(&store, vec![update(&customer(9, &[]), &[])]).await, conflict("customer", 9));
    assert_eq!(get(&store, &CUSTOMER, 1).await.unwrap().get("score"), &Value::Int(1));
}

#[tokio::test]
async fn an_insert_of_a_known_id_is_a_conflict_even_when_that_one_is_deleted() {
    let store = store();
    let old = customer(1, &[]);
    put(&store, std::slice::from_ref(&old)).await;
    commit(&store, vec![delete(&old)]).await.unwrap();
    assert_eq!(commit(&store, vec![Write::Insert(old)]).await, conflict("customer", 1));
}

#[tokio::test]
async fn guards_hold_at_the_moment_of_commit() {
    let store = store();
    let (stage, free) = (customer(1, &[]), customer(2, &[]));
    put(&store, &[stage.clone(), free.clone()]).await;
    let guarded = |n: u128, guard| {
        let mut change = inserts(&[customer(n, &[])]);
        change.guards.push(guard);
        change
    };
    let def = &*CUSTOMER;
    let live = |n| Guard::Live { def, id: id(n) };
    let version = |version| Guard::Version { def, id: id(1), version };
    store.commit(&guarded(10, live(1))).await.unwrap();
    store.commit(&guarded(11, version(1))).await.unwrap();
    commit(&store, vec![update(&stage, &[("score", Value::Int(1))])]).await.unwrap();
    assert_eq!(store.commit(&guarded(12, version(1))).await, conflict("customer", 1));
    store.commit(&guarded(13, live(1))).await.unwrap();
    commit(&store, vec![delete(&free)]).await.unwrap();
    assert_eq!(store.commit(&guarded(14, live(2))).await, conflict("customer", 2));
    assert_eq!(store.commit(&guarded(15, live(99))).await, conflict("customer", 99));
    for absent in [12, 14, 15] {
        assert_eq!(get(&store, def, absent).await, None);
    }
}

#[tokio::test]
async fn nothing_of_a_refused_change_set_is_left() {
    let store = store();
    let old = customer(1, &[("email", txt("a@x")), ("score", Value::Int(3)), ("status", txt("lead"))]);
    let purged = customer(2, &[("email", txt("b@x"))]);
    put(&store, &[old.clone(), purged.clone()]).await;
    let before = store.dump();
    let mut bad = change(vec![
        update(&old, &[("email", txt("c@x")), ("score", Value::Int(4))]),
        Write::Purge(purged),
        Write::Insert(customer(3, &[("email", txt("b@x"))])),
        Write::Insert(customer(4, &[("email", txt("C@X"))])),
    ]);
    bad.timeline_put.push(row(1, 0, 1));
    bad.tokens_put.push(token("customer", 1, "word"));
    bad.key = Some(key("k"));
    assert_eq!(store.commit(&bad).await, Err(CommitError::Unique { rule: "customer_email" }));
    assert_eq!(store.dump(), before);
    // The indexes are back too.
    let find = |name, value| Read::Find(query(eq(name, value), vec![]));
    assert_eq!(ids(&store, find("email", txt("a@x"))).await, [1]);
    assert_eq!(ids(&store, find("email", txt("b@x"))).await, [2]);
    assert_eq!(ids(&store, find("email", txt("c@x"))).await, [0; 0]);
    assert_eq!(ids(&store, find("status", txt("lead"))).await, [1]);
}

#[tokio::test]
async fn unique_rules_count_what_they_say() {
    let store = store();
    let unique = |rule| Err(CommitError::Unique { rule });
    let first = customer(1, &[("email", txt("Ann@X")), ("code", txt("c")), ("status", txt("lead"))]);
    put(&store, std::slice::from_ref(&first)).await;
    let insert = |n, values: &[(&str, Value)]| vec![Write::Insert(customer(n, values))];
    // Folded.
    assert_eq!(commit(&store, insert(2, &[("email", txt("ANN@x"))])).await, unique("customer_email"));
    // All fields of the rule.
    commit(&store, insert(3, &[("code", txt("c")), ("status", txt("lost"))])).await.unwrap();
    // Missing values do not count.
    commit(&store, insert(4, &[("code", txt("c"))])).await.unwrap();
    commit(&store, insert(5, &[("code", txt("c"))])).await.unwrap();
    // Deleted records count only where the rule says so.
    commit(&store, vec![delete(&first)]).await.unwrap();
    commit(&store, insert(6, &[("email", txt("ann@x"))])).await.unwrap();
    let same_code = insert(7, &[("code", txt("c")), ("status", txt("lead"))]);
    assert_eq!(commit(&store, same_code).await, unique("customer_code"));
    // Restoring takes the value back.
    let deleted = get(&store, &CUSTOMER, 1).await.unwrap();
    let restored = commit(&store, vec![update(&deleted, &[("deleted_at", Value::Null)])]).await;
    assert_eq!(restored, unique("customer_email"));
    // Only where the flag is set.
    put(&store, &[record(&USER, 50, &[])]).await;
    let owner = ("owner_id", Value::Id(id(50)));
    commit(&store, insert(8, std::slice::from_ref(&owner))).await.unwrap();
    commit(&store, insert(9, &[owner.clone(), ("vip", Value::Bool(true))])).await.unwrap();
    let two = insert(10, &[owner, ("vip", Value::Bool(true))]);
    assert_eq!(commit(&store, two).await, unique("customer_vip"));
}

#[tokio::test]
async fn what_is_released_first_can_be_taken_in_the_same_change_set() {
    let store = store();
    let holder = customer(1, &[("email", txt("a@x"))]);
    put(&store, std::slice::from_ref(&holder)).await;
    let take = Write::Insert(customer(2, &[("email", txt("a@x"))]));
    let release = update(&holder, &[("email", Value::Null)]);
    let unordered = commit(&store, vec![take.clone(), release.clone()]).await;
    assert_eq!(unordered, Err(CommitError::Unique { rule: "customer_email" }));
    let arranged = change(vec![take, release]).arrange().unwrap();
    assert_eq!(arranged.releases, 1);
    store.commit(&arranged).await.unwrap();
    assert_eq!(ids(&store, Read::Find(query(eq("email", txt("a@x")), vec![]))).await, [2]);
}

#[tokio::test]
async fn links_lead_to_what_is_there_or_comes_with_it() {
    let store = store();
    let dangling = |entity, field| Err(CommitError::Dangling { entity, field });
    let child = |n, parent| Write::Insert(customer(n, &[("parent_id", Value::Id(id(parent)))]));
    assert_eq!(commit(&store, vec![child(2, 1)]).await, dangling("customer", "parent_id"));
    // In the same change set, in either order.
    commit(&store, vec![child(2, 1), Write::Insert(customer(1, &[]))]).await.unwrap();
    assert_eq!(commit(&store, vec![Write::Insert(note(3, 99))]).await, dangling("note", "customer_id"));
    // A deleted record is still there.
    let parent = get(&store, &CUSTOMER, 1).await.unwrap();
    commit(&store, vec![delete(&parent)]).await.unwrap();
    commit(&store, vec![child(4, 1)]).await.unwrap();
    let moved = update(&get(&store, &CUSTOMER, 4).await.unwrap(), &[("parent_id", Value::Id(id(77)))]);
    assert_eq!(commit(&store, vec![moved]).await, dangling("customer", "parent_id"));
}

#[tokio::test]
async fn xt_01_links_and_unique_rules_end_at_the_tenant() {
    let store = store();
    put(&store, &[customer(1, &[("email", txt("a@x"))])]).await;
    let other = |records: &[Record]| ChangeSet { tenant: OTHER, ..inserts(records) };
    let dangling = Err(CommitError::Dangling { entity: "note", field: "customer_id" });
    assert_eq!(store.commit(&other(&[note(2, 1)])).await, dangling);
    // The same id and the same unique value, elsewhere.
    store.commit(&other(&[customer(1, &[("email", txt("a@x"))])])).await.unwrap();
    let mut guarded = other(&[customer(3, &[])]);
    put(&store, &[customer(4, &[])]).await;
    guarded.guards.push(Guard::Live { def: &CUSTOMER, id: id(4) });
    assert_eq!(store.commit(&guarded).await, conflict("customer", 4));
    let purge = ChangeSet { tenant: OTHER, ..change(vec![Write::Purge(customer(4, &[]))]) };
    assert_eq!(store.commit(&purge).await, conflict("customer", 4));
}

#[tokio::test]
async fn a_record_that_others_lead_to_cannot_be_purged() {
    let store = store();
    let (parent, child) = (customer(1, &[]), customer(2, &[("parent_id", Value::Id(id(1)))]));
    put(&store, &[parent.clone(), child.clone()]).await;
    let in_use = |field, n| Err(CommitError::InUse { entity: "customer", field, id: id(n) });
    assert_eq!(commit(&store, vec![Write::Purge(parent.clone())]).await, in_use("parent_id", 1));
    // A deleted one leads there as well.
    commit(&store, vec![delete(&child)]).await.unwrap();
    assert_eq!(commit(&store, vec![Write::Purge(parent.clone())]).await, in_use("parent_id", 1));
    assert!(get(&store, &CUSTOMER, 1).await.is_some());
    let child = get(&store, &CUSTOMER, 2).await.unwrap();
    commit(&store, vec![Write::Purge(parent), Write::Purge(child)]).await.unwrap();
    assert_eq!(get(&store, &CUSTOMER, 1).await, None);
}

#[tokio::test]
async fn none_refer_is_asked_after_the_writes() {
    let store = store();
    let (owner, owned) = (record(&USER, 1, &[]), customer(2, &[("owner_id", Value::Id(id(1)))]));
    put(&store, &[owner.clone(), owned.clone()]).await;
    let condition = NoneRefer { def: &CUSTOMER, field: "owner_id", id: id(1) };
    let leave = |writes| ChangeSet { none_refer: vec![condition], ..change(writes) };
    let in_use = Err(CommitError::InUse { entity: "customer", field: "owner_id", id: id(1) });
    assert_eq!(store.commit(&leave(vec![delete(&owner)])).await, in_use);
    assert!(get(&store, &USER, 1).await.unwrap().is_live());
    let released = update(&owned, &[("owner_id", Value::Null)]);
    store.commit(&leave(vec![delete(&owner), released])).await.unwrap();
    // One that is added by the change set itself counts, a deleted one does not.
    let late = leave(vec![Write::Insert(customer(3, &[("owner_id", Value::Id(id(1)))]))]);
    assert_eq!(store.commit(&late).await, in_use);
    let gone = customer(4, &[("owner_id", Value::Id(id(1))), ("deleted_at", Value::Instant(at(1)))]);
    store.commit(&leave(vec![Write::Insert(gone)])).await.unwrap();
}

#[tokio::test]
async fn none_refer_reads_polymorphic_links() {
    let store = store();
    put(&store, &[customer(1, &[])]).await;
    let about = record(&NOTE, 2, &[("about_type", txt("order")), ("about_id", Value::Id(id(70)))]);
    put(&store, &[about]).await;
    let mut change = inserts(&[customer(3, &[])]);
    change.none_refer.push(NoneRefer { def: &NOTE, field: "about_id", id: id(70) });
    let in_use = Err(CommitError::InUse { entity: "note", field: "about_id", id: id(70) });
    assert_eq!(store.commit(&change).await, in_use);
    change.none_refer[0].id = id(71);
    store.commit(&change).await.unwrap();
}

fn key(name: &str) -> KeyClaim {
    let record = KeyRecord { digest: "d".to_owned(), result: "{}".to_owned(), at: at(0) };
    KeyClaim { command: "customers.create", key: name.to_owned(), record }
}

#[tokio::test]
async fn xt_03_a_key_is_used_once_and_gives_its_first_result() {
    let store = store();
    let with_key = |n, claim: KeyClaim| ChangeSet { key: Some(claim), ..inserts(&[customer(n, &[])]) };
    store.commit(&with_key(1, key("k"))).await.unwrap();
    let mut again = key("k");
    again.record.result = "other".to_owned();
    let used = store.commit(&with_key(2, again)).await;
    assert_eq!(used, Err(CommitError::KeyUsed(key("k").record)));
    assert_eq!(get(&store, &CUSTOMER, 2).await, None);
    // Another command, another tenant.
    store.commit(&with_key(3, KeyClaim { command: "customers.update", ..key("k") })).await.unwrap();
    store.commit(&ChangeSet { tenant: OTHER, ..with_key(4, key("k")) }).await.unwrap();
    // A refused change set leaves its key free.
    assert_eq!(store.commit(&with_key(1, key("l"))).await, conflict("customer", 1));
    let read = |name: &str| Read::Key { command: "customers.create", key: name.to_owned() };
    assert!(matches!(ask(&store, read("l")).await.unwrap(), Answer::Key(None)));
    let Answer::Key(found) = ask(&store, read("k")).await.unwrap() else { panic!("another answer") };
    assert_eq!(found, Some(key("k").record));
}

#[tokio::test]
async fn xt_03_keys_expire_the_oldest_first_and_can_be_used_again() {
    let store = store();
    let claimed = |name: &str, seconds| {
        let mut claim = key(name);
        claim.record.at = at(seconds);
        ChangeSet { key: Some(claim), ..change(Vec::new()) }
    };
    for (name, seconds) in [("c", 3), ("a", 1), ("b", 2), ("d", 4)] {
        store.commit(&claimed(name, seconds)).await.unwrap();
    }
    assert_eq!(store.expire_keys(OTHER, at(9), 9).await, Ok(0));
    assert_eq!(store.expire_keys(ACME, at(4), 2).await, Ok(2));
    assert!(store.commit(&claimed("c", 5)).await.is_err(), "not yet");
    assert_eq!(store.expire_keys(ACME, at(4), 2).await, Ok(1));
    assert_eq!(store.expire_keys(ACME, at(4), 2).await, Ok(0));
    store.commit(&claimed("a", 5)).await.unwrap();
    assert!(store.commit(&claimed("d", 5)).await.is_err(), "an instant is not before itself");
}

#[tokio::test]
async fn the_key_is_claimed_before_anything_else_is_looked_at() {
    let store = store();
    let with_key = || ChangeSet { key: Some(key("k")), ..inserts(&[customer(1, &[])]) };
    store.commit(&with_key()).await.unwrap();
    // The record is there too; the caller must learn of the key, not of a conflict.
    assert_eq!(store.commit(&with_key()).await, Err(CommitError::KeyUsed(key("k").record)));
}

#[tokio::test]
async fn what_the_contract_does_not_allow_is_refused() {
    let store = store();
    let invalid = |error: WriteError| Err(CommitError::Invalid(error));
    let many: Vec<Record> = (0..=MAX_WRITES as u128).map(|n| record(&USER, n + 1, &[])).collect();
    assert_eq!(store.commit(&inserts(&many)).await, invalid(WriteError::TooMany { count: MAX_WRITES + 1 }));
    store.commit(&inserts(&many[..MAX_WRITES])).await.unwrap();
    let unknown = commit(&store, vec![Write::Insert(record(&STRANGER, 1, &[]))]).await;
    assert_eq!(unknown, invalid(WriteError::Unknown { entity: "stranger" }));
    let twice = commit(&store, vec![Write::Insert(customer(1, &[])), delete(&customer(1, &[]))]).await;
    assert_eq!(twice, invalid(WriteError::Twice { entity: "customer", id: id(1) }));
    put(&store, &[customer(1, &[]), note(2, 1)]).await;
    let append_only = commit(&store, vec![update(&note(2, 1), &[("text", txt("other"))])]).await;
    assert_eq!(append_only, invalid(WriteError::AppendOnly { entity: "note" }));
    // Erasure masks it all the same.
    let mut mask = change(vec![update(&note(2, 1), &[("text", Value::Null)])]);
    mask.erase_log.push((&NOTE, id(2)));
    store.commit(&mask).await.unwrap();
}

#[tokio::test]
async fn what_a_database_refuses_is_refused() {
    let store = store();
    let refused = [
        vec![("name", Value::Null)],
        vec![("score", txt("7"))],
        vec![("balance", Value::Int(7)), ("currency", txt("EUR"))],
        vec![("code", txt("a\0"))],
        vec![("code", txt(""))],
        vec![("tags", Value::List(vec![]))],
        vec![("created_at", Value::Instant(at(0) + std::time::Duration::from_micros(1)))],
        vec![("first", txt("same")), ("second", txt("same"))],
        vec![("least", Value::Int(3)), ("most", Value::Int(2))],
        vec![("currency", txt("EUR"))],
        vec![("version", Value::Int(2))],
    ];
    for values in refused {
        let answer = commit(&store, vec![Write::Insert(customer(1, &values))]).await;
        assert!(matches!(answer, Err(CommitError::Store(_))), "{values:?} gives {answer:?}");
    }
    assert_eq!(get(&store, &CUSTOMER, 1).await, None);
    let passes = [("least", Value::Int(2)), ("most", Value::Int(2)), ("first", txt("a"))];
    put(&store, &[customer(1, &passes)]).await;
}

#[tokio::test]
async fn pr_04_nothing_of_a_purged_person_is_left() {
    let store = store();
    let person = customer(1, &[("name", txt("Ada Secret")), ("email", txt("ada@secret"))]);
    let mut create = inserts(std::slice::from_ref(&person));
    create.log[0].private.as_mut().unwrap().salt = "secret salt".to_owned();
    create.tokens_put.push(token("customer", 1, "secret"));
    create.timeline_put.push(row(1, 0, 1));
    create.timeline_put[0].display.title = "Ada Secret came".to_owned();
    store.commit(&create).await.unwrap();
    assert_eq!(store.dump().to_lowercase().matches("secret").count(), 5);
    let mut purge = change(vec![Write::Purge(person)]);
    purge.log[0].private.as_mut().unwrap().salt = "secret too".to_owned();
    purge.erase_log.push((&CUSTOMER, id(1)));
    purge.tokens_drop.push(token("customer", 1, "secret"));
    purge.timeline_drop.push(row(1, 0, 1).key());
    store.commit(&purge).await.unwrap();
    assert!(!store.dump().to_lowercase().contains("secret"), "{}", store.dump());
    // What happened is still told.
    let Answer::Log(rows) =
        ask(&store, Read::History { def: &CUSTOMER, id: id(1), before_version: None, limit: 9 })
            .await
            .unwrap()
    else {
        panic!("another answer")
    };
    assert_eq!(rows.iter().map(|row| row.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(ids(&store, Read::Find(query(leaf(&CUSTOMER, "name", Test::Exists), vec![]))).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_commands_on_one_version_one_wins() {
    let store = store();
    let start = customer(1, &[("score", Value::Int(0))]);
    put(&store, std::slice::from_ref(&start)).await;
    let race = (0..16).map(|n| {
        let (store, start) = (store.clone(), start.clone());
        tokio::spawn(async move { commit(&store, vec![update(&start, &[("score", Value::Int(n))])]).await })
    });
    let mut won = 0;
    for command in race.collect::<Vec<_>>() {
        match command.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert_eq!(Err(error), conflict("customer", 1)),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(get(&store, &CUSTOMER, 1).await.unwrap().version(), 2);
}
