//! The contact, and its roles at further customers.

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of a [`Contact`].
    ContactId
}
record_id! {
    /// The id of a [`ContactRole`].
    ContactRoleId
}

crate::codes! {
    /// Whether one still works with this person.
    pub enum ContactStatus {
        /// Yes.
        #[default]
        Active = "active",
        /// No longer.
        Inactive = "inactive",
    }
}

crate::codes! {
    /// How the person wants to be reached.
    pub enum CommunicationPreference {
        /// Any way.
        #[default]
        Any = "any",
        /// By e-mail.
        Email = "email",
        /// By telephone.
        Phone = "phone",
    }
}

/// A person who acts for a customer, or is the customer (SPEC CM-02).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "contact",
    table = "contacts",
    root = "customer_id",
    unique(name = "one_primary_per_customer", fields("customer_id"), only_if = "is_primary"),
    index(name = "contacts_by_customer", fields("customer_id")),
    index(name = "contacts_by_email", fields("email")),
    index(name = "contacts_by_phone", fields("phone_e164")),
    index(name = "contacts_by_name", fields("last_name", "first_name"))
)]
pub struct Contact {
    /// The id.
    pub id: ContactId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// 1 to 100 characters.
    #[field(line(100), fold, search, mask = "Deleted")]
    pub first_name: String,
    /// 1 to 100 characters.
    #[field(line(100), fold, search, mask = "Contact")]
    pub last_name: String,
    /// The e-mail address.
    #[field(email, fold, search, mask)]
    pub email: Option<String>,
    /// The telephone number as given.
    #[field(phone, mask)]
    pub phone: Option<String>,
    /// The telephone number in E.164, derived from `phone`; missing when it is not a valid number.
    #[field(line(20), search, mask)]
    pub phone_e164: Option<String>,
    /// What the person does, at most 100 characters.
    #[field(line(100), search, mask)]
    pub job_title: Option<String>,
    /// The one to turn to first: at most one of a customer.
    pub is_primary: bool,
    /// Whether one still works with this person.
    pub status: ContactStatus,
    /// How the person wants to be reached.
    pub communication_preference: CommunicationPreference,
    /// The person does not want to be reached at all.
    pub do_not_contact: bool,
}

impl Default for Contact {
    fn default() -> Self {
        Self {
            id: ContactId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: CustomerId(uuid::Uuid::nil()),
            first_name: String::new(),
            last_name: String::new(),
            email: None,
            phone: None,
            phone_e164: None,
            job_title: None,
            is_primary: false,
            status: ContactStatus::default(),
            communication_preference: CommunicationPreference::default(),
            do_not_contact: false,
        }
    }
}

/// What a contact is to a further customer (SPEC CM-02): a lawyer to several companies.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "contact_role",
    table = "contact_roles",
    root = "customer_id",
    unique(name = "contact_role_once", fields("contact_id", "customer_id")),
    index(name = "contact_roles_by_customer", fields("customer_id"))
)]
pub struct ContactRole {
    /// The id.
    pub id: ContactRoleId,
    /// Version and instants.
    pub meta: Meta,
    /// The contact.
    #[field(link = "contact", frozen)]
    pub contact_id: ContactId,
    /// The further customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// What the contact is there, 1 to 100 characters.
    #[field(line(100), keep)]
    pub role: String,
}
