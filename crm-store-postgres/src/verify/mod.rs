//! Whether a schema is what the catalog needs.

mod found;
mod system;

use std::collections::BTreeSet;

use crm_core::catalog::{Catalog, EntityDef, Kind};
use crm_core::store::StoreError;
use sqlx::postgres::PgPool;

use crate::column::{refuses_null, type_name};
use crate::ddl::{bare_links, checks};
use crate::error::store_error;
use crate::migrate::SYSTEM_TABLES;
use crate::names::{foreign_key, link_index, primary_key};

use found::{Found, read};
use system::system;

/// PostgreSQL 13.
const OLDEST_SERVER: i32 = 130_000;
/// How many complaints one message lists.
const MOST: usize = 12;

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

fn entity(catalog: &Catalog, def: &EntityDef, found: &Found, wrong: &mut Vec<String>) {
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
                    if column.required != refuses_null(field) {
                        let what = if column.required { "refuses" } else { "accepts" };
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
    for check in checks(def) {
        if let Some(definition) = constraint(found, &check.name, "check", wrong)
            && !check.mentions.iter().all(|part| definition.contains(part))
        {
            wrong.push(format!("the check {} is of an earlier form", check.name));
        }
    }
    indexes(def, found, wrong);
}

/// The definition of a constraint that must be there.
fn constraint<'a>(found: &'a Found, name: &str, what: &str, wrong: &mut Vec<String>) -> Option<&'a str> {
    let definition = found.constraints.get(name);
    if definition.is_none() {
        wrong.push(format!("the {what} {name} is missing"));
    }
    definition.map(String::as_str)
}

fn indexes(def: &EntityDef, found: &Found, wrong: &mut Vec<String>) {
    let compared = |name: &&str| {
        def.index_of(name)
            .map_or_else(|| (*name).to_owned(), |place| def.fields[place].compare_column().into_owned())
    };
    let columns = |fields: &[&str], last: Option<&str>| -> Vec<String> {
        std::iter::once("tenant".to_owned())
            .chain(fields.iter().map(compared))
            .chain(last.map(str::to_owned))
            .collect()
    };
    let mut expected = vec![(primary_key(def), true, columns(&["id"], None), Vec::new())];
    for rule in def.uniques {
        let live = (!rule.with_deleted).then_some("deleted_at IS NULL");
        let when = live.into_iter().chain(rule.only_if).collect();
        expected.push((rule.name.to_owned(), true, columns(rule.fields, None), when));
    }
    for order in def.indexes {
        expected.push((order.name.to_owned(), false, columns(order.fields, Some("id")), Vec::new()));
    }
    for link in bare_links(def) {
        expected.push((link_index(def, link), false, columns(&[link], None), vec![link]));
    }
    for (name, unique, columns, when) in expected {
        match found.indexes.get(&name) {
            None => wrong.push(format!("the index {name} is missing or invalid")),
            Some(index) if unique && !index.unique => wrong.push(format!("the index {name} is not unique")),
            Some(index) if index.columns != columns => wrong.push(format!(
                "the index {name} is on {} instead of {}",
                index.columns.join(", "),
                columns.join(", ")
            )),
            Some(index)
                if when.is_empty() != index.predicate.is_empty()
                    || !when.iter().all(|part| index.predicate.contains(part)) =>
            {
                wrong.push(format!("the index {name} covers other rows than the rule"));
            }
            Some(_) => {}
        }
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
