//! `crm.contacts()`.

use serde_json::json;

use crate::command::Error;
use crate::contact::{
    AddContactRole, Contact, ContactId, ContactRefusal, ContactRole, CreateContact, DeleteContact,
    UpdateContact,
};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::query::{Find, Page};

/// Contacts: create, read, change, delete, find.
#[derive(Clone, Copy)]
pub struct Contacts<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<ContactRefusal>>;

impl<'a> Contacts<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates a contact. A primary one takes the place of the old one in the same commit.
    pub async fn create(&self, ctx: &Context, contact: Contact) -> Outcome<Contact> {
        Ok(self.create_batch(ctx, vec![contact]).await?.map(|mut list| list.remove(0)))
    }

    /// Creates many contacts, all or none.
    pub async fn create_batch(&self, ctx: &Context, contacts: Vec<Contact>) -> Outcome<Vec<Contact>> {
        self.crm.run(ctx, &CreateContact { contacts }).await
    }

    /// Changes a contact by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: ContactId,
        expect: Expect,
        change: impl Fn(&mut Contact) + Send + Sync,
    ) -> Outcome<Contact> {
        self.crm.run(ctx, &UpdateContact { id, expect, change: &change }).await
    }

    /// Makes a contact the one to turn to first.
    pub async fn set_primary(&self, ctx: &Context, id: ContactId) -> Outcome<Contact> {
        self.update(ctx, id, Expect::Any, |contact| contact.is_primary = true).await
    }

    /// Deletes a contact.
    pub async fn delete(&self, ctx: &Context, id: ContactId, expect: Expect) -> Outcome<Contact> {
        self.crm.run(ctx, &DeleteContact { id, expect }).await
    }

    /// Gives a contact a role at a further customer.
    pub async fn add_role(
        &self,
        ctx: &Context,
        contact: ContactId,
        customer: CustomerId,
        role: impl Into<String>,
    ) -> Outcome<ContactRole> {
        self.crm.run(ctx, &AddContactRole { contact, customer, role: role.into() }).await
    }

    /// The contact.
    pub async fn get(&self, ctx: &Context, id: ContactId) -> Result<Contact, Error> {
        self.crm.get(ctx, id).await
    }

    /// The contacts of a customer by name, at most 1,000, its primary one first.
    pub async fn of_customer(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<Contact>, Error> {
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        let find = Find::matching(of).descending("is_primary").ascending("last_name").ascending("first_name");
        Ok(self.crm.find(ctx, &find.limit(1_000)).await?.items)
    }

    /// A page of the contacts that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Contact>, Error> {
        self.crm.find(ctx, find).await
    }
}
