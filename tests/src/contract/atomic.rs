//! A change set is applied whole or not at all, and at most once.

use crm_core::catalog::Entity;
use crm_core::command::Changes;
use crm_core::contact::Contact;
use crm_core::customer::Customer;
use crm_core::directory::User;
use crm_core::invoice::Invoice;
use crm_core::store::{ChangeSet, CommitError, Guard, MAX_WRITES, NoneRefer, Write, WriteError};
use futures_util::future::join_all;

use crate::Harness;
use crate::contract::bench::{ACME, Bench, claim, contact, customer, id, invoice, note, user};
use crate::contract::extra_entity::{ProjectNote, Visit, VisitId};

/// A store with a few records of each kind.
async fn filled(harness: &dyn Harness) -> Bench {
    let bench = Bench::new(harness).await;
    bench.insert(ACME, &[user(1), user(2), user(3)]).await;
    let mut owned = customer(10, "Owned");
    owned.owner_id = Some(user(1).id);
    bench.insert(ACME, &[owned, customer(11, "Changed twice"), customer(12, "Third")]).await;
    bench.change::<Customer>(ACME, 11, |c| c.display_name = "Changed".to_owned()).await;
    bench.insert(ACME, &[contact(20, 10)]).await;
    bench.insert(ACME, &[invoice(30, 10)]).await;
    bench.insert(ACME, &[note(40, 12)]).await;
    bench.delete(ACME, User::def(), 3).await;
    bench
}

/// A change set of writes that are all right, and one thing more.
async fn with(bench: &Bench, more: impl FnOnce(&mut Changes<'_>)) -> ChangeSet {
    let third: Customer = bench.load(ACME, 12).await;
    let old: ProjectNote = bench.load(ACME, 40).await;
    let gone = bench.get(ACME, Contact::def(), id(20)).await.unwrap();
    bench.keyed(ACME, Some(claim("atomic", "x")), |changes| {
        changes.insert(&customer(50, "Zebra")).unwrap();
        let renamed = Customer { display_name: "Quagga".to_owned(), ..third.clone() };
        changes.update(&third, &renamed).unwrap();
        changes.delete_record(&gone);
        let mut moved = old.clone();
        moved.title = Some("Moved".to_owned());
        moved.tags = vec!["striped".to_owned()];
        changes.update(&old, &moved).unwrap();
        changes.insert(&note(51, 50)).unwrap();
        more(changes);
    })
}

/// Refuses the change set with this error and finds the store as it was.
async fn refused(bench: &Bench, set: &ChangeSet, expected: &dyn Fn(&CommitError) -> bool, what: &str) {
    let also = [(Customer::def(), id(50)), (ProjectNote::def(), id(51))];
    let tokens = ["zebra", "quagga", "#striped", "moved"];
    let before = bench.everything(ACME, &also, &tokens, &["atomic"]).await;
    let error = bench.commit(set).await.expect_err(what);
    assert!(expected(&error), "{what}: {error:?}");
    assert_eq!(bench.everything(ACME, &also, &tokens, &["atomic"]).await, before, "{what} leaves nothing");
    bench.store.seal_log(ACME, 1_000).await.unwrap();
    let log = bench.log(ACME, crm_core::store::Read::Log { after: 0, limit: 10_000 }).await;
    assert!(log.iter().all(|row| row.commit_id != set.commit_id), "{what} leaves no log row");
}

fn conflict(entity: &'static str, n: u128) -> impl Fn(&CommitError) -> bool {
    move |error| *error == CommitError::Conflict { entity, id: id(n) }
}

/// One write that does not fit, and nothing of the change set is there.
pub async fn xt_02_a_change_set_with_one_bad_write_leaves_nothing(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let current: Customer = bench.load(ACME, 11).await;
    let mut stale = current.clone();
    stale.meta.version = 1;
    let changed = |base: &Customer| Customer { is_vip: true, ..base.clone() };

    let set = with(&bench, |c| drop(c.update(&stale, &changed(&stale)).unwrap())).await;
    refused(&bench, &set, &conflict("customer", 11), "a stale update").await;

    let mut future = current.clone();
    future.meta.version = 7;
    let set = with(&bench, |c| drop(c.update(&future, &changed(&future)).unwrap())).await;
    refused(&bench, &set, &conflict("customer", 11), "an update of a version to come").await;

    let mut nobody = customer(99, "Nobody");
    nobody.meta.version = 1;
    let set = with(&bench, |c| drop(c.update(&nobody, &changed(&nobody)).unwrap())).await;
    refused(&bench, &set, &conflict("customer", 99), "an update of nothing").await;

    let set = with(&bench, |c| drop(c.insert(&customer(11, "Again")).unwrap())).await;
    // A server that keeps what it knows of other rows to itself says only that one of the inserted ones is there.
    let one_of = |e: &CommitError| matches!(e, CommitError::Conflict { entity: "customer", id: found } if [id(11), id(50)].contains(found));
    refused(&bench, &set, &one_of, "an insert of what is there").await;

    let set = with(&bench, |c| c.purge_record(&stale.to_record())).await;
    refused(&bench, &set, &conflict("customer", 11), "a stale purge").await;

    let mut again = invoice(31, 10);
    again.number = "R-30".to_owned();
    let set = with(&bench, |c| drop(c.insert(&again).unwrap())).await;
    let unique = |e: &CommitError| *e == CommitError::Unique { rule: "invoice_number_once" };
    refused(&bench, &set, &unique, "a second invoice of one number").await;

    let set = with(&bench, |c| drop(c.insert(&contact(21, 999)).unwrap())).await;
    let dangling = |e: &CommitError| *e == CommitError::Dangling { entity: "contact", field: "customer_id" };
    refused(&bench, &set, &dangling, "a contact of no customer").await;

    let user = bench.get(ACME, User::def(), id(1)).await.unwrap();
    let owner = bench.get(ACME, Customer::def(), id(10)).await.unwrap();
    let set = with(&bench, |c| c.purge_record(&user)).await;
    let in_use =
        |e: &CommitError| *e == CommitError::InUse { entity: "customer", field: "owner_id", id: id(1) };
    refused(&bench, &set, &in_use, "a purge of what is linked to").await;
    let set = with(&bench, |c| c.purge_record(&owner)).await;
    // A contact that the same change set writes leads there too, so both reasons are true.
    let in_use = |e: &CommitError| {
        matches!(
            e,
            CommitError::InUse { field: "customer_id", .. }
                | CommitError::Dangling { field: "customer_id", .. }
        )
    };
    refused(&bench, &set, &in_use, "a purge of a customer that has records").await;
}

/// One condition that does not hold, and nothing of the change set is there.
pub async fn xt_02_a_change_set_with_one_failed_condition_leaves_nothing(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let current = bench.get(ACME, Customer::def(), id(11)).await.unwrap();
    for version in [1, 3] {
        let mut set = with(&bench, |_| {}).await;
        set.guards.push(Guard::Version { def: Customer::def(), id: current.id(), version });
        refused(&bench, &set, &conflict("customer", 11), "a guard at another version").await;
    }
    let mut set = with(&bench, |_| {}).await;
    set.guards.push(Guard::Version { def: Customer::def(), id: id(98), version: 1 });
    refused(&bench, &set, &conflict("customer", 98), "a guard on nothing").await;

    let set = with(&bench, |c| c.guard_live(User::def(), id(3))).await;
    refused(&bench, &set, &conflict("user", 3), "a guard on the life of what is deleted").await;
    let set = with(&bench, |c| c.guard_live(User::def(), id(9))).await;
    refused(&bench, &set, &conflict("user", 9), "a guard on the life of nothing").await;

    let set = with(&bench, |c| c.none_refer(Customer::def(), "owner_id", id(1))).await;
    let in_use =
        |e: &CommitError| *e == CommitError::InUse { entity: "customer", field: "owner_id", id: id(1) };
    refused(&bench, &set, &in_use, "a condition of absence that does not hold").await;

    // The same conditions, where they hold.
    let set = with(&bench, |c| {
        c.guard_version(&current);
        c.guard_live(User::def(), id(2));
        c.none_refer(Customer::def(), "owner_id", id(2));
        c.none_refer(Contact::def(), "customer_id", id(10));
    })
    .await;
    bench.commit(&set).await.unwrap();
    assert_eq!(bench.get(ACME, Customer::def(), id(11)).await.unwrap(), current, "a guard changes nothing");
    assert!(bench.key(ACME, "atomic").await.is_some());
}

/// What the contract does not allow is refused by the store too, when it was not built by the core.
pub async fn xt_02_a_change_set_that_the_contract_forbids_is_refused(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let invalid = |expected: WriteError| move |e: &CommitError| *e == CommitError::Invalid(expected.clone());

    let mut set = with(&bench, |_| {}).await;
    let write = set.writes[0].clone();
    let mut row = set.log[0].clone();
    row.ordinal = 100;
    let (entity, twice) = (write.def().name, write.record().id());
    set.writes.push(write);
    set.log.push(row);
    refused(&bench, &set, &invalid(WriteError::Twice { entity, id: twice }), "one record twice").await;

    let visit = Visit {
        id: VisitId(id(60)),
        meta: crm_core::record::Meta::default(),
        note_id: note(40, 12).id,
        at: crate::contract::bench::start(),
        minutes: 5,
        place: None,
    };
    bench.insert(ACME, &[visit]).await;
    let stored = bench.get(ACME, Visit::def(), id(60)).await.unwrap();
    let mut after = stored.clone();
    after.set("minutes", crm_core::value::Value::Int(6));
    after.set("version", crm_core::value::Value::Int(2));
    let mut set = with(&bench, |c| drop(c.insert(&customer(52, "Row")).unwrap())).await;
    let place = set.writes.iter().position(|write| write.record().id() == id(52)).unwrap();
    set.writes[place] = Write::Update { before: stored, after };
    refused(&bench, &set, &invalid(WriteError::AppendOnly { entity: "visit" }), "a change of a visit").await;

    let many: Vec<Customer> = (0..=MAX_WRITES as u128).map(|n| customer(10_000 + n, "Many")).collect();
    let mut first = bench.set(ACME, |c| {
        for customer in &many[..500] {
            c.insert(customer).unwrap();
        }
    });
    let second = bench.set(ACME, |c| {
        for customer in &many[500..] {
            c.insert(customer).unwrap();
        }
    });
    let rest = second.log.into_iter().enumerate().map(|(n, mut row)| {
        row.commit_id = first.commit_id;
        row.ordinal = 500 + n as i32;
        row
    });
    first.log.extend(rest);
    first.writes.extend(second.writes);
    let count = MAX_WRITES + 1;
    refused(&bench, &first, &invalid(WriteError::TooMany { count }), "too many records").await;
}

/// A thousand records are one commit.
pub async fn xt_02_the_largest_change_set_is_applied(harness: &dyn Harness) {
    let bench = Bench::new(harness).await;
    bench
        .put(ACME, |changes| {
            for n in 0..MAX_WRITES as u128 {
                changes.insert(&customer(n + 1, &format!("Customer {n}"))).unwrap();
            }
        })
        .await;
    let all = bench.find(ACME, crate::contract::bench::all(Customer::def())).await;
    assert_eq!(all, (1..=MAX_WRITES as u128).collect::<Vec<_>>());
    let sealed = bench.store.seal_log(ACME, 10_000).await.unwrap();
    assert_eq!(sealed, MAX_WRITES);
}

/// Handing in the same change set again is a success that changes nothing, also much later.
pub async fn xt_03_a_change_set_committed_again_changes_nothing(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let set = with(&bench, |_| {}).await;
    bench.commit(&set).await.unwrap();
    let also = [(Customer::def(), id(50)), (ProjectNote::def(), id(51))];
    let before = bench.everything(ACME, &also, &["zebra"], &["atomic"]).await;
    assert_eq!(before.records["customer"].len(), 4);
    bench.commit(&set).await.unwrap();
    assert_eq!(bench.everything(ACME, &also, &["zebra"], &["atomic"]).await, before);
    // Also when what it wrote has changed since.
    bench.change::<Customer>(ACME, 50, |c| c.display_name = "Okapi".to_owned()).await;
    let before = bench.everything(ACME, &also, &["zebra", "okapi"], &["atomic"]).await;
    bench.second(harness).await.commit(&set).await.unwrap();
    assert_eq!(bench.everything(ACME, &also, &["zebra", "okapi"], &["atomic"]).await, before);
}

/// Eight at once, through two handles: all succeed, it is applied once.
pub async fn xt_03_a_change_set_committed_by_many_at_once_is_applied_once(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let second = bench.second(harness).await;
    for round in 0..crate::size(5, 50) as u128 {
        let before: Customer = bench.load(ACME, 10).await;
        let mut after = before.clone();
        after.display_name = format!("Round {round}");
        let set = bench.set(ACME, |changes| {
            changes.update(&before, &after).unwrap();
            changes.insert(&note(1_000 + round, 10)).unwrap();
        });
        let tasks = (0..8).map(|n| {
            let (bench, set) = (if n % 2 == 0 { bench.clone() } else { second.clone() }, set.clone());
            tokio::spawn(async move { bench.commit(&set).await })
        });
        for outcome in join_all(tasks).await {
            outcome.unwrap().unwrap();
        }
        let stored = bench.get(ACME, Customer::def(), id(10)).await.unwrap();
        assert_eq!(stored.version(), before.meta.version + 1);
        assert_eq!(bench.history(ACME, Customer::def(), id(10)).await.len() as i64, stored.version());
        assert_eq!(bench.history(ACME, ProjectNote::def(), id(1_000 + round)).await.len(), 1);
    }
}

/// Writing nothing but a key, and nothing at all, are commits too.
pub async fn xt_03_a_change_set_of_nothing_is_applied(harness: &dyn Harness) {
    let bench = filled(harness).await;
    let before = bench.everything(ACME, &[], &[], &[]).await;
    bench.commit(&bench.set(ACME, |_| {})).await.unwrap();
    bench.commit(&bench.keyed(ACME, Some(claim("nothing", "r")), |_| {})).await.unwrap();
    assert_eq!(bench.everything(ACME, &[], &[], &[]).await, before);
    assert_eq!(bench.key(ACME, "nothing").await.map(|k| k.result), Some("r".to_owned()));
    let mut bare = bench.set(ACME, |_| {});
    bare.none_refer.push(NoneRefer { def: Invoice::def(), field: "customer_id", id: id(10) });
    let error = bench.commit(&bare).await.unwrap_err();
    assert_eq!(error, CommitError::InUse { entity: "invoice", field: "customer_id", id: id(10) });
}
