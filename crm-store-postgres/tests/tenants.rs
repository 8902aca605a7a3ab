//! Row level security and privileges, as an ordinary role.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use common::*;
use crm_core::TenantId;
use crm_core::criteria::Filter;
use crm_core::store::{
    Answer, CommitError, Query, Read, Store, StoreError, TimelineAnchor, TimelineFilter, TimelineQuery,
    Viewer, Write,
};
use crm_core::value::Value;
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, migrate};
use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

struct Guarded {
    admin: Scratch,
    role: String,
    pool: PgPool,
    store: PostgresStore,
}

/// A schema with policies, and a store that runs as a role that may only what the store needs.
async fn guarded() -> Guarded {
    let schema = schema_name();
    let role = format!("r_{}", new_id().simple());
    let base = PgPool::connect(&url()).await.unwrap();
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&base).await.unwrap();
    base.close().await;
    for _ in 0..2 {
        let options = MigrateOptions {
            runtime_role: Some(role.clone()),
            row_level_security: true,
            ..migrations(&schema)
        };
        migrate(&url(), &catalog(), options).await.unwrap();
    }
    let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
    let admin_store = PostgresStore::connect(&url(), catalog(), options.clone()).await.unwrap();
    let connect: PgConnectOptions = url().parse().unwrap();
    let pool = PgPoolOptions::new().connect_with(connect.username(&role).password(&role)).await.unwrap();
    let options = PostgresOptions { row_level_security: true, ..options };
    let store = PostgresStore::with_pool(pool.clone(), catalog(), options).await.unwrap();
    Guarded { admin: Scratch { schema, store: admin_store, tenant: TenantId(new_id()) }, role, pool, store }
}

impl Guarded {
    async fn drop(self) {
        self.pool.close().await;
        self.admin.execute(&format!("DROP OWNED BY {}; DROP ROLE {}", self.role, self.role)).await.unwrap();
        self.admin.drop().await;
    }

    async fn count(&self, tenant: Option<TenantId>, from: &str) -> i64 {
        let mut transaction = self.pool.begin().await.unwrap();
        if let Some(tenant) = tenant {
            sqlx::query("SELECT set_config('app.tenant', $1, true)")
                .bind(tenant.0.to_string())
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        let text = format!("SELECT count(*) FROM {}.{from}", self.admin.schema);
        sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut *transaction).await.unwrap()
    }

    async fn refused(&self, text: &str) -> String {
        let mut transaction = self.pool.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.tenant', $1, true), set_config('app.erasing', 'on', true)")
            .bind(self.admin.tenant.0.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
        let text = text.replace("$S", &self.admin.schema);
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *transaction).await.unwrap_err();
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
    }
}

#[tokio::test]
async fn policies_hide_other_tenants_from_any_statement() {
    let g = guarded().await;
    let (mine, theirs) = (g.admin.tenant, TenantId(new_id()));
    let c = customer("mine");
    let n = note(&c, "n", at(1));
    let mut set = change(mine, vec![Write::Insert(c.clone()), Write::Insert(n.clone())]);
    set.timeline_put = vec![entry(&n)];
    set.tokens_put = vec![token(&c, "mine")];
    g.store.commit(&set).await.unwrap();
    g.store.commit(&set).await.unwrap();
    for table in ["customers", "notes", "crm_log", "crm_timeline", "crm_tokens"] {
        assert!(g.count(Some(mine), table).await > 0, "{table}");
        assert_eq!(g.count(Some(theirs), table).await, 0, "{table}");
        assert_eq!(g.count(None, table).await, 0, "{table}");
        // A forged query that names the other tenant sees nothing either.
        let forged = format!("{table} WHERE tenant = '{mine}' OR true");
        assert_eq!(g.count(Some(theirs), &forged).await, 0, "{table}");
    }
    let get = Read::Get { def: &CUSTOMER, ids: vec![c.id()] };
    let answers = g.store.read(mine, std::slice::from_ref(&get)).await.unwrap();
    assert!(matches!(&answers[..], [Answer::Records(r)] if r == std::slice::from_ref(&c)));
    let answers = g.store.read(theirs, &[get]).await.unwrap();
    assert!(matches!(&answers[..], [Answer::Records(r)] if r.is_empty()));
    // Errors have no detail here, and still name the record.
    let (new, other) = (customer("new"), customer("other"));
    let taken = change(mine, [&new, &c].map(|r| Write::Insert(r.clone())).to_vec());
    let conflict = CommitError::Conflict { entity: "customer", id: c.id() };
    assert_eq!(g.store.commit(&taken).await, Err(conflict.clone()));
    let mut own = g.pool.begin().await.unwrap();
    assert_eq!(g.store.commit_in(&mut own, &taken).await, Err(conflict));
    g.store.commit_in(&mut own, &change(mine, vec![Write::Insert(other.clone())])).await.unwrap();
    own.commit().await.unwrap();
    let purge = change(mine, [&other, &c].map(|r| Write::Purge(r.clone())).to_vec());
    let in_use = CommitError::InUse { entity: "note", field: "customer_id", id: c.id() };
    assert_eq!(g.store.commit(&purge).await, Err(in_use));
    let nowhere = note(&customer("never stored"), "n", at(0));
    let both = change(mine, vec![Write::Insert(nowhere), Write::Purge(other)]);
    let dangling = CommitError::Dangling { entity: "note", field: "customer_id" };
    assert_eq!(g.store.commit(&both).await, Err(dangling));
    let stolen = change(theirs, vec![changed(&c, "score", Value::Int(1))]);
    assert!(matches!(g.store.commit(&stolen).await, Err(CommitError::Conflict { .. })));
    g.drop().await;
}

#[tokio::test]
async fn the_whole_store_works_as_an_ordinary_role() {
    let g = guarded().await;
    let tenant = g.admin.tenant;
    let (c, r) = (customer("c"), receipt("r"));
    let mut set = change(tenant, vec![Write::Insert(c.clone()), Write::Insert(r.clone())]);
    set.tokens_put = vec![token(&c, "c")];
    g.store.commit(&set).await.unwrap();
    assert_eq!(g.store.seal_log(tenant, 10).await.unwrap(), 2);
    g.store.acknowledge(tenant, "mailer", 2).await.unwrap();
    g.store.acknowledge(tenant, "mailer", 1).await.unwrap();
    let mut erased = change(tenant, vec![changed(&r, "what", text("gone"))]);
    erased.erase_log = vec![(&RECEIPT, r.id())];
    g.store.commit(&erased).await.unwrap();
    let query = Query {
        def: &CUSTOMER,
        filter: Filter::always(),
        tokens: vec!["c".to_owned()],
        token_prefix: None,
        order: Vec::new(),
        limit: 10,
    };
    let timeline = TimelineQuery {
        anchor: TimelineAnchor::Tenant,
        filter: TimelineFilter::default(),
        viewer: Viewer::default(),
        direction: crm_core::store::Direction::Descending,
        after: None,
        limit: 10,
    };
    let reads = [
        Read::Find(query.clone()),
        Read::Timeline(timeline),
        Read::Position { consumer: "mailer".to_owned() },
        Read::Log { after: 0, limit: 10 },
        Read::History { def: &RECEIPT, id: r.id(), before_version: None, limit: 10 },
        Read::LogHead,
    ];
    let answers = g.store.read(tenant, &reads).await.unwrap();
    assert!(matches!(&answers[0], Answer::Records(records) if records.len() == 1));
    assert!(matches!(answers[2], Answer::Position(2)));
    assert!(matches!(answers[5], Answer::Position(2)));
    assert!(matches!(&answers[3], Answer::Log(rows) if rows.len() == 2));
    assert!(
        matches!(&answers[4], Answer::Log(rows) if rows.len() == 2 && rows.iter().all(|r| r.private.is_none()))
    );
    assert_eq!(g.store.expire_keys(tenant, at(100), 10).await.unwrap(), 0);
    let scanned: Vec<_> = g.store.scan(tenant, query).collect().await;
    assert_eq!(scanned.len(), 1);
    g.drop().await;
}

#[tokio::test]
async fn the_runtime_role_has_no_more_than_it_needs() {
    let g = guarded().await;
    g.store.commit(&change(g.admin.tenant, vec![Write::Insert(customer("c"))])).await.unwrap();
    for attempt in [
        "DELETE FROM $S.crm_log",
        "UPDATE $S.crm_log SET body = '{}'",
        "UPDATE $S.crm_log SET at = now()",
        "CREATE TABLE $S.more (id uuid)",
        "ALTER TABLE $S.customers DISABLE ROW LEVEL SECURITY",
        "DROP TRIGGER crm_log_guard ON $S.crm_log",
        "TRUNCATE $S.customers",
        "INSERT INTO $S.crm_tokens VALUES (gen_random_uuid(), 'e', 't', gen_random_uuid())",
    ] {
        assert_eq!(g.refused(attempt).await, "42501", "{attempt}");
    }
    // A role that no policy binds is refused where policies are asked for.
    let options = PostgresOptions {
        schema: g.admin.schema.clone(),
        row_level_security: true,
        ..PostgresOptions::default()
    };
    let error = PostgresStore::connect(&url(), catalog(), options).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotReady { why } if why.contains("SUPERUSER")), "{error}");
    g.drop().await;
}
