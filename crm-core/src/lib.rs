//! The rules of a CRM.
// filled in below as the crate takes shape
extern crate self as crm_core;

pub mod catalog;
pub mod criteria;
pub mod env;
pub mod format;
mod id;
pub mod log;
pub mod record;
pub mod store;
pub mod timeline;
pub mod value;

pub use crm_core_derive::Entity;
pub use env::{Env, FixedEnv, SystemEnv};
pub use id::{RecordId, TenantId};

#[doc(hidden)]
pub mod __private {
    pub use serde::{self, Deserialize, Serialize};
    pub use uuid::Uuid;
}
