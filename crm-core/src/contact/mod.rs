//! Contacts: the people of a customer (SPEC CM-02).

mod commands;
mod entity;
mod service;

pub use commands::{AddContactRole, ContactRefusal, CreateContact, DeleteContact, UpdateContact};
pub use entity::{CommunicationPreference, Contact, ContactId, ContactRole, ContactRoleId, ContactStatus};
pub use service::Contacts;
