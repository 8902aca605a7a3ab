//! Commands that can be repeated: each with an idempotency key, and a correlation id by which the log tells what it did.

use crm_core::command::{Error, Refusal};
use crm_core::contact::{Contact, ContactId};
use crm_core::customer::{Customer, CustomerId, Expect, ExternalKey};
use crm_core::interaction::{Interaction, InteractionId, InteractionType};
use crm_core::store::StoreError;
use crm_core::value::Instant;
use crm_core::{Context, Crm, Done, TenantId};
use uuid::Uuid;

/// Entity, id and version of each record written.
pub(crate) type Written = Vec<(String, Uuid, i64)>;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    CreateCustomer { name: String, external: Vec<String> },
    RenameCustomer { id: CustomerId, name: String, tag: String },
    CreateContact { customer: CustomerId, name: String, email: String, primary: bool },
    MakePrimary { contact: ContactId },
    Log { customer: CustomerId, contact: Option<ContactId>, external: Vec<String>, subject: String },
    ChangeInteraction { id: InteractionId, subject: String, pinned: bool },
    DeleteInteraction { id: InteractionId },
}

/// One command of one caller.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// Its correlation id and its key.
    pub(crate) id: Uuid,
    pub(crate) deed: Deed,
}

/// Why there was no success.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The outcome is not known.
    Store(StoreError),
    /// The caller did not wait for the answer.
    GaveUp,
    /// Refused by the deadline.
    Contended,
    /// What must not happen to these commands.
    Other(String),
}

impl<R: Refusal> From<Error<R>> for Failure {
    fn from(error: Error<R>) -> Self {
        match error {
            Error::Store(error) => Self::Store(error),
            Error::Contended => Self::Contended,
            other => Self::Other(other.to_string()),
        }
    }
}

/// When the interactions took place.
pub(crate) fn some_time() -> Instant {
    Instant::from_timestamp_millis(1_700_000_000_000).unwrap()
}

impl Command {
    pub(crate) fn context(&self, tenant: TenantId) -> Context {
        Context { correlation: Some(self.id), ..Context::system(tenant) }.with_key(self.key())
    }

    pub(crate) fn key(&self) -> String {
        self.id.to_string()
    }

    /// The name that the key belongs to.
    pub(crate) fn name(&self) -> &'static str {
        match &self.deed {
            Deed::CreateCustomer { .. } => "customers.create",
            Deed::RenameCustomer { .. } => "customers.update",
            Deed::CreateContact { .. } => "contacts.create",
            Deed::MakePrimary { .. } => "contacts.update",
            Deed::Log { .. } => "interactions.log",
            Deed::ChangeInteraction { .. } => "interactions.update",
            Deed::DeleteInteraction { .. } => "interactions.delete",
        }
    }

    /// Does it, or finds out that it was done.
    pub(crate) async fn perform(&self, crm: &Crm, tenant: TenantId) -> Result<Done<()>, Failure> {
        let ctx = self.context(tenant);
        match &self.deed {
            Deed::CreateCustomer { name, external } => {
                let customer = Customer { display_name: name.clone(), ..Customer::default() };
                let ids = external.iter().map(|id| ExternalKey::new("shop", id)).collect();
                Ok(crm.customers().create_with_ids(&ctx, customer, ids).await?.map(|_| ()))
            }
            Deed::RenameCustomer { id, name, tag } => {
                let change = |customer: &mut Customer| {
                    customer.display_name.clone_from(name);
                    customer.tags = vec![tag.clone()];
                };
                Ok(crm.customers().update(&ctx, *id, Expect::Any, change).await?.map(|_| ()))
            }
            Deed::CreateContact { customer, name, email, primary } => {
                let contact = Contact {
                    customer_id: *customer,
                    first_name: name.clone(),
                    last_name: "Example".to_owned(),
                    email: Some(email.clone()),
                    is_primary: *primary,
                    ..Contact::default()
                };
                Ok(crm.contacts().create(&ctx, contact).await?.map(|_| ()))
            }
            Deed::MakePrimary { contact } => {
                Ok(crm.contacts().set_primary(&ctx, *contact).await?.map(|_| ()))
            }
            Deed::Log { customer, contact, external, subject } => {
                let batch = external.iter().map(|id| Interaction {
                    customer_id: *customer,
                    contact_id: *contact,
                    interaction_type: InteractionType::Email,
                    subject: Some(subject.clone()),
                    occurred_at: some_time(),
                    external_id: Some(id.clone()),
                    ..Interaction::default()
                });
                Ok(crm.interactions().log_batch(&ctx, batch.collect()).await?.map(|_| ()))
            }
            Deed::ChangeInteraction { id, subject, pinned } => {
                let change = |interaction: &mut Interaction| {
                    interaction.subject = Some(subject.clone());
                    interaction.is_pinned = *pinned;
                };
                Ok(crm.interactions().update(&ctx, *id, Expect::Any, change).await?.map(|_| ()))
            }
            Deed::DeleteInteraction { id } => {
                Ok(crm.interactions().delete(&ctx, *id, Expect::Any).await?.map(|_| ()))
            }
        }
    }
}
