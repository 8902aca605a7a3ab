//! The PostgreSQL store of [`crm_core`]: typed columns, foreign keys, checks, partial unique indexes, row level
//! security.
//!
//! # Setting up
//!
//! A schema is created and brought up to date by [`migrate`], from the store's own migrations and those of the
//! entities: [`standard_migrations`] for those of the standard catalog, and the embedder's own. The text of an entity's
//! migration is generated once, by [`ddl`], and then kept as a file like any other migration. [`PostgresStore::connect`] checks that the schema has what the catalog needs.
//!
//! ```no_run
//! use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, migrate, migration, standard_migrations};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://crm@localhost/crm";
//! let catalog = crm_core::standard_catalog().build()?; // `.with::<MyEntity>()` for entities of your own …
//! let mut migrations = standard_migrations();
//! migrations.push(migration(100, "my entities", "CREATE TABLE …")); // … and include_str!("0100.sql") of their tables
//! migrate(url, &catalog, MigrateOptions { migrations, ..MigrateOptions::default() }).await?;
//! let store = PostgresStore::connect(url, catalog, PostgresOptions::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is stored
//!
//! One table an entity, with one column a field: `boolean`, `bigint`, `numeric`, `text COLLATE "C"`,
//! `timestamptz(3)`, `date`, `uuid`, `text[]`, `jsonb` (custom fields) and `json` (settings). A folded text has its
//! folded form beside it, in `<name>_fold`. Primary keys are `(tenant, id)`, foreign keys `(tenant, link)`. Beside
//! them stand `crm_log`, `crm_log_head`, `crm_consumers`, `crm_keys`, `crm_timeline` and `crm_tokens`.
//!
//! Append-only entities and the log refuse changes by trigger. The gate for erasure and retention is the setting
//! `app.erasing`, which the store sets to `on` for the one transaction of a change set that erases or purges; a
//! role that may not do so is kept from it by privileges (see [`MigrateOptions::runtime_role`]).
//!
//! # Together with the embedder's own tables
//!
//! Three ways, the loosest first:
//!
//! - Consume the log: [`seal_log`](crm_core::store::Store::seal_log), read
//!   [`Read::Log`](crm_core::store::Read::Log) after the consumer's position, write your own tables, then
//!   [`acknowledge`](crm_core::store::Store::acknowledge). At least once, in order, across databases.
//! - Read the tables with SQL: they are plain, and [`PostgresStore::pool`] has connections.
//! - Write both or neither: [`PostgresStore::commit_in`] applies a change set inside your own transaction.
//!
//! # Row level security
//!
//! With [`MigrateOptions::row_level_security`] every table has a policy on the setting `app.tenant`, which the store
//! sets in each transaction. It is a second wall: every statement of the store names its tenant anyway. It binds
//! ordinary roles only, so the store refuses to run as a superuser then.
//!
//! # Connections
//!
//! A store holds up to [`PostgresOptions::max_connections`]; while anyone listens
//! ([`wakes`](crm_core::store::Store::wakes)), one of them listens for all; a
//! [`scan`](crm_core::store::Store::scan) holds one, with its snapshot, until it ends or is dropped. A pooler that
//! changes connections between transactions works for everything but `wakes`, if it is given by
//! [`PostgresStore::with_pool`] and its pool prepares no statements.
//!
//! # Limits
//!
//! - `LISTEN`/`NOTIFY` makes committing transactions queue for one lock: [`PostgresOptions::notify`] turns it off.
//! - A value of a unique rule or index must fit a B-tree entry: about 2,700 bytes after compression.

mod column;
mod commit;
mod connect;
mod custom;
mod ddl;
mod error;
mod filter;
mod health;
mod inner;
mod log;
mod migrate;
mod names;
mod options;
mod query;
mod read;
mod scan;
mod session;
mod sql;
mod store;
mod timeline;
mod verify;
mod wake;

pub use ddl::{ddl, ddl_all};
pub use migrate::{migrate, migrate_with, migration, standard_migrations, system_migrations};
pub use options::{MigrateOptions, PostgresOptions};
pub use store::PostgresStore;
