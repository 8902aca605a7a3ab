//! What an embedder chooses.

use std::time::Duration;

use crm_core::store::StoreError;
use sqlx::migrate::Migration;

/// How a [`PostgresStore`](crate::PostgresStore) talks to its server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The schema that the tables are in. Default `crm`.
    pub schema: String,
    /// Whether policies keep tenants apart in the database too: every read then runs in a transaction that
    /// names its tenant, and the store refuses a role that policies do not bind. Default false. See
    /// [`MigrateOptions::row_level_security`].
    pub row_level_security: bool,
    /// The longest that one statement may take. Default 30 s. A call that has no answer after this and
    /// [`acquire_timeout`](Self::acquire_timeout) together is given up, so that nobody hangs on a server that accepts
    /// and does not answer.
    pub statement_timeout: Duration,
    /// The longest that one statement may wait for a lock, after which the commit is
    /// [`Contended`](crm_core::store::CommitError::Contended). Default 5 s.
    pub lock_timeout: Duration,
    /// A call that takes longer is logged as a warning, by name and without data. Default 1 s.
    pub slow_call: Duration,
    /// How many connections the store's own pool holds. Default 10. [`wakes`](crm_core::store::Store::wakes)
    /// uses one of them, a scan under way one each.
    pub max_connections: u32,
    /// How long a call waits for a connection of the store's own pool. Default 10 s.
    pub acquire_timeout: Duration,
    /// Whether commits wake listeners by `NOTIFY`. PostgreSQL lets transactions that notify commit only one after
    /// another, so a service whose consumers poll anyway gains throughput without. Default true.
    pub notify: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "crm".to_owned(),
            row_level_security: false,
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            slow_call: Duration::from_secs(1),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            notify: true,
        }
    }
}

/// What [`migrate`](crate::migrate) does.
#[derive(Debug)]
pub struct MigrateOptions {
    /// The schema to create, if missing, and to put the tables in. Default `crm`.
    pub schema: String,
    /// The migrations of the entities, in any order. Default: the standard catalog's
    /// ([`standard_migrations`](crate::standard_migrations)); the embedder adds its own. The store's
    /// own (see [`system_migrations`](crate::system_migrations)) are added. Versions are unique; those below 100
    /// are the library's.
    pub migrations: Vec<Migration>,
    /// An existing role that the service runs as, if it is not the role that migrates: gets what the store needs
    /// and nothing more: no DDL, and of the log only insert, sealing and erasure.
    pub runtime_role: Option<String>,
    /// Whether every table gets the policy that a row is seen and written only by transactions whose setting
    /// `app.tenant` is the row's tenant, for the owner too. Superusers and roles with `BYPASSRLS` are not bound
    /// by any policy.
    pub row_level_security: bool,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            schema: "crm".to_owned(),
            migrations: crate::standard_migrations(),
            runtime_role: None,
            row_level_security: false,
        }
    }
}

/// Checks a schema's name: it becomes part of statements.
pub(crate) fn check_schema(name: &str) -> Result<(), StoreError> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    if plain && starts && name.len() <= 48 && !name.starts_with("pg_") {
        return Ok(());
    }
    Err(StoreError::NotReady {
        why: format!(
            "the schema's name {name:?} is refused; use 1 to 48 of a-z, 0-9 and _, starting with a letter or _ and \
             not with pg_"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::check_schema;

    #[test]
    fn names_that_could_be_more_than_a_name_are_refused() {
        for bad in ["", "1a", "Crm", "a-b", "a\"b", "a;drop", "pg_x", &"a".repeat(49)] {
            assert!(check_schema(bad).is_err(), "{bad}");
        }
        for good in ["crm", "_x", "tenant_7"] {
            assert!(check_schema(good).is_ok(), "{good}");
        }
    }
}
