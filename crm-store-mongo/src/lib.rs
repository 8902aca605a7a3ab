//! The MongoDB store of crm-core.
mod commit;
mod document;
mod error;
mod log;
mod names;
mod options;
mod read;
mod schema;
mod store;
mod timing;
mod wake;

pub use options::MongoOptions;
pub use store::{Joined, MongoStore};
