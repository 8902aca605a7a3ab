//! A record: the values of one entity as stores keep them.

mod clean;
mod field_value;
mod reference;
#[cfg(test)]
mod tests;

pub use clean::{custom_name, day_in_range, instant_in_range};
pub use field_value::{Custom, FieldValue, read_field, take_field};
pub use reference::RecordRef;

use uuid::Uuid;

use crate::catalog::{EntityDef, system};
use crate::value::{Instant, Value};

/// Version and instants of a record. Inputs leave it at its default; the store's answer fills it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    /// 1 when inserted, one more with each change; 0 for what was never stored.
    pub version: i64,
    /// When it was inserted.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When it was deleted, if it is.
    pub deleted_at: Option<Instant>,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            version: 0,
            created_at: Instant::UNIX_EPOCH,
            updated_at: Instant::UNIX_EPOCH,
            deleted_at: None,
        }
    }
}

/// The values of one record, in the order of its entity's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The entity.
    pub def: &'static EntityDef,
    /// One value a field; the first five are the system fields (see [`system`]).
    pub values: Vec<Value>,
}

impl Record {
    /// A record without values but its id and version information.
    pub fn new(def: &'static EntityDef, id: Uuid, meta: &Meta) -> Self {
        let mut values = vec![Value::Null; def.fields.len()];
        values[system::ID] = Value::Id(id);
        let mut record = Self { def, values };
        record.set_meta(meta);
        record
    }

    /// The id.
    pub fn id(&self) -> Uuid {
        self.values[system::ID].as_id().unwrap_or_default()
    }

    /// The version.
    pub fn version(&self) -> i64 {
        if let Value::Int(version) = self.values[system::VERSION] { version } else { 0 }
    }

    /// Whether the record is not deleted.
    pub fn is_live(&self) -> bool {
        self.values[system::DELETED_AT] == Value::Null
    }

    /// Version and instants.
    pub fn meta(&self) -> Meta {
        let at = |place: usize| self.values[place].as_instant();
        Meta {
            version: self.version(),
            created_at: at(system::CREATED_AT).unwrap_or_default(),
            updated_at: at(system::UPDATED_AT).unwrap_or_default(),
            deleted_at: at(system::DELETED_AT),
        }
    }

    /// Replaces version and instants.
    pub fn set_meta(&mut self, meta: &Meta) {
        self.values[system::VERSION] = Value::Int(meta.version);
        self.values[system::CREATED_AT] = Value::Instant(meta.created_at);
        self.values[system::UPDATED_AT] = Value::Instant(meta.updated_at);
        self.values[system::DELETED_AT] = meta.deleted_at.map_or(Value::Null, Value::Instant);
    }

    /// The value of a field by name; null for a name that the entity does not have.
    pub fn get(&self, name: &str) -> &Value {
        self.def.index_of(name).map_or(&Value::Null, |place| &self.values[place])
    }

    /// Replaces the value of a field by name; nothing happens for a name that the entity does not have.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Some(place) = self.def.index_of(name) {
            self.values[place] = value;
        }
    }

    /// The value that comparisons read: the folded form of a folded field's text.
    pub fn comparable(&self, place: usize) -> std::borrow::Cow<'_, Value> {
        match (&self.values[place], self.def.fields[place].folded) {
            (Value::Text(text), true) => std::borrow::Cow::Owned(Value::Text(crate::format::fold(text))),
            (value, _) => std::borrow::Cow::Borrowed(value),
        }
    }
}

/// What is wrong with one field of an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct FieldError {
    /// The field, with the path to it in nested input.
    pub field: String,
    /// What is wrong and what would be accepted.
    pub why: String,
}

impl FieldError {
    /// An error at a field.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

/// A stored record that its entity's struct cannot hold: the store was changed behind the library's back, or a
/// migration is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored {entity} cannot be read: {field} is {why}")]
pub struct Unreadable {
    /// The entity.
    pub entity: &'static str,
    /// The field.
    pub field: &'static str,
    /// What was found.
    pub why: String,
}

/// Rules over several fields of an entity; the catalog runs them before anything is stored.
pub trait Validate {
    /// What is wrong, field by field; empty when all is well.
    fn check(&self) -> Vec<FieldError>;
}
