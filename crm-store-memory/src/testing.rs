//! Entities and change sets for this crate's tests.

use std::sync::LazyLock;

use crm_core::catalog::{
    Catalog, Check, Entity, EntityDef, FieldDef, Format, IndexDef, Kind, Privacy, UniqueRule, system,
};
use crm_core::criteria::{Filter, Path, Test};
use crm_core::log::{Actor, ActorKind, Body, LogRow, Op, Private};
use crm_core::record::{Meta, Record, Unreadable};
use crm_core::store::{
    Answer, ChangeSet, CommitError, Direction, Order, Query, Read, Store, StoreError, TimelineRow, TokenRow,
    Write,
};
use crm_core::timeline::{Audience, Display, Visibility};
use crm_core::value::{Instant, Value};
use crm_core::{Env, RecordId, SystemEnv, TenantId};
use uuid::Uuid;

use crate::MemoryStore;

pub(crate) const ACME: TenantId = TenantId(Uuid::from_u128(1));
pub(crate) const OTHER: TenantId = TenantId(Uuid::from_u128(2));

fn field(name: &'static str, kind: Kind) -> FieldDef {
    FieldDef {
        name,
        kind,
        required: false,
        folded: false,
        search: false,
        frozen: false,
        privacy: Privacy::Keep,
    }
}

fn text(name: &'static str) -> FieldDef {
    field(name, Kind::Text { max: 100, format: Format::Line })
}

fn entity(name: &'static str, table: &'static str, own: Vec<FieldDef>) -> EntityDef {
    let mut fields = EntityDef::system_fields();
    fields.extend(own);
    EntityDef {
        name,
        table,
        fields,
        uniques: &[],
        indexes: &[],
        checks: &[],
        append_only: false,
        shared: false,
        root: None,
        parent: None,
        extends: None,
        entry: None,
        validate: None,
    }
}

pub(crate) static CUSTOMER: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    uniques: &[
        UniqueRule { name: "customer_email", fields: &["email"], only_if: None, with_deleted: false },
        UniqueRule { name: "customer_code", fields: &["status", "code"], only_if: None, with_deleted: true },
        UniqueRule { name: "customer_vip", fields: &["owner_id"], only_if: Some("vip"), with_deleted: false },
    ],
    indexes: &[
        IndexDef { name: "customer_status", fields: &["status", "score"] },
        IndexDef { name: "customer_created", fields: &["created_at"] },
        IndexDef { name: "customer_balance", fields: &["balance", "name"] },
    ],
    checks: &[
        Check::Differ("first", "second"),
        Check::Ordered("least", "most"),
        Check::Together("balance", "currency"),
    ],
    parent: Some("parent_id"),
    shared: true,
    ..entity(
        "customer",
        "customers",
        vec![
            FieldDef { required: true, folded: true, ..text("name") },
            FieldDef { folded: true, ..text("email") },
            text("code"),
            field("status", Kind::Enum { codes: &["active", "lead", "lost"], ordered: false }),
            field("score", Kind::Int { min: 0, max: 1_000 }),
            field("balance", Kind::Decimal { scale: 2 }),
            text("currency"),
            field("vip", Kind::Bool),
            field("parent_id", Kind::Link { entity: "customer" }),
            field("owner_id", Kind::Link { entity: "user" }),
            field("tags", Kind::List { max_items: 10, max_len: 20 }),
            field("custom", Kind::Custom),
            text("first"),
            text("second"),
            field("least", Kind::Int { min: 0, max: 10 }),
            field("most", Kind::Int { min: 0, max: 10 }),
        ],
    )
});

pub(crate) static USER: LazyLock<EntityDef> = LazyLock::new(|| entity("user", "users", vec![text("name")]));

pub(crate) static NOTE: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    append_only: true,
    root: Some("customer_id"),
    ..entity(
        "note",
        "notes",
        vec![
            field("customer_id", Kind::Link { entity: "customer" }),
            text("text"),
            text("about_type"),
            field("about_id", Kind::AnyLink { entity_in: "about_type" }),
        ],
    )
});

/// Not in the catalog.
pub(crate) static STRANGER: LazyLock<EntityDef> = LazyLock::new(|| entity("stranger", "strangers", vec![]));

macro_rules! listed {
    ($name:ident, $id:ident, $def:ident) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $id(Uuid);

        impl RecordId for $id {
            fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        /// Only here to name the declaration to the catalog's builder.
        #[derive(Clone)]
        struct $name(Meta);

        impl Entity for $name {
            type Id = $id;
            fn def() -> &'static EntityDef {
                &$def
            }
            fn to_record(&self) -> Record {
                Record::new(&$def, Uuid::nil(), &self.0)
            }
            fn from_record(record: &Record) -> Result<Self, Unreadable> {
                Ok(Self(record.meta()))
            }
            fn id(&self) -> $id {
                $id(Uuid::nil())
            }
            fn meta(&self) -> &Meta {
                &self.0
            }
        }
    };
}

listed!(Customer, CustomerId, CUSTOMER);
listed!(User, UserId, USER);
listed!(Note, NoteId, NOTE);

pub(crate) fn catalog() -> Catalog {
    Catalog::builder().with::<Customer>().with::<User>().with::<Note>().build().unwrap()
}

pub(crate) fn store() -> MemoryStore {
    MemoryStore::new(catalog())
}

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn at(seconds: i64) -> Instant {
    Instant::from_timestamp_millis(1_700_000_000_000 + seconds * 1_000).unwrap()
}

pub(crate) fn txt(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A record at version 1.
pub(crate) fn record(def: &'static EntityDef, n: u128, values: &[(&str, Value)]) -> Record {
    let meta = Meta { version: 1, created_at: at(n as i64), updated_at: at(n as i64), deleted_at: None };
    let mut record = Record::new(def, id(n), &meta);
    if def == &*CUSTOMER {
        record.set("name", txt(&format!("Name {n}")));
    }
    for (name, value) in values {
        record.set(name, value.clone());
    }
    record
}

pub(crate) fn customer(n: u128, values: &[(&str, Value)]) -> Record {
    record(&CUSTOMER, n, values)
}

pub(crate) fn note(n: u128, customer: u128) -> Record {
    record(&NOTE, n, &[("customer_id", Value::Id(id(customer))), ("text", txt("secret"))])
}

/// The record's next version with other values.
pub(crate) fn changed(before: &Record, values: &[(&str, Value)]) -> Record {
    let mut after = before.clone();
    after.values[system::VERSION] = Value::Int(before.version() + 1);
    for (name, value) in values {
        after.set(name, value.clone());
    }
    after
}

pub(crate) fn update(before: &Record, values: &[(&str, Value)]) -> Write {
    Write::Update { before: before.clone(), after: changed(before, values) }
}

pub(crate) fn delete(before: &Record) -> Write {
    update(before, &[("deleted_at", Value::Instant(at(1_000)))])
}

/// A change set of these writes, with a log row for each.
pub(crate) fn change(writes: Vec<Write>) -> ChangeSet {
    let commit_id = SystemEnv.new_id();
    let log = writes.iter().enumerate().map(|(ordinal, write)| log_row(commit_id, ordinal, write)).collect();
    ChangeSet {
        tenant: ACME,
        commit_id,
        at: at(0),
        writes,
        releases: 0,
        guards: Vec::new(),
        none_refer: Vec::new(),
        key: None,
        log,
        erase_log: Vec::new(),
        timeline_put: Vec::new(),
        timeline_drop: Vec::new(),
        tokens_put: Vec::new(),
        tokens_drop: Vec::new(),
    }
}

fn log_row(commit_id: Uuid, ordinal: usize, write: &Write) -> LogRow {
    let record = write.record();
    let (op, version) = match write {
        Write::Insert(_) => (Op::Insert, 1),
        Write::Update { after, .. } => (Op::Update, after.version()),
        Write::Purge(record) => (Op::Purge, record.version() + 1),
    };
    LogRow {
        commit_id,
        ordinal: i32::try_from(ordinal).unwrap(),
        entity: record.def.name.to_owned(),
        record_id: record.id(),
        version,
        op,
        at: at(0),
        root: None,
        body: Body {
            schema: 1,
            actor: Actor { kind: ActorKind::System, id: None },
            command: "test".to_owned(),
            correlation: None,
            commitments: std::collections::BTreeMap::new(),
            events: Vec::new(),
        },
        private: Some(Private { salt: "private salt".to_owned(), ..Private::default() }),
        number: None,
        hash: None,
    }
}

pub(crate) fn inserts(records: &[Record]) -> ChangeSet {
    change(records.iter().cloned().map(Write::Insert).collect())
}

pub(crate) async fn put(store: &MemoryStore, records: &[Record]) {
    store.commit(&inserts(records)).await.unwrap();
}

pub(crate) async fn commit(store: &MemoryStore, writes: Vec<Write>) -> Result<(), CommitError> {
    store.commit(&change(writes)).await
}

pub(crate) async fn ask(store: &MemoryStore, read: Read) -> Result<Answer, StoreError> {
    let mut answers = store.read(ACME, &[read]).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers.remove(0))
}

pub(crate) async fn records(store: &MemoryStore, read: Read) -> Vec<Record> {
    match ask(store, read).await.unwrap() {
        Answer::Records(records) => records,
        other => panic!("records expected, {other:?} found"),
    }
}

pub(crate) async fn ids(store: &MemoryStore, read: Read) -> Vec<u128> {
    records(store, read).await.iter().map(|record| record.id().as_u128()).collect()
}

pub(crate) async fn get(store: &MemoryStore, def: &'static EntityDef, n: u128) -> Option<Record> {
    records(store, Read::Get { def, ids: vec![id(n)] }).await.pop()
}

pub(crate) fn leaf(def: &'static EntityDef, name: &str, test: Test) -> Filter {
    Filter::leaf(Path::own(def, name).unwrap(), test)
}

pub(crate) fn eq(name: &str, value: Value) -> Filter {
    Filter::eq(&CUSTOMER, name, value).unwrap()
}

/// A path of the test entities, such as `parent_id.owner_id.name`.
pub(crate) fn path(def: &'static EntityDef, steps: &str) -> Path {
    let catalog = catalog();
    let mut at = def;
    let mut links = Vec::new();
    let (front, last) = steps.rsplit_once('.').unwrap_or(("", steps));
    for step in front.split('.').filter(|step| !step.is_empty()) {
        let place = at.index_of(step).unwrap();
        links.push((at, place));
        at = catalog.target(&at.fields[place].kind).unwrap();
    }
    Path { links, def: at, field: at.index_of(last).unwrap(), custom: None }
}

pub(crate) fn up(name: &str) -> Order {
    Order { path: path(&CUSTOMER, name), direction: Direction::Ascending }
}

pub(crate) fn down(name: &str) -> Order {
    Order { path: path(&CUSTOMER, name), direction: Direction::Descending }
}

/// A query of customers.
pub(crate) fn query(filter: Filter, order: Vec<Order>) -> Query {
    Query { def: &CUSTOMER, filter, tokens: Vec::new(), token_prefix: None, order, limit: 100 }
}

pub(crate) fn token(entity: &'static str, n: u128, token: &str) -> TokenRow {
    TokenRow { entity, id: id(n), token: token.to_owned() }
}

/// A row of the timeline: entry `entry` of kind note at this anchor.
pub(crate) fn row(anchor: u128, seconds: i64, entry: u128) -> TimelineRow {
    TimelineRow {
        anchor_type: "customer",
        anchor_id: id(anchor),
        primary: true,
        at: at(seconds),
        kind: "note",
        entry_id: id(entry),
        root: None,
        actor: None,
        team: None,
        visibility: Visibility::All,
        audience: Audience::Internal,
        pinned: false,
        highlight: false,
        subtype: None,
        source: None,
        sentiment: None,
        amount: None,
        currency: None,
        tags: Vec::new(),
        display: Display { title: format!("Entry {entry}"), text: None, icon: "note".to_owned() },
    }
}
