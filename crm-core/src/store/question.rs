//! Which questions the contract offers; all others are refused before anything is sent.

use crate::catalog::{Catalog, EntityDef, FieldType, Kind, system};
use crate::criteria::{Filter, Path};
use crate::store::{GroupQuery, MAX_LIMIT, Measure, Query, Read, StoreError, TimelineAnchor};

impl Read {
    /// Refuses what the contract does not offer; a store calls it before it reads anything.
    pub fn check(&self, catalog: &Catalog) -> Result<(), StoreError> {
        check(catalog, self)
    }
}

impl Query {
    /// Refuses a query whose paths do not belong to its entity, or that sorts by what has no order. The limit is not
    /// looked at: a scan has none.
    pub fn check(&self, catalog: &Catalog) -> Result<(), StoreError> {
        entity(catalog, self.def)?;
        filter(catalog, self.def, &self.filter)?;
        self.order.iter().try_for_each(|order| ordered(catalog, self.def, &order.path))
    }
}

fn check(catalog: &Catalog, read: &Read) -> Result<(), StoreError> {
    match read {
        Read::Get { def, ids } => entity(catalog, def).and_then(|()| count(ids.len())),
        Read::Find(query) => limit(query.limit).and_then(|()| query.check(catalog)),
        Read::Group(query) => limit(query.limit).and_then(|()| check_group(catalog, query)),
        Read::Ancestors { def, limit: most, .. } | Read::Subtree { def, limit: most, .. } => {
            entity(catalog, def)?;
            if def.parent.is_none() {
                return refuse(format!("{} has no parent, so there is no hierarchy", def.name));
            }
            limit(*most)
        }
        Read::History { def, limit: most, .. } => entity(catalog, def).and_then(|()| limit(*most)),
        Read::Timeline(query) => {
            if let TimelineAnchor::Records(ids) = &query.anchor {
                count(ids.len())?;
            }
            limit(query.limit)
        }
        Read::Log { limit: most, .. } => limit(*most),
        Read::Key { .. } | Read::LogHead | Read::Position { .. } => Ok(()),
    }
}

fn check_group(catalog: &Catalog, query: &GroupQuery) -> Result<(), StoreError> {
    entity(catalog, query.def)?;
    filter(catalog, query.def, &query.filter)?;
    query.by.iter().try_for_each(|by| ordered(catalog, query.def, by))?;
    query.measures.iter().try_for_each(|measure| match measure {
        Measure::Count => Ok(()),
        Measure::Min(of) | Measure::Max(of) => ordered(catalog, query.def, of),
        Measure::Sum(of) => {
            path(catalog, query.def, of)?;
            let kind = of.field_def().field_type();
            if matches!(kind, FieldType::Int | FieldType::Decimal) || of.custom.is_some() {
                return Ok(());
            }
            refuse(format!("{} is not a number; only numbers are summed", of.field_def().name))
        }
    })
}

/// Refuses an entity that is not in the catalog.
fn entity(catalog: &Catalog, def: &EntityDef) -> Result<(), StoreError> {
    if catalog.get(def.name).is_some() {
        return Ok(());
    }
    refuse(format!("{} is not in the store's catalog; register it", def.name))
}

/// Refuses more than one read may name.
fn count(many: usize) -> Result<(), StoreError> {
    if many <= MAX_LIMIT {
        return Ok(());
    }
    refuse(format!("one read names at most {MAX_LIMIT} records, and this one {many}"))
}

fn limit(most: usize) -> Result<(), StoreError> {
    if (1..=MAX_LIMIT).contains(&most) {
        return Ok(());
    }
    refuse(format!("a limit is 1 to {MAX_LIMIT}, and {most} was asked"))
}

fn filter(catalog: &Catalog, def: &'static EntityDef, tree: &Filter) -> Result<(), StoreError> {
    match tree {
        Filter::All(parts) | Filter::Any(parts) => {
            parts.iter().try_for_each(|part| filter(catalog, def, part))
        }
        Filter::Not(part) => filter(catalog, def, part),
        Filter::Leaf(leaf) => path(catalog, def, &leaf.path),
    }
}

/// A path starts at the entity, follows links of the catalog (or its own id to what completes it), and ends at a field of the entity it says.
fn path(catalog: &Catalog, def: &'static EntityDef, path: &Path) -> Result<(), StoreError> {
    let mut at = def;
    for (step, (holder, place)) in path.links.iter().enumerate() {
        let next = path.links.get(step + 1).map_or(path.def, |(next, _)| *next);
        let target = if *place == system::ID {
            Some(next).filter(|next| next.extends.is_some_and(|extends| extends.entity == holder.name))
        } else {
            holder.fields.get(*place).and_then(|field| catalog.target(&field.kind))
        };
        match target {
            Some(target) if *holder == at => at = target,
            _ => return refuse(format!("a path does not lead on from {}", at.name)),
        }
    }
    match path.def.fields.get(path.field) {
        Some(field) if path.def == at => {
            if path.custom.is_none() || field.kind == Kind::Custom {
                return Ok(());
            }
            refuse(format!("{}.{} has no custom fields", at.name, field.name))
        }
        _ => refuse(format!("a path does not end at a field of {}", at.name)),
    }
}

fn ordered(catalog: &Catalog, def: &'static EntityDef, of: &Path) -> Result<(), StoreError> {
    path(catalog, def, of)?;
    match (of.field_def().field_type(), &of.custom) {
        (FieldType::List | FieldType::Json, _) | (FieldType::Custom, None) => {
            refuse(format!("{} has no order and makes no groups", of.field_def().name))
        }
        _ => Ok(()),
    }
}

fn refuse<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::Refused { why })
}
