//! Ids that other systems know our records by: many for each record, each unique (SPEC CM-08, TL-06).

use uuid::Uuid;

use crate::catalog::Entity;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of an [`ExternalId`].
    ExternalIdId
}

/// What another system calls a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ExternalKey {
    /// The other system, 1 to 64 characters: `shop`, `erp`.
    pub system: String,
    /// The id there, 1 to 200 characters.
    pub value: String,
}

impl ExternalKey {
    /// An id in a system.
    pub fn new(system: impl Into<String>, value: impl Into<String>) -> Self {
        Self { system: system.into(), value: value.into() }
    }

    /// The key in the form that is stored: trimmed, NFC.
    pub(crate) fn cleaned(&self) -> Self {
        let clean = |text: &str| crate::format::clean_line(text).unwrap_or_default();
        Self { system: clean(&self.system), value: clean(&self.value) }
    }
}

/// One id of one record in one other system.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "external_id",
    table = "external_ids",
    unique(name = "external_id_once", fields("system", "value")),
    index(name = "external_ids_by_record", fields("record_id"))
)]
pub struct ExternalId {
    /// The id of the row.
    pub id: ExternalIdId,
    /// Version and instants.
    pub meta: Meta,
    /// The other system.
    #[field(line(64), keep, frozen)]
    pub system: String,
    /// The id there.
    #[field(line(200), pseudonym = "erased ")]
    pub value: String,
    /// The entity of our record.
    #[field(line(48), keep)]
    pub record_type: String,
    /// Our record.
    #[field(any_link = "record_type")]
    pub record_id: Uuid,
}
