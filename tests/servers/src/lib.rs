//! The servers of the tests: finds or installs PostgreSQL and mongod, starts them on free ports in scratch folders as
//! an unprivileged user, kills and restarts them on demand, and leaves nothing behind. The binary `verify` (run by
//! `cargo verify`) is the project's one test command. Standard library only; Linux, on Debian and Ubuntu from
//! nothing, elsewhere with the servers already installed or named by URL.
//!
//! ```no_run
//! use crm_test_servers::{Fault, Lose, Options, PostgresServer, Proxy};
//!
//! let server = PostgresServer::start(&Options::durable())?;
//! let (proxy, url) = Proxy::before_url(&server.url())?;
//! proxy.arm(Fault::postgres_commit(Lose::Reply));
//! // … a commit through `url` now has an unknown outcome …
//! server.kill_hard()?;
//! server.restart()?; // same data, same port
//! # Ok::<(), crm_test_servers::ServerError>(())
//! ```
//!
//! What is left when a runner ends:
//!
//! - Dropping a server stops it and removes its folder.
//! - A runner that is killed, or that ends with a server in a `static`, takes its servers with it: they are started
//!   with a parent-death signal, from one thread that lives as long as the process. (Servers that were started in a
//!   test therefore live on when the test's thread ends without dropping them, until the process ends.)
//! - Its folders are removed by the next start of any server, or by [`clean_stale`].
//!
//! Everything lies below `CRM_SERVER_CACHE`, else `$XDG_CACHE_HOME/crm-test-servers`, else
//! `$HOME/.cache/crm-test-servers`, else `/var/tmp` (root) or the temporary folder; for root the first one that the
//! unprivileged user can reach.

mod error;
mod fault;
mod install;
mod mongo;
mod options;
mod place;
mod postgres;
mod privilege;
mod process;
mod proxy;
mod server;
mod shm;
mod startup;
mod urls;
mod wire;

pub use error::{Result, ServerError};
pub use fault::{Fault, Lose};
pub use install::Binaries;
pub use mongo::MongoServer;
pub use options::{Durability, Options};
pub use place::clean_stale;
pub use postgres::{POSTGRES_USER, PostgresServer};
pub use process::kill_group;
pub use proxy::Proxy;
pub use startup::PostgresProbe;
pub use urls::{mongo_url, postgres_url};
pub use wire::{Document, MongoProbe, Reply, Value};
