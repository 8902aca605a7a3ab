//! The MongoDB store of crm-core: [`MongoStore`] keeps records, log, timeline and search tokens in one database.
//!
//! Needs MongoDB 6.0 or later as a replica set (one member will do) or a sharded cluster: a commit is a multi-document
//! transaction.
//!
//! ```no_run
//! use crm_store_mongo::{MongoOptions, MongoStore};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "mongodb://localhost:27017/?replicaSet=rs0";
//! let catalog = crm_core::standard_catalog().build()?;
//! MongoStore::migrate(url, "crm", &catalog).await?; // at deployment; harmless when repeated
//! let store = MongoStore::connect(url, "crm", catalog, MongoOptions::default()).await?;
//! # Ok(()) }
//! ```
//!
//! # What lies where
//!
//! Each entity has the collection that the catalog names, one document a record: `_id` is `{ t: tenant, i: id }`, and
//! beside it stand `tenant`, `id`, `version` and one key for each field. UUIDs are binary of subtype 4, decimals
//! Decimal128, instants dates in milliseconds, days text `YYYY-MM-DD`, lists arrays, the embedder's own fields a
//! document of typed values, settings JSON text; what is missing is null. A folded field has its folded form beside it
//! in `<name>_fold`. `_parent` and `_g` are the store's own. Documents are for reading: write through the store only,
//! or log, timeline and tokens will not fit any more.
//!
//! `_id` is an embedded document, not a joined binary, because an aggregation can build it from a tenant and a link, so
//! that lookups read the primary key; it compares by tenant, then id, so that it is read in ranges too.
//!
//! Further collections: `crm_log` (one document a change; body and private part are JSON text), `crm_log_heads`,
//! `crm_consumers`, `crm_keys`, `crm_timeline`, `crm_tokens`, `crm_guards`, `crm_meta`. Other collections and indexes of
//! the database are never touched.
//!
//! # Roles
//!
//! `migrate` needs `dbAdmin` and `readWrite` on the database. Running needs, on the database: `find`, `insert`,
//! `update`, `remove`, `listCollections`, `listIndexes` and `changeStream` (the built-in role `readWrite` has all of
//! them). MongoDB itself does not refuse a change of append-only entities or of sealed log rows. An operator who wants
//! that grants a role of its own, collection by collection: on the collections of append-only entities `find` and
//! `insert` only (then masking their records by erasure, guarding and purging them needs another user with `update`
//! and `remove`); on `crm_log` `find`, `insert` and `update` but not `remove` (`update` seals rows and destroys their
//! private part; what was sealed is guarded by the chain of hashes).
//!
//! # Writing together with the embedder's own collections
//!
//! - Follow the log: a named consumer reads what was committed and writes its own documents with the row's number, so
//!   that a repeat changes nothing. Works with any database.
//! - Within one transaction: [`MongoStore::commit_in`] applies a change set as a part of a transaction that the caller
//!   starts and commits, on a client that both share.
//!
//! # How it behaves
//!
//! - A commit takes one command for each collection that it touches, and at most three more: checks of links and shared
//!   records, checks that nobody refers, and the commit itself; whatever the number of records. Two cases cost one more
//!   each: a collection in which rows are put and removed at once, and log rows that are written and erased.
//! - Conflicts between transactions are tried again at once three times, then reported as
//!   [`Contended`](crm_core::store::CommitError::Contended). When the connection is lost or the outcome of a commit is
//!   unknown, the same change set is handed in again: the log says whether it was applied. A transaction too big for the
//!   server's cache is never tried again.
//! - A removal for good checks that nothing refers to the record, at the snapshot of its transaction. A link inserted at
//!   the same moment escapes that check unless its change set guards the record; the core removes only what was deleted
//!   long before, which no new link leads to.
//! - Reads come from the primary with majority concern; several of one call from one snapshot.
//! - A scan holds a server's cursor, which the server closes when the stream rests for ten minutes.
//!
//! # Sharding
//!
//! The key `{ tenant: 1 }` keeps each tenant's records on one shard; `_id` begins with the tenant, unique rules too.

mod commit;
mod document;
mod error;
mod inner;
mod log;
mod names;
mod options;
mod read;
mod schema;
mod store;
mod timing;
mod wake;

pub use commit::Joined;
pub use options::MongoOptions;
pub use store::MongoStore;
