//! The catalog: every entity declared once, as data that columns, documents, criteria, audit, search, export
//! and masks are all read from.

mod entity;
mod field;
mod registry;

pub use crm_core_derive::Entity;
pub use entity::{Check, Entity, EntityDef, Extends, IndexDef, UniqueRule};
pub use field::{FieldDef, FieldType, Format, Kind, Mask, Privacy};
pub use registry::{Catalog, CatalogBuilder, CatalogError};

/// Places of the fields that every record has, before its own.
pub mod system {
    /// The record's id.
    pub const ID: usize = 0;
    /// The version, 1 when inserted and one more with each change.
    pub const VERSION: usize = 1;
    /// When the record was inserted.
    pub const CREATED_AT: usize = 2;
    /// When the record was last changed.
    pub const UPDATED_AT: usize = 3;
    /// When the record was deleted, if it is.
    pub const DELETED_AT: usize = 4;
    /// The place of the first field of the entity's own.
    pub const FIRST_OWN: usize = 5;
}
