//! What customers are to each other (SPEC CM-04).

mod entity;

pub use entity::{Relationship, RelationshipId, RelationshipType};
