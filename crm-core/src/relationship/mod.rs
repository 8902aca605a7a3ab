//! What customers are to each other (SPEC CM-04). The hierarchy is not kept here: it is the customer's parent.

mod commands;
mod entity;
mod service;

pub use commands::{CreateRelationship, DeleteRelationship, RelationshipRefusal, UpdateRelationship};
pub use entity::{Relationship, RelationshipId, RelationshipType};
pub use service::Relationships;
