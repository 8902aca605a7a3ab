//! Whether a contact may be named beside a customer: it is theirs, or has a role there (SPEC CM-02).

use crate::catalog::Entity;
use crate::command::{Decline, Loaded, Need};
use crate::contact::{Contact, ContactId, ContactRole};
use crate::criteria::{Filter, Path, Test};
use crate::customer::CustomerId;
use crate::record::Unreadable;
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

const ROLES: &str = "roles";

/// What must be loaded before [`check_contact`]: the contacts, and the roles of those that are other customers'.
pub(crate) fn contact_needs(
    named: impl Iterator<Item = (ContactId, CustomerId)>,
    loaded: &Loaded,
) -> Vec<Need> {
    let named: Vec<_> = named.collect();
    let foreign = named.iter().filter(|(contact, customer)| {
        let contact = loaded.live::<Contact>(*contact).ok().flatten();
        contact.is_some_and(|contact| contact.customer_id != *customer)
    });
    let foreign: Vec<_> = foreign.map(|(contact, _)| Value::Id(contact.0)).collect();
    let mut needs = vec![Need::Records(Contact::def(), named.iter().map(|(contact, _)| contact.0).collect())];
    if !foreign.is_empty() {
        needs.extend(roles_of(foreign));
    }
    needs
}

/// Declines a contact that is not there, or neither belongs to the customer nor has a role there.
pub(crate) fn check_contact<R>(
    contact: Option<ContactId>,
    customer: CustomerId,
    loaded: &Loaded,
    refuse: impl FnOnce(ContactId, CustomerId) -> R,
) -> Result<(), Decline<R>> {
    let Some(id) = contact else { return Ok(()) };
    let contact: Contact = loaded.live(id)?.ok_or(Decline::NotFound("contact", id.0))?;
    if contact.customer_id == customer || has_role(id, customer, loaded)? {
        return Ok(());
    }
    Err(Decline::Refused(refuse(id, customer)))
}

fn has_role(contact: ContactId, customer: CustomerId, loaded: &Loaded) -> Result<bool, Unreadable> {
    let roles = loaded.all::<ContactRole>(ROLES)?;
    Ok(roles.iter().any(|role| role.contact_id == contact && role.customer_id == customer))
}

fn roles_of(contacts: Vec<Value>) -> Option<Need> {
    let def = ContactRole::def();
    let filter = Filter::leaf(Path::own(def, "contact_id")?, Test::In(contacts)).and(Filter::undeleted(def));
    Some(Need::Find(ROLES.to_owned(), Box::new(Query::new(def, filter, MAX_LIMIT))))
}
