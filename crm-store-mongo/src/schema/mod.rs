//! The collections and indexes that the catalog asks for.

mod migrate;
mod verify;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use crm_core::catalog::{Catalog, EntityDef, FieldType, Kind, UniqueRule};
use crm_core::store::StoreError;

pub(crate) use migrate::migrate;
pub(crate) use verify::verify;

use crate::document::TENANT;
use crate::names;

/// The version of the layout that this crate reads and writes.
pub(crate) const VERSION: i32 = 1;
/// The document of [`names::META`] that holds it.
pub(crate) const META_ID: &str = "schema";

/// One index as it must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    pub(crate) collection: &'static str,
    pub(crate) name: String,
    pub(crate) keys: Document,
    pub(crate) unique: bool,
    pub(crate) partial: Option<Document>,
}

impl Index {
    fn new(collection: &'static str, name: impl Into<String>, keys: Document) -> Self {
        Self { collection, name: name.into(), keys, unique: false, partial: None }
    }

    /// As `createIndexes` takes it.
    pub(crate) fn to_command(&self) -> Document {
        let mut index = doc! { "name": &self.name, "key": self.keys.clone() };
        if self.unique {
            index.insert("unique", true);
        }
        if let Some(partial) = &self.partial {
            index.insert("partialFilterExpression", partial.clone());
        }
        index
    }
}

/// The collections that the catalog and this store need.
pub(crate) fn collections(catalog: &Catalog) -> Vec<&'static str> {
    catalog.entities().map(|def| def.table).chain(names::ALL).collect()
}

/// The indexes that the catalog and this store need.
pub(crate) fn indexes(catalog: &Catalog) -> Result<Vec<Index>, StoreError> {
    let mut all = own_indexes();
    for def in catalog.entities() {
        check_names(def)?;
        for rule in def.uniques {
            all.push(unique(def, rule)?);
        }
        for index in def.indexes {
            all.extend(ordered(def, index.name, index.fields));
        }
        for field in &def.fields {
            let is_link = matches!(field.kind, Kind::Link { .. } | Kind::AnyLink { .. });
            if is_link && !def.indexes.iter().any(|index| index.fields.first() == Some(&field.name)) {
                let keys = doc! { TENANT: 1, field.name: 1, "id": 1 };
                let partial =
                    (def.parent != Some(field.name)).then(|| doc! { field.name: present(FieldType::Id) });
                all.push(Index { partial, ..Index::new(def.table, format!("link_{}", field.name), keys) });
            }
        }
    }
    Ok(all)
}

fn check_names(def: &EntityDef) -> Result<(), StoreError> {
    if names::ALL.contains(&def.table) {
        let why = format!(
            "{} cannot be kept in {}, a collection of the store's own; rename the table",
            def.name, def.table
        );
        return Err(StoreError::NotReady { why });
    }
    if def.index_of(TENANT).is_some() {
        let why = format!("{} has a field `tenant`, the store's own key; rename the field", def.name);
        return Err(StoreError::NotReady { why });
    }
    Ok(())
}

/// The orders of one index of the catalog: as declared and, where its last field counts or tells time and so is
/// often read from its largest value, with that field descending. (The id is ascending in both: one index cannot
/// serve both directions.)
fn ordered(def: &'static EntityDef, name: &str, fields: &[&str]) -> Vec<Index> {
    let mut keys = doc! { TENANT: 1 };
    let mut last = None;
    for field in fields {
        if let Some(place) = def.index_of(field) {
            let key = def.fields[place].compare_column().into_owned();
            keys.insert(key.clone(), 1);
            last = Some((key, def.fields[place].field_type()));
        }
    }
    keys.insert("id", 1);
    let mut all = vec![Index::new(def.table, name, keys.clone())];
    if let Some((key, FieldType::Instant | FieldType::Date | FieldType::Int | FieldType::Decimal)) = last {
        keys.insert(key, -1);
        all.push(Index::new(def.table, format!("{name}_desc"), keys));
    }
    all
}

fn unique(def: &'static EntityDef, rule: &UniqueRule) -> Result<Index, StoreError> {
    let mut keys = doc! { TENANT: 1 };
    let mut partial = Document::new();
    for name in rule.fields {
        let Some(place) = def.index_of(name) else { continue };
        let field = &def.fields[place];
        if matches!(field.field_type(), FieldType::List | FieldType::Custom | FieldType::Json) {
            let why = format!(
                "the rule {} counts {}.{name}, and lists and maps cannot be unique",
                rule.name, def.name
            );
            return Err(StoreError::NotReady { why });
        }
        keys.insert(field.compare_column(), 1);
        partial.insert(field.compare_column(), present(field.field_type()));
    }
    if let Some(flag) = rule.only_if {
        partial.insert(flag, true);
    }
    if !rule.with_deleted {
        partial.insert("deleted_at", Bson::Null);
    }
    Ok(Index { unique: true, partial: Some(partial), ..Index::new(def.table, rule.name, keys) })
}

/// The condition that a value is there, as partial indexes accept it; equality with any value implies it, so that
/// a query need not repeat it.
fn present(field: FieldType) -> Document {
    match field {
        FieldType::Int | FieldType::Decimal => doc! { "$gte": f64::NEG_INFINITY },
        FieldType::Instant => doc! { "$gte": bson::DateTime::MIN },
        FieldType::Bool => doc! { "$gte": false },
        FieldType::Id => {
            doc! { "$gt": Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: Vec::new() }) }
        }
        _ => doc! { "$gt": "" },
    }
}

fn own_indexes() -> Vec<Index> {
    let by_time = |first: &str| doc! { TENANT: 1, first: 1, "at": 1, "kind": 1, "entry_id": 1, "_id.a": 1 };
    let primary = Some(doc! { "primary": true });
    let sealed = doc! { "number": { "$gt": 0_i64 } };
    vec![
        Index {
            partial: Some(doc! { "number": Bson::Null }),
            ..Index::new(
                names::LOG,
                "log_unsealed",
                doc! { TENANT: 1, "at": 1, "version": 1, "_id.c": 1, "_id.o": 1 },
            )
        },
        Index {
            unique: true,
            partial: Some(sealed),
            ..Index::new(names::LOG, "log_by_number", doc! { TENANT: 1, "number": 1 })
        },
        Index::new(
            names::LOG,
            "log_by_record",
            doc! { TENANT: 1, "entity": 1, "record_id": 1, "version": 1, "_id.c": 1, "_id.o": 1 },
        ),
        Index::new(names::KEYS, "keys_by_age", doc! { TENANT: 1, "at": 1 }),
        Index::new(names::TIMELINE, "timeline_by_anchor", by_time("anchor_id")),
        Index {
            // Pinned entries are few and a page of their own.
            partial: Some(doc! { "pinned": true }),
            ..Index::new(names::TIMELINE, "timeline_pinned", by_time("anchor_id"))
        },
        Index {
            partial: primary.clone(),
            ..Index::new(names::TIMELINE, "timeline_by_actor", by_time("actor"))
        },
        Index {
            partial: primary,
            ..Index::new(
                names::TIMELINE,
                "timeline_by_tenant",
                doc! { TENANT: 1, "at": 1, "kind": 1, "entry_id": 1, "_id.a": 1 },
            )
        },
    ]
}
