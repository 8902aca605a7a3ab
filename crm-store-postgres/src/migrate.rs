//! Bringing a schema up to date.

use std::fmt::Write as _;

use crm_core::catalog::Catalog;
use crm_core::store::StoreError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};

use crate::error::store_error;
use crate::names::quote;
use crate::options::{MigrateOptions, check_schema};

/// The tables that the store keeps beside the entities.
pub(crate) const SYSTEM_TABLES: [&str; 6] =
    ["crm_consumers", "crm_keys", "crm_log", "crm_log_head", "crm_timeline", "crm_tokens"];

/// The name of the policy that keeps tenants apart.
const POLICY: &str = "crm_tenant";

/// The migrations of the store's own tables: versions 1 to 9.
pub fn system_migrations() -> Vec<Migration> {
    vec![migration(1, "crm system", include_str!("../migrations/0001_system.sql"))]
}

/// The migrations of the standard catalog ([`crm_core::standard_catalog`]): versions 10 to 99.
pub fn standard_migrations() -> Vec<Migration> {
    vec![migration(10, "standard catalog", include_str!("../migrations/0010_standard.sql"))]
}

/// A migration from its text. Versions are unique within a schema; 1 to 99 are the library's.
///
/// The text runs in one transaction, with the search path set to the store's schema and then `public`.
pub fn migration(version: i64, name: &'static str, sql: impl Into<String>) -> Migration {
    // The text is the program's own, as a file of migrations is.
    let sql = AssertSqlSafe(sql.into()).into_sql_str();
    Migration::new(version, name.into(), MigrationType::Simple, sql, false)
}

/// Creates the schema if it is missing, and runs the migrations that have not run, each in a transaction.
///
/// Safe from many processes at once: one works, the others wait and then find nothing to do. Runs on a
/// connection of its own without time limits, and closes it. A migration whose text has changed since it ran is
/// refused; one that ran and is no longer in the list is not, so that the last version of a service can be
/// started again after a newer one.
pub async fn migrate(url: &str, catalog: &Catalog, options: MigrateOptions) -> Result<(), StoreError> {
    let connect: PgConnectOptions = url.parse().map_err(|error| store_error("migrate", &error))?;
    migrate_with(connect, catalog, options).await
}

/// As [`migrate`], for an embedder who has connection options rather than an address.
#[tracing::instrument(skip_all, fields(schema = %options.schema))]
pub async fn migrate_with(
    connect: PgConnectOptions,
    catalog: &Catalog,
    options: MigrateOptions,
) -> Result<(), StoreError> {
    check_schema(&options.schema)?;
    let mut connection =
        PgConnection::connect_with(&connect).await.map_err(|error| store_error("migrate", &error))?;
    let done = run(&mut connection, catalog, options).await;
    // Closing gives all locks back, whatever happened.
    let _ = connection.close().await;
    done
}

async fn run(
    connection: &mut PgConnection,
    catalog: &Catalog,
    options: MigrateOptions,
) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| store_error("migrate", &error);
    let schema = quote(&options.schema);
    sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
        .bind(format!("crm migrate {}", options.schema))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(&options.schema)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if !there {
        plain(connection, format!("CREATE SCHEMA {schema}")).await.map_err(failed)?;
    }
    plain(connection, format!("SET search_path TO {schema}, public")).await.map_err(failed)?;
    let mut migrations = system_migrations();
    migrations.extend(options.migrations);
    let mut versions: Vec<i64> = migrations.iter().map(|migration| migration.version).collect();
    versions.sort_unstable();
    let twice = versions.iter().zip(versions.iter().skip(1)).find(|(a, b)| a == b);
    if let Some((version, _)) = twice {
        return Err(StoreError::NotReady {
            why: format!("two migrations have version {version}; give each its own"),
        });
    }
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name(format!("{schema}._crm_migrations"));
    migrator.set_ignore_missing(true);
    migrator.run_direct(None, connection, false).await.map_err(|error| migrate_error(&error))?;
    let tables: Vec<&str> =
        SYSTEM_TABLES.into_iter().chain(catalog.entities().map(|def| def.table)).collect();
    if options.row_level_security {
        protect(connection, &options.schema, &tables).await.map_err(failed)?;
    }
    if let Some(role) = &options.runtime_role {
        grant(connection, &schema, &tables, &quote(role)).await.map_err(failed)?;
    }
    Ok(())
}

async fn plain(connection: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.map(|_| ())
}

/// Gives the policy to the tables that do not have it.
async fn protect(connection: &mut PgConnection, schema: &str, tables: &[&str]) -> Result<(), sqlx::Error> {
    let bare: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p') \
         AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
                  AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = $3)) ORDER BY 1",
    )
    .bind(schema)
    .bind(tables)
    .bind(POLICY)
    .fetch_all(&mut *connection)
    .await?;
    for table in bare {
        let table = format!("{}.{}", quote(schema), quote(&table));
        let own = "tenant = nullif(current_setting('app.tenant', true), '')::uuid";
        let text = format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY; \
             DROP POLICY IF EXISTS {POLICY} ON {table}; \
             CREATE POLICY {POLICY} ON {table} USING ({own}) WITH CHECK ({own});"
        );
        plain(connection, text).await?;
    }
    Ok(())
}

/// Gives the role what the store needs of each table.
async fn grant(
    connection: &mut PgConnection,
    schema: &str,
    tables: &[&str],
    role: &str,
) -> Result<(), sqlx::Error> {
    let mut text = format!("GRANT USAGE ON SCHEMA {schema} TO {role};");
    for table in tables {
        let privileges = match *table {
            "crm_log" => "SELECT, INSERT, UPDATE (number, hash, private)",
            "crm_log_head" | "crm_consumers" => "SELECT, INSERT, UPDATE",
            "crm_keys" => "SELECT, INSERT, UPDATE (at), DELETE",
            _ => "SELECT, INSERT, UPDATE, DELETE",
        };
        let _ = write!(text, " GRANT {privileges} ON {schema}.{} TO {role};", quote(table));
    }
    plain(connection, text).await
}

fn migrate_error(error: &MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMismatch(version) => StoreError::NotReady {
            why: format!(
                "migration {version} has another text than when it ran; restore it and put the change into a new one"
            ),
        },
        MigrateError::Dirty(version) => StoreError::NotReady {
            why: format!(
                "migration {version} ran in part; undo it by hand and remove its row from _crm_migrations"
            ),
        },
        MigrateError::ExecuteMigration(error, version) => store_error(&format!("migration {version}"), error),
        MigrateError::Execute(error) => store_error("migrate", error),
        _ => StoreError::Failed { what: "migrate".to_owned(), code: "migrations".to_owned() },
    }
}
