//! `crm.customers()`.

use serde_json::{Value as Json, json};

use crate::approval::BulkDeletion;
use crate::command::{Error, NoRefusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{
    CreateCustomer, Customer, CustomerId, CustomerNode, CustomerRefusal, DeleteCustomer, Expect, ExternalId,
    ExternalKey, RestoreCustomer, TreeRefusal, UpdateCustomer,
};
use crate::query::{Find, Page};
use crate::store::{Answer, Read};

/// Customers: create, read, change, delete, restore, find.
#[derive(Clone, Copy)]
pub struct Customers<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<CustomerRefusal>>;

impl<'a> Customers<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates a customer. It starts as a prospect, owned by the acting user, unless stated otherwise.
    pub async fn create(&self, ctx: &Context, customer: Customer) -> Outcome<Customer> {
        self.create_with_ids(ctx, customer, Vec::new()).await
    }

    /// Creates a customer that other systems know by these ids.
    pub async fn create_with_ids(
        &self,
        ctx: &Context,
        customer: Customer,
        ids: Vec<ExternalKey>,
    ) -> Outcome<Customer> {
        let done = self.create_batch(ctx, vec![(customer, ids)]).await?;
        Ok(done.map(|mut list| list.remove(0)))
    }

    /// Creates many customers, all or none. Each counts two records, with where it stands in its lifecycle, and one for
    /// each external id; a batch has at most [`MAX_WRITES`](crate::store::MAX_WRITES). The tenant's first customers bring
    /// the default stages with them: 22 records more.
    pub async fn create_batch(
        &self,
        ctx: &Context,
        customers: Vec<(Customer, Vec<ExternalKey>)>,
    ) -> Outcome<Vec<Customer>> {
        self.crm.run(ctx, &CreateCustomer { customers, acting: ctx.user_id() }).await
    }

    /// Changes a customer by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: CustomerId,
        expect: Expect,
        change: impl Fn(&mut Customer) + Send + Sync,
    ) -> Outcome<Customer> {
        self.crm.run(ctx, &UpdateCustomer { id, expect, change: &change }).await
    }

    /// Moves a customer below another one, or to the top of its hierarchy.
    pub async fn set_parent(
        &self,
        ctx: &Context,
        id: CustomerId,
        parent: Option<CustomerId>,
    ) -> Outcome<Customer> {
        self.update(ctx, id, Expect::Any, move |customer| customer.parent_id = parent).await
    }

    /// Deletes a customer; its contacts, interactions and invoices are hidden with it.
    pub async fn delete(&self, ctx: &Context, id: CustomerId, expect: Expect) -> Outcome<Customer> {
        self.crm.run(ctx, &DeleteCustomer { id, expect }).await
    }

    /// Deletes the customers that meet criteria, all in one commit, if they are at most 100. For more it asks for an
    /// approval, and none is deleted before that (SPEC CM-10): see
    /// [`ApprovalRequest::BulkDelete`](crate::approval::ApprovalRequest::BulkDelete).
    pub async fn delete_matching(
        &self,
        ctx: &Context,
        criteria: Json,
        reason: &str,
    ) -> Outcome<BulkDeletion> {
        let one = |id| DeleteCustomer { id, expect: Expect::Any };
        self.crm.delete_matching::<Customer, _>(ctx, "customers.delete_matching", criteria, reason, one).await
    }

    /// Takes a customer back from deletion, with all that was hidden with it. One whose owner has left meanwhile goes to
    /// who takes over from them, see [`Users::deactivate`](crate::directory::Users::deactivate).
    pub async fn restore(&self, ctx: &Context, id: CustomerId) -> Outcome<Customer> {
        self.crm.run(ctx, &RestoreCustomer { id }).await
    }

    /// The customer.
    pub async fn get(&self, ctx: &Context, id: CustomerId) -> Result<Customer, Error> {
        self.crm.get(ctx, id).await
    }

    /// The customers with these ids, in their order; those that are not there are left out.
    pub async fn get_many(&self, ctx: &Context, ids: &[CustomerId]) -> Result<Vec<Customer>, Error> {
        self.crm.get_many(ctx, ids).await
    }

    /// The customer that another system knows by this id.
    pub async fn by_external_id(&self, ctx: &Context, key: &ExternalKey) -> Result<Option<Customer>, Error> {
        let criteria = json!({ "all": [
            { "field": "system", "operator": "eq", "value": key.cleaned().system },
            { "field": "value", "operator": "eq", "value": key.cleaned().value },
            { "field": "record_type", "operator": "eq", "value": "customer" },
        ] });
        let page = self.crm.find::<ExternalId>(ctx, &Find::matching(criteria).limit(1)).await?;
        match page.items.first() {
            None => Ok(None),
            Some(row) => match self.get(ctx, CustomerId(row.record_id)).await {
                Ok(customer) => Ok(Some(customer)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// A page of the customers that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Customer>, Error> {
        self.crm.find(ctx, find).await
    }

    /// Customers by words of their name, e-mail, telephone number and tags; the last word may be its beginning.
    pub async fn search(&self, ctx: &Context, text: &str, limit: usize) -> Result<Vec<Customer>, Error> {
        Ok(self.crm.find(ctx, &Find::search(text).limit(limit)).await?.items)
    }

    /// The customer and all live ones below it, parents before children; at most 10,000.
    pub async fn subtree(&self, ctx: &Context, id: CustomerId) -> Result<Vec<Customer>, Error<NoRefusal>> {
        self.get(ctx, id).await?;
        let def = <Customer as crate::catalog::Entity>::def();
        let read = Read::Subtree { def, id: id.0, limit: crate::store::MAX_LIMIT };
        match self.crm.read(ctx, &[read]).await?.pop() {
            Some(Answer::Records(records)) => {
                Ok(records.into_iter().map(crate::catalog::Entity::from_owned).collect::<Result<_, _>>()?)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The customer with all live ones below it as a tree, with the customers, contacts and revenue of each branch. Two
    /// round trips for any tree; one of 10,000 customers or more is refused.
    pub async fn tree(&self, ctx: &Context, id: CustomerId) -> Result<CustomerNode, Error<TreeRefusal>> {
        CustomerNode::read(self.crm, ctx, id).await
    }
}
