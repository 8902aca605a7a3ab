//! Contracts that are to be renewed (SPEC LC-11).

mod commands;
mod entity;
mod leaving;
mod service;

pub use commands::{CreateRenewal, MAX_ACTIVE_RENEWALS, RenewalRefusal, UpdateRenewal};
pub use entity::{Renewal, RenewalId, RenewalStatus};
pub(crate) use leaving::{active_renewals, pause_renewals};
pub use service::Renewals;
