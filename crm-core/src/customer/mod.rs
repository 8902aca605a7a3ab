//! Customers: the person or organization that everything else belongs to (SPEC CM-01, CM-04).

mod commands;
mod entity;
mod external_id;
mod rules;
mod service;
mod tree;

pub use commands::{
    CreateCustomer, CustomerRefusal, DeleteCustomer, Expect, RestoreCustomer, UpdateCustomer,
};
pub(crate) use entity::normal_phone;
pub use entity::{Customer, CustomerId, CustomerSource, CustomerStatus, CustomerType, MAX_HIERARCHY_DEPTH};
pub use external_id::{ExternalId, ExternalIdId, ExternalKey};
pub(crate) use rules::{at_place, input_of, live_customer};
pub use service::Customers;
pub use tree::{CustomerNode, TreeRefusal};
