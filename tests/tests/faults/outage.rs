//! Servers that are down, and servers that do not answer.

use std::time::{Duration, Instant};

use crm_core::catalog::Entity as _;
use crm_core::command::Changes;
use crm_core::criteria::Filter;
use crm_core::customer::{Customer, CustomerId};
use crm_core::store::{ChangeSet, CommitError, Query, Read, Store, StoreError};
use crm_core::{Context, Env, SystemEnv, TenantId};
use futures_util::StreamExt as _;
use uuid::Uuid;

use crate::backend::{Backend, Kind, Patience};

/// Longer than any call may take with [`Patience::Short`], and much shorter than for ever.
const BOUND: Duration = Duration::from_secs(30);
/// A name that must not turn up in an error.
const NAME: &str = "Gwendolyn Secret";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_a_stopped_postgres_is_unavailable_and_is_found_again() {
    stopped(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_a_stopped_mongod_is_unavailable_and_is_found_again() {
    stopped(Kind::Mongo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_a_postgres_that_does_not_answer_is_given_up() {
    paused(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_a_mongod_that_does_not_answer_is_given_up() {
    paused(Kind::Mongo).await;
}

fn insert(store: &dyn Store, ctx: &Context) -> (Uuid, ChangeSet) {
    let mut changes = Changes::new(store.catalog(), &SystemEnv, ctx, "tests.insert");
    let customer = Customer { display_name: NAME.to_owned(), ..Customer::default() };
    let customer = changes.insert(&customer).unwrap();
    (customer.id.0, changes.finish(None).unwrap())
}

/// What an error says: kind of call, time it took, error.
struct Report {
    call: &'static str,
    took: Duration,
    error: StoreError,
}

async fn bounded<T>(call: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Report {
    let started = Instant::now();
    let answer = tokio::time::timeout(BOUND, work).await;
    let answer = answer.unwrap_or_else(|_| panic!("{call} hangs"));
    let Err(error) = answer else { panic!("{call} succeeds without a server") };
    Report { call, took: started.elapsed(), error }
}

fn of_commit(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        other => panic!("{other}"),
    }
}

/// Every kind of call. `deaf` is a handle on which nobody listens yet: a store may join those who do without a word of
/// the server.
async fn all_calls(
    store: &dyn Store,
    deaf: &dyn Store,
    tenant: TenantId,
    id: Uuid,
    set: &ChangeSet,
) -> Vec<Report> {
    let def = Customer::def();
    let get = [Read::Get { def, ids: vec![id] }];
    let several = [Read::Get { def, ids: vec![id] }, Read::LogHead];
    let scan = async {
        let mut rows = store.scan(tenant, Query::new(def, Filter::always(), 1));
        match rows.next().await {
            Some(Err(error)) => Err(error),
            other => Ok(other),
        }
    };
    // All at once, so that the time limits pass once.
    let asked = tokio::join!(
        bounded("read", store.read(tenant, &get)),
        bounded("read of several", store.read(tenant, &several)),
        bounded("commit", async { store.commit(set).await.map_err(of_commit) }),
        bounded("seal_log", store.seal_log(tenant, 10)),
        bounded("acknowledge", store.acknowledge(tenant, "c", 1)),
        bounded("expire_keys", store.expire_keys(tenant, SystemEnv.now(), 10)),
        bounded("wakes", async { deaf.wakes(tenant).await.map(|_| ()) }),
        bounded("scan", scan),
    );
    <[Report; 8]>::from(asked).into()
}

/// An error says that the server is away, and nothing else.
fn check(backend: &Backend, reports: &[Report]) -> String {
    for Report { call, error, took } in reports {
        let gone = matches!(error, StoreError::Unavailable { .. } | StoreError::Timeout { .. });
        assert!(gone, "{call} after {took:?}: {error:?}");
        let text = format!("{error} {error:?}").to_lowercase();
        let port = backend.port().to_string();
        for secret in
            [NAME, "127.0.0.1", &port, "os error", "refused (", "topology", "pool", "crm_", "sql", "://"]
        {
            assert!(!text.contains(&secret.to_lowercase()), "{call} tells {secret:?}: {text}");
        }
    }
    let longest = reports.iter().max_by_key(|report| report.took).unwrap();
    format!("{:.1?} ({})", longest.took, longest.call)
}

/// Opens several connections of a handle and leaves them idle.
async fn warm(store: &dyn Store, tenant: TenantId) {
    let get = [Read::Get { def: Customer::def(), ids: vec![Uuid::nil()] }];
    let reads = (0..8).map(|_| store.read(tenant, &get));
    for answer in futures_util::future::join_all(reads).await {
        answer.unwrap();
    }
}

async fn stopped(kind: Kind) {
    let backend = Backend::start(kind).await;
    let handle = backend.connect(&backend.url(), Patience::Short).await.unwrap();
    let store = handle.store();
    let deaf = backend.connect(&backend.url(), Patience::Short).await.unwrap().store();
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let (id, first) = insert(&*store, &ctx);
    store.commit(&first).await.unwrap();
    let mut wakes = store.wakes(tenant).await.unwrap();
    warm(&*store, tenant).await;

    // Found again although every idle connection is dead.
    backend.kill().await;
    backend.restart().await;
    let customer = handle.crm().customers().get(&ctx, CustomerId(id)).await;
    assert!(customer.is_ok(), "the first read after a restart: {customer:?}");
    warm(&*store, tenant).await;
    backend.kill().await;
    backend.restart().await;
    let (_, second) = insert(&*store, &ctx);
    store.commit(&second).await.unwrap();
    warm(&*store, tenant).await;

    // Down.
    backend.kill().await;
    let (_, third) = insert(&*store, &ctx);
    let reports = all_calls(&*store, &*deaf, tenant, id, &third).await;
    let longest = check(&backend, &reports);
    let connect = async { backend.connect(&backend.url(), Patience::Short).await.map(|_| ()) };
    let connecting = check(&backend, &[bounded("connect", connect).await]);

    // Up again: the same handle, and a stream that was open all the time.
    backend.restart().await;
    store.commit(&third).await.unwrap();
    while futures_util::FutureExt::now_or_never(wakes.next()).is_some() {}
    let waker = async {
        // The stream finds the server again in its own time; who waits on it is woken by what comes then.
        loop {
            let (_, set) = insert(&*store, &ctx);
            store.commit(&set).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        woken = wakes.next() => assert_eq!(woken, Some(()), "the stream of wake-ups ended"),
        () = waker => {},
        () = tokio::time::sleep(BOUND) => panic!("nobody is woken after the restart"),
    }
    let history = handle.crm().log().history::<Customer>(&ctx, CustomerId(id)).await.unwrap();
    assert_eq!(history.len(), 1);
    println!(
        "{}: down, {} kinds of calls say so within {longest}, connecting within {connecting}; the same handle \
         answers after each of 3 restarts",
        backend.name(),
        reports.len()
    );
}

/// Callers that give up while a server does not answer, at whatever they were doing: their connections must not come
/// back half used.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_calls_dropped_on_a_postgres_that_does_not_answer_spoil_no_connection() {
    dropped(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_calls_dropped_on_a_mongod_that_does_not_answer_spoil_no_connection() {
    dropped(Kind::Mongo).await;
}

async fn dropped(kind: Kind) {
    let backend = Backend::start_impatient(kind).await;
    let handle = backend.handle().await;
    let store = handle.store();
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let (id, first) = insert(&*store, &ctx);
    store.commit(&first).await.unwrap();
    let mut calls = 0;
    for _ in 0..3 {
        warm(&*store, tenant).await;
        backend.pause().await;
        let several = [Read::Get { def: Customer::def(), ids: vec![id] }, Read::LogHead];
        let sets: Vec<_> = (0..4).map(|_| insert(&*store, &ctx).1).collect();
        let reads = futures_util::future::join_all((0..4).map(|_| store.read(tenant, &several)));
        let commits = futures_util::future::join_all(sets.iter().map(|set| store.commit(set)));
        let work = futures_util::future::join(reads, commits);
        assert!(
            tokio::time::timeout(Duration::from_millis(100), work).await.is_err(),
            "answered while paused"
        );
        calls += 8;
        backend.resume().await;
        for _ in 0..3 {
            let answers = futures_util::future::join_all((0..10).map(|_| store.read(tenant, &several))).await;
            for answer in answers {
                let answer = answer.unwrap_or_else(|error| panic!("a connection is spoilt: {error:?}"));
                assert!(matches!(&answer[0], crm_core::store::Answer::Records(found) if found.len() == 1));
            }
        }
        for set in &sets {
            // MongoDB takes a moment to end what was dropped.
            let mut again = store.commit(set).await;
            for attempt in (1..100).take_while(|_| kind == Kind::Mongo) {
                if again != Err(CommitError::Contended) {
                    break;
                }
                store.rest(attempt).await;
                again = store.commit(set).await;
            }
            assert!(again.is_ok(), "a connection is spoilt: {again:?}");
        }
    }
    let all = crate::audit::Snapshot::take(&handle.crm(), tenant).await;
    all.check(&backend, &handle.crm(), tenant).await;
    assert_eq!(all.records.len(), 1 + 12);
    println!(
        "{}: {calls} calls were dropped while the server was paused; every connection answers since",
        backend.name()
    );
}

async fn paused(kind: Kind) {
    let backend = Backend::start_impatient(kind).await;
    let handle = backend.connect(&backend.url(), Patience::Short).await.unwrap();
    let store = handle.store();
    let tenant = TenantId(SystemEnv.new_id());
    let ctx = Context::system(tenant);
    let (id, first) = insert(&*store, &ctx);
    store.commit(&first).await.unwrap();
    warm(&*store, tenant).await;

    backend.pause().await;
    let (second_id, second) = insert(&*store, &ctx);
    let reports = all_calls(&*store, &*store, tenant, id, &second).await;
    let longest = check(&backend, &reports);
    let connect = async { backend.connect(&backend.url(), Patience::Short).await.map(|_| ()) };
    let connecting = check(&backend, &[bounded("connect", connect).await]);
    backend.resume().await;

    // What was given up may have been done since, or not: handed in again, it is there once.
    let settled = async {
        loop {
            match store.commit(&second).await {
                Ok(()) => return,
                Err(CommitError::Contended | CommitError::Store(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    assert!(tokio::time::timeout(BOUND, settled).await.is_ok(), "the handle does not recover from a pause");
    let history = handle.crm().log().history::<Customer>(&ctx, CustomerId(second_id)).await.unwrap();
    assert_eq!(history.len(), 1, "applied once");
    println!(
        "{}: paused, {} kinds of calls are given up within {longest}, connecting within {connecting}; afterwards \
         the same handle answers and the commit under way is there once",
        backend.name(),
        reports.len()
    );
}
