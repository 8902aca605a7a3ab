//! What the catalog means for this store: which indexes an entity has, and who can refer to it.

use std::collections::BTreeMap;

use crm_core::catalog::{Catalog, EntityDef, Kind, UniqueRule, system};
use crm_core::record::Record;

use crate::key;

/// The layout of all entities; one for all tenants.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) catalog: Catalog,
    pub(crate) tables: Vec<TableSchema>,
    places: BTreeMap<&'static str, usize>,
}

/// The layout of one entity.
#[derive(Debug)]
pub(crate) struct TableSchema {
    pub(crate) def: &'static EntityDef,
    pub(crate) indexes: Vec<IndexSchema>,
    /// The links that lead to a known entity: the field, the entity's place.
    pub(crate) links: Vec<(usize, usize)>,
    /// Who can refer to records of this entity by a link: the entity's place, the field, the index that has it first.
    pub(crate) referrers: Vec<(usize, usize, usize)>,
}

/// One ordered index: the columns of these fields, then the id.
#[derive(Debug)]
pub(crate) struct IndexSchema {
    pub(crate) fields: Vec<usize>,
    /// Which records it holds.
    pub(crate) holds: Holds,
}

/// Which records an index holds.
#[derive(Debug)]
pub(crate) enum Holds {
    /// All.
    All,
    /// Those that have a value in every field of the index.
    Present,
    /// Those that the rule counts; two with the same values break it.
    Counted(&'static UniqueRule),
}

impl Schema {
    pub(crate) fn new(catalog: Catalog) -> Self {
        let defs: Vec<&'static EntityDef> = catalog.entities().collect();
        let places: BTreeMap<&'static str, usize> =
            defs.iter().enumerate().map(|(at, def)| (def.name, at)).collect();
        let mut tables: Vec<TableSchema> = defs.iter().map(|def| TableSchema::new(def, &places)).collect();
        let mut referrers = Vec::new();
        for (from, table) in tables.iter().enumerate() {
            for (field, to) in &table.links {
                if let Some(index) = table.link_index(*field) {
                    referrers.push((*to, (from, *field, index)));
                }
            }
        }
        for (to, referrer) in referrers {
            tables[to].referrers.push(referrer);
        }
        Self { catalog, tables, places }
    }

    /// The place of an entity.
    pub(crate) fn place(&self, entity: &str) -> Option<usize> {
        self.places.get(entity).copied()
    }
}

impl TableSchema {
    fn new(def: &'static EntityDef, places: &BTreeMap<&'static str, usize>) -> Self {
        let fields = |names: &[&str]| names.iter().filter_map(|name| def.index_of(name)).collect::<Vec<_>>();
        let mut indexes: Vec<IndexSchema> = def
            .uniques
            .iter()
            .map(|rule| IndexSchema { fields: fields(rule.fields), holds: Holds::Counted(rule) })
            .collect();
        indexes.extend(
            def.indexes.iter().map(|index| IndexSchema { fields: fields(index.fields), holds: Holds::All }),
        );
        let mut links = Vec::new();
        for (place, field) in def.fields.iter().enumerate() {
            if let Kind::Link { entity } = field.kind
                && let Some(target) = places.get(entity)
            {
                links.push((place, *target));
            }
            let is_link = matches!(field.kind, Kind::Link { .. } | Kind::AnyLink { .. });
            let is_first = |index: &IndexSchema| index.fields.first() == Some(&place);
            if is_link && !indexes.iter().any(|index| is_first(index) && matches!(index.holds, Holds::All)) {
                indexes.push(IndexSchema { fields: vec![place], holds: Holds::Present });
            }
        }
        Self { def, indexes, links, referrers: Vec::new() }
    }

    /// The index that finds all records by the value of this link.
    pub(crate) fn link_index(&self, field: usize) -> Option<usize> {
        self.indexes.iter().position(|index| {
            index.fields.first() == Some(&field)
                && match index.holds {
                    Holds::All => true,
                    Holds::Present => index.fields.len() == 1,
                    Holds::Counted(_) => false,
                }
        })
    }
}

impl IndexSchema {
    /// The columns of a record in this index, without the id; `None` when the index does not hold the record.
    pub(crate) fn columns(&self, record: &Record) -> Option<Vec<u8>> {
        if let Holds::Counted(rule) = self.holds
            && !counts(rule, record)
        {
            return None;
        }
        let mut out = Vec::with_capacity(48);
        for place in &self.fields {
            let start = out.len();
            key::push(&mut out, &record.comparable(*place));
            if out[start] == key::MISSING && !matches!(self.holds, Holds::All) {
                return None;
            }
        }
        Some(out)
    }

    /// Whether the index has the same entry for both: cheaper than building the columns.
    pub(crate) fn same(&self, before: &Record, after: &Record) -> bool {
        let mut fields = self.fields.clone();
        if let Holds::Counted(rule) = self.holds {
            fields.push(system::DELETED_AT);
            fields.extend(rule.only_if.and_then(|name| after.def.index_of(name)));
        }
        fields.iter().all(|place| before.values[*place] == after.values[*place])
    }
}

/// Whether the rule counts the record, if it has all values: the first half of [`UniqueRule::key_of`].
fn counts(rule: &UniqueRule, record: &Record) -> bool {
    (rule.with_deleted || record.is_live()) && rule.only_if.is_none_or(|field| record.get(field).is_true())
}
