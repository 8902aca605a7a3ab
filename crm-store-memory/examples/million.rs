//! How fast the memory store takes a million customers in batches of a thousand, and answers from them.
//!
//! `cargo run --release -p crm-store-memory --example million -- [customers]`

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant as Clock};

use crm_core::catalog::{Catalog, Entity, EntityDef, FieldDef, Format, IndexDef, Kind, Privacy, UniqueRule};
use crm_core::criteria::{Filter, Path, Test};
use crm_core::log::{Actor, ActorKind, Body, LogRow, Op, Private};
use crm_core::record::{Meta, Record, Unreadable};
use crm_core::store::{
    ChangeSet, Direction, GroupQuery, Measure, Order, Query, Read, Store, TokenRow, Write,
};
use crm_core::value::{Instant, Value};
use crm_core::{RecordId, TenantId};
use crm_store_memory::MemoryStore;
use futures_util::StreamExt;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

fn field(name: &'static str, kind: Kind, folded: bool) -> FieldDef {
    FieldDef { name, kind, required: false, folded, search: false, frozen: false, privacy: Privacy::Keep }
}

fn text(name: &'static str, folded: bool) -> FieldDef {
    field(name, Kind::Text { max: 200, format: Format::Line }, folded)
}

/// As many fields and indexes as the library's own customer.
static CUSTOMER: LazyLock<EntityDef> = LazyLock::new(|| {
    let mut fields = EntityDef::system_fields();
    fields.extend([
        text("name", true),
        text("email", true),
        text("phone", false),
        field("status", Kind::Enum { codes: &["active", "churned", "prospect"], ordered: false }, false),
        field("score", Kind::Int { min: 0, max: 1_000_000 }, false),
        field("parent_id", Kind::Link { entity: "customer" }, false),
        field("tags", Kind::List { max_items: 100, max_len: 50 }, false),
        field("vip", Kind::Bool, false),
        field("blocked", Kind::Bool, false),
        text("language", false),
        text("source", false),
        field("custom", Kind::Custom, false),
    ]);
    EntityDef {
        name: "customer",
        table: "customers",
        fields,
        uniques: &[UniqueRule { name: "email_once", fields: &["email"], only_if: None, with_deleted: false }],
        indexes: &[
            IndexDef { name: "by_name", fields: &["name"] },
            IndexDef { name: "by_creation", fields: &["created_at"] },
            IndexDef { name: "by_status", fields: &["status", "score"] },
            IndexDef { name: "by_phone", fields: &["phone"] },
            IndexDef { name: "by_parent", fields: &["parent_id"] },
        ],
        checks: &[],
        append_only: false,
        shared: false,
        root: None,
        parent: Some("parent_id"),
        extends: None,
        entry: None,
        validate: None,
    }
});

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CustomerId(Uuid);

impl RecordId for CustomerId {
    fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }
    fn uuid(self) -> Uuid {
        self.0
    }
}

impl std::fmt::Display for CustomerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone)]
struct Customer(Meta);

impl Entity for Customer {
    type Id = CustomerId;
    fn def() -> &'static EntityDef {
        &CUSTOMER
    }
    fn to_record(&self) -> Record {
        Record::new(&CUSTOMER, Uuid::nil(), &self.0)
    }
    fn from_record(record: &Record) -> Result<Self, Unreadable> {
        Ok(Self(record.meta()))
    }
    fn id(&self) -> CustomerId {
        CustomerId(Uuid::nil())
    }
    fn meta(&self) -> &Meta {
        &self.0
    }
}

/// Spreads numbers over all ids, so that nothing arrives in order.
fn scattered(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 31)
}

fn id(n: u64) -> Uuid {
    Uuid::from_u64_pair(scattered(n), n)
}

fn txt(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn customer(n: u64) -> Record {
    let at = Instant::from_timestamp_millis(1_600_000_000_000 + (scattered(n) % 100_000_000_000) as i64);
    let at = at.unwrap_or_default();
    let mut record =
        Record::new(&CUSTOMER, id(n), &Meta { version: 1, created_at: at, updated_at: at, deleted_at: None });
    record.set("name", txt(format!("Customer {:06}", scattered(n) % 1_000_000)));
    record.set("email", txt(format!("c{n}@Example.org")));
    record.set("phone", txt(format!("+49{}", scattered(n) % 10_000_000_000)));
    record.set("status", txt(["active", "churned", "prospect"][(n % 3) as usize]));
    record.set("score", Value::Int((scattered(n) % 1_000_000) as i64));
    record.set("tags", Value::List(vec!["newsletter".to_owned(), format!("region-{}", n % 40)]));
    record.set("language", txt("de"));
    record.set("source", txt("import"));
    record.set("vip", Value::Bool(n.is_multiple_of(50)));
    record.set("blocked", Value::Bool(false));
    if n % 5 == 1 {
        record.set("parent_id", Value::Id(id(n - 1)));
    }
    record
}

fn batch(number: u64, from: u64, to: u64) -> ChangeSet {
    let records: Vec<Record> = (from..to).map(customer).collect();
    let commit_id = Uuid::from_u128(u128::from(number));
    let log = records.iter().zip(0..).map(|(record, ordinal)| LogRow {
        commit_id,
        ordinal,
        entity: "customer".to_owned(),
        record_id: record.id(),
        version: 1,
        op: Op::Insert,
        at: record.meta().created_at,
        root: Some(record.id()),
        body: Body {
            schema: 1,
            actor: Actor { kind: ActorKind::System, id: None },
            command: "customers.import".to_owned(),
            correlation: None,
            commitments: ["name", "email", "phone", "status", "score", "tags", "language", "source"]
                .iter()
                .map(|name| ((*name).to_owned(), "0123456789abcdef0123456789abcdef".to_owned()))
                .collect(),
            events: Vec::new(),
        },
        private: Some(Private { salt: "0123456789abcdef0123456789abcdef".to_owned(), ..Private::default() }),
        number: None,
        hash: None,
    });
    let words = |n: u64| [format!("customer{}", scattered(n) % 100_000), format!("#region-{}", n % 40)];
    let tokens = |n: u64| words(n).map(|token| TokenRow { entity: "customer", id: id(n), token });
    ChangeSet {
        tenant: TENANT,
        commit_id,
        at: Instant::UNIX_EPOCH,
        log: log.collect(),
        releases: 0,
        guards: Vec::new(),
        none_refer: Vec::new(),
        key: None,
        erase_log: Vec::new(),
        timeline_put: Vec::new(),
        timeline_drop: Vec::new(),
        tokens_put: (from..to).flat_map(tokens).collect(),
        tokens_drop: Vec::new(),
        writes: records.into_iter().map(Write::Insert).collect(),
    }
}

fn leaf(name: &str, test: Test) -> Option<Filter> {
    Path::own(&CUSTOMER, name).map(|path| Filter::leaf(path, test))
}

fn live(parts: impl IntoIterator<Item = Option<Filter>>) -> Filter {
    let deleted = leaf("deleted_at", Test::Exists).map(|filter| Filter::Not(Box::new(filter)));
    Filter::All(parts.into_iter().chain([deleted]).flatten().collect())
}

fn page(filter: Filter, order: &[(&str, Direction)]) -> Query {
    let step = |(name, direction): &(&str, Direction)| {
        Path::own(&CUSTOMER, name).map(|path| Order { path, direction: *direction })
    };
    let order = order.iter().filter_map(step).collect();
    Query { def: &CUSTOMER, filter, tokens: Vec::new(), token_prefix: None, order, limit: 50 }
}

/// The median and the slowest of some runs of a read.
async fn measure(
    store: &MemoryStore,
    what: &str,
    runs: usize,
    read: Read,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut took = Vec::new();
    for _ in 0..runs {
        let start = Clock::now();
        black_box(store.read(TENANT, std::slice::from_ref(&read)).await?);
        took.push(start.elapsed());
    }
    took.sort_unstable();
    println!("{what:<58} median {:>10.1?}  slowest {:>10.1?}", took[runs / 2], took[runs - 1]);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use Direction::{Ascending, Descending};
    let count: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let store = MemoryStore::new(Catalog::builder().with::<Customer>().build()?);
    let mut inside = Duration::ZERO;
    for number in 0..count.div_ceil(1_000) {
        let change = batch(number, number * 1_000, count.min((number + 1) * 1_000));
        let start = Clock::now();
        store.commit(&change).await?;
        inside += start.elapsed();
    }
    println!("{count} customers in batches of 1,000: {inside:.1?} inside commit");
    let eq = |name: &str, value: Value| leaf(name, Test::In(vec![value]));
    let half = Value::Int(500_000);
    let reads = [
        ("get 50 by id", Read::Get { def: &CUSTOMER, ids: (0..50).map(|n| id(n * 7)).collect() }),
        ("find by e-mail", Read::Find(page(live([eq("email", txt("c77@example.org"))]), &[]))),
        ("find 50 newest", Read::Find(page(live([]), &[("created_at", Descending)]))),
        ("find 50 by name", Read::Find(page(live([]), &[("name", Ascending)]))),
        (
            "find 50 active by score down",
            Read::Find(page(live([eq("status", txt("active"))]), &[("score", Descending)])),
        ),
        (
            "the same behind a cursor in the middle",
            Read::Find(page(
                live([
                    eq("status", txt("active")),
                    leaf("score", Test::Le(half.clone())),
                    Some(Filter::Any(vec![
                        Filter::All(leaf("score", Test::Lt(half.clone())).into_iter().collect()),
                        Filter::All(
                            [leaf("score", Test::In(vec![half])), leaf("id", Test::Gt(Value::Id(id(3))))]
                                .into_iter()
                                .flatten()
                                .collect(),
                        ),
                    ])),
                ]),
                &[("score", Descending)],
            )),
        ),
        (
            "find 50 of two statuses by score",
            Read::Find(page(
                live([leaf("status", Test::In(vec![txt("active"), txt("churned")]))]),
                &[("score", Ascending)],
            )),
        ),
        (
            "find names that start with",
            Read::Find(page(
                live([leaf("name", Test::StartsWith("customer 12345".into()))]),
                &[("created_at", Ascending)],
            )),
        ),
        (
            "find the VIPs by name (walk and filter)",
            Read::Find(page(live([eq("vip", Value::Bool(true))]), &[("name", Ascending)])),
        ),
        (
            "find by a rare token",
            Read::Find(Query { tokens: vec!["customer77".into()], ..page(live([]), &[("name", Ascending)]) }),
        ),
        (
            "find by a common token (1 in 40), by name",
            Read::Find(Query { tokens: vec!["#region-7".into()], ..page(live([]), &[("name", Ascending)]) }),
        ),
        (
            "find by a token's beginning",
            Read::Find(Query {
                token_prefix: Some("customer777".into()),
                ..page(live([]), &[("name", Ascending)])
            }),
        ),
        ("subtree", Read::Subtree { def: &CUSTOMER, id: id(5), limit: 50 }),
        ("history of a record", Read::History { def: &CUSTOMER, id: id(5), before_version: None, limit: 50 }),
    ];
    for (what, read) in reads {
        measure(&store, what, 201, read).await?;
    }
    let by_status = Read::Group(GroupQuery {
        def: &CUSTOMER,
        filter: live([]),
        by: Path::own(&CUSTOMER, "status").into_iter().collect(),
        measures: vec![Measure::Count],
        limit: 100,
    });
    measure(&store, "count all by status (looks at everything)", 5, by_status).await?;
    let unindexed = Read::Find(page(live([eq("language", txt("xx"))]), &[]));
    measure(&store, "find none by a field without index (looks at everything)", 5, unindexed).await?;
    for (what, order) in
        [("id", &[][..]), ("name", &[("name", Ascending)][..]), ("language", &[("language", Descending)][..])]
    {
        let start = Clock::now();
        let found = store.scan(TENANT, page(live([]), order)).count().await;
        println!("scan {found} by {what}: {:.1?}", start.elapsed());
    }
    let start = Clock::now();
    let mut sealed = 0;
    while let n @ 1.. = store.seal_log(TENANT, 1_000).await? {
        sealed += n;
    }
    println!("seal {sealed} log rows: {:.1?}", start.elapsed());
    Ok(())
}
