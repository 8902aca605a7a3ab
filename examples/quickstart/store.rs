//! Where the data is kept, and what time it is there.

use std::fmt;
use std::sync::Arc;

use crm_core::store::Store;
use crm_core::value::Instant;
use crm_core::{Env, SystemEnv, standard_catalog};
use crm_store_memory::MemoryStore;
use crm_store_mongo::{MongoOptions, MongoStore};
use crm_store_postgres::{MigrateOptions, PostgresOptions, PostgresStore, migrate};
use uuid::Uuid;

use crate::Result;

/// The schema or database that is used when the address names none.
pub const DEFAULT_NAME: &str = "crm_quickstart";

/// One of the three stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This process's memory; gone when it ends.
    Memory,
    /// A schema of a PostgreSQL database.
    Postgres {
        /// The address, with the database.
        url: String,
        /// The schema.
        schema: String,
    },
    /// A database of a MongoDB replica set.
    Mongo {
        /// The address.
        url: String,
        /// The database.
        database: String,
    },
}

impl Place {
    /// Reads `memory`, `postgres://…` or `mongodb://…`.
    ///
    /// # Errors
    /// For anything else; says what is accepted.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let url = text.to_owned();
        match text.split_once("://") {
            None if text == "memory" => Ok(Self::Memory),
            Some(("postgres" | "postgresql", _)) => {
                Ok(Self::Postgres { url, schema: DEFAULT_NAME.to_owned() })
            }
            Some(("mongodb", rest)) => {
                let path = rest.split_once('/').map_or("", |(_, path)| path);
                let named = path.split('?').next().unwrap_or_default();
                // The server's own databases stand in an address to say where the login is kept.
                let usable = !matches!(named, "" | "admin" | "local" | "config");
                let database = if usable { named } else { DEFAULT_NAME };
                Ok(Self::Mongo { url, database: database.to_owned() })
            }
            // An address may hold a password, so it is not repeated.
            _ => Err("the store is none of memory, postgres://… and mongodb://…".to_owned()),
        }
    }

    /// Opens the store. In a database the tables or collections are created if they are missing.
    ///
    /// # Errors
    /// The server does not answer, or is not as the store needs it.
    pub async fn open(&self) -> Result<Arc<dyn Store>> {
        let catalog = standard_catalog().build()?;
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new(catalog)),
            Self::Postgres { url, schema } => {
                let options = MigrateOptions { schema: schema.clone(), ..MigrateOptions::default() };
                migrate(url, &catalog, options).await?;
                let options = PostgresOptions { schema: schema.clone(), ..PostgresOptions::default() };
                Arc::new(PostgresStore::connect(url, catalog, options).await?)
            }
            Self::Mongo { url, database } => {
                MongoStore::migrate(url, database, &catalog).await?;
                Arc::new(MongoStore::connect(url, database, catalog, MongoOptions::default()).await?)
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in memory"),
            Self::Postgres { schema, .. } => write!(f, "in PostgreSQL, schema {schema}"),
            Self::Mongo { database, .. } => write!(f, "in MongoDB, database {database}"),
        }
    }
}

/// A clock that stands still at the end of the data, so that "two years ago" means the same whenever this is run. Ids
/// and salts are the machine's own: on a store that keeps them they must not repeat.
#[derive(Clone, Copy, Debug)]
pub struct AsOf(Instant);

impl AsOf {
    /// Noon of a day, UTC; the year 1970 for what is no day.
    pub fn noon(day: &str) -> Self {
        Self(format!("{day}T12:00:00Z").parse().unwrap_or_default())
    }
}

impl Env for AsOf {
    fn now(&self) -> Instant {
        self.0
    }
    fn new_id(&self) -> Uuid {
        SystemEnv.new_id()
    }
    fn salt(&self) -> [u8; 16] {
        SystemEnv.salt()
    }
    fn ticks(&self) -> std::time::Duration {
        SystemEnv.ticks()
    }
}

/// A key for cursors that lives as long as this process. A service has one among its secrets, the same in every process.
pub fn random_key() -> Vec<u8> {
    [SystemEnv.salt(), SystemEnv.salt()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(url: &str) -> String {
        match Place::parse(url) {
            Ok(Place::Mongo { database, .. }) => database,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn the_store_is_read_from_one_word() {
        assert_eq!(Place::parse("memory"), Ok(Place::Memory));
        let postgres =
            Place::Postgres { url: "postgresql://h/db".to_owned(), schema: DEFAULT_NAME.to_owned() };
        assert_eq!(Place::parse("postgresql://h/db"), Ok(postgres));
        assert_eq!(database("mongodb://h:1"), DEFAULT_NAME);
        assert_eq!(database("mongodb://u:p@h:1/?replicaSet=rs0"), DEFAULT_NAME);
        assert_eq!(database("mongodb://u:p@h:1/admin?replicaSet=rs0"), DEFAULT_NAME);
        assert_eq!(database("mongodb://h:1/shop?replicaSet=rs0"), "shop");
    }

    #[test]
    fn a_refused_address_is_not_repeated() {
        for text in ["", "Memory", "mysql://u:secret@h/db", "postgres:h"] {
            let refusal = Place::parse(text).unwrap_err();
            assert!(refusal.contains("postgres://") && !refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn ids_differ_and_the_clock_stands_still() {
        let env = AsOf::noon("2011-12-31");
        assert_eq!(env.now().to_string(), "2011-12-31 12:00:00 UTC");
        assert_ne!(env.new_id(), env.new_id());
    }
}
