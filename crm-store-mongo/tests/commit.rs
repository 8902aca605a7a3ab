//! How change sets are applied: what MongoDB's transactions make of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::sync::atomic::Ordering;

use crm_core::store::{
    Answer, CommitError, Guard, KeyClaim, KeyRecord, NoneRefer, Read, Store, TokenRow, Write, WriteError,
};
use crm_core::value::Value;
use support::{
    CARD, Fixture, NOTE, SAMPLE, STAGE, at, change, deleted, entry, id, new, next, t, tenant, with,
};

fn key(digest: &str, result: &str) -> KeyClaim {
    let record = KeyRecord { digest: digest.to_owned(), result: result.to_owned(), at: at(5) };
    KeyClaim { command: "tests.write", key: "k".to_owned(), record }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_set_is_applied_once_however_often_it_is_handed_in() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let sample = new(&SAMPLE);
    let mut insert = change(tenant, vec![Write::Insert(sample.clone())]);
    insert.key = Some(key("d", "r"));
    f.store.commit(&insert).await.unwrap();
    f.store.commit(&insert).await.unwrap();
    insert.key = None;
    f.store.commit(&insert).await.unwrap();
    let update = change(tenant, vec![next(&sample, &[("name", t("b"))])]);
    f.store.commit(&update).await.unwrap();
    f.store.commit(&update).await.unwrap();
    assert_eq!(f.get(tenant, &SAMPLE, sample.id()).await.unwrap().version(), 2);
    let mut empty = change(tenant, Vec::new());
    empty.tokens_put = vec![TokenRow { entity: "sample", id: sample.id(), token: "b".to_owned() }];
    f.store.commit(&empty).await.unwrap();
    f.store.commit(&empty).await.unwrap();
    assert_eq!(f.store.seal_log(tenant, 10).await.unwrap(), 2);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_key_gives_what_was_kept_for_it() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let mut first = change(tenant, vec![Write::Insert(new(&SAMPLE))]);
    first.key = Some(key("d", "r"));
    f.store.commit(&first).await.unwrap();
    let second = new(&SAMPLE);
    let mut again = change(tenant, vec![Write::Insert(second.clone())]);
    again.key = Some(key("other", "other"));
    let kept = first.key.clone().unwrap().record;
    assert_eq!(f.store.commit(&again).await, Err(CommitError::KeyUsed(kept.clone())));
    assert!(f.get(tenant, &SAMPLE, second.id()).await.is_none());
    let read = Read::Key { command: "tests.write", key: "k".to_owned() };
    let Answer::Key(found) = f.store.read(tenant, &[read]).await.unwrap().remove(0) else { panic!() };
    assert_eq!(found, Some(kept));
    // Another tenant's key is another key.
    let mut other = again.clone();
    other.tenant = support::tenant();
    f.store.commit(&other).await.unwrap();
    // Keys are forgotten by age, so many at a time, of one tenant.
    for number in 0..5 {
        let mut set = change(tenant, vec![Write::Insert(new(&SAMPLE))]);
        set.key = Some(KeyClaim { key: format!("{number}"), ..key("d", "r") });
        f.store.commit(&set).await.unwrap();
    }
    assert_eq!(f.store.expire_keys(tenant, at(5), 10).await.unwrap(), 0);
    assert_eq!(f.store.expire_keys(tenant, at(6), 4).await.unwrap(), 4);
    assert_eq!(f.store.expire_keys(tenant, at(6), 4).await.unwrap(), 2);
    assert_eq!(f.store.expire_keys(other.tenant, at(6), 4).await.unwrap(), 1);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_rule_and_the_record() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let group = Value::Id(id());
    let a =
        with(new(&SAMPLE), &[("label", t("Anna")), ("flag", Value::Bool(true)), ("group_id", group.clone())]);
    let a = with(a, &[("number", Value::Int(7))]);
    f.insert(tenant, vec![a.clone()]).await;
    let insert = |values: &[(&str, Value)]| change(tenant, vec![Write::Insert(with(new(&SAMPLE), values))]);
    let unique = |rule| Err(CommitError::Unique { rule });
    assert_eq!(f.store.commit(&insert(&[("label", t("ANNA"))])).await, unique("sample_label_once"));
    let main = [("flag", Value::Bool(true)), ("group_id", group.clone())];
    assert_eq!(f.store.commit(&insert(&main)).await, unique("sample_one_main"));
    f.store.commit(&insert(&[("flag", Value::Bool(false)), ("group_id", group)])).await.unwrap();
    // Live rules forget deleted records, the other one does not; missing values never count.
    f.store.commit(&change(tenant, vec![deleted(&a)])).await.unwrap();
    f.store.commit(&insert(&[("label", t("anna"))])).await.unwrap();
    assert_eq!(f.store.commit(&insert(&[("number", Value::Int(7))])).await, unique("sample_number_ever"));
    // The same id again, an old version, and a record that is not there.
    let again = change(tenant, vec![Write::Insert(a.clone())]);
    let conflict = |id| Err(CommitError::Conflict { entity: "sample", id });
    assert_eq!(f.store.commit(&again).await, conflict(a.id()));
    assert_eq!(f.store.commit(&change(tenant, vec![next(&a, &[])])).await, conflict(a.id()));
    let missing = new(&SAMPLE);
    assert_eq!(
        f.store.commit(&change(tenant, vec![Write::Purge(missing.clone())])).await,
        conflict(missing.id())
    );
    // Of many, the one that is stale is named.
    let fresh: Vec<_> = (0..5).map(|_| new(&SAMPLE)).collect();
    f.insert(tenant, fresh.clone()).await;
    f.store.commit(&change(tenant, vec![next(&fresh[3], &[])])).await.unwrap();
    let all = fresh.iter().map(|record| next(record, &[("name", t("x"))])).collect();
    assert_eq!(f.store.commit(&change(tenant, all)).await, conflict(fresh[3].id()));
    assert_eq!(f.get(tenant, &SAMPLE, fresh[0].id()).await.unwrap().version(), 1);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_store_accepts_is_refused() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let many = change(tenant, (0..1_001).map(|_| Write::Insert(new(&NOTE))).collect());
    assert_eq!(f.store.commit(&many).await, Err(WriteError::TooMany { count: 1_001 }.into()));
    let note = new(&NOTE);
    f.insert(tenant, vec![note.clone()]).await;
    let edit = change(tenant, vec![next(&note, &[("name", t("x"))])]);
    assert_eq!(f.store.commit(&edit).await, Err(WriteError::AppendOnly { entity: "note" }.into()));
    let twice = change(tenant, vec![Write::Insert(note.clone()), Write::Insert(note.clone())]);
    assert_eq!(f.store.commit(&twice).await, Err(WriteError::Twice { entity: "note", id: note.id() }.into()));
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_freed_and_taken_in_one_change_set() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let a = with(new(&SAMPLE), &[("label", t("a"))]);
    f.insert(tenant, vec![a.clone()]).await;
    // An insert and an update of one collection in one command, in order.
    let b = with(new(&SAMPLE), &[("label", t("a")), ("name", t("second"))]);
    let both = change(tenant, vec![next(&a, &[("label", t("c"))]), Write::Insert(b.clone())]);
    f.store.commit(&both).await.unwrap();
    assert_eq!(f.get(tenant, &SAMPLE, b.id()).await.unwrap(), b);
    // A purge frees too.
    let stored = f.get(tenant, &SAMPLE, b.id()).await.unwrap();
    let c = with(new(&SAMPLE), &[("label", t("A"))]);
    f.store.commit(&change(tenant, vec![Write::Purge(stored), Write::Insert(c.clone())])).await.unwrap();
    assert!(f.get(tenant, &SAMPLE, b.id()).await.is_none());
    // An upsert of a mixed command meets an id that is taken.
    let stored = f.get(tenant, &SAMPLE, a.id()).await.unwrap();
    let mixed = change(tenant, vec![next(&stored, &[("name", t("x"))]), Write::Insert(c.clone())]);
    let conflict = CommitError::Conflict { entity: "sample", id: c.id() };
    assert_eq!(f.store.commit(&mixed).await, Err(conflict));
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_records_of_the_same_tenant() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let sample = new(&SAMPLE);
    let card = |sample: &crm_core::record::Record| with(new(&CARD), &[("sample_id", Value::Id(sample.id()))]);
    let dangling = Err(CommitError::Dangling { entity: "card", field: "sample_id" });
    let alone = change(tenant, vec![Write::Insert(card(&sample))]);
    assert_eq!(f.store.commit(&alone).await, dangling);
    f.insert(support::tenant(), vec![sample.clone()]).await;
    assert_eq!(f.store.commit(&alone).await, dangling);
    let held = card(&sample);
    f.insert(tenant, vec![held.clone(), sample.clone()]).await;
    // A deleted record is still one to lead to; one that is removed for good is not.
    f.store.commit(&change(tenant, vec![deleted(&sample)])).await.unwrap();
    f.store.commit(&change(tenant, vec![Write::Insert(card(&sample))])).await.unwrap();
    let stored = f.get(tenant, &SAMPLE, sample.id()).await.unwrap();
    let in_use = Err(CommitError::InUse { entity: "card", field: "sample_id", id: sample.id() });
    assert_eq!(f.store.commit(&change(tenant, vec![Write::Purge(stored.clone())])).await, in_use);
    let moved = next(&held, &[("sample_id", Value::Id(id()))]);
    assert_eq!(f.store.commit(&change(tenant, vec![moved])).await, dangling);
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_do_not_grow_with_the_rows() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let (stage, parent) = (new(&STAGE), new(&SAMPLE));
    f.insert(tenant, vec![stage.clone(), parent.clone()]).await;
    for rows in [1, 400] {
        let mut set = change(tenant, Vec::new());
        for _ in 0..rows {
            let sample = with(new(&SAMPLE), &[("parent_id", Value::Id(parent.id()))]);
            let card = with(
                new(&CARD),
                &[("stage_id", Value::Id(stage.id())), ("sample_id", Value::Id(sample.id()))],
            );
            set.tokens_put.push(TokenRow { entity: "card", id: card.id(), token: "a".to_owned() });
            set.timeline_put.push(entry(sample.id(), 1, card.id()));
            set.writes.extend([Write::Insert(sample), Write::Insert(card)]);
        }
        set.log = change(tenant, set.writes.clone()).log;
        for row in &mut set.log {
            row.commit_id = set.commit_id;
        }
        set.guards = vec![Guard::Live { def: &STAGE, id: stage.id() }];
        set.key = Some(KeyClaim { key: format!("{rows}"), ..key("d", "r") });
        let (before, counted) = (f.sent.load(Ordering::SeqCst), f.store.commands());
        f.store.commit(&set).await.unwrap();
        let sent = f.sent.load(Ordering::SeqCst) - before;
        assert_eq!(sent, f.store.commands() - counted, "the store counts as the driver does");
        // samples, stages (guard), cards, keys, log, guards, timeline, tokens.
        assert!(sent <= 3 + 8, "{sent} commands for {rows} rows");
        println!("{} records, {sent} commands", rows * 2);
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_document_never_see_a_transient_error() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let sample = with(new(&SAMPLE), &[("count", Value::Int(0))]);
    f.insert(tenant, vec![sample.clone()]).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, sample) = (f.store.clone(), sample.clone());
        writers.spawn(async move {
            let mut attempt = 0;
            loop {
                attempt += 1;
                let read = Read::Get { def: &SAMPLE, ids: vec![sample.id()] };
                let Answer::Records(mut found) = store.read(tenant, &[read]).await.unwrap().remove(0) else {
                    panic!()
                };
                let before = found.remove(0);
                let Value::Int(count) = *before.get("count") else { panic!() };
                let set = change(tenant, vec![next(&before, &[("count", Value::Int(count + 1))])]);
                match store.commit(&set).await {
                    Ok(()) => return attempt,
                    Err(CommitError::Conflict { .. } | CommitError::Contended) => store.rest(attempt).await,
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    let attempts = writers.join_all().await;
    println!("at most {} attempts", attempts.iter().max().unwrap());
    let end = f.get(tenant, &SAMPLE, sample.id()).await.unwrap();
    assert_eq!((end.get("count"), end.version()), (&Value::Int(32), 33));
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_prevent_write_skew() {
    let f = Fixture::new().await;
    let tenant = tenant();
    for round in 0..20 {
        // Each of two writes one record on condition that the other is as it was.
        let (a, b) = (new(&SAMPLE), new(&SAMPLE));
        f.insert(tenant, vec![a.clone(), b.clone()]).await;
        let guarded = |write: &crm_core::record::Record, read: &crm_core::record::Record| {
            let mut set = change(tenant, vec![next(write, &[("name", t("x"))])]);
            set.guards = vec![Guard::Version { def: &SAMPLE, id: read.id(), version: 1 }];
            set
        };
        let (one, two) = (guarded(&a, &b), guarded(&b, &a));
        let (one, two) = tokio::join!(settle(&f, &one), settle(&f, &two));
        assert!(one.is_ok() != two.is_ok() || one.is_err(), "round {round}: {one:?} {two:?}");
        assert!(!(one.is_ok() && two.is_ok()));
    }
    f.done().await;
}

/// Commits until it is decided.
async fn settle(f: &Fixture, set: &crm_core::store::ChangeSet) -> Result<(), CommitError> {
    for attempt in 1.. {
        match f.store.commit(set).await {
            Err(CommitError::Contended) => f.store.rest(attempt).await,
            decided => return decided,
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_refers_to_what_is_deleted_meanwhile() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let (mut deletions, mut referrals) = (0, 0);
    for round in 0..30 {
        for def in [&*STAGE, &*SAMPLE] {
            let target = new(def);
            f.insert(tenant, vec![target.clone()]).await;
            let field = if def == &*STAGE { "stage_id" } else { "sample_id" };
            let mut delete = change(tenant, vec![deleted(&target)]);
            delete.none_refer = vec![NoneRefer { def: &CARD, field, id: target.id() }];
            let card = with(new(&CARD), &[(field, Value::Id(target.id()))]);
            let mut refer = change(tenant, vec![Write::Insert(card.clone())]);
            refer.guards = vec![Guard::Live { def, id: target.id() }];
            let late = |this| std::time::Duration::from_micros(if this { round * 200 } else { 0 });
            let first = async {
                tokio::time::sleep(late(round % 2 == 0)).await;
                settle(&f, &delete).await
            };
            let second = async {
                tokio::time::sleep(late(round % 2 == 1)).await;
                settle(&f, &refer).await
            };
            let (first, second) = tokio::join!(first, second);
            match (&first, &second) {
                (Ok(()), Err(CommitError::Conflict { id, .. })) if *id == target.id() => deletions += 1,
                (Err(CommitError::InUse { entity: "card", id, .. }), Ok(())) if *id == target.id() => {
                    referrals += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    println!("{deletions} deletions and {referrals} references won");
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_rely_on_one_shared_record() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let stage = new(&STAGE);
    f.insert(tenant, vec![stage.clone()]).await;
    let started = std::time::Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, stage) = (f.store.clone(), stage.clone());
        writers.spawn(async move {
            for _ in 0..10 {
                let card = with(new(&CARD), &[("stage_id", Value::Id(stage.id()))]);
                let mut set = change(tenant, vec![Write::Insert(card)]);
                set.guards = vec![Guard::Live { def: &STAGE, id: stage.id() }];
                let mut attempt = 1;
                while let Err(error) = store.commit(&set).await {
                    assert_eq!(error, CommitError::Contended);
                    store.rest(attempt).await;
                    attempt += 1;
                }
            }
        });
    }
    writers.join_all().await;
    println!("160 guarded commits in {:?}", started.elapsed());
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_reaches_the_rows_of_its_own_change_set() {
    let f = Fixture::new().await;
    let tenant = tenant();
    let (a, b) = (new(&NOTE), new(&NOTE));
    f.insert(tenant, vec![a.clone(), b.clone()]).await;
    let mut mask = change(tenant, vec![next(&a, &[("name", t("masked"))])]);
    mask.erase_log = vec![(&NOTE, a.id())];
    f.store.commit(&mask).await.unwrap();
    for (record, rows, erased) in [(&a, 2, true), (&b, 1, false)] {
        let read = Read::History { def: &NOTE, id: record.id(), before_version: None, limit: 10 };
        let Answer::Log(found) = f.store.read(tenant, &[read]).await.unwrap().remove(0) else { panic!() };
        assert_eq!(found.len(), rows);
        assert!(found.iter().all(|row| row.private.is_none() == erased), "{found:?}");
    }
    f.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedders_documents_are_written_with_a_change_set_or_not_at_all() {
    use crm_store_mongo::Joined;
    use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
    let f = Fixture::new().await;
    let tenant = tenant();
    let own = f.client.database(&f.name).collection::<bson::Document>("embedder");
    f.client.database(&f.name).create_collection("embedder").await.unwrap();
    let set = change(tenant, vec![Write::Insert(new(&SAMPLE))]);
    let mut outcomes = Vec::new();
    for attempt in 0..2 {
        let mut session = f.client.start_session().await.unwrap();
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).build())
            .await
            .unwrap();
        own.insert_one(bson::doc! { "attempt": attempt }).session(&mut session).await.unwrap();
        let joined = f.store.commit_in(&mut session, &set).await.unwrap();
        if joined == Joined::Pending {
            session.commit_transaction().await.unwrap();
        }
        outcomes.push(joined);
    }
    assert_eq!(outcomes, [Joined::Pending, Joined::Before]);
    assert_eq!(own.count_documents(bson::doc! {}).await.unwrap(), 1);
    f.done().await;
}
