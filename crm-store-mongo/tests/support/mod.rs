//! What the tests share: entities with a field of every type, change sets by hand, a database for each test.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crm_core::catalog::{
    Catalog, Entity, EntityDef, FieldDef, Format, IndexDef, Kind, Privacy, UniqueRule, system,
};
use crm_core::log::{Actor, ActorKind, Body, LogRow, Op, Origin, Private};
use crm_core::record::{Meta, Record, Unreadable};
use crm_core::store::{Answer, ChangeSet, Query, Read, Store, TimelineRow, Write};
use crm_core::timeline::{Audience, Display, Visibility};
use crm_core::value::{Instant, Value};
use crm_core::{Env, RecordId, SystemEnv, TenantId};
use crm_store_mongo::{MongoOptions, MongoStore};
use mongodb::Client;
use mongodb::event::EventHandler;
use mongodb::options::ClientOptions;
use std::sync::Arc;
use uuid::Uuid;

/// The server of the tests.
pub fn url() -> String {
    std::env::var("CRM_MONGO_URL").unwrap_or_else(|_| {
        panic!(
            "these tests need a MongoDB replica set: run `cargo verify`, or set CRM_MONGO_URL to its address"
        )
    })
}

/// A name that no other test's database has.
pub fn database() -> String {
    format!("crm_test_{}", SystemEnv.new_id().simple())
}

/// A store with a database of its own, dropped at the end.
pub struct Fixture {
    pub store: MongoStore,
    pub client: Client,
    pub name: String,
    pub sent: Arc<AtomicU64>,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(catalog(), MongoOptions::default()).await
    }

    pub async fn with(catalog: Catalog, options: MongoOptions) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let mut client = ClientOptions::parse(url()).await.unwrap();
        client.command_event_handler = Some(EventHandler::callback(move |event| {
            if let mongodb::event::command::CommandEvent::Started(event) = event
                && event.command_name != "endSessions"
            {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }));
        let client = Client::with_options(client).unwrap();
        let name = database();
        MongoStore::migrate_with(&client, &name, &catalog).await.unwrap();
        let store = MongoStore::with_client(client.clone(), &name, catalog, options).await.unwrap();
        Self { store, client, name, sent }
    }

    pub async fn done(self) {
        self.client.database(&self.name).drop().await.unwrap();
    }

    pub async fn find(&self, tenant: TenantId, query: Query) -> Vec<Record> {
        match self.store.read(tenant, &[Read::Find(query)]).await.unwrap().remove(0) {
            Answer::Records(records) => records,
            other => panic!("{other:?}"),
        }
    }

    pub async fn get(&self, tenant: TenantId, def: &'static EntityDef, id: Uuid) -> Option<Record> {
        match self.store.read(tenant, &[Read::Get { def, ids: vec![id] }]).await.unwrap().remove(0) {
            Answer::Records(mut records) => records.pop(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn insert(&self, tenant: TenantId, records: Vec<Record>) {
        for chunk in records.chunks(1_000) {
            let writes = chunk.iter().cloned().map(Write::Insert).collect();
            self.store.commit(&change(tenant, writes)).await.unwrap();
        }
    }
}

pub fn id() -> Uuid {
    SystemEnv.new_id()
}

pub fn tenant() -> TenantId {
    TenantId(id())
}

pub fn at(millis: i64) -> Instant {
    Instant::from_timestamp_millis(1_700_000_000_000 + millis).unwrap()
}

crm_core::record_id! {
    /// An id.
    AnyId
}

macro_rules! entity {
    ($name:ident, $def:ident) => {
        #[derive(Clone)]
        pub struct $name(Record, Meta);
        impl Entity for $name {
            type Id = AnyId;
            fn def() -> &'static EntityDef {
                &$def
            }
            fn to_record(&self) -> Record {
                self.0.clone()
            }
            fn from_record(record: &Record) -> Result<Self, Unreadable> {
                Ok(Self(record.clone(), record.meta()))
            }
            fn id(&self) -> AnyId {
                AnyId::from_uuid(self.0.id())
            }
            fn meta(&self) -> &Meta {
                &self.1
            }
        }
    };
}

pub fn field(name: &'static str, kind: Kind) -> FieldDef {
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
    field(name, Kind::Text { max: 200, format: Format::Line })
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

/// An entity with a field of every type, in a hierarchy.
pub static SAMPLE: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    uniques: &[
        UniqueRule { name: "sample_label_once", fields: &["label"], only_if: None, with_deleted: false },
        UniqueRule {
            name: "sample_one_main",
            fields: &["group_id"],
            only_if: Some("flag"),
            with_deleted: false,
        },
        UniqueRule { name: "sample_number_ever", fields: &["number"], only_if: None, with_deleted: true },
    ],
    indexes: &[
        IndexDef { name: "samples_by_amount", fields: &["amount"] },
        IndexDef { name: "samples_by_name", fields: &["name"] },
        IndexDef { name: "samples_by_grade", fields: &["grade", "at"] },
        IndexDef { name: "samples_by_creation", fields: &["created_at"] },
        IndexDef { name: "samples_by_parent", fields: &["parent_id"] },
    ],
    parent: Some("parent_id"),
    ..entity(
        "sample",
        "samples",
        vec![
            field("flag", Kind::Bool),
            field("count", Kind::Int { min: i64::MIN, max: i64::MAX }),
            field("amount", Kind::Decimal { scale: 6 }),
            text("name"),
            FieldDef { folded: true, ..text("label") },
            field("grade", Kind::Enum { codes: &["low", "mid", "high"], ordered: false }),
            field("at", Kind::Instant),
            field("day", Kind::Date),
            field("parent_id", Kind::Link { entity: "sample" }),
            field("group_id", Kind::Id),
            field("number", Kind::Int { min: 0, max: i64::MAX }),
            field("tags", Kind::List { max_items: 10, max_len: 50 }),
            field("custom", Kind::Custom),
            field("settings", Kind::Json),
        ],
    )
});

/// What many cards refer to.
pub static STAGE: LazyLock<EntityDef> =
    LazyLock::new(|| EntityDef { shared: true, ..entity("stage", "stages", vec![text("name")]) });

/// Refers to stages and samples, and is read through its sample.
pub static CARD: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    root: Some("sample_id"),
    indexes: &[IndexDef { name: "cards_by_sample", fields: &["sample_id", "at"] }],
    ..entity(
        "card",
        "cards",
        vec![
            text("name"),
            field("at", Kind::Instant),
            field("stage_id", Kind::Link { entity: "stage" }),
            field("sample_id", Kind::Link { entity: "sample" }),
        ],
    )
});

/// Only ever added to.
pub static NOTE: LazyLock<EntityDef> =
    LazyLock::new(|| EntityDef { append_only: true, ..entity("note", "notes", vec![text("name")]) });

entity!(Sample, SAMPLE);
entity!(Stage, STAGE);
entity!(Card, CARD);
entity!(Note, NOTE);

pub fn catalog() -> Catalog {
    Catalog::builder().with::<Sample>().with::<Stage>().with::<Card>().with::<Note>().build().unwrap()
}

pub fn new(def: &'static EntityDef) -> Record {
    Record::new(def, id(), &Meta { version: 1, created_at: at(0), updated_at: at(0), deleted_at: None })
}

pub fn with(mut record: Record, values: &[(&str, Value)]) -> Record {
    for (name, value) in values {
        assert!(record.def.index_of(name).is_some(), "{name}");
        record.set(name, value.clone());
    }
    record
}

pub fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The next version with these values.
pub fn next(before: &Record, values: &[(&str, Value)]) -> Write {
    let mut after = with(before.clone(), values);
    after.values[system::VERSION] = Value::Int(before.version() + 1);
    Write::Update { before: before.clone(), after }
}

pub fn deleted(before: &Record) -> Write {
    next(before, &[("deleted_at", Value::Instant(at(1)))])
}

/// A change set with a log row for each write.
pub fn change(tenant: TenantId, writes: Vec<Write>) -> ChangeSet {
    let commit_id = id();
    let log = writes.iter().enumerate().map(|(place, write)| row(commit_id, place, write)).collect();
    ChangeSet {
        tenant,
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

fn row(commit_id: Uuid, place: usize, write: &Write) -> LogRow {
    let record = write.record();
    let (op, version) = match write {
        Write::Insert(_) => (Op::Insert, 1),
        Write::Update { after, .. } => (Op::Update, after.version()),
        Write::Purge(record) => (Op::Purge, record.version() + 1),
    };
    LogRow {
        commit_id,
        ordinal: i32::try_from(place).unwrap(),
        entity: record.def.name.to_owned(),
        record_id: record.id(),
        version,
        op,
        at: at(0),
        root: None,
        body: Body {
            schema: 1,
            actor: Actor { kind: ActorKind::System, id: None },
            command: "tests.write".to_owned(),
            correlation: None,
            commitments: BTreeMap::from([("name".to_owned(), "abc".to_owned())]),
            events: Vec::new(),
        },
        private: Some(Private {
            salt: "00".to_owned(),
            replaced: BTreeMap::from([("name".to_owned(), serde_json::json!("old \u{1F600}"))]),
            origin: Origin::default(),
        }),
        number: None,
        hash: None,
    }
}

/// A timeline row of a sample's timeline.
pub fn entry(anchor: Uuid, millis: i64, entry_id: Uuid) -> TimelineRow {
    TimelineRow {
        anchor_type: "sample",
        anchor_id: anchor,
        primary: true,
        at: at(millis),
        kind: "card",
        entry_id,
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
        display: Display { title: "an entry".to_owned(), text: None, icon: "card".to_owned() },
    }
}
