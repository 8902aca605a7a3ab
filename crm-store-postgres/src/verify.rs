//! Whether a schema is what the catalog needs.

use std::collections::{BTreeMap, BTreeSet};

use crm_core::catalog::{Catalog, Kind};
use crm_core::store::StoreError;
use sqlx::postgres::PgPool;

use crate::column::type_name;
use crate::ddl::{bare_links, checks};
use crate::error::store_error;
use crate::migrate::SYSTEM_TABLES;
use crate::names::{foreign_key, link_index, primary_key};
use crate::timeline;

/// PostgreSQL 13.
const OLDEST_SERVER: i32 = 130_000;
/// How many complaints one message lists.
const MOST: usize = 12;

struct Column {
    kind: String,
    required: bool,
    collation: String,
    has_default: bool,
}

/// What is there, by name.
struct Found {
    columns: BTreeMap<String, BTreeMap<String, Column>>,
    indexes: BTreeMap<String, bool>,
    constraints: BTreeSet<String>,
}

/// Compares the catalog with the server.
pub(crate) async fn verify(
    pool: &PgPool,
    schema: &str,
    catalog: &Catalog,
    row_level_security: bool,
) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| store_error("verify_schema", &error);
    for def in catalog.entities() {
        let taken = |name: &str| def.index_of(name).is_some();
        let folded = def.fields.iter().find(|f| f.folded && taken(&f.compare_column()));
        if taken("tenant") || folded.is_some() || SYSTEM_TABLES.contains(&def.table) {
            return not_ready(format!(
                "{} has a field or table of a name that the store uses itself; rename it",
                def.name
            ));
        }
    }
    server(pool).await?;
    let found = read(pool, schema).await.map_err(failed)?;
    let mut wrong = Vec::new();
    system(&found, &mut wrong);
    for def in catalog.entities() {
        entity(catalog, def, &found, &mut wrong);
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(MOST);
        wrong.truncate(MOST);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return not_ready(format!(
            "the schema {schema} differs from the catalog: {}{more}; run the migrations (crm_store_postgres::migrate)",
            wrong.join("; ")
        ));
    }
    if row_level_security { policies(pool, schema, catalog).await } else { Ok(()) }
}

fn not_ready<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::NotReady { why })
}

async fn server(pool: &PgPool) -> Result<(), StoreError> {
    let (version, encoding): (i32, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')",
    )
    .fetch_one(pool)
    .await
    .map_err(|error| store_error("verify_schema", &error))?;
    if version < OLDEST_SERVER {
        return not_ready(format!("the server is PostgreSQL {}; 13 or later is needed", version / 10_000));
    }
    if encoding != "UTF8" {
        return not_ready(format!("the database's encoding is {encoding}; create it with ENCODING 'UTF8'"));
    }
    Ok(())
}

async fn read(pool: &PgPool, schema: &str) -> Result<Found, sqlx::Error> {
    let rows: Vec<(String, String, String, bool, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                coalesce(l.collname::text, ''), a.atthasdef OR a.attidentity <> '' \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_collation l ON l.oid = a.attcollation \
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let mut columns: BTreeMap<String, BTreeMap<String, Column>> = BTreeMap::new();
    for (table, name, kind, required, collation, has_default) in rows {
        let column = Column { kind, required, collation, has_default };
        columns.entry(table).or_default().insert(name, column);
    }
    let indexes: Vec<(String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, i.indisunique FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND i.indisvalid",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let constraints: Vec<String> = sqlx::query_scalar(
        "SELECT o.conname::text FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace \
         WHERE n.nspname = $1",
    )
    .bind(schema)
    .fetch_all(pool)
    .await?;
    Ok(Found {
        columns,
        indexes: indexes.into_iter().collect(),
        constraints: constraints.into_iter().collect(),
    })
}

/// The columns of the store's own tables that statements name.
fn system_columns(table: &str) -> Vec<&'static str> {
    match table {
        "crm_consumers" => vec!["consumer", "number"],
        "crm_keys" => vec!["command", "key", "commit_id", "digest", "result", "at"],
        "crm_log" => vec![
            "commit_id",
            "ordinal",
            "entity",
            "record_id",
            "version",
            "op",
            "at",
            "root",
            "body",
            "private",
            "number",
            "hash",
        ],
        "crm_log_head" => vec!["number", "hash"],
        "crm_timeline" => timeline::COLUMNS.to_vec(),
        _ => vec!["entity", "token", "id"],
    }
}

fn system(found: &Found, wrong: &mut Vec<String>) {
    for table in SYSTEM_TABLES {
        let Some(columns) = found.columns.get(table) else {
            wrong.push(format!("the table {table} is missing"));
            continue;
        };
        for name in system_columns(table).into_iter().chain(["tenant"]) {
            if !columns.contains_key(name) {
                wrong.push(format!("the column {table}.{name} is missing"));
            }
        }
        let key = format!("{table}_pkey");
        if !found.indexes.contains_key(&key) {
            wrong.push(format!("the primary key {key} is missing"));
        }
    }
    for (name, unique) in [
        ("crm_log_number", true),
        ("crm_log_record", false),
        ("crm_log_unsealed", false),
        ("crm_timeline_anchor", false),
        ("crm_timeline_actor", false),
        ("crm_timeline_tenant", false),
        ("crm_tokens_record", false),
    ] {
        index(found, name, unique, wrong);
    }
}

fn index(found: &Found, name: &str, unique: bool, wrong: &mut Vec<String>) {
    match found.indexes.get(name) {
        None => wrong.push(format!("the index {name} is missing or invalid")),
        Some(false) if unique => wrong.push(format!("the index {name} is not unique")),
        Some(_) => {}
    }
}

fn entity(catalog: &Catalog, def: &crm_core::catalog::EntityDef, found: &Found, wrong: &mut Vec<String>) {
    let table = def.table;
    let Some(columns) = found.columns.get(table) else {
        wrong.push(format!("the table {table} is missing"));
        return;
    };
    let mut expected = BTreeSet::from(["tenant".to_owned()]);
    if columns.get("tenant").is_none_or(|column| column.kind != "uuid") {
        wrong.push(format!("the column {table}.tenant is missing or no uuid"));
    }
    for field in &def.fields {
        let mut names = vec![field.name.to_owned()];
        if field.folded {
            names.push(field.compare_column().into_owned());
        }
        for name in names {
            match columns.get(&name) {
                None => wrong.push(format!("the column {table}.{name} is missing")),
                Some(column) => {
                    let kind = type_name(field.field_type());
                    if column.kind != kind {
                        wrong.push(format!("the column {table}.{name} is {} instead of {kind}", column.kind));
                    } else if kind == "text" && column.collation != "C" {
                        wrong.push(format!("the column {table}.{name} is not COLLATE \"C\""));
                    }
                    if column.required != field.required {
                        let what = if field.required { "accepts" } else { "refuses" };
                        wrong.push(format!("the column {table}.{name} {what} null"));
                    }
                }
            }
            expected.insert(name);
        }
        if matches!(field.kind, Kind::Link { .. }) && catalog.target(&field.kind).is_some() {
            constraint(found, &foreign_key(def, field.name), "foreign key", wrong);
        }
    }
    for (name, column) in columns {
        if column.required && !column.has_default && !expected.contains(name) {
            wrong.push(format!("the column {table}.{name} demands a value and is not in the catalog"));
        }
    }
    for (name, _) in checks(def) {
        constraint(found, &name, "check", wrong);
    }
    index(found, &primary_key(def), true, wrong);
    for rule in def.uniques {
        index(found, rule.name, true, wrong);
    }
    for order in def.indexes {
        index(found, order.name, false, wrong);
    }
    for link in bare_links(def) {
        index(found, &link_index(def, link), false, wrong);
    }
}

fn constraint(found: &Found, name: &str, what: &str, wrong: &mut Vec<String>) {
    if !found.constraints.contains(name) {
        wrong.push(format!("the {what} {name} is missing"));
    }
}

/// Row level security that binds nobody is worse than none.
async fn policies(pool: &PgPool, schema: &str, catalog: &Catalog) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| store_error("verify_schema", &error);
    let unbound: bool =
        sqlx::query_scalar("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
            .fetch_one(pool)
            .await
            .map_err(failed)?;
    if unbound {
        return not_ready(
            "row level security is asked for and the role is not bound by it; connect as a role without SUPERUSER and \
             BYPASSRLS"
                .to_owned(),
        );
    }
    let tables: Vec<&str> =
        SYSTEM_TABLES.into_iter().chain(catalog.entities().map(|def| def.table)).collect();
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY($2) AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1",
    )
    .bind(schema)
    .bind(&tables)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    if bare.is_empty() {
        return Ok(());
    }
    not_ready(format!("row level security is off for {}; migrate with row_level_security", bare.join(", ")))
}
