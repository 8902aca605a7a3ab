//! Contacts: the people of a customer (SPEC CM-02).

mod belonging;
mod commands;
mod entity;
mod reach;
mod service;

pub(crate) use belonging::{check_contact, contact_needs};
pub use commands::{AddContactRole, ContactRefusal, CreateContact, DeleteContact, UpdateContact};
pub use entity::{CommunicationPreference, Contact, ContactId, ContactRole, ContactRoleId, ContactStatus};
pub use reach::{Channel, Unreachable};
pub use service::Contacts;
