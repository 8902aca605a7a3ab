//! No shipped query reads a whole table: plans over 50,000 customers with 100,000 notes.
//!
//! Listed exceptions: counts and sums over all of a tenant's records (`Read::Group` without a selective filter), and
//! filters on fields without an index, read what they count or filter.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use common::*;
use crm_core::catalog::EntityDef;
use crm_core::criteria::{Filter, Path, Test};
use crm_core::store::{
    Direction, GroupQuery, Guard, Measure, NoneRefer, Order, Query, Read, Store, TimelineAnchor,
    TimelineFilter, TimelinePosition, TimelineQuery, Viewer, Write,
};
use crm_core::value::Value;
use uuid::Uuid;

/// The id that the bulk load gives to number `n` of a kind.
fn id(kind: char, n: u32) -> Uuid {
    format!("{kind}0000000-0000-7000-8000-{n:012}").parse().unwrap()
}

async fn world() -> Scratch {
    let s = Scratch::new().await;
    let ids = |kind: char, n: &str| {
        format!("('{kind}0000000-0000-7000-8000-' || lpad(({n})::text, 12, '0'))::uuid")
    };
    let (user, customer, note) = (ids('a', "n % 50"), ids('c', "n"), ids('e', "n"));
    let (parent, of) = (ids('c', "n / 10"), ids('c', "n / 2"));
    let tenant = format!("'{}'::uuid", s.tenant);
    let at = "timestamptz '2024-01-01' + n * interval '1 minute'";
    let system = format!("1, {at}, {at}");
    for sql in [
        format!(
            "INSERT INTO $S.users (tenant, id, version, created_at, updated_at, name, name_fold) \
             SELECT {tenant}, {user}, {system}, 'u' || n, 'u' || n FROM generate_series(0, 49) n"
        ),
        format!(
            "INSERT INTO $S.customers (tenant, id, version, created_at, updated_at, name, name_fold, email, email_fold, \
             status, score, owner_id, parent_id, tags, custom) SELECT {tenant}, {customer}, {system}, 'Name ' || n, \
             'name ' || n, 'M' || n || '@x.org', 'm' || n || '@x.org', 'active', n % 1000, {user}, \
             CASE WHEN n > 9 THEN {parent} END, '{{}}', '{{}}' FROM generate_series(0, 49999) n"
        ),
        format!(
            "INSERT INTO $S.notes (tenant, id, version, created_at, updated_at, customer_id, title, at) \
             SELECT {tenant}, {note}, {system}, {of}, 'n', {at} FROM generate_series(0, 99999) n"
        ),
        format!(
            "INSERT INTO $S.lines (tenant, id, version, created_at, updated_at, note_id, amount) \
             SELECT {tenant}, gen_random_uuid(), {system}, {note}, n FROM generate_series(0, 49999) n"
        ),
        // One customer has most of the entries, so that a page of its timeline is deep.
        format!(
            "INSERT INTO $S.crm_timeline (tenant, anchor_type, anchor_id, is_primary, at, kind, entry_id, root, actor, \
             visibility, audience, pinned, highlight, tags, title, icon) SELECT {tenant}, 'customer', a, true, {at}, \
             'note', {note}, a, {user}, 'all', 'internal', n % 5000 = 0, false, '{{}}', 't', 'i' \
             FROM (SELECT n, CASE WHEN n % 2 = 0 THEN '{}'::uuid ELSE {of} END AS a FROM generate_series(0, 99999) n) x",
            id('c', 7)
        ),
        format!(
            "INSERT INTO $S.crm_tokens (tenant, entity, token, id) SELECT {tenant}, 'customer', 'name', {customer} \
             FROM generate_series(0, 49999) n UNION ALL SELECT {tenant}, 'customer', 't' || n, {customer} \
             FROM generate_series(0, 49999) n UNION ALL SELECT {tenant}, 'note', '#rare', {note} \
             FROM generate_series(0, 99999, 5000) n"
        ),
        format!(
            "INSERT INTO $S.crm_log (tenant, commit_id, ordinal, entity, record_id, version, op, at, body, number, hash) \
             SELECT {tenant}, gen_random_uuid(), 0, 'customer', {customer}, 1, 'insert', {at}, \
             '{{\"schema\":1,\"actor\":{{\"kind\":\"system\"}},\"command\":\"c\",\"commitments\":{{}}}}', CASE WHEN n < 49000 THEN n + 1 END, CASE WHEN n < 49000 THEN 'h' END FROM generate_series(0, 49999) n"
        ),
        format!(
            "INSERT INTO $S.crm_keys (tenant, command, key, commit_id, digest, result, at) SELECT {tenant}, 'c', n::text, \
             gen_random_uuid(), '', '', {at} FROM generate_series(0, 49999) n"
        ),
        format!("INSERT INTO $S.crm_consumers SELECT {tenant}, 'c' || n, n FROM generate_series(0, 9) n"),
        format!("INSERT INTO $S.crm_log_head VALUES ({tenant}, 49000, 'h')"),
    ] {
        s.execute(&sql).await.unwrap();
    }
    for table in ["users", "customers", "notes", "lines", "crm_timeline", "crm_tokens", "crm_log", "crm_keys"]
    {
        s.execute(&format!("ANALYZE $S.{table}")).await.unwrap();
    }
    s
}

fn find(def: &'static EntityDef, filter: Filter, order: &[(&str, Direction)]) -> Query {
    let filter = filter.and(Filter::live(&catalog(), def));
    let order = order
        .iter()
        .map(|(name, direction)| Order { path: Path::own(def, name).unwrap(), direction: *direction })
        .collect();
    Query { order, ..Query::new(def, filter, 51) }
}

fn leaf(def: &'static EntityDef, name: &str, test: Test) -> Filter {
    Filter::leaf(Path::own(def, name).unwrap(), test)
}

fn eq(def: &'static EntityDef, name: &str, value: Value) -> Filter {
    Filter::eq(def, name, value).unwrap()
}

/// What comes after a place in the order of one field, as the facade asks for it.
fn after(def: &'static EntityDef, name: &str, value: &Value, bound: Test, beyond: Test) -> Filter {
    Filter::All(vec![
        leaf(def, name, bound),
        Filter::Any(vec![
            leaf(def, name, beyond),
            Filter::All(vec![
                leaf(def, name, Test::In(vec![value.clone()])),
                leaf(def, "id", Test::Gt(Value::Id(id('c', 100)))),
            ]),
        ]),
    ])
}

fn timeline(anchor: TimelineAnchor) -> TimelineQuery {
    TimelineQuery {
        anchor,
        filter: TimelineFilter::default(),
        viewer: Viewer { user: Some(id('a', 1)), teams: vec![id('b', 1)], ..Viewer::default() },
        direction: Direction::Descending,
        after: None,
        limit: 51,
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn shipped() -> Vec<(&'static str, Read)> {
    use Direction::{Ascending, Descending};
    let name = text("name 25000");
    let at = Value::Instant("2024-01-20T00:00:00Z".parse().unwrap());
    let (hot, some) = (id('c', 7), id('c', 4_000));
    let deep = TimelinePosition {
        at: "2024-01-20T00:00:00Z".parse().unwrap(),
        kind: "note".to_owned(),
        entry_id: id('e', 1),
        anchor_id: hot,
    };
    let words = |tokens: &[&str], prefix: Option<&str>| Query {
        tokens: tokens.iter().map(|t| (*t).to_owned()).collect(),
        token_prefix: prefix.map(str::to_owned),
        ..find(&CUSTOMER, Filter::always(), &[])
    };
    let mut list = vec![
        ("get", Read::Get { def: &CUSTOMER, ids: vec![hot, some] }),
        ("find first by name", Read::Find(find(&CUSTOMER, Filter::always(), &[("name", Ascending)]))),
        (
            "find deep by name",
            Read::Find(find(
                &CUSTOMER,
                after(&CUSTOMER, "name", &name, Test::Ge(name.clone()), Test::Gt(name.clone())),
                &[("name", Ascending)],
            )),
        ),
        ("find newest", Read::Find(find(&CUSTOMER, Filter::always(), &[("created_at", Descending)]))),
        (
            "find deep by newest",
            Read::Find(find(
                &CUSTOMER,
                after(&CUSTOMER, "created_at", &at, Test::Le(at.clone()), Test::Lt(at.clone())),
                &[("created_at", Descending)],
            )),
        ),
        (
            "find by score, missing last",
            Read::Find(find(&CUSTOMER, Filter::always(), &[("score", Descending)])),
        ),
        ("find by unique", Read::Find(find(&CUSTOMER, eq(&CUSTOMER, "email", text("m77@x.org")), &[]))),
        (
            "find by unique, several",
            Read::Find(find(
                &CUSTOMER,
                leaf(&CUSTOMER, "email", Test::In(vec![text("m77@x.org"), text("m78@x.org")])),
                &[],
            )),
        ),
        (
            "find by beginning",
            Read::Find(find(
                &CUSTOMER,
                leaf(&CUSTOMER, "name", Test::StartsWith("name 4999".to_owned())),
                &[("name", Ascending)],
            )),
        ),
        (
            "find by owner and status",
            Read::Find(find(
                &CUSTOMER,
                eq(&CUSTOMER, "owner_id", Value::Id(id('a', 3))).and(eq(&CUSTOMER, "status", text("active"))),
                &[],
            )),
        ),
        ("find children", Read::Find(find(&CUSTOMER, eq(&CUSTOMER, "parent_id", Value::Id(some)), &[]))),
        ("find by word", Read::Find(words(&["t4711"], None))),
        ("find by words", Read::Find(words(&["name", "t4711"], None))),
        ("find by beginning of word", Read::Find(words(&["name"], Some("t4999")))),
        (
            "find of customer",
            Read::Find(find(&NOTE, eq(&NOTE, "customer_id", Value::Id(some)), &[("at", Descending)])),
        ),
        ("find lines", Read::Find(find(&LINE, eq(&LINE, "note_id", Value::Id(id('e', 9))), &[]))),
        (
            "next piece of a sweep",
            Read::Find(Query::new(
                &CUSTOMER,
                leaf(&CUSTOMER, "id", Test::Gt(Value::Id(some))).and(eq(&CUSTOMER, "status", text("active"))),
                500,
            )),
        ),
        (
            "totals of a customer",
            Read::Group(GroupQuery {
                def: &NOTE,
                filter: eq(&NOTE, "customer_id", Value::Id(some)).and(Filter::live(&catalog(), &NOTE)),
                by: vec![Path::own(&NOTE, "title").unwrap()],
                measures: vec![Measure::Count],
                limit: 100,
            }),
        ),
        ("ancestors", Read::Ancestors { def: &CUSTOMER, id: id('c', 49_000), limit: 100 }),
        ("subtree", Read::Subtree { def: &CUSTOMER, id: id('c', 40), limit: 100 }),
        ("key", Read::Key { command: "c", key: "77".to_owned() }),
        ("history", Read::History { def: &CUSTOMER, id: some, before_version: Some(9), limit: 100 }),
        ("log", Read::Log { after: 30_000, limit: 100 }),
    ];
    for (name, anchor) in [
        ("timeline of one", TimelineAnchor::Records(vec![hot])),
        ("timeline of several", TimelineAnchor::Records(vec![hot, some, id('c', 5)])),
        ("timeline of a user", TimelineAnchor::User(id('a', 3))),
        ("timeline of all", TimelineAnchor::Tenant),
    ] {
        let first = timeline(anchor);
        list.push((name, Read::Timeline(first.clone())));
        list.push((name, Read::Timeline(TimelineQuery { after: Some(deep.clone()), ..first.clone() })));
        list.push((name, Read::Timeline(TimelineQuery { direction: Ascending, ..first.clone() })));
        let filter = TimelineFilter { kinds: vec!["note".to_owned()], ..TimelineFilter::default() };
        list.push((name, Read::Timeline(TimelineQuery { filter, ..first.clone() })));
        let filter = TimelineFilter { tokens: vec!["#rare".to_owned()], ..TimelineFilter::default() };
        list.push((name, Read::Timeline(TimelineQuery { filter, ..first })));
    }
    let filter = TimelineFilter { pinned: Some(true), ..TimelineFilter::default() };
    let first = timeline(TimelineAnchor::Records(vec![hot]));
    list.push(("pinned of one", Read::Timeline(TimelineQuery { filter, ..first })));
    list
}

#[tokio::test]
async fn no_shipped_query_reads_a_whole_table() {
    let s = world().await;
    for (name, read) in shipped() {
        let plan = s.store.explain(s.tenant, &read).await.unwrap();
        // The few users are read as they come.
        let bad: Vec<&str> =
            plan.lines().filter(|line| line.contains("Seq Scan") && !line.contains(" users ")).collect();
        assert!(bad.is_empty(), "{name}:\n{plan}");
        s.store.read(s.tenant, &[read]).await.unwrap();
        // One order of an index serves a page of the timeline at any depth: nothing is sorted.
        if ["timeline of one", "timeline of a user", "timeline of all"].contains(&name)
            && !plan.contains("crm_tokens")
        {
            assert!(!plan.contains("Sort"), "{name}:\n{plan}");
        }
    }
    // Commits, with their locks, foreign keys and conditions of absence, read no table as a whole either.
    let counts = |s: &Scratch| {
        format!(
            "SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE schemaname = '{}' AND relname <> 'users'",
            s.schema
        )
    };
    let seq_scans = async |sql: String| -> Vec<(String, i64)> {
        let pool = sqlx::PgPool::connect(&url()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows
    };
    s.store.pool().close().await;
    let before = seq_scans(counts(&s)).await;
    let options = crm_store_postgres::PostgresOptions { schema: s.schema.clone(), ..Default::default() };
    let store = crm_store_postgres::PostgresStore::connect(&url(), catalog(), options).await.unwrap();
    let s = Scratch { store, ..s };
    let (fresh, leaf) = (customer("fresh"), customer("leaf"));
    s.insert(vec![fresh.clone(), leaf.clone()]).await;
    for round in 1..4 {
        let mut before = fresh.clone();
        before.values[1] = Value::Int(round);
        before.set("score", if round == 1 { Value::Null } else { Value::Int(round - 1) });
        let n = note(&fresh, "n", at(round));
        let mut set = s.change(vec![changed(&before, "score", Value::Int(round)), Write::Insert(n.clone())]);
        set.guards.push(Guard::Live { def: &CUSTOMER, id: id('c', 9) });
        set.guards.push(Guard::Version { def: &NOTE, id: id('e', 9), version: 1 });
        set.none_refer.push(NoneRefer { def: &NOTE, field: "customer_id", id: leaf.id() });
        set.none_refer.push(NoneRefer { def: &CUSTOMER, field: "owner_id", id: leaf.id() });
        set.timeline_put = vec![entry(&n)];
        set.timeline_drop = vec![entry(&note(&fresh, "n", at(0))).key()];
        set.tokens_put = vec![token(&n, "a")];
        set.tokens_drop = vec![token(&n, "b")];
        set.erase_log = vec![(&CUSTOMER, leaf.id())];
        s.store.commit(&set).await.unwrap();
    }
    s.store.commit(&s.change(vec![Write::Purge(leaf)])).await.unwrap();
    s.store.seal_log(s.tenant, 5).await.unwrap();
    s.store.expire_keys(s.tenant, at(0), 5).await.unwrap();
    s.store.pool().close().await;
    assert_eq!(seq_scans(counts(&s)).await, before);
    let pool = sqlx::PgPool::connect(&url()).await.unwrap();
    let text = format!("DROP SCHEMA {} CASCADE", s.schema);
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&pool).await.unwrap();
}
