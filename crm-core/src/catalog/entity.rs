//! What is known of an entity.

use crate::catalog::{FieldDef, FieldType, Format, Kind, Privacy, system};
use crate::id::RecordId;
use crate::record::{FieldError, Meta, Record, Unreadable};
use crate::timeline::Entry;

/// A struct that is an entry of the catalog. Derived: `#[derive(Entity)]`.
pub trait Entity: Clone + Send + Sync + 'static {
    /// The newtype of its id.
    type Id: RecordId;
    /// The declaration.
    fn def() -> &'static EntityDef;
    /// The record that stores keep.
    fn to_record(&self) -> Record;
    /// The struct from a stored record.
    fn from_record(record: &Record) -> Result<Self, Unreadable>;
    /// As [`from_record`](Self::from_record), from a record that is not needed any more: texts and lists are moved.
    fn from_owned(record: Record) -> Result<Self, Unreadable> {
        Self::from_record(&record)
    }
    /// The id.
    fn id(&self) -> Self::Id;
    /// Version and instants.
    fn meta(&self) -> &Meta;
}

/// The declaration of an entity.
#[derive(Debug)]
pub struct EntityDef {
    /// The name in criteria, links, log and timeline: singular, snake case.
    pub name: &'static str,
    /// The name of the table or collection: plural, snake case.
    pub table: &'static str,
    /// The system fields (see [`system`]) and then the entity's own, in order of declaration.
    pub fields: Vec<FieldDef>,
    /// Rules of uniqueness. All are per tenant.
    pub uniques: &'static [UniqueRule],
    /// Orders in which the entity is read. All start with the tenant.
    pub indexes: &'static [IndexDef],
    /// Rules over several fields that a database can check too.
    pub checks: &'static [Check],
    /// Whether records are only ever inserted (and masked by erasure).
    pub append_only: bool,
    /// Whether many records refer to one of these, so that a guard on it is spread over slots in MongoDB.
    pub shared: bool,
    /// The links, joined by dots, that lead to the customer this record is read through.
    pub root: Option<&'static str>,
    /// The field that names the record's parent of the same entity, if it forms a hierarchy.
    pub parent: Option<&'static str>,
    /// The entity whose record this one completes, one to one: both have the same id.
    pub extends: Option<Extends>,
    /// What the timeline shows of a record; `None` for an entity that never appears there.
    pub entry: Option<fn(&Record) -> Option<Entry>>,
    /// Rules over several fields that only the core checks.
    pub validate: Option<fn(&Record) -> Vec<FieldError>>,
}

/// That a record completes one of another entity and has its id. The entity that extends has a frozen link of that
/// name, `customer_id`, with the same id once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extends {
    /// The entity that is completed.
    pub entity: &'static str,
    /// What a criteria path calls the record that completes: `account` in `account.industry`.
    pub path: &'static str,
}

/// At most one record with the same values in these fields. Records that lack one of them do not count.
#[derive(Clone, Copy, Debug)]
pub struct UniqueRule {
    /// The name that a violation is reported by; unique within the catalog.
    pub name: &'static str,
    /// The fields; folded ones count by their folded form.
    pub fields: &'static [&'static str],
    /// Only records in which this field is true count.
    pub only_if: Option<&'static str>,
    /// Whether deleted records count too. Unless stated, only live ones do.
    pub with_deleted: bool,
}

/// An order in which records are read.
#[derive(Clone, Copy, Debug)]
pub struct IndexDef {
    /// The name, unique within the catalog.
    pub name: &'static str,
    /// The fields, after the tenant; the id follows last.
    pub fields: &'static [&'static str],
}

/// A rule over several fields of a record. A missing field passes.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The two fields differ.
    Differ(&'static str, &'static str),
    /// The first is not after, or more than, the second.
    Ordered(&'static str, &'static str),
    /// Both are given or neither is.
    Together(&'static str, &'static str),
}

impl EntityDef {
    /// The fields that every record has.
    pub fn system_fields() -> Vec<FieldDef> {
        let field = |name, kind, required| FieldDef {
            name,
            kind,
            required,
            folded: false,
            search: false,
            frozen: false,
            privacy: Privacy::Keep,
        };
        vec![
            field("id", Kind::Id, true),
            field("version", Kind::Int { min: 1, max: i64::MAX }, true),
            field("created_at", Kind::Instant, true),
            field("updated_at", Kind::Instant, true),
            field("deleted_at", Kind::Instant, false),
        ]
    }

    /// The place of a field, by name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The entity's own fields with their places.
    pub fn own_fields(&self) -> impl Iterator<Item = (usize, &FieldDef)> {
        self.fields.iter().enumerate().skip(system::FIRST_OWN)
    }

    /// The place of the field a criteria path calls `name`: the field itself, or the link `name_id`.
    pub fn resolve(&self, name: &str) -> Option<usize> {
        self.index_of(name).or_else(|| self.fields.iter().position(|f| f.link_name() == Some(name)))
    }

    /// The place of the link that says what an extending record completes.
    pub fn extending_link(&self) -> Option<usize> {
        let extended = self.extends?.entity;
        self.fields.iter().position(|field| {
            field.link_name() == Some(extended) && field.kind == (Kind::Link { entity: extended })
        })
    }

    /// The links that lead from a record to its customer, by place.
    pub fn root_links(&self) -> Option<Vec<&'static str>> {
        self.root.map(|path| path.split('.').collect())
    }
}

impl FieldDef {
    /// The type without limits.
    pub fn field_type(&self) -> FieldType {
        self.kind.field_type()
    }

    /// What a criteria path calls the record that this link leads to: the name without `_id`.
    pub fn link_name(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Link { .. } => self.name.strip_suffix("_id"),
            _ => None,
        }
    }

    /// Whether the text spans lines.
    pub fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Text { format: Format::Block, .. })
    }
}

impl PartialEq for EntityDef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for EntityDef {}

impl std::hash::Hash for EntityDef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
