//! Commits that come late, and consumers that die: nothing is skipped, and all see the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::doc;
use crm_conformance::size;
use crm_core::command::Changes;
use crm_core::customer::{Customer, CustomerId, Expect};
use crm_core::store::ChangeSet;
use crm_core::{Context, Crm, Env, SystemEnv, TenantId};
use crm_store_mongo::Joined;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::audit::Snapshot;
use crate::backend::{Backend, DATABASE, Handle, Kind};
use crate::consumer::Consumer;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_late_commits_on_postgres_are_not_skipped() {
    late(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_late_commits_on_mongod_are_not_skipped() {
    late(Kind::Mongo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_a_consumer_that_dies_on_postgres_gets_its_rows_again() {
    dies(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_02_a_consumer_that_dies_on_mongod_gets_its_rows_again() {
    dies(Kind::Mongo).await;
}

async fn create(crm: &Crm, ctx: &Context, name: &str) -> Customer {
    let customer = Customer { display_name: name.to_owned(), ..Customer::default() };
    crm.customers().create(ctx, customer).await.unwrap().value
}

async fn rename(crm: &Crm, ctx: &Context, id: CustomerId, name: &str) -> Customer {
    let change = |customer: &mut Customer| name.clone_into(&mut customer.display_name);
    crm.customers().update(ctx, id, Expect::Any, change).await.unwrap().value
}

/// A change set decided now.
fn renaming(crm: &Crm, ctx: &Context, before: &Customer, name: &str) -> ChangeSet {
    let mut changes = Changes::new(crm.store().catalog(), &SystemEnv, ctx, "tests.late");
    let after = Customer { display_name: name.to_owned(), ..before.clone() };
    changes.update(before, &after).unwrap();
    changes.finish(None).unwrap()
}

/// A transaction of somebody else's in the same database.
enum Foreign {
    Postgres(Box<sqlx::Transaction<'static, sqlx::Postgres>>),
    Mongo(Box<mongodb::ClientSession>),
}

impl Foreign {
    /// Writes a change set in a transaction that stays open.
    async fn with(handle: &Handle, change: &ChangeSet) -> Self {
        match handle {
            Handle::Postgres(store) => {
                let mut transaction = store.pool().begin().await.unwrap();
                store.commit_in(&mut transaction, change).await.unwrap();
                Self::Postgres(Box::new(transaction))
            }
            Handle::Mongo(store) => {
                let mut session = begin(store.database().client()).await;
                let joined = store.commit_in(&mut session, change).await.unwrap();
                assert_eq!(joined, Joined::Pending);
                Self::Mongo(Box::new(session))
            }
        }
    }

    async fn commit(self) {
        match self {
            Self::Postgres(transaction) => transaction.commit().await.unwrap(),
            Self::Mongo(mut session) => session.commit_transaction().await.unwrap(),
        }
    }
}

async fn begin(client: &mongodb::Client) -> mongodb::ClientSession {
    use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
    let mut session = client.start_session().await.unwrap();
    session
        .start_transaction()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).build())
        .await
        .unwrap();
    session
}

/// Holds a customer's record locked while a future runs, in a transaction that is then given up.
async fn holding<T>(backend: &Backend, tenant: TenantId, id: CustomerId, work: impl Future<Output = T>) -> T {
    match backend {
        Backend::Postgres(server) => {
            let mut connection = PgConnection::connect(&server.url()).await.unwrap();
            let mut transaction = connection.begin().await.unwrap();
            let lock = "SELECT id FROM crm.customers WHERE tenant = $1 AND id = $2 FOR UPDATE";
            let held: Uuid = sqlx::query_scalar(lock)
                .bind(tenant.0)
                .bind(id.0)
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
            assert_eq!(held, id.0);
            let answer = work.await;
            transaction.rollback().await.unwrap();
            answer
        }
        Backend::Mongo(server) => {
            let client = mongodb::Client::with_uri_str(server.url()).await.unwrap();
            let mut session = begin(&client).await;
            let customers = client.database(DATABASE).collection::<bson::Document>("customers");
            let uuid = |id: Uuid| bson::Uuid::from_bytes(id.into_bytes());
            let filter = doc! { "_id": { "t": uuid(tenant.0), "i": uuid(id.0) } };
            let touched = customers
                .update_one(filter, doc! { "$set": { "held": 1 } })
                .session(&mut session)
                .await
                .unwrap();
            assert_eq!(touched.matched_count, 1);
            let answer = work.await;
            session.abort_transaction().await.unwrap();
            answer
        }
    }
}

async fn late(kind: Kind) {
    let backend = Backend::start(kind).await;
    let handles = [backend.handle().await, backend.handle().await];
    let crms = [handles[0].crm(), handles[1].crm()];
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let mut customers = Vec::new();
    for n in 0..6 {
        customers.push(create(&crms[0], &ctx, &format!("Customer {n}")).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = ["first", "second"]
        .iter()
        .zip(&crms)
        .map(|(name, crm)| tokio::spawn(Consumer::new(crm.clone(), tenant, name).follow(stop.clone())))
        .collect();
    // Four that write all the time, each to a record of its own.
    let busy = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (crm, ctx, busy, id) = (crms[n % 2].clone(), ctx.clone(), busy.clone(), customers[n].id);
            tokio::spawn(async move {
                let mut version = 1;
                while busy.load(Ordering::SeqCst) {
                    let now = rename(&crm, &ctx, id, &format!("Name {version}")).await.meta.version;
                    assert_eq!(now, version + 1);
                    version = now;
                }
                version
            })
        })
        .collect();

    let rounds = size(3, 20);
    let mut overtaken = 0;
    for round in 0..rounds {
        // Written early, committed late: others commit and are consumed in between.
        let before = crms[0].customers().get(&ctx, customers[4].id).await.unwrap();
        let change = renaming(&crms[0], &ctx, &before, &format!("Late {round}"));
        let foreign = Foreign::with(&handles[0], &change).await;
        let head = sealed(&crms[1], tenant).await;
        wait_for(&crms[1], tenant, head + 20).await;
        foreign.commit().await;
        let row = row_of(&crms[1], tenant, change.commit_id).await;
        assert!(row > head + 20, "number {row} was given before the commit");
        overtaken += row - head;

        // Two that want a record which somebody holds: they wait their turn, while others commit.
        let id = customers[5].id;
        let head = sealed(&crms[1], tenant).await;
        let waiting = holding(&backend, tenant, id, async {
            let waiting: Vec<_> = crms
                .iter()
                .map(|crm| {
                    let (crm, ctx) = (crm.clone(), ctx.clone());
                    tokio::spawn(async move {
                        rename(&crm, &ctx, id, &format!("Waited {round} {}", SystemEnv.new_id())).await
                    })
                })
                .collect();
            wait_for(&crms[1], tenant, head + 20).await;
            assert!(waiting.iter().all(|writer| !writer.is_finished()), "the lock does not hold");
            waiting
        });
        let mut versions = Vec::new();
        for writer in waiting.await {
            versions.push(writer.await.unwrap().meta.version);
        }
        versions.sort_unstable();
        let first = 2 + 2 * i64::try_from(round).unwrap();
        assert_eq!(versions, [first, first + 1]);
    }
    busy.store(false, Ordering::SeqCst);
    let mut expected = BTreeMap::new();
    for (n, writer) in writers.into_iter().enumerate() {
        expected.insert(customers[n].id.0, writer.await.unwrap());
    }
    expected.insert(customers[4].id.0, 1 + i64::try_from(rounds).unwrap());
    expected.insert(customers[5].id.0, 1 + 2 * i64::try_from(rounds).unwrap());
    stop.store(true, Ordering::SeqCst);

    let all = Snapshot::take(&crms[0], tenant).await;
    all.check(&backend, &crms[0], tenant).await;
    let mut versions: BTreeMap<Uuid, i64> = BTreeMap::new();
    for row in all.log.iter().filter(|row| row.entity == "customer") {
        *versions.entry(row.record_id).or_default() = row.version;
    }
    assert_eq!(versions, expected);
    let order: Vec<_> = all.log.iter().map(|row| (row.commit_id, row.ordinal)).collect();
    for follower in followers {
        let follower = follower.await.unwrap();
        assert_eq!(follower.seen, order, "{} saw another order", follower.name);
    }
    println!(
        "{}: {rounds} commits were overtaken by {overtaken} rows, {} waited for a lock; two consumers saw the same {} rows \
         in the same order, none skipped",
        backend.name(),
        2 * rounds,
        order.len()
    );
}

/// The number of the last row that has one now.
async fn sealed(crm: &Crm, tenant: TenantId) -> i64 {
    while crm.store().seal_log(tenant, 1_000).await.unwrap() > 0 {}
    match crate::audit::ask(crm, tenant, crm_core::store::Read::LogHead).await {
        crm_core::store::Answer::Position(number) => number,
        other => panic!("{other:?}"),
    }
}

async fn wait_for(crm: &Crm, tenant: TenantId, number: i64) {
    let reached = async {
        while sealed(crm, tenant).await < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Less than the 5 s after which a command that waits is refused.
    assert!(tokio::time::timeout(Duration::from_mins(1), reached).await.is_ok(), "the others stand still");
}

/// The number that a commit's row has been given.
async fn row_of(crm: &Crm, tenant: TenantId, commit: Uuid) -> i64 {
    let all = Snapshot::take(crm, tenant).await;
    let mut rows = all.log.iter().filter(|row| row.commit_id == commit);
    let number = rows.next().and_then(|row| row.number).expect("the late row is in the log");
    assert!(rows.next().is_none());
    number
}

async fn dies(kind: Kind) {
    let backend = Backend::start(kind).await;
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let writer = backend.handle().await.crm();
    let customer = create(&writer, &ctx, "One").await;
    for n in 0..20 {
        rename(&writer, &ctx, customer.id, &format!("Name {n}")).await;
    }
    let (mut done, mut deaths) = (Vec::new(), 0);
    loop {
        // A process that reads, works, and is gone before it says so.
        let dying = backend.handle().await.crm();
        let lost = dying.log().next(&ctx, "mailer", 5).await.unwrap();
        drop(dying);
        deaths += 1;
        rename(&writer, &ctx, customer.id, &format!("Meanwhile {deaths}")).await;
        // The one that takes its place.
        let next = backend.handle().await.crm();
        let rows = next.log().next(&ctx, "mailer", 5).await.unwrap();
        let numbers =
            |rows: &[crm_core::log::LogRow]| rows.iter().map(|row| row.number.unwrap()).collect::<Vec<_>>();
        assert!(rows.starts_with(&lost), "{:?} came as {:?}", numbers(&lost), numbers(&rows));
        let Some(last) = rows.last().and_then(|row| row.number) else { panic!("the last change is missing") };
        done.extend(numbers(&rows));
        next.log().acknowledge(&ctx, "mailer", last).await.unwrap();
        // A late word of the dead one does not move it back.
        writer.log().acknowledge(&ctx, "mailer", 1).await.unwrap();
        if deaths == 5 {
            break;
        }
    }
    assert_eq!(done, (1..=i64::try_from(done.len()).unwrap()).collect::<Vec<_>>());
    let mut everything = writer.log().next(&ctx, "another", 1_000).await.unwrap();
    everything.retain(|row| row.entity == "customer");
    assert_eq!(everything.len(), 1 + 20 + deaths, "another consumer has a place of its own");
    println!(
        "{}: {deaths} consumers died with rows in hand; all {} rows that followed came again, in order, none skipped",
        backend.name(),
        done.len()
    );
}
