//! Networks that lose the request to commit, or the reply to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crm_core::command::Changes;
use crm_core::customer::Customer;
use crm_core::store::{ChangeSet, CommitError, Store, StoreError};
use crm_core::{Context, Crm, Done, Env, SystemEnv, TenantId};
use crm_test_servers::{Fault, Lose, Proxy};

use crate::audit::Snapshot;
use crate::backend::{Backend, Handle, Kind, Patience};
use crate::deed::{Command, Deed, Failure};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_postgres_behind_a_network_that_loses_commits_applies_each_once() {
    lose(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xt_03_mongod_behind_a_network_that_loses_commits_applies_each_once() {
    lose(Kind::Mongo).await;
}

/// What happens to a commit on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is lost once.
    LosesOnce(Lose),
    /// It is lost, and everything after it until the network is mended.
    LosesAllAfter(Lose),
}

const WAYS: [Way; 4] = [
    Way::LosesOnce(Lose::Reply),
    Way::LosesOnce(Lose::Request),
    Way::LosesAllAfter(Lose::Reply),
    Way::LosesAllAfter(Lose::Request),
];

struct Network {
    backend: Backend,
    proxy: Arc<Proxy>,
    /// Through the proxy.
    far: Handle,
    /// Around it.
    near: Crm,
    tenant: TenantId,
}

impl Network {
    async fn new(kind: Kind) -> Self {
        let backend = Backend::start_impatient(kind).await;
        let near = backend.handle().await.crm();
        let (proxy, url) = Proxy::before_url(&backend.url()).unwrap();
        let far = backend.connect(&url, Patience::Short).await.unwrap();
        Self { backend, proxy: Arc::new(proxy), far, near, tenant: TenantId(SystemEnv.new_id()) }
    }

    /// Runs a call while commits are lost in this way, and mends the network afterwards.
    async fn during<T>(&self, way: Way, call: impl Future<Output = T>) -> T {
        let before = self.proxy.fired();
        let answer = match way {
            Way::LosesOnce(lose) => {
                self.proxy.arm(self.backend.fault(lose));
                call.await
            }
            Way::LosesAllAfter(lose) => {
                self.proxy.arm(self.backend.fault(lose).times(u32::MAX));
                let proxy = self.proxy.clone();
                let cutter = tokio::task::spawn_blocking(move || {
                    while proxy.fired() == before {
                        std::thread::yield_now();
                    }
                    let everything = Fault {
                        request: Vec::new(),
                        reply: Vec::new(),
                        lose: Lose::Request,
                        skip: 0,
                        times: u32::MAX,
                    };
                    proxy.arm(everything);
                });
                let answer = call.await;
                cutter.await.unwrap();
                answer
            }
        };
        assert!(self.proxy.fired() > before, "the proxy did not strike");
        self.proxy.disarm();
        answer
    }
}

/// A change set that inserts or renames a customer.
fn change(store: &dyn Store, ctx: &Context, before: Option<&Customer>, name: &str) -> (Customer, ChangeSet) {
    let mut changes = Changes::new(store.catalog(), &SystemEnv, ctx, "tests.change");
    let after = Customer { display_name: name.to_owned(), ..before.cloned().unwrap_or_default() };
    let customer = match before {
        None => changes.insert(&after).unwrap(),
        Some(before) => changes.update(before, &after).unwrap(),
    };
    (customer, changes.finish(None).unwrap())
}

fn is_clear(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::Timeout { .. })
}

/// Hands a change set in again, with rests, as the contract asks for.
async fn repeat_commit(store: &dyn Store, set: &ChangeSet) -> Result<(), CommitError> {
    for attempt in 1..400 {
        match store.commit(set).await {
            Err(CommitError::Contended) => store.rest(attempt).await,
            other => return other,
        }
    }
    Err(CommitError::Contended)
}

/// Repeats a command that is refused because its own first attempt, abandoned on the server, is still in the way.
async fn repeat_command(command: &Command, crm: &Crm, tenant: TenantId) -> Done<()> {
    for _ in 0..20 {
        match command.perform(crm, tenant).await {
            Err(Failure::Contended) => {}
            other => return other.unwrap_or_else(|failure| panic!("{command:?}: {failure:?}")),
        }
    }
    panic!("{command:?} stays contended");
}

async fn lose(kind: Kind) {
    let network = Network::new(kind).await;
    let tenant = network.tenant;
    let ctx = Context::system(tenant);
    let (far, crm) = (network.far.store(), network.far.crm());
    let (mut told, mut not_told, mut applied_before) = (0, 0, 0);
    let mut expected_rows = 0;

    // Change sets, repeated by their commit id.
    for (place, way) in WAYS.iter().copied().enumerate() {
        let (inserted, insert) = change(&*far, &ctx, None, &format!("Inserted {place}"));
        let mut before = None;
        for (version, set) in [(1, insert), (2, change(&*far, &ctx, Some(&inserted), "Renamed").1)] {
            match network.during(way, far.commit(&set)).await {
                Ok(()) => told += 1,
                Err(CommitError::Store(error)) if is_clear(&error) => not_told += 1,
                Err(other) => panic!("{way:?}: {other}"),
            }
            let there = network.near.customers().get(&ctx, inserted.id).await.ok();
            let applied = there.is_some_and(|customer| customer.meta.version == version);
            if way == Way::LosesAllAfter(Lose::Request) {
                assert!(!applied, "a request that was lost was acted on");
            } else {
                assert!(applied, "{way:?}: version {version} is not there");
                applied_before += 1;
            }
            for repeat in 0..2 {
                let again = repeat_commit(&*far, &set).await;
                assert!(again.is_ok(), "{way:?}: repeat {repeat}: {again:?}");
            }
            let now = network.near.customers().get(&ctx, inserted.id).await.unwrap();
            assert_eq!(now.meta.version, version, "{way:?}: applied more than once");
            assert_ne!(Some(&now), before.as_ref());
            before = Some(now);
            expected_rows += 1;
        }
    }

    // Commands, repeated by their key.
    let mut commands = Vec::new();
    for (place, way) in WAYS.iter().copied().enumerate() {
        let deed =
            Deed::CreateCustomer { name: format!("Created {place}"), external: vec![place.to_string()] };
        let command = Command { id: SystemEnv.new_id(), deed };
        let outcome = network.during(way, command.perform(&crm, tenant)).await;
        match &outcome {
            Ok(done) => {
                told += 1;
                assert!(!done.repeated);
            }
            Err(Failure::Store(error)) if is_clear(error) => not_told += 1,
            Err(other) => panic!("{way:?}: {other:?}"),
        }
        let again = repeat_command(&command, &crm, tenant).await;
        let applied = way != Way::LosesAllAfter(Lose::Request);
        assert_eq!(again.repeated, applied, "{way:?}");
        applied_before += usize::from(applied);
        if let Ok(first) = outcome {
            assert_eq!(first.written, again.written);
        }
        expected_rows += again.written.len();
        commands.push((command, again.written));
    }

    // A caller that drops its call when the commit is on its way.
    let command = Command {
        id: SystemEnv.new_id(),
        deed: Deed::CreateCustomer { name: "Dropped".to_owned(), external: vec!["dropped".to_owned()] },
    };
    let before = network.proxy.fired();
    network.proxy.arm(network.backend.fault(Lose::Reply));
    tokio::select! {
        outcome = command.perform(&crm, tenant) => panic!("answered before the commit was lost: {outcome:?}"),
        () = async { while network.proxy.fired() == before { tokio::task::yield_now().await } } => {}
    }
    network.proxy.disarm();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let again = repeat_command(&command, &crm, tenant).await;
    expected_rows += again.written.len();
    commands.push((command, again.written));

    let all = Snapshot::take(&network.near, tenant).await;
    all.check(&network.backend, &network.near, tenant).await;
    assert_eq!(all.log.len(), expected_rows, "every change once");
    for (command, written) in &commands {
        assert_eq!(all.done_by(command), (written.iter().cloned().collect::<BTreeSet<_>>(), 1));
    }
    assert!(told > 0 && not_told > 0, "{told} told, {not_told} not told");
    println!(
        "{}: {} losses at commits; the caller was told of success {told} times and of an unknown outcome {not_told} \
         times; {applied_before} had been applied before they were repeated; {} log rows, each once",
        network.backend.name(),
        network.proxy.fired(),
        all.log.len(),
    );
}
