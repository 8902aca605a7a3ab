//! What can be done with relationships, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::criteria::Filter;
use crate::customer::{Customer, CustomerId, Expect, input_of, live_customer};
use crate::policy::Action;
use crate::relationship::{Relationship, RelationshipId, RelationshipType};
use crate::store::Query;
use crate::value::Value;

/// Why a relationship is not created.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelationshipRefusal {
    /// From a customer to itself.
    #[error("customer {0} cannot be related to itself; name another customer")]
    Itself(CustomerId),
    /// There is one of this type between the two already.
    #[error(
        "relationship {0} of this type leads from the one customer to the other already; update that one"
    )]
    Exists(RelationshipId),
    /// The hierarchy is not kept here.
    #[error(
        "a relationship of type parent_child is not accepted: the hierarchy is the customer's parent alone; use \
         `customers().set_parent`"
    )]
    Hierarchy,
}

impl Refusal for RelationshipRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Itself(_) => "relationship_itself",
            Self::Exists(_) => "relationship_exists",
            Self::Hierarchy => "relationship_hierarchy",
        }
    }
}

type Decision<T> = Result<T, Decline<RelationshipRefusal>>;

const SAME: &str = "same relationship";

/// Relates a live customer to another one.
#[derive(Clone, Debug)]
pub struct CreateRelationship {
    /// The relationship.
    pub relationship: Relationship,
}

impl Command for CreateRelationship {
    type Output = Relationship;
    type Refusal = RelationshipRefusal;

    fn name(&self) -> &'static str {
        "relationships.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "relationship")
    }

    fn input(&self) -> Json {
        input_of(&self.relationship)
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let new = &self.relationship;
        let customers = vec![new.from_customer_id.0, new.to_customer_id.0];
        std::iter::once(Need::Records(Customer::def(), customers)).chain(same(new)).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let new = &self.relationship;
        if new.relationship_type == RelationshipType::ParentChild {
            return Err(Decline::Refused(RelationshipRefusal::Hierarchy));
        }
        live_customer(new.from_customer_id, loaded)?;
        live_customer(new.to_customer_id, loaded)?;
        if new.from_customer_id == new.to_customer_id {
            return Err(Decline::Refused(RelationshipRefusal::Itself(new.from_customer_id)));
        }
        if let Some(same) = loaded.list(SAME).first() {
            return Err(Decline::Refused(RelationshipRefusal::Exists(RelationshipId(same.id()))));
        }
        let created = changes.insert(new)?;
        changes.event("relationship.created", told(&created));
        Ok(created)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        written.iter().find_map(|(_, id, _)| loaded.get(RelationshipId(*id)).ok().flatten())
    }
}

/// Changes dates and notes of a relationship by a function over it.
pub struct UpdateRelationship<'f> {
    /// The relationship.
    pub id: RelationshipId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Relationship) + Send + Sync),
}

impl Command for UpdateRelationship<'_> {
    type Output = Relationship;
    type Refusal = RelationshipRefusal;

    fn name(&self) -> &'static str {
        "relationships.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "relationship")
    }

    fn input(&self) -> Json {
        let nobody = CustomerId(Uuid::nil());
        let mut sample = Relationship::new(nobody, nobody, RelationshipType::default());
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        relationship_and_customers(self.id, loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_relationship(self.id, loaded)?;
        self.expect.check("relationship", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("relationship.updated", told(&after));
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes a relationship.
#[derive(Clone, Copy, Debug)]
pub struct DeleteRelationship {
    /// The relationship.
    pub id: RelationshipId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for DeleteRelationship {
    type Output = Relationship;
    type Refusal = RelationshipRefusal;

    fn name(&self) -> &'static str {
        "relationships.delete"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "relationship")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        relationship_and_customers(self.id, loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_relationship(self.id, loaded)?;
        self.expect.check("relationship", self.id.0, before.meta.version)?;
        let after = changes.delete_record(&before.to_record());
        changes.event("relationship.deleted", told(&before));
        Ok(Relationship::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

fn told(relationship: &Relationship) -> Json {
    json!({
        "relationship_id": relationship.id,
        "from_customer_id": relationship.from_customer_id,
        "to_customer_id": relationship.to_customer_id,
        "relationship_type": relationship.relationship_type,
    })
}

/// The relationship, if it and both customers are live.
fn live_relationship(id: RelationshipId, loaded: &Loaded) -> Decision<Relationship> {
    let missing = || Decline::NotFound("relationship", id.0);
    let relationship: Relationship = loaded.live(id)?.ok_or_else(missing)?;
    for customer in [relationship.from_customer_id, relationship.to_customer_id] {
        loaded.live::<Customer>(customer)?.ok_or_else(missing)?;
    }
    Ok(relationship)
}

fn relationship_and_customers(id: RelationshipId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(Relationship::def(), vec![id.0])];
    if let Ok(Some(relationship)) = loaded.live::<Relationship>(id) {
        let customers = vec![relationship.from_customer_id.0, relationship.to_customer_id.0];
        needs.push(Need::Records(Customer::def(), customers));
    }
    needs
}

/// The live relationship of the same type between the same two.
fn same(new: &Relationship) -> Option<Need> {
    let def = Relationship::def();
    let kind = Value::Text(new.relationship_type.code().to_owned());
    let filter = Filter::eq(def, "from_customer_id", Value::Id(new.from_customer_id.0))?
        .and(Filter::eq(def, "to_customer_id", Value::Id(new.to_customer_id.0))?)
        .and(Filter::eq(def, "relationship_type", kind)?)
        .and(Filter::undeleted(def));
    Some(Need::Find(SAME.to_owned(), Box::new(Query::new(def, filter, 1))))
}
