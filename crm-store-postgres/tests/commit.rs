//! What a commit does, how it is refused, and how many round trips it takes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::BTreeMap;

use common::*;
use crm_core::criteria::Filter;
use crm_core::record::Record;
use crm_core::store::{
    Answer, ChangeSet, CommitError, Guard, KeyClaim, KeyRecord, NoneRefer, Query, Read, Store, StoreError,
    Write, WriteError,
};
use crm_core::value::Value;
use crm_store_postgres::PostgresOptions;
use uuid::Uuid;

async fn get(s: &Scratch, record: &Record) -> Option<Record> {
    let answers =
        s.store.read(s.tenant, &[Read::Get { def: record.def, ids: vec![record.id()] }]).await.unwrap();
    match answers.into_iter().next() {
        Some(Answer::Records(mut records)) => records.pop(),
        other => panic!("{other:?}"),
    }
}

fn full_customer(owner: &Record) -> Record {
    let mut full = customer("Ærøskøbing \"Ltd\", \\{NULL}");
    full.set("email", text("Info@Example.org"));
    full.set("code", text("null"));
    full.set("status", text("it's over"));
    full.set("score", Value::Int(i64::MIN));
    full.set("revenue", Value::Decimal("-123456789012345.6789".parse().unwrap()));
    full.set("low", Value::Decimal("0.0001".parse().unwrap()));
    full.set("high", Value::Decimal("99".parse().unwrap()));
    full.set("is_main", Value::Bool(true));
    full.set("birthday", Value::Date("0001-01-01".parse().unwrap()));
    full.set("seen_at", Value::Instant("9999-12-31T23:59:59.999Z".parse().unwrap()));
    full.set("owner_id", Value::Id(owner.id()));
    full.set(
        "tags",
        Value::List(vec![String::new(), "\"q\\\"".to_owned(), "NULL".to_owned(), "{a,b}".to_owned()]),
    );
    full.set(
        "custom",
        Value::Custom(BTreeMap::from([
            ("bool".to_owned(), Value::Bool(false)),
            ("decimal".to_owned(), Value::Decimal("1.5".parse().unwrap())),
            ("instant".to_owned(), Value::Instant(at(1))),
            ("list".to_owned(), Value::List(vec!["x".to_owned()])),
            ("text".to_owned(), text("y")),
        ])),
    );
    full.set("settings", Value::Json(serde_json::json!({"z": [1, 2.5, null], "a": "\u{1F600}"})));
    full
}

#[tokio::test]
async fn every_type_comes_back_as_it_was() {
    let s = Scratch::new().await;
    let owner = user("Olga");
    let (full, empty) = (full_customer(&owner), customer("b"));
    // The link leads to a record of the same change set that comes after it.
    s.insert(vec![full.clone(), empty.clone(), owner.clone()]).await;
    for record in [&full, &empty, &owner] {
        assert_eq!(get(&s, record).await.as_ref(), Some(record));
    }
    let update = changed(&full, "tags", Value::List(vec!["new".to_owned()]));
    let after = update.record().clone();
    s.store.commit(&s.change(vec![update])).await.unwrap();
    assert_eq!(get(&s, &full).await, Some(after));
    s.drop().await;
}

#[tokio::test]
async fn a_commit_takes_as_many_round_trips_for_a_thousand_records_as_for_one() {
    let s = Scratch::new().await;
    let base = customer("base");
    let other = customer("other");
    s.insert(vec![base.clone(), other.clone()]).await;
    let mut taken = Vec::new();
    for count in [1, 900] {
        let notes: Vec<Record> = (0..count).map(|n| note(&base, "n", at(n))).collect();
        let mut set = s.change(notes.iter().cloned().map(Write::Insert).collect());
        set.writes.extend(notes.iter().take(50).map(|n| Write::Insert(line(n, 1))));
        let fresh = get(&s, &base).await.unwrap();
        set.writes.push(changed(&fresh, "score", Value::Int(count)));
        let whole = change(s.tenant, set.writes.clone());
        let mut set = ChangeSet { log: whole.log, commit_id: whole.commit_id, ..set };
        set.guards.push(Guard::Live { def: &CUSTOMER, id: other.id() });
        set.timeline_put = notes.iter().map(entry).collect();
        set.tokens_put = notes.iter().map(|n| token(n, "n")).collect();
        set.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: other.id() });
        let before = s.store.statements();
        s.store.commit(&set).await.unwrap();
        taken.push(s.store.statements() - before);
    }
    // BEGIN; key, log and locks; writes to three tables; projections and absence; COMMIT.
    assert_eq!(taken, [5, 5]);
    s.drop().await;
}

#[tokio::test]
async fn a_change_set_is_applied_once_however_often_it_is_handed_in() {
    let s = Scratch::new().await;
    let c = customer("one");
    let mut set = s.change(vec![Write::Insert(c.clone())]);
    set.key = Some(claim("k", "first"));
    for _ in 0..3 {
        s.store.commit(&set).await.unwrap();
    }
    let update = s.change(vec![changed(&c, "score", Value::Int(1))]);
    s.store.commit(&update).await.unwrap();
    s.store.commit(&update).await.unwrap();
    assert_eq!(s.count("$S.crm_log").await, 2);
    // Without log rows the key alone remembers it.
    let mut bare = s.change(Vec::new());
    bare.key = Some(claim("bare", "result"));
    s.store.commit(&bare).await.unwrap();
    s.store.commit(&bare).await.unwrap();
    s.drop().await;
}

fn claim(key: &str, result: &str) -> KeyClaim {
    KeyClaim {
        command: "tests.write",
        key: key.to_owned(),
        record: KeyRecord { digest: "d".to_owned(), result: result.to_owned(), at: at(0) },
    }
}

#[tokio::test]
async fn a_used_key_gives_what_the_first_one_got_and_nothing_is_written() {
    let s = Scratch::new().await;
    let mut first = s.change(vec![Write::Insert(customer("one"))]);
    first.key = Some(claim("k", "first"));
    s.store.commit(&first).await.unwrap();
    let mut second = s.change(vec![Write::Insert(customer("two"))]);
    second.key = Some(claim("k", "second"));
    let refused = s.store.commit(&second).await.unwrap_err();
    assert_eq!(refused, CommitError::KeyUsed(claim("k", "first").record));
    assert_eq!(s.count("$S.customers").await, 1);
    assert_eq!(s.count("$S.crm_log").await, 1);
    let read = Read::Key { command: "tests.write", key: "k".to_owned() };
    let other = Read::Key { command: "tests.other", key: "k".to_owned() };
    let answers = s.store.read(s.tenant, &[read, other]).await.unwrap();
    assert!(matches!(&answers[..], [Answer::Key(Some(kept)), Answer::Key(None)] if kept.result == "first"));
    let expire = async |at, limit| s.store.expire_keys(s.tenant, at, limit).await.unwrap();
    assert_eq!(expire(at(0), 10).await, 0, "the instant itself is not before it");
    assert_eq!(s.store.expire_keys(crm_core::TenantId(new_id()), at(1), 10).await.unwrap(), 0);
    assert_eq!(expire(at(1), 0).await, 0);
    assert_eq!(expire(at(1), 10).await, 1);
    s.store.commit(&second).await.unwrap();
    s.drop().await;
}

#[tokio::test]
async fn versions_and_guards_are_compared_at_the_moment_of_commit() {
    let s = Scratch::new().await;
    let (a, b) = (customer("a"), customer("b"));
    s.insert(vec![a.clone(), b.clone()]).await;
    let conflict = |r: &Record| CommitError::Conflict { entity: "customer", id: r.id() };
    s.store.commit(&s.change(vec![changed(&a, "score", Value::Int(1))])).await.unwrap();
    let stale = s.change(vec![changed(&b, "score", Value::Int(1)), changed(&a, "score", Value::Int(2))]);
    assert_eq!(s.store.commit(&stale).await, Err(conflict(&a)));
    let mut guarded = s.change(vec![changed(&b, "score", Value::Int(1))]);
    guarded.guards.push(Guard::Version { def: &CUSTOMER, id: a.id(), version: 1 });
    assert_eq!(s.store.commit(&guarded).await, Err(conflict(&a)));
    guarded.guards[0] = Guard::Version { def: &CUSTOMER, id: a.id(), version: 2 };
    s.store.commit(&guarded).await.unwrap();
    let unknown = user("nobody");
    let mut live = s.change(vec![Write::Insert(customer("c"))]);
    live.guards.push(Guard::Live { def: &USER, id: unknown.id() });
    let missing = CommitError::Conflict { entity: "user", id: unknown.id() };
    assert_eq!(s.store.commit(&live).await, Err(missing));
    let now = get(&s, &a).await.unwrap();
    s.store.commit(&s.change(vec![deleted(&now)])).await.unwrap();
    let mut live = s.change(vec![Write::Insert(customer("c"))]);
    live.guards.push(Guard::Live { def: &CUSTOMER, id: a.id() });
    assert_eq!(s.store.commit(&live).await, Err(conflict(&a)));
    let again = s.change(vec![Write::Insert(b.clone())]);
    assert_eq!(s.store.commit(&again).await, Err(conflict(&b)));
    // The refused change sets left nothing.
    assert_eq!(s.count("$S.crm_log").await, 5);
    s.drop().await;
}

#[tokio::test]
async fn unique_rules_come_back_by_name_and_mean_what_the_catalog_says() {
    let s = Scratch::new().await;
    let with = |name: &str, field: &str, value: Value| {
        let mut c = customer(name);
        c.set(field, value);
        c
    };
    let a = with("a", "email", text("Same@Example.org"));
    s.insert(vec![a.clone()]).await;
    let twin = with("b", "email", text("sAME@example.ORG"));
    let refused = s.store.commit(&s.change(vec![Write::Insert(twin.clone())])).await;
    assert_eq!(refused, Err(CommitError::Unique { rule: "customer_email_taken" }));
    // Another tenant, a deleted record, and the same change set with the release first.
    s.store.commit(&change(crm_core::TenantId(new_id()), vec![Write::Insert(twin.clone())])).await.unwrap();
    let hand_over = s.change(vec![Write::Insert(twin.clone()), deleted(&a)]).arrange().unwrap();
    assert_eq!(hand_over.releases, 1);
    s.store.commit(&hand_over).await.unwrap();
    let coded = with("c", "code", text("X1"));
    s.insert(vec![coded.clone()]).await;
    s.store.commit(&s.change(vec![deleted(&coded)])).await.unwrap();
    let refused = s.store.commit(&s.change(vec![Write::Insert(with("d", "code", text("X1")))])).await;
    assert_eq!(refused, Err(CommitError::Unique { rule: "customer_code_taken" }));
    let owner = user("Olga");
    let mut mains: Vec<Record> = (0..3).map(|_| with("m", "owner_id", Value::Id(owner.id()))).collect();
    mains[0].set("is_main", Value::Bool(true));
    s.insert(std::iter::once(owner).chain(mains.clone()).collect()).await;
    let refused = s.store.commit(&s.change(vec![changed(&mains[1], "is_main", Value::Bool(true))])).await;
    assert_eq!(refused, Err(CommitError::Unique { rule: "customer_one_main" }));
    s.drop().await;
}

#[tokio::test]
async fn what_one_write_frees_another_takes_in_the_same_statement() {
    let s = Scratch::new().await;
    let with_email = |name: &str, email: &str| {
        let mut c = customer(name);
        c.set("email", text(email));
        c
    };
    let owner = user("Olga");
    let mut mains = [customer("m"), customer("m")];
    for main in &mut mains {
        main.set("owner_id", Value::Id(owner.id()));
    }
    mains[0].set("is_main", Value::Bool(true));
    let [gone, moved, late] = ["gone@x.org", "moved@x.org", "late@x.org"].map(|email| with_email("c", email));
    s.insert([vec![owner], mains.to_vec(), vec![gone.clone(), moved.clone(), late.clone()]].concat()).await;
    // The takers stand first: an update, an insert and another update, of what an update, a purge and a deletion free.
    let set = s.change(vec![
        changed(&mains[1], "is_main", Value::Bool(true)),
        Write::Insert(with_email("new", "GONE@x.org")),
        changed(&late, "email", text("moved@x.org")),
        changed(&mains[0], "is_main", Value::Bool(false)),
        Write::Purge(gone.clone()),
        deleted(&moved),
    ]);
    let set = set.arrange().unwrap();
    assert_eq!(set.releases, 3);
    let before = s.store.statements();
    s.store.commit(&set).await.unwrap();
    // The beginning, the claim, the writes and the end.
    assert_eq!(s.store.statements() - before, 4);
    assert_eq!(s.count("$S.customers WHERE is_main").await, 1);
    assert_eq!(get(&s, &mains[1]).await.unwrap().get("is_main"), &Value::Bool(true));
    assert_eq!(get(&s, &late).await.unwrap().get("email"), &text("moved@x.org"));
    assert_eq!(get(&s, &gone).await, None);
    s.drop().await;
}

#[tokio::test]
async fn links_lead_somewhere_and_nothing_that_is_referred_to_goes() {
    let s = Scratch::new().await;
    let c = customer("c");
    let orphan = note(&customer("never stored"), "n", at(0));
    let dangling = CommitError::Dangling { entity: "note", field: "customer_id" };
    assert_eq!(s.store.commit(&s.change(vec![Write::Insert(orphan)])).await, Err(dangling.clone()));
    let elsewhere = customer("of another tenant");
    s.store
        .commit(&change(crm_core::TenantId(new_id()), vec![Write::Insert(elsewhere.clone())]))
        .await
        .unwrap();
    let crossing = s.change(vec![Write::Insert(note(&elsewhere, "n", at(0)))]);
    assert_eq!(s.store.commit(&crossing).await, Err(dangling));
    let n = note(&c, "n", at(0));
    s.insert(vec![c.clone(), n.clone()]).await;
    let in_use = CommitError::InUse { entity: "note", field: "customer_id", id: c.id() };
    let mut delete = s.change(vec![deleted(&c)]);
    delete.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: new_id() });
    delete.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: c.id() });
    assert_eq!(s.store.commit(&delete).await, Err(in_use.clone()));
    assert_eq!(s.store.commit(&s.change(vec![Write::Purge(c.clone())])).await, Err(in_use.clone()));
    let mut other = customer("other");
    other.set("score", Value::Int(1));
    let beside = s.change(vec![
        Write::Insert(other.clone()),
        Write::Insert(note(&other, "elsewhere", at(0))),
        Write::Purge(c.clone()),
    ]);
    assert_eq!(s.store.commit(&beside).await, Err(in_use));
    // Deleting the note in the same change set clears the way, and purging both needs no order.
    let mut both = s.change(vec![deleted(&n), deleted(&c)]);
    both.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: c.id() });
    s.store.commit(&both).await.unwrap();
    let (n, c) = (get(&s, &n).await.unwrap(), get(&s, &c).await.unwrap());
    s.store.commit(&s.change(vec![Write::Purge(c.clone()), Write::Purge(n)])).await.unwrap();
    assert_eq!(get(&s, &c).await, None);
    s.drop().await;
}

#[tokio::test]
async fn what_no_store_accepts_is_refused_before_anything_is_sent() {
    let s = Scratch::new().await;
    let before = s.store.statements();
    let many = s.change((0..1_001).map(|_| Write::Insert(customer("x"))).collect());
    let refused = s.store.commit(&many).await;
    assert_eq!(refused, Err(WriteError::TooMany { count: 1_001 }.into()));
    let c = customer("x");
    let twice = s.change(vec![Write::Insert(c.clone()), Write::Insert(c.clone())]);
    let refused = s.store.commit(&twice).await;
    assert_eq!(refused, Err(WriteError::Twice { entity: "customer", id: c.id() }.into()));
    let receipt = receipt("r");
    let update = s.change(vec![changed(&receipt, "what", text("other"))]);
    let refused = s.store.commit(&update).await;
    assert_eq!(refused, Err(WriteError::AppendOnly { entity: "receipt" }.into()));
    let mut ahead = customer("x");
    ahead.values[1] = Value::Int(2);
    let mut short = customer("x");
    short.values.pop();
    let mut doubled = s.change(vec![Write::Insert(customer("x")), Write::Insert(customer("y"))]);
    doubled.log[1].ordinal = 0;
    let mut nowhere = s.change(Vec::new());
    nowhere.none_refer.push(NoneRefer { def: &NOTE, field: "no_such", id: Uuid::nil() });
    let (ahead, short) = (s.change(vec![Write::Insert(ahead)]), s.change(vec![Write::Insert(short)]));
    for set in [ahead, short, doubled, nowhere] {
        let refused = s.store.commit(&set).await;
        assert!(matches!(refused, Err(CommitError::Store(StoreError::Refused { .. }))), "{refused:?}");
    }
    assert_eq!(s.store.statements(), before);
    // A check of the database that the core should have made: its code comes back, no text of the row.
    let mut long = customer("x");
    long.set("name", text(&"secret".repeat(20)));
    let refused = s.store.commit(&s.change(vec![Write::Insert(long)])).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Store(StoreError::Failed { code, .. }) if code == "23514"));
    assert!(!format!("{refused:?} {refused}").contains("secret"));
    s.drop().await;
}

#[tokio::test]
async fn a_change_set_can_join_the_embedders_own_transaction() {
    let s = Scratch::new().await;
    s.execute("CREATE TABLE $S.mine (id uuid PRIMARY KEY)").await.unwrap();
    let c = customer("c");
    let insert = format!("INSERT INTO {}.mine VALUES ($1)", s.schema);
    for (keep, rows) in [(false, 0), (true, 1)] {
        let mut transaction = s.store.pool().begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(insert.clone()))
            .bind(Uuid::nil())
            .execute(&mut *transaction)
            .await
            .unwrap();
        let set = s.change(vec![Write::Insert(c.clone())]);
        s.store.commit_in(&mut transaction, &set).await.unwrap();
        // A refusal undoes the change set and leaves the transaction usable; a repeat is a success.
        let refused = s.store.commit_in(&mut transaction, &s.change(vec![Write::Insert(c.clone())])).await;
        assert_eq!(refused, Err(CommitError::Conflict { entity: "customer", id: c.id() }));
        s.store.commit_in(&mut transaction, &set).await.unwrap();
        if keep {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!((s.count("$S.mine").await, s.count("$S.customers").await), (rows, rows));
        assert_eq!(s.count("$S.crm_log").await, rows);
    }
    s.drop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_says_nothing_of_where() {
    let s = Scratch::new().await;
    let gone = crm_store_postgres::PostgresStore::connect(
        "postgres://secret_user:secret@127.0.0.1:1/x",
        catalog(),
        PostgresOptions { acquire_timeout: std::time::Duration::from_secs(1), ..PostgresOptions::default() },
    );
    let error = gone.await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("secret"));
    // Connections that the server has cut are replaced, unseen by readers and writers.
    s.insert(vec![customer("x")]).await;
    s.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%$S%'")
        .await
        .unwrap();
    let query = Query {
        def: &CUSTOMER,
        filter: Filter::always(),
        tokens: Vec::new(),
        token_prefix: None,
        order: Vec::new(),
        limit: 10,
    };
    let answers = s.store.read(s.tenant, &[Read::Find(query)]).await.unwrap();
    assert!(matches!(&answers[..], [Answer::Records(records)] if records.len() == 1));
    s.store.commit(&s.change(vec![Write::Insert(customer("y"))])).await.unwrap();
    s.drop().await;
}
