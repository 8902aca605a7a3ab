//! The schema: how it is made, by many at once, and how it is compared with the catalog.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;

use std::time::Duration;

use common::*;
use crm_core::catalog::{FieldType, Kind};
use crm_core::customer::Customer;
use crm_core::lifecycle::AdvanceStage;
use crm_core::store::{Store, StoreError, Write};
use crm_core::{Context, Crm};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, ddl, migrate, migration};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_migrate_at_once() {
    let schema = schema_name();
    let all: Vec<_> = (0..8)
        .map(|_| {
            let options = migrations(&schema);
            tokio::spawn(async move { migrate(&url(), &catalog(), options).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
    let store = PostgresStore::connect(&url(), catalog(), options).await.unwrap();
    let s = Scratch { schema, store, tenant: crm_core::TenantId(new_id()) };
    assert_eq!(s.count("$S._crm_migrations").await, 2);
    s.drop().await;
}

type Column = (String, String, String, Option<String>, bool, Option<i32>);

#[tokio::test]
async fn the_catalog_is_what_information_schema_says() {
    let s = Scratch::new().await;
    let rows: Vec<Column> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, udt_name::text, collation_name::text, is_nullable = 'YES', \
         datetime_precision::int4 FROM information_schema.columns WHERE table_schema = $1",
    )
    .bind(&s.schema)
    .fetch_all(s.store.pool())
    .await
    .unwrap();
    for def in catalog().entities() {
        let mut expected = vec![("tenant".to_owned(), "uuid", None, false, None)];
        for field in &def.fields {
            let null = !field.required || matches!(field.field_type(), FieldType::List | FieldType::Custom);
            let (udt, collation, precision) = match field.field_type() {
                FieldType::Bool => ("bool", None, None),
                FieldType::Int => ("int8", None, None),
                FieldType::Decimal => ("numeric", None, None),
                FieldType::Text => ("text", Some("C"), None),
                FieldType::Instant => ("timestamptz", None, Some(3)),
                FieldType::Date => ("date", None, Some(0)),
                FieldType::Id => ("uuid", None, None),
                FieldType::List => ("_text", None, None),
                FieldType::Custom => ("jsonb", None, None),
                FieldType::Json => ("json", None, None),
            };
            expected.push((field.name.to_owned(), udt, collation, null, precision));
            if field.folded {
                expected.push((format!("{}_fold", field.name), udt, collation, null, precision));
            }
        }
        let mut found: Vec<_> = rows
            .iter()
            .filter(|row| row.0 == def.table)
            .map(|(_, name, udt, collation, null, precision)| {
                (name.clone(), udt.as_str(), collation.as_deref(), *null, *precision)
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", def.name);
        let links = def.fields.iter().filter(|field| matches!(field.kind, Kind::Link { .. })).count() as i64;
        let constraints = |kind: &str| {
            format!(
                "information_schema.table_constraints WHERE table_schema = '$S' AND table_name = '{}' AND \
                 constraint_type = '{kind}'",
                def.table
            )
        };
        assert_eq!(s.count(&constraints("FOREIGN KEY")).await, links);
        assert_eq!(s.count(&constraints("PRIMARY KEY")).await, 1);
        for rule in def.uniques {
            let index =
                format!("pg_index WHERE indexrelid = to_regclass('$S.{}') AND indisunique", rule.name);
            assert_eq!(s.count(&index).await, 1, "{}", rule.name);
        }
    }
    s.drop().await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let damages = [
        ("ALTER TABLE $S.customers DROP COLUMN name_fold", "customers.name_fold"),
        (
            "ALTER TABLE $S.customers ALTER COLUMN score TYPE integer",
            "customers.score is integer instead of bigint",
        ),
        (
            "ALTER TABLE $S.customers ALTER COLUMN name TYPE text COLLATE \"default\"",
            "customers.name is not COLLATE",
        ),
        ("ALTER TABLE $S.customers ALTER COLUMN created_at TYPE timestamptz", "customers.created_at"),
        ("DROP INDEX $S.customer_email_taken", "customer_email_taken"),
        (
            "DROP INDEX $S.customer_email_taken; CREATE INDEX customer_email_taken ON $S.customers (tenant)",
            "customer_email_taken is not unique",
        ),
        ("DROP INDEX $S.notes_by_customer", "notes_by_customer"),
        ("ALTER TABLE $S.notes DROP CONSTRAINT notes_customer_id_fkey", "notes_customer_id_fkey"),
        ("ALTER TABLE $S.customers DROP CONSTRAINT customers_status_codes", "customers_status_codes"),
        (
            "DROP INDEX $S.customer_email_taken; CREATE UNIQUE INDEX customer_email_taken ON $S.customers (tenant, \
             email) WHERE deleted_at IS NULL",
            "customer_email_taken is on tenant, email instead of tenant, email_fold",
        ),
        (
            "DROP INDEX $S.customer_email_taken; CREATE UNIQUE INDEX customer_email_taken ON $S.customers (tenant, \
             email_fold)",
            "customer_email_taken covers other rows",
        ),
        (
            "ALTER TABLE $S.customers DROP CONSTRAINT customers_status_codes, ADD CONSTRAINT customers_status_codes \
             CHECK (status IN ('prospect', 'active'))",
            "customers_status_codes is of an earlier form",
        ),
        (
            "ALTER TABLE $S.users DROP CONSTRAINT users_name_length, ADD CONSTRAINT users_name_length \
             CHECK (char_length(name) <= 10)",
            "users_name_length is of an earlier form",
        ),
        ("ALTER TABLE $S.customers ADD COLUMN extra text NOT NULL", "customers.extra"),
        ("DROP TABLE $S.lines", "lines"),
        ("DROP TABLE $S.crm_tokens", "crm_tokens"),
        ("ALTER TABLE $S.crm_log DROP COLUMN private", "crm_log.private"),
    ];
    let s = Scratch::new().await;
    s.store.verify_schema().await.unwrap();
    for (damage, named) in damages {
        let schema = schema_name();
        migrate(&url(), &catalog(), migrations(&schema)).await.unwrap();
        s.execute(&damage.replace("$S", &schema)).await.unwrap();
        let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
        let error = PostgresStore::connect(&url(), catalog(), options).await.unwrap_err();
        let StoreError::NotReady { why } = &error else { panic!("{error}") };
        assert!(why.contains(named) && why.contains("run the migrations"), "{damage}: {why}");
        s.execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
    }
    let missing = PostgresOptions { schema: schema_name(), ..PostgresOptions::default() };
    let error = PostgresStore::connect(&url(), catalog(), missing).await.unwrap_err();
    assert!(error.to_string().contains("crm_log is missing"), "{error}");
    let evil = PostgresOptions { schema: "x\"; DROP SCHEMA public".to_owned(), ..PostgresOptions::default() };
    let error = PostgresStore::connect(&url(), catalog(), evil).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    s.drop().await;
}

#[tokio::test]
async fn a_wrong_address_is_told_from_a_server_that_does_not_answer() {
    let right: PgConnectOptions = url().parse().unwrap();
    for (wrong, told) in [
        (right.clone().database("no_such_database"), "no database of the name"),
        (right.clone().username("no_such_role"), "refused the credentials"),
    ] {
        let wrong = wrong.to_url_lossy();
        let schema = schema_name();
        for error in [
            migrate(wrong.as_str(), &catalog(), migrations(&schema)).await.unwrap_err(),
            PostgresStore::connect(wrong.as_str(), catalog(), PostgresOptions::default()).await.unwrap_err(),
        ] {
            let StoreError::NotReady { why } = &error else { panic!("{error}") };
            assert!(why.contains(told) && !why.contains("no_such"), "{why}");
        }
    }
    let nobody = right.port(9).to_url_lossy();
    let options = PostgresOptions { acquire_timeout: Duration::from_secs(1), ..PostgresOptions::default() };
    let error = PostgresStore::connect(nobody.as_str(), catalog(), options).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn migrations_do_not_change_once_they_have_run() {
    let s = Scratch::new().await;
    let with = |sql: &str| MigrateOptions {
        schema: s.schema.clone(),
        migrations: vec![migration(100, "test entities", sql)],
        ..MigrateOptions::default()
    };
    let error = migrate(&url(), &catalog(), with("SELECT 1")).await.unwrap_err();
    assert!(error.to_string().contains("migration 100"), "{error}");
    // A failed migration leaves nothing, names itself, and holds no lock.
    let mut failing = migrations(&s.schema);
    failing.migrations.push(migration(101, "bad", "CREATE TABLE half (id uuid); SELECT 1 / 0"));
    let error = migrate(&url(), &catalog(), failing).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Failed { what, code } if what == "migration 101" && code == "22012")
    );
    assert_eq!(s.count("pg_tables WHERE schemaname = '$S' AND tablename = 'half'").await, 0);
    let mut twice = migrations(&s.schema);
    twice.migrations.push(migration(100, "again", "SELECT 1"));
    let error = migrate(&url(), &catalog(), twice).await.unwrap_err();
    assert!(error.to_string().contains("two migrations"), "{error}");
    // An older service, which lacks the newest migration, still starts.
    let mut newer = migrations(&s.schema);
    newer.migrations.push(migration(102, "newer", "CREATE TABLE newer (id uuid)"));
    migrate(&url(), &catalog(), newer).await.unwrap();
    migrate(&url(), &catalog(), migrations(&s.schema)).await.unwrap();
    s.drop().await;
}

#[tokio::test]
async fn one_entity_s_text_stands_alone() {
    let text = ddl(&catalog(), &NOTE);
    assert!(text.contains("\"customer_id\" uuid NOT NULL"), "{text}");
    assert!(
        text.contains("FOREIGN KEY (tenant, \"customer_id\") REFERENCES \"customers\" (tenant, id)"),
        "{text}"
    );
    assert!(!text.contains("CREATE TABLE \"customers\""), "{text}");
    let text = ddl(&catalog(), &CUSTOMER);
    assert!(text.contains("\"status\" IN ('prospect', 'active', 'it''s over')"), "{text}");
    assert!(
        text.contains(
            "CREATE UNIQUE INDEX \"customer_one_main\" ON \"customers\" (tenant, \"owner_id\") WHERE deleted_at IS \
             NULL AND \"is_main\";"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn append_only_is_refused_by_the_server_itself() {
    let s = Scratch::new().await;
    let r = receipt("paid");
    s.insert(vec![r.clone()]).await;
    for attempt in [
        "UPDATE $S.receipts SET what = 'x'",
        "DELETE FROM $S.receipts",
        "TRUNCATE $S.receipts",
        "UPDATE $S.crm_log SET op = 'update'",
        "UPDATE $S.crm_log SET body = '{}'",
        "UPDATE $S.crm_log SET private = '{}'",
        "UPDATE $S.crm_log SET version = version + 1, private = NULL",
        "DELETE FROM $S.crm_log",
        "TRUNCATE $S.crm_log",
    ] {
        let error = s.execute(attempt).await.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default()
            .into_owned();
        assert_eq!(code, "23001", "{attempt}: {error}");
    }
    assert_eq!(s.store.seal_log(s.tenant, 10).await.unwrap(), 1);
    for attempt in ["UPDATE $S.crm_log SET number = 7", "UPDATE $S.crm_log SET number = NULL, hash = NULL"] {
        assert!(s.execute(attempt).await.is_err(), "{attempt}");
    }
    // Erasure and purging are what the gate is for; it closes with the transaction.
    let mut masked = s.change(vec![changed(&r, "what", text("erased"))]);
    masked.erase_log = vec![(&RECEIPT, r.id())];
    s.store.commit(&masked).await.unwrap();
    assert_eq!(s.count("$S.receipts WHERE what = 'erased'").await, 1);
    assert_eq!(s.count("$S.crm_log WHERE private IS NOT NULL").await, 0);
    let after = masked.writes[0].record().clone();
    s.store.commit(&s.change(vec![Write::Purge(after)])).await.unwrap();
    assert_eq!(s.count("$S.receipts").await, 0);
    s.insert(vec![receipt("again")]).await;
    assert!(s.execute("DELETE FROM $S.receipts").await.is_err());
    s.drop().await;
}

/// The history of a customer's stages, in the standard tables: neither the role that a service runs as nor the owner of
/// the tables changes it.
#[tokio::test]
async fn lc_03_the_lifecycle_history_is_refused_by_the_server_itself() {
    let (schema, role) = (schema_name(), format!("r_{}", new_id().simple()));
    let owner = PgPool::connect(&url()).await.unwrap();
    let run = async |pool: &PgPool, text: &str| {
        let text = text.replace("$S", &schema).replace("$R", &role);
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(pool).await
    };
    run(&owner, "CREATE ROLE $R LOGIN PASSWORD '$R'").await.unwrap();
    let catalog = || crm_core::standard_catalog().build().unwrap();
    let runtime_role = Some(role.clone());
    let options = MigrateOptions { schema: schema.clone(), runtime_role, ..MigrateOptions::default() };
    migrate(&url(), &catalog(), options).await.unwrap();
    let connect: PgConnectOptions = url().parse().unwrap();
    let pool = PgPool::connect_with(connect.username(&role).password(&role)).await.unwrap();
    let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
    let store = PostgresStore::with_pool(pool.clone(), catalog(), options).await.unwrap();

    let crm = Crm::builder(store).cursor_key([7; 32]).build().unwrap();
    let ctx = Context::system(crm_core::TenantId(new_id()));
    let someone = Customer { display_name: "Remembered".to_owned(), ..Customer::default() };
    let id = crm.customers().create(&ctx, someone).await.unwrap().id;
    let to = crm.lifecycle().stages(&ctx).await.unwrap()[1].id;
    crm.lifecycle().advance(&ctx, AdvanceStage::new(id, to)).await.unwrap();
    let before = crm.lifecycle().history(&ctx, id).await.unwrap();
    assert_eq!(before.len(), 1);
    for attempt in [
        "UPDATE $S.lifecycle_history SET reason = 'never said'",
        "UPDATE $S.lifecycle_history SET sequence = sequence + 1",
        "UPDATE $S.lifecycle_history SET deleted_at = now()",
        "DELETE FROM $S.lifecycle_history",
        "TRUNCATE $S.lifecycle_history",
    ] {
        for (pool, accepted) in [(&owner, &["23001"][..]), (&pool, &["23001", "42501"])] {
            let error = run(pool, attempt).await.unwrap_err();
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            assert!(code.is_some_and(|code| accepted.contains(&&*code)), "{attempt}: {error}");
        }
    }
    assert_eq!(crm.lifecycle().history(&ctx, id).await.unwrap(), before);
    pool.close().await;
    run(&owner, "DROP SCHEMA $S CASCADE; DROP OWNED BY $R; DROP ROLE $R").await.unwrap();
    owner.close().await;
}

#[test]
fn xt_01_the_standard_migration_is_what_the_catalog_says() {
    let catalog = crm_core::standard_catalog().build().unwrap();
    let kept = include_str!("../migrations/0010_standard.sql");
    let generated = crm_store_postgres::ddl_all(&catalog);
    assert!(
        kept.ends_with(&generated),
        "write the output of `cargo run -p crm-store-postgres --example ddl` to migrations/0010_standard.sql"
    );
}
