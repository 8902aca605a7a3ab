//! What can be done with contacts, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::contact::{Contact, ContactId, ContactRole};
use crate::criteria::Filter;
use crate::customer::{Customer, CustomerId, Expect, at_place, input_of, live_customer, normal_phone};
use crate::policy::Action;
use crate::record::FieldError;
use crate::store::Query;
use crate::value::Value;

/// Why a contact is not created or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContactRefusal {
    /// The role is at the contact's own customer.
    #[error("contact {0} belongs to that customer; a role is for a further one")]
    OwnCustomer(ContactId),
}

impl Refusal for ContactRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::OwnCustomer(_) => "contact_own_customer",
        }
    }
}

type Decision<T> = Result<T, Decline<ContactRefusal>>;

const PRIMARY_RULE: &str = "one_primary_per_customer";

/// Creates contacts, all or none. A new primary contact demotes the old one in the same commit.
#[derive(Clone, Debug)]
pub struct CreateContact {
    /// The contacts.
    pub contacts: Vec<Contact>,
}

impl Command for CreateContact {
    type Output = Vec<Contact>;
    type Refusal = ContactRefusal;

    fn name(&self) -> &'static str {
        "contacts.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "contact")
    }

    fn input(&self) -> Json {
        self.contacts.iter().map(input_of).collect()
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == PRIMARY_RULE
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customers = self.contacts.iter().map(|contact| contact.customer_id.0).collect();
        let primaries =
            self.contacts.iter().filter(|c| c.is_primary).filter_map(|c| primary_of(c.customer_id));
        std::iter::once(Need::Records(Customer::def(), customers)).chain(primaries).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let region = loaded.settings(changes.context().tenant)?.region;
        let mut created = Vec::with_capacity(self.contacts.len());
        for (place, contact) in self.contacts.iter().enumerate() {
            live_customer(contact.customer_id, loaded)?;
            let mut contact = contact.clone();
            contact.phone_e164 = contact.phone.as_deref().and_then(|phone| normal_phone(phone, region));
            if contact.is_primary {
                let rival = |c: &Contact| c.is_primary && c.customer_id == contact.customer_id;
                if self.contacts[..place].iter().any(rival) {
                    let why = "is true for two contacts of one customer in this batch; name one of them";
                    let errors = vec![FieldError::new("is_primary", why)];
                    return Err(Decline::Invalid(at_place(errors, place, self.contacts.len())));
                }
                demote(contact.customer_id, None, loaded, changes)?;
            }
            let contact =
                changes.insert(&contact).map_err(|errors| at_place(errors, place, self.contacts.len()))?;
            changes.event(
                "contact.created",
                json!({ "contact_id": contact.id, "customer_id": contact.customer_id, "is_primary": contact.is_primary }),
            );
            created.push(contact);
        }
        Ok(created)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let ids = written.iter().filter(|(entity, _, version)| entity == "contact" && *version == 1);
        ids.map(|(_, id, _)| loaded.get(ContactId(*id)).ok().flatten()).collect()
    }
}

/// Changes one contact by a function over it. Making it primary demotes the old one.
pub struct UpdateContact<'f> {
    /// The contact.
    pub id: ContactId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Contact) + Send + Sync),
}

impl Command for UpdateContact<'_> {
    type Output = Contact;
    type Refusal = ContactRefusal;

    fn name(&self) -> &'static str {
        "contacts.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "contact")
    }

    fn input(&self) -> Json {
        let mut sample = Contact::default();
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == PRIMARY_RULE
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Contact::def(), vec![self.id.0])];
        if let Ok(Some(contact)) = loaded.live::<Contact>(self.id) {
            needs.push(Need::Records(Customer::def(), vec![contact.customer_id.0]));
            needs.extend(primary_of(contact.customer_id));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_contact(self.id, loaded)?;
        self.expect.check("contact", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        if after.phone == before.phone {
            after.phone_e164.clone_from(&before.phone_e164);
        } else {
            let region = loaded.settings(changes.context().tenant)?.region;
            after.phone_e164 = after.phone.as_deref().and_then(|phone| normal_phone(phone, region));
        }
        if after.is_primary && !before.is_primary {
            demote(before.customer_id, Some(self.id), loaded, changes)?;
        }
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event(
                "contact.updated",
                json!({ "contact_id": after.id, "customer_id": after.customer_id }),
            );
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes a contact.
#[derive(Clone, Copy, Debug)]
pub struct DeleteContact {
    /// The contact.
    pub id: ContactId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for DeleteContact {
    type Output = Contact;
    type Refusal = ContactRefusal;

    fn name(&self) -> &'static str {
        "contacts.delete"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "contact")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        contact_and_customer(self.id, loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_contact(self.id, loaded)?;
        self.expect.check("contact", self.id.0, before.meta.version)?;
        let after = changes.delete_record(&before.to_record());
        changes.event("contact.deleted", json!({ "contact_id": self.id, "customer_id": before.customer_id }));
        Ok(Contact::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Gives a contact a role at a further customer.
#[derive(Clone, Debug)]
pub struct AddContactRole {
    /// The contact.
    pub contact: ContactId,
    /// The further customer.
    pub customer: CustomerId,
    /// What the contact is there.
    pub role: String,
}

impl Command for AddContactRole {
    type Output = ContactRole;
    type Refusal = ContactRefusal;

    fn name(&self) -> &'static str {
        "contacts.add_role"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "contact_role")
    }

    fn input(&self) -> Json {
        json!([self.contact, self.customer, self.role])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = contact_and_customer(self.contact, loaded);
        needs.push(Need::Records(Customer::def(), vec![self.customer.0]));
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let contact = live_contact(self.contact, loaded)?;
        live_customer(self.customer, loaded)?;
        if contact.customer_id == self.customer {
            return Err(Decline::Refused(ContactRefusal::OwnCustomer(self.contact)));
        }
        let role = changes.insert(&ContactRole {
            id: changes.new_id(),
            meta: crate::record::Meta::default(),
            contact_id: self.contact,
            customer_id: self.customer,
            role: self.role.clone(),
        })?;
        changes
            .event("contact.role_added", json!({ "contact_id": self.contact, "customer_id": self.customer }));
        Ok(role)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        written.iter().find_map(|(_, id, _)| loaded.get(crate::contact::ContactRoleId(*id)).ok().flatten())
    }
}

/// The contact, if it and its customer are live.
fn live_contact<R>(id: ContactId, loaded: &Loaded) -> Result<Contact, Decline<R>> {
    let contact: Contact = loaded.live(id)?.ok_or(Decline::NotFound("contact", id.0))?;
    match loaded.live::<Customer>(contact.customer_id)? {
        Some(_) => Ok(contact),
        None => Err(Decline::NotFound("contact", id.0)),
    }
}

fn contact_and_customer(id: ContactId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(Contact::def(), vec![id.0])];
    if let Ok(Some(contact)) = loaded.live::<Contact>(id) {
        needs.push(Need::Records(Customer::def(), vec![contact.customer_id.0]));
    }
    needs
}

fn primary_of(customer: CustomerId) -> Option<Need> {
    let def = Contact::def();
    let filter = Filter::eq(def, "customer_id", Value::Id(customer.0))?
        .and(Filter::eq(def, "is_primary", Value::Bool(true))?)
        .and(Filter::undeleted(def));
    let query = Query::new(def, filter, 1);
    Some(Need::Find(format!("primary of {customer}"), Box::new(query)))
}

/// Takes the primary place from whoever has it.
fn demote(
    customer: CustomerId,
    except: Option<ContactId>,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<()> {
    for primary in loaded.all::<Contact>(&format!("primary of {customer}"))? {
        if Some(primary.id) != except {
            let demoted = Contact { is_primary: false, ..primary.clone() };
            changes.update(&primary, &demoted)?;
            changes
                .event("contact.primary_lost", json!({ "contact_id": primary.id, "customer_id": customer }));
        }
    }
    Ok(())
}
