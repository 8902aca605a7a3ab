//! `crm.relationships()`.

use crate::catalog::{Entity, system};
use crate::command::Error;
use crate::context::Context;
use crate::criteria::{Filter, Path, Test};
use crate::crm::{Crm, Done};
use crate::customer::{Customer, CustomerId, Expect};
use crate::policy::Action;
use crate::query;
use crate::relationship::{
    CreateRelationship, DeleteRelationship, Relationship, RelationshipId, RelationshipRefusal,
    UpdateRelationship,
};
use crate::store::{Answer, Query, Read};
use crate::value::Value;

/// The most relationships of one direction that are read at once.
const MOST: usize = 1_000;

/// Relationships: create, read, change, delete. The hierarchy is not among them: it is the customer's parent, see
/// [`set_parent`](crate::customer::Customers::set_parent).
#[derive(Clone, Copy)]
pub struct Relationships<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error<RelationshipRefusal>>;

impl<'a> Relationships<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Relates a customer to another one; once for each type and direction.
    pub async fn create(&self, ctx: &Context, relationship: Relationship) -> Outcome<Relationship> {
        self.crm.run(ctx, &CreateRelationship { relationship }).await
    }

    /// Changes dates and notes by a function over the relationship, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: RelationshipId,
        expect: Expect,
        change: impl Fn(&mut Relationship) + Send + Sync,
    ) -> Outcome<Relationship> {
        self.crm.run(ctx, &UpdateRelationship { id, expect, change: &change }).await
    }

    /// Deletes a relationship.
    pub async fn delete(&self, ctx: &Context, id: RelationshipId, expect: Expect) -> Outcome<Relationship> {
        self.crm.run(ctx, &DeleteRelationship { id, expect }).await
    }

    /// The relationships of a customer whose both customers are live, at most 1,000 of each direction: those that lead
    /// from it, then those that lead to it, each by id.
    pub async fn of(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<Relationship>, Error> {
        let def = Relationship::def();
        self.crm.allow(ctx, Action::Read, def.name)?;
        let reads: Vec<Read> = ["from_customer_id", "to_customer_id"]
            .into_iter()
            .filter_map(|end| Filter::eq(def, end, Value::Id(customer.0)))
            .map(|filter| {
                let filter = filter
                    .and(Filter::live(self.crm.store().catalog(), def))
                    .and(live_to())
                    .and(query::visible_filter(def, &ctx.viewer()));
                Read::Find(Query::new(def, filter, MOST))
            })
            .collect();
        let mut found = Vec::new();
        for answer in self.crm.read(ctx, &reads).await? {
            if let Answer::Records(records) = answer {
                for record in &records {
                    found.push(Relationship::from_record(record)?);
                }
            }
        }
        Ok(found)
    }
}

/// The customer that it leads to is live; the one that it leads from is its root, which every read asks for.
fn live_to() -> Filter {
    let def = Relationship::def();
    let to = def.index_of("to_customer_id").into_iter().map(|place| (def, place)).collect();
    let deleted = Path { links: to, def: Customer::def(), field: system::DELETED_AT, custom: None };
    Filter::Not(Box::new(Filter::leaf(deleted, Test::Exists)))
}
