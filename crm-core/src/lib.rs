//! The rules of a CRM as pure functions over a catalog of entities, and the contract of the stores that keep them.
//!
//! A service embeds a [`Crm`] over one of the stores (`crm-store-memory`, `crm-store-postgres`, `crm-store-mongo`, or
//! its own, see [`store`]) and gets the same answers on each. Whoever wants only the rules calls them without a store
//! and without a runtime: see [`command`].
//!
//! Where to find what:
//!
//! - [`catalog`]: every entity declared once; `#[derive(Entity)]` adds the embedder's own.
//! - [`customer`], [`account`], [`address`], [`contact`], [`relationship`], [`interaction`], [`note`], [`invoice`],
//!   [`directory`], [`tenant`]: the entities with their rules.
//! - [`criteria`]: the language that filters records and defines segments.
//! - [`segment`]: groups of customers, by hand and by criteria.
//! - [`lifecycle`], [`journey`], [`renewal`], [`behavior`]: the stages that customers go through, what they reach on the
//!   way, which of their contracts are to be renewed, and what they do with a product.
//! - [`profile`]: a customer as a whole, in one call.
//! - [`score`]: how customers do, as numbers and grades, by models that are data.
//! - [`timeline`]: one truthful timeline over everything.
//! - [`log`]: audit trail, event feed and history in one.
//! - [`sweep`]: bulk work in pieces; [`approval`]: what somebody else has to decide on.
//! - [`store`]: the contract between the rules and a store.

extern crate self as crm_core;

pub mod account;
pub mod address;
pub mod approval;
pub mod behavior;
pub mod catalog;
pub mod command;
pub mod contact;
pub mod context;
pub mod criteria;
mod crm;
mod cursor;
pub mod customer;
pub mod directory;
pub mod env;
pub mod format;
mod id;
pub mod interaction;
pub mod invoice;
pub mod journey;
pub mod lifecycle;
pub mod log;
pub mod note;
pub mod policy;
pub mod profile;
pub mod query;
pub mod record;
pub mod relationship;
pub mod renewal;
pub mod score;
pub mod segment;
pub mod store;
pub mod sweep;
pub mod tenant;
pub mod timeline;
pub mod value;

pub use catalog::Entity;
pub use command::Error;
pub use context::Context;
pub use crm::{BuildError, Crm, CrmBuilder, Done};
pub use customer::Expect;
pub use env::{Env, FixedEnv, SystemEnv};
pub use id::{RecordId, TenantId};
pub use query::{Find, Page, Totals};

/// Starts a catalog with all entities of this library; the embedder adds its own.
pub fn standard_catalog() -> catalog::CatalogBuilder {
    catalog::Catalog::builder()
        .with::<account::Account>()
        .with::<address::Address>()
        .with::<approval::Approval>()
        .with::<behavior::BehaviorEvent>()
        .with::<contact::Contact>()
        .with::<contact::ContactRole>()
        .with::<customer::Customer>()
        .with::<customer::ExternalId>()
        .with::<directory::Assignee>()
        .with::<directory::Team>()
        .with::<directory::User>()
        .with::<interaction::Interaction>()
        .with::<invoice::Invoice>()
        .with::<invoice::InvoiceLine>()
        .with::<journey::Milestone>()
        .with::<lifecycle::CustomerLifecycle>()
        .with::<lifecycle::LifecycleHistory>()
        .with::<lifecycle::LifecycleStage>()
        .with::<lifecycle::StageTransition>()
        .with::<note::Note>()
        .with::<relationship::Relationship>()
        .with::<renewal::Renewal>()
        .with::<score::Score>()
        .with::<score::ScoringModel>()
        .with::<segment::Segment>()
        .with::<segment::SegmentMember>()
        .with::<sweep::Sweep>()
        .with::<tenant::Settings>()
}

/// The entities of this library.
pub(crate) fn standard_entities() -> Vec<&'static catalog::EntityDef> {
    standard_catalog().into_entities()
}

#[doc(hidden)]
pub mod __private {
    pub use serde::{self, Deserialize, Serialize};
    pub use uuid::Uuid;
}
