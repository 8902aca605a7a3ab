//! A schema of its own for each test, with entities that use every type of field.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use crm_core::TenantId;
use crm_core::catalog::{
    Catalog, Check, Entity, EntityDef, FieldDef, Format, IndexDef, Kind, Privacy, UniqueRule,
};
use crm_core::env::{Env, SystemEnv};
use crm_core::log::{Actor, ActorKind, Body, LogRow, Op, Origin, Private};
use crm_core::record::{Meta, Record, Unreadable};
use crm_core::store::{ChangeSet, Store, TimelineRow, TokenRow, Write};
use crm_core::timeline::{Audience, Display, Visibility};
use crm_core::value::{Instant, Value};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, ddl_all, migrate, migration};
use uuid::Uuid;

pub fn url() -> String {
    std::env::var("CRM_POSTGRES_URL").expect(
        "these tests need a PostgreSQL server: run `cargo verify`, which starts one, or set CRM_POSTGRES_URL to the \
         address of a scratch database, such as postgres://postgres@localhost/scratch",
    )
}

/// A schema that only this test uses, and the store on it.
pub struct Scratch {
    pub schema: String,
    pub store: PostgresStore,
    pub tenant: TenantId,
}

impl Scratch {
    pub async fn new() -> Self {
        Self::with(PostgresOptions::default()).await
    }

    pub async fn with(options: PostgresOptions) -> Self {
        let schema = schema_name();
        migrate(&url(), &catalog(), migrations(&schema)).await.expect("the migrations run");
        let options = PostgresOptions { schema: schema.clone(), ..options };
        let store = PostgresStore::connect(&url(), catalog(), options).await.expect("the store connects");
        Self { schema, store, tenant: TenantId(new_id()) }
    }

    /// Removes the schema; a test that failed leaves it to be looked at.
    pub async fn drop(self) {
        let text = format!("SET lock_timeout = 0; DROP SCHEMA {} CASCADE", self.schema);
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(self.store.pool())
            .await
            .expect("the schema is dropped");
        self.store.pool().close().await;
    }

    pub async fn execute(&self, text: &str) -> Result<u64, sqlx::Error> {
        let text = text.replace("$S", &self.schema);
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(self.store.pool())
            .await
            .map(|done| done.rows_affected())
    }

    pub async fn count(&self, from: &str) -> i64 {
        let text = format!("SELECT count(*) FROM {}", from.replace("$S", &self.schema));
        sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(self.store.pool()).await.expect("a count")
    }

    pub async fn insert(&self, records: Vec<Record>) {
        for chunk in records.chunks(1_000) {
            let set = self.change(chunk.iter().cloned().map(Write::Insert).collect());
            self.store.commit(&set).await.expect("the records are inserted");
        }
    }

    pub fn change(&self, writes: Vec<Write>) -> ChangeSet {
        change(self.tenant, writes)
    }
}

pub fn schema_name() -> String {
    format!("t_{}", new_id().simple())
}

pub fn migrations(schema: &str) -> MigrateOptions {
    MigrateOptions {
        schema: schema.to_owned(),
        migrations: vec![migration(100, "test entities", ddl_all(&catalog()))],
        ..MigrateOptions::default()
    }
}

pub fn new_id() -> Uuid {
    SystemEnv.new_id()
}

pub fn at(seconds: i64) -> Instant {
    DateTime::<Utc>::from_timestamp(1_700_000_000 + seconds, 0).expect("an instant")
}

/// A change set of these writes with one log row each.
pub fn change(tenant: TenantId, writes: Vec<Write>) -> ChangeSet {
    let commit_id = new_id();
    let log = writes.iter().enumerate().map(|(place, write)| log_row(commit_id, place, write)).collect();
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

fn log_row(commit_id: Uuid, place: usize, write: &Write) -> LogRow {
    let record = write.record();
    let (op, version) = match write {
        Write::Insert(_) => (Op::Insert, 1),
        Write::Update { .. } => (Op::Update, record.version()),
        Write::Purge(_) => (Op::Purge, record.version() + 1),
    };
    LogRow {
        commit_id,
        ordinal: i32::try_from(place).expect("few writes"),
        entity: record.def.name.to_owned(),
        record_id: record.id(),
        version,
        op,
        at: at(version),
        root: None,
        body: Body {
            schema: 1,
            actor: Actor { kind: ActorKind::System, id: None },
            command: "tests.write".to_owned(),
            correlation: None,
            commitments: BTreeMap::from([("name".to_owned(), "00ff".to_owned())]),
            events: Vec::new(),
        },
        private: Some(Private {
            salt: "5a".repeat(16),
            replaced: BTreeMap::new(),
            origin: Origin::default(),
        }),
        number: None,
        hash: None,
    }
}

/// The record as it is after one more change.
pub fn changed(before: &Record, field: &str, value: Value) -> Write {
    let mut after = before.clone();
    after.set(field, value);
    let meta = Meta { version: before.version() + 1, ..after.meta() };
    after.set_meta(&meta);
    Write::Update { before: before.clone(), after }
}

pub fn deleted(before: &Record) -> Write {
    changed(before, "deleted_at", Value::Instant(at(9)))
}

fn record(def: &'static EntityDef, id: Uuid) -> Record {
    Record::new(def, id, &Meta { version: 1, created_at: at(0), updated_at: at(0), deleted_at: None })
}

pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub fn user(name: &str) -> Record {
    let mut user = record(&USER, new_id());
    user.set("name", text(name));
    user
}

pub fn customer(name: &str) -> Record {
    let mut customer = record(&CUSTOMER, new_id());
    customer.set("name", text(name));
    customer.set("status", text("active"));
    customer.set("tags", Value::List(Vec::new()));
    customer.set("custom", Value::Custom(BTreeMap::new()));
    customer.set("is_main", Value::Bool(false));
    customer
}

pub fn note(customer: &Record, title: &str, at: Instant) -> Record {
    let mut note = record(&NOTE, new_id());
    note.set("customer_id", Value::Id(customer.id()));
    note.set("title", text(title));
    note.set("at", Value::Instant(at));
    note
}

pub fn line(note: &Record, amount: i64) -> Record {
    let mut line = record(&LINE, new_id());
    line.set("note_id", Value::Id(note.id()));
    line.set("amount", Value::Int(amount));
    line
}

pub fn receipt(what: &str) -> Record {
    let mut receipt = record(&RECEIPT, new_id());
    receipt.set("what", text(what));
    receipt
}

/// The timeline row of a note.
pub fn entry(note: &Record) -> TimelineRow {
    TimelineRow {
        anchor_type: "customer",
        anchor_id: note.get("customer_id").as_id().expect("a customer"),
        primary: true,
        at: note.get("at").as_instant().expect("an instant"),
        kind: "note",
        entry_id: note.id(),
        root: note.get("customer_id").as_id(),
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
        tags: vec!["a \"b\"".to_owned(), "c,d".to_owned()],
        display: Display {
            title: note.get("title").as_text().unwrap_or_default().to_owned(),
            text: None,
            icon: "note".to_owned(),
        },
    }
}

pub fn token(record: &Record, token: &str) -> TokenRow {
    TokenRow { entity: record.def.name, id: record.id(), token: token.to_owned() }
}

pub fn catalog() -> Catalog {
    Catalog::builder()
        .with::<Customer>()
        .with::<User>()
        .with::<Note>()
        .with::<Line>()
        .with::<Receipt>()
        .build()
        .expect("the catalog is well formed")
}

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

fn required(field: FieldDef) -> FieldDef {
    FieldDef { required: true, ..field }
}

fn folded(field: FieldDef) -> FieldDef {
    FieldDef { folded: true, ..field }
}

fn line_of(max: usize) -> Kind {
    Kind::Text { max, format: Format::Line }
}

fn define(name: &'static str, table: &'static str, own: Vec<FieldDef>) -> EntityDef {
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

pub static USER: LazyLock<EntityDef> =
    LazyLock::new(|| define("user", "users", vec![required(folded(field("name", line_of(100))))]));

pub static CUSTOMER: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    parent: Some("parent_id"),
    uniques: &[
        UniqueRule { name: "customer_email_taken", fields: &["email"], only_if: None, with_deleted: false },
        UniqueRule { name: "customer_code_taken", fields: &["code"], only_if: None, with_deleted: true },
        UniqueRule {
            name: "customer_one_main",
            fields: &["owner_id"],
            only_if: Some("is_main"),
            with_deleted: false,
        },
    ],
    indexes: &[
        IndexDef { name: "customers_by_name", fields: &["name"] },
        IndexDef { name: "customers_by_score", fields: &["score"] },
        IndexDef { name: "customers_by_owner", fields: &["owner_id", "status"] },
        IndexDef { name: "customers_by_parent", fields: &["parent_id"] },
        IndexDef { name: "customers_by_creation", fields: &["created_at"] },
    ],
    checks: &[
        Check::Differ("id", "parent_id"),
        Check::Ordered("low", "high"),
        Check::Together("low", "high"),
    ],
    ..define(
        "customer",
        "customers",
        vec![
            required(folded(field("name", line_of(100)))),
            folded(field("email", line_of(100))),
            field("code", line_of(20)),
            required(field(
                "status",
                Kind::Enum { codes: &["prospect", "active", "it's over"], ordered: true },
            )),
            field("score", Kind::Int { min: i64::MIN, max: i64::MAX }),
            field("revenue", Kind::Decimal { scale: 4 }),
            field("low", Kind::Decimal { scale: 4 }),
            field("high", Kind::Decimal { scale: 4 }),
            field("is_main", Kind::Bool),
            field("birthday", Kind::Date),
            field("seen_at", Kind::Instant),
            field("owner_id", Kind::Link { entity: "user" }),
            field("parent_id", Kind::Link { entity: "customer" }),
            required(field("tags", Kind::List { max_items: 100, max_len: 50 })),
            required(field("custom", Kind::Custom)),
            field("settings", Kind::Json),
        ],
    )
});

pub static NOTE: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    root: Some("customer_id"),
    indexes: &[IndexDef { name: "notes_by_customer", fields: &["customer_id", "at"] }],
    ..define(
        "note",
        "notes",
        vec![
            required(field("customer_id", Kind::Link { entity: "customer" })),
            required(field("title", line_of(200))),
            required(field("at", Kind::Instant)),
        ],
    )
});

pub static LINE: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    root: Some("note_id.customer_id"),
    indexes: &[IndexDef { name: "lines_by_note", fields: &["note_id"] }],
    ..define(
        "line",
        "lines",
        vec![
            required(field("note_id", Kind::Link { entity: "note" })),
            required(field("amount", Kind::Int { min: 0, max: 1_000_000 })),
        ],
    )
});

pub static RECEIPT: LazyLock<EntityDef> = LazyLock::new(|| EntityDef {
    append_only: true,
    ..define("receipt", "receipts", vec![required(field("what", line_of(200)))])
});

macro_rules! entities {
    ($($type:ident, $id:ident, $def:ident;)*) => {$(
        crm_core::record_id! {
            /// An id.
            $id
        }
        #[derive(Clone)]
        pub struct $type(Record, Meta);
        impl Entity for $type {
            type Id = $id;
            fn def() -> &'static EntityDef { &$def }
            fn to_record(&self) -> Record { self.0.clone() }
            fn from_record(record: &Record) -> Result<Self, Unreadable> {
                Ok(Self(record.clone(), record.meta()))
            }
            fn id(&self) -> $id { $id(self.0.id()) }
            fn meta(&self) -> &Meta { &self.1 }
        }
    )*};
}

entities! {
    Customer, CustomerId, CUSTOMER;
    User, UserId, USER;
    Note, NoteId, NOTE;
    Line, LineId, LINE;
    Receipt, ReceiptId, RECEIPT;
}
