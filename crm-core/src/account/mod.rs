//! Accounts: what is known of an organization as a business (SPEC CM-03).

mod commands;
mod entity;
mod service;
mod tax_id;

pub use commands::{AccountRefusal, CreateAccount, UpdateAccount};
pub use entity::{Account, AnnualRevenue, EmployeeCount};
pub use service::Accounts;
pub use tax_id::normal_tax_id;
