//! Where the properties take place: a tenant with a few users, over an empty store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crm_core::catalog::{Catalog, Entity};
use crm_core::contact::Contact;
use crm_core::customer::{Customer, CustomerId};
use crm_core::directory::{User, UserId};
use crm_core::interaction::Interaction;
use crm_core::store::Store;
use crm_core::value::Instant;
use crm_core::{Context, Crm, Env as _, Find, FixedEnv, TenantId};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::Harness;

/// A leap day, at noon.
pub(super) const START: &str = "2024-02-29T12:00:00Z";

/// The key that cursors are signed with.
pub(super) const KEY: [u8; 32] = [7; 32];

static SEED: AtomicU64 = AtomicU64::new(1);

/// A store with a tenant in it, and who acts there.
pub(super) struct World {
    /// The store.
    pub(super) store: Arc<dyn Store>,
    /// The first process.
    pub(super) crm: Crm,
    /// Its clock.
    pub(super) env: Arc<FixedEnv>,
    /// The tenant.
    pub(super) tenant: TenantId,
}

/// The users of every tenant.
pub(super) const ADA: Uuid = Uuid::from_u128(0xada);
pub(super) const BOB: Uuid = Uuid::from_u128(0xb0b);
pub(super) const GONE: Uuid = Uuid::from_u128(0x90e);
pub(super) const RED: Uuid = Uuid::from_u128(0x7ed);

/// How many records a directory of these users has: the users, and that Ada and Bob are active.
pub(super) const EMPLOYED: usize = 5;

/// The number of a seed that no other world of this run has.
pub(super) fn seed() -> u64 {
    SEED.fetch_add(1, Ordering::SeqCst) + (u64::from(std::process::id()) << 32)
}

/// An instant.
pub(super) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

impl World {
    /// An empty store with one tenant and its users: Ada, Bob, and Gone, who is not active.
    pub(super) async fn new(harness: &dyn Harness) -> Self {
        Self::starting(harness, at(START)).await
    }

    /// The same at another time.
    pub(super) async fn starting(harness: &dyn Harness, now: Instant) -> Self {
        Self::knowing(harness, crm_core::standard_catalog().build().unwrap(), now).await
    }

    /// The same with the embedder's own entities.
    pub(super) async fn knowing(harness: &dyn Harness, catalog: Catalog, now: Instant) -> Self {
        let store = harness.store(catalog).await;
        let (crm, env) = process(&store, now);
        let world = Self { store, crm, env, tenant: TenantId(Uuid::from_u128(u128::from(seed()))) };
        world.employ(world.tenant).await;
        world
    }

    /// Puts the users into a tenant's directory.
    pub(super) async fn employ(&self, tenant: TenantId) {
        let user = |id: Uuid, name: &str, is_active| User {
            id: UserId(id),
            name: name.to_owned(),
            email: Some(format!("{}@staff.example.com", name.to_lowercase())),
            is_active,
            ..User::default()
        };
        let mut bob = user(BOB, "Bob", true);
        bob.manager_id = Some(UserId(ADA));
        let users = vec![user(ADA, "Ada", true), bob, user(GONE, "Gone", false)];
        self.crm.users().put(&Context::system(tenant), users).await.unwrap();
    }

    /// Another process on the same data.
    pub(super) async fn second(&self, harness: &dyn Harness) -> Crm {
        let store = harness.second_handle(&self.store).await;
        process(&store, self.env.now()).0
    }

    /// Ada's request.
    pub(super) fn ada(&self) -> Context {
        Context::user(self.tenant, ADA)
    }

    /// Bob's request.
    pub(super) fn bob(&self) -> Context {
        Context::user(self.tenant, BOB)
    }

    /// A request of Ada's as manager, who may read the log.
    pub(super) fn manager(&self) -> Context {
        self.ada().with_role("manager")
    }

    /// The system's request, which sees and may do everything.
    pub(super) fn system(&self) -> Context {
        Context::system(self.tenant)
    }

    /// A new person of this name.
    pub(super) async fn customer(&self, name: &str) -> Customer {
        self.crm.customers().create(&self.ada(), person(name)).await.unwrap().value
    }

    /// A new interaction of a customer's, an hour ago, with this subject.
    pub(super) async fn interaction(&self, customer: CustomerId, subject: &str) -> Interaction {
        self.crm.interactions().log(&self.ada(), self.touch(customer, subject)).await.unwrap().value
    }

    /// What the events of this name told, in the order of the log.
    pub(super) async fn told(&self, name: &str) -> Vec<Json> {
        let (crm, ctx, reader) = (&self.crm, self.system(), format!("told {}", seed()));
        let mut events = Vec::new();
        loop {
            let rows = crm.log().next(&ctx, &reader, 1_000).await.unwrap();
            let Some(last) = rows.last() else { break };
            crm.log().acknowledge(&ctx, &reader, last.number.unwrap()).await.unwrap();
            events.extend(rows.into_iter().flat_map(|row| row.body.events));
        }
        events.into_iter().filter(|event| event.name == name).map(|event| event.data).collect()
    }

    /// An interaction that is not logged yet.
    pub(super) fn touch(&self, customer: CustomerId, subject: &str) -> Interaction {
        Interaction {
            customer_id: customer,
            subject: Some(subject.to_owned()),
            occurred_at: self.env.now() - chrono::Duration::hours(1),
            ..Interaction::default()
        }
    }
}

/// A process on a store, with a clock of its own.
pub(super) fn process(store: &Arc<dyn Store>, now: Instant) -> (Crm, Arc<FixedEnv>) {
    let env = Arc::new(FixedEnv::seeded(now, seed()));
    let built = Crm::builder_shared(store.clone())
        .shared_env(env.clone())
        .cursor_key(KEY)
        .deadline(Duration::from_mins(2))
        .build();
    (built.unwrap(), env)
}

/// A person of this name, not yet created.
pub(super) fn person(name: &str) -> Customer {
    Customer { display_name: name.to_owned(), ..Customer::default() }
}

/// A contact of a customer, not yet created.
pub(super) fn contact(customer: CustomerId, first: &str, last: &str) -> Contact {
    Contact {
        customer_id: customer,
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        ..Contact::default()
    }
}

/// A condition.
pub(super) fn is(field: &str, operator: &str, value: impl Into<Json>) -> Json {
    json!({ "field": field, "operator": operator, "value": value.into() })
}

/// All records that an actor finds, in order of their ids.
pub(super) async fn all<E: Entity>(crm: &Crm, ctx: &Context) -> Vec<E> {
    crm.find::<E>(ctx, &Find::all().limit(9_999)).await.unwrap().items
}

/// All records that meet criteria.
pub(super) async fn matching<E: Entity>(crm: &Crm, ctx: &Context, criteria: Json) -> Vec<E> {
    crm.find::<E>(ctx, &Find::matching(criteria).limit(9_999)).await.unwrap().items
}

/// Runs futures as tasks of their own, all at once, and collects what they gave.
pub(super) async fn at_once<T, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let gate = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let (gate, work) = (gate.clone(), task(n));
            tokio::spawn(async move {
                gate.wait().await;
                work.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(count);
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// What was counted, by name.
pub(super) fn tally<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}
