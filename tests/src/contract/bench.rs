//! What the properties work with: a store with two tenants, change sets in a line, and everything a tenant has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use crm_core::catalog::{Catalog, Entity, EntityDef};
use crm_core::command::Changes;
use crm_core::contact::{Contact, ContactId};
use crm_core::criteria::{Filter, Path, Test};
use crm_core::customer::{Customer, CustomerId};
use crm_core::directory::{User, UserId};
use crm_core::format::Currency;
use crm_core::invoice::{Invoice, InvoiceId};
use crm_core::log::LogRow;
use crm_core::record::Record;
use crm_core::store::{
    Answer, ChangeSet, CommitError, Direction, Group, GroupQuery, KeyClaim, KeyRecord, MAX_LIMIT, Query,
    Read, Store, StoreError, TimelineAnchor, TimelineFilter, TimelineQuery, TimelineRow, Viewer,
};
use crm_core::value::{Instant, Value};
use crm_core::{Context, FixedEnv, TenantId};
use uuid::Uuid;

use crate::Harness;
use crate::contract::extra_entity::{ProjectNote, ProjectNoteId, catalog};

/// The tenant that most properties work in.
pub const ACME: TenantId = TenantId(Uuid::from_u128(0xacce));
/// Another tenant.
pub const OTHER: TenantId = TenantId(Uuid::from_u128(0x07e5));

/// How long a commit is tried while other work is in the way. A store that never gets through fails its test.
const PATIENCE: Duration = Duration::from_mins(2);

/// A store and what change sets are made with.
#[derive(Clone)]
pub struct Bench {
    /// The store under test.
    pub store: Arc<dyn Store>,
    /// Its catalog.
    pub catalog: Catalog,
    /// Clock, ids and salts.
    pub env: Arc<FixedEnv>,
}

/// The id of this number.
pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// The instant that the bench's clock shows at first.
pub fn start() -> Instant {
    at("2024-05-01T12:00:00Z")
}

/// An instant from text.
pub fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// A text value.
pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A customer of this number and name.
pub fn customer(n: u128, name: &str) -> Customer {
    Customer { id: CustomerId(id(n)), display_name: name.to_owned(), ..Customer::default() }
}

/// A user of this number.
pub fn user(n: u128) -> User {
    User { id: UserId(id(n)), name: format!("User {n}"), ..User::default() }
}

/// A contact of a customer.
pub fn contact(n: u128, customer: u128) -> Contact {
    Contact {
        id: ContactId(id(n)),
        customer_id: CustomerId(id(customer)),
        first_name: "Given".to_owned(),
        last_name: format!("Name {n}"),
        ..Contact::default()
    }
}

/// An invoice of a customer, with a number of its own.
pub fn invoice(n: u128, customer: u128) -> Invoice {
    Invoice {
        id: InvoiceId(id(n)),
        ..Invoice::issued(
            CustomerId(id(customer)),
            format!("R-{n}"),
            start(),
            Currency::parse("EUR").unwrap(),
        )
    }
}

/// A note on a customer.
pub fn note(n: u128, customer: u128) -> ProjectNote {
    ProjectNote {
        id: ProjectNoteId(id(n)),
        customer_id: Some(CustomerId(id(customer))),
        happened_at: start(),
        ..ProjectNote::default()
    }
}

/// The path of an own field.
pub fn path(def: &'static EntityDef, name: &str) -> Path {
    Path::own(def, name).unwrap()
}

/// The path of a field behind links, by name: `["invoice_id", "customer_id", "display_name"]`.
pub fn path_through(catalog: &Catalog, def: &'static EntityDef, names: &[&str]) -> Path {
    let (last, links) = names.split_last().unwrap();
    let mut holder = def;
    let mut places = Vec::new();
    for link in links {
        let place = holder.index_of(link).unwrap();
        places.push((holder, place));
        holder = catalog.target(&holder.fields[place].kind).unwrap();
    }
    Path { links: places, def: holder, field: holder.index_of(last).unwrap(), custom: None }
}

/// A leaf on an own field.
pub fn leaf(def: &'static EntityDef, name: &str, test: Test) -> Filter {
    Filter::leaf(path(def, name), test)
}

/// A query for all records of an entity, deleted ones included, by id.
pub fn all(def: &'static EntityDef) -> Query {
    Query::new(def, Filter::always(), MAX_LIMIT)
}

/// A page of a timeline for one who sees everything, oldest first.
pub fn whole_timeline(anchor: TimelineAnchor) -> TimelineQuery {
    TimelineQuery {
        anchor,
        filter: TimelineFilter::default(),
        viewer: Viewer { sees_all: true, ..Viewer::default() },
        direction: Direction::Ascending,
        after: None,
        limit: MAX_LIMIT,
    }
}

/// An idempotency key of the command `test.command`.
pub fn claim(key: &str, result: &str) -> KeyClaim {
    let record = KeyRecord { digest: "d".to_owned(), result: result.to_owned(), at: start() };
    KeyClaim { command: "test.command", key: key.to_owned(), record }
}

/// Everything that a tenant has, as its reads tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Everything {
    /// The records of each entity, deleted ones included.
    pub records: BTreeMap<&'static str, Vec<Record>>,
    /// The rows of all anchors that are records, and the tenant's own view.
    pub timeline: Vec<Vec<TimelineRow>>,
    /// The log rows of every record that is there, and of those asked for.
    pub history: BTreeMap<(&'static str, Uuid), Vec<LogRow>>,
    /// The records found by each of some tokens.
    pub found: Vec<Vec<Record>>,
    /// Some keys.
    pub keys: Vec<Option<KeyRecord>>,
}

impl Bench {
    /// A new, empty store of the harness.
    pub async fn new(harness: &dyn Harness) -> Self {
        let catalog = catalog();
        Self::over(harness.store(catalog.clone()).await)
    }

    /// A bench over a store that is there.
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, catalog: catalog(), env: Arc::new(FixedEnv::at(start())) }
    }

    /// The same data through another handle.
    pub async fn second(&self, harness: &dyn Harness) -> Self {
        Self { store: harness.second_handle(&self.store).await, ..self.clone() }
    }

    /// Makes a change set.
    pub fn set(&self, tenant: TenantId, build: impl FnOnce(&mut Changes<'_>)) -> ChangeSet {
        self.keyed(tenant, None, build)
    }

    /// Makes a change set with an idempotency key.
    pub fn keyed(
        &self,
        tenant: TenantId,
        key: Option<KeyClaim>,
        build: impl FnOnce(&mut Changes<'_>),
    ) -> ChangeSet {
        let mut ctx = Context::user(tenant, id(0xac7));
        ctx.origin.ip = Some("192.0.2.7".to_owned());
        let mut changes = Changes::new(&self.catalog, &*self.env, &ctx, "test.command");
        build(&mut changes);
        changes.finish(key).unwrap()
    }

    /// Commits, again and again while other work is in the way.
    pub async fn commit(&self, set: &ChangeSet) -> Result<(), CommitError> {
        let started = Clock::now();
        for attempt in 1.. {
            match self.store.commit(set).await {
                Err(CommitError::Contended) if started.elapsed() < PATIENCE => self.store.rest(attempt).await,
                outcome => return outcome,
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Makes a change set that must be applied.
    pub async fn put(&self, tenant: TenantId, build: impl FnOnce(&mut Changes<'_>)) {
        let set = self.set(tenant, build);
        self.commit(&set).await.unwrap();
    }

    /// Inserts entities of one kind.
    pub async fn insert<E: Entity>(&self, tenant: TenantId, entities: &[E]) {
        for part in entities.chunks(500) {
            self.put(tenant, |changes| {
                for entity in part {
                    changes.insert(entity).unwrap();
                }
            })
            .await;
        }
    }

    /// Changes one record, at the version it has.
    pub async fn change<E: Entity>(&self, tenant: TenantId, n: u128, edit: impl FnOnce(&mut E)) {
        let before: E = self.load(tenant, n).await;
        let mut after = before.clone();
        edit(&mut after);
        self.put(tenant, |changes| {
            changes.update(&before, &after).unwrap();
        })
        .await;
    }

    /// Deletes one record.
    pub async fn delete(&self, tenant: TenantId, def: &'static EntityDef, n: u128) {
        let record = self.get(tenant, def, id(n)).await.unwrap();
        self.put(tenant, |changes| {
            changes.delete_record(&record);
        })
        .await;
    }

    /// Restores one record.
    pub async fn restore(&self, tenant: TenantId, def: &'static EntityDef, n: u128) {
        let record = self.get(tenant, def, id(n)).await.unwrap();
        self.put(tenant, |changes| {
            changes.restore_record(&record);
        })
        .await;
    }

    /// Asks one question.
    pub async fn ask(&self, tenant: TenantId, read: Read) -> Result<Answer, StoreError> {
        let mut answers = self.store.read(tenant, &[read]).await?;
        assert_eq!(answers.len(), 1, "one answer for each read");
        Ok(answers.remove(0))
    }

    /// The records that answer a question.
    pub async fn records(&self, tenant: TenantId, read: Read) -> Vec<Record> {
        match self.ask(tenant, read).await.unwrap() {
            Answer::Records(records) => records,
            other => panic!("records expected, {other:?} found"),
        }
    }

    /// The numbers of the records that a query finds.
    pub async fn find(&self, tenant: TenantId, query: Query) -> Vec<u128> {
        self.records(tenant, Read::Find(query)).await.iter().map(|record| record.id().as_u128()).collect()
    }

    /// The groups of a query.
    pub async fn groups(&self, tenant: TenantId, query: GroupQuery) -> Vec<Group> {
        match self.ask(tenant, Read::Group(query)).await.unwrap() {
            Answer::Groups(groups) => groups,
            other => panic!("groups expected, {other:?} found"),
        }
    }

    /// A page of the timeline.
    pub async fn page(&self, tenant: TenantId, query: TimelineQuery) -> Vec<TimelineRow> {
        match self.ask(tenant, Read::Timeline(query)).await.unwrap() {
            Answer::Timeline(rows) => rows,
            other => panic!("timeline rows expected, {other:?} found"),
        }
    }

    /// Log rows.
    pub async fn log(&self, tenant: TenantId, read: Read) -> Vec<LogRow> {
        match self.ask(tenant, read).await.unwrap() {
            Answer::Log(rows) => rows,
            other => panic!("log rows expected, {other:?} found"),
        }
    }

    /// All log rows of a record, newest first.
    pub async fn history(&self, tenant: TenantId, def: &'static EntityDef, id: Uuid) -> Vec<LogRow> {
        self.log(tenant, Read::History { def, id, before_version: None, limit: MAX_LIMIT }).await
    }

    /// A position.
    pub async fn position(&self, tenant: TenantId, read: Read) -> i64 {
        match self.ask(tenant, read).await.unwrap() {
            Answer::Position(number) => number,
            other => panic!("a position expected, {other:?} found"),
        }
    }

    /// What a key of `test.command` gave.
    pub async fn key(&self, tenant: TenantId, key: &str) -> Option<KeyRecord> {
        match self.ask(tenant, Read::Key { command: "test.command", key: key.to_owned() }).await.unwrap() {
            Answer::Key(found) => found,
            other => panic!("a key expected, {other:?} found"),
        }
    }

    /// A record, deleted or not.
    pub async fn get(&self, tenant: TenantId, def: &'static EntityDef, id: Uuid) -> Option<Record> {
        let mut found = self.records(tenant, Read::Get { def, ids: vec![id] }).await;
        assert!(found.len() <= 1, "one id, one record");
        found.pop()
    }

    /// A record that must be there, as its struct.
    pub async fn load<E: Entity>(&self, tenant: TenantId, n: u128) -> E {
        E::from_record(&self.get(tenant, E::def(), id(n)).await.unwrap()).unwrap()
    }

    /// Everything that a tenant has; `also` names records whose log rows are wanted even if they are not there,
    /// `tokens` and `keys` what else to look for.
    pub async fn everything(
        &self,
        tenant: TenantId,
        also: &[(&'static EntityDef, Uuid)],
        tokens: &[&str],
        keys: &[&str],
    ) -> Everything {
        let mut records = BTreeMap::new();
        let mut ids: Vec<(&'static EntityDef, Uuid)> = also.to_vec();
        for def in self.catalog.entities() {
            let found = self.records(tenant, Read::Find(all(def))).await;
            ids.extend(found.iter().map(|record| (def, record.id())));
            records.insert(def.name, found);
        }
        let mut timeline = vec![self.page(tenant, whole_timeline(TimelineAnchor::Tenant)).await];
        let anchors: Vec<Uuid> = ids.iter().map(|(_, id)| *id).collect();
        if !anchors.is_empty() {
            timeline.push(self.page(tenant, whole_timeline(TimelineAnchor::Records(anchors))).await);
        }
        let mut history = BTreeMap::new();
        for (def, id) in ids {
            history.insert((def.name, id), self.history(tenant, def, id).await);
        }
        let mut found = Vec::new();
        for token in tokens {
            for def in self.catalog.entities() {
                let query = Query { tokens: vec![(*token).to_owned()], ..all(def) };
                found.push(self.records(tenant, Read::Find(query)).await);
            }
        }
        let mut kept = Vec::new();
        for key in keys {
            kept.push(self.key(tenant, key).await);
        }
        Everything { records, timeline, history, found, keys: kept }
    }
}
