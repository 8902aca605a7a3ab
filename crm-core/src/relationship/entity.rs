//! The relationship.

use chrono::NaiveDate;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of a [`Relationship`].
    RelationshipId
}

crate::codes! {
    /// What the first customer is to the second.
    pub enum RelationshipType {
        /// Stands above it. Kept as the second one's [`parent_id`](crate::customer::Customer::parent_id) alone, so
        /// that there is one hierarchy; no relationship has this type.
        ParentChild = "parent_child",
        /// Works with it.
        #[default]
        Partner = "partner",
        /// Recommended it.
        Referral = "referral",
        /// Sells to it.
        Reseller = "reseller",
        /// Is part of it.
        Subsidiary = "subsidiary",
    }
}

/// What one customer is to another (SPEC CM-04).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "relationship",
    table = "relationships",
    root = "from_customer_id",
    unique(name = "unique_relationship", fields("from_customer_id", "to_customer_id", "relationship_type")),
    index(name = "relationships_by_from", fields("from_customer_id")),
    index(name = "relationships_by_to", fields("to_customer_id")),
    check(differ("from_customer_id", "to_customer_id"), ordered("start_date", "end_date"))
)]
pub struct Relationship {
    /// The id.
    pub id: RelationshipId,
    /// Version and instants.
    pub meta: Meta,
    /// The first customer.
    #[field(link = "customer", frozen)]
    pub from_customer_id: CustomerId,
    /// The second customer, another one.
    #[field(link = "customer", frozen)]
    pub to_customer_id: CustomerId,
    /// What the first is to the second.
    #[field(frozen)]
    pub relationship_type: RelationshipType,
    /// At most 5,000 characters.
    #[field(block(5_000), mask)]
    pub notes: Option<String>,
    /// Since when.
    pub start_date: Option<NaiveDate>,
    /// Until when, that day included.
    pub end_date: Option<NaiveDate>,
}

impl Relationship {
    /// A relationship without dates, to be filled in with struct update syntax.
    pub fn new(from: CustomerId, to: CustomerId, relationship_type: RelationshipType) -> Self {
        Self {
            id: RelationshipId(uuid::Uuid::nil()),
            meta: Meta::default(),
            from_customer_id: from,
            to_customer_id: to,
            relationship_type,
            notes: None,
            start_date: None,
            end_date: None,
        }
    }
}
