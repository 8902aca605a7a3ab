//! Which questions the contract offers; all others are refused before anything is read.

use crm_core::catalog::{Catalog, EntityDef, FieldType, Kind};
use crm_core::criteria::{Filter, Path};
use crm_core::store::{GroupQuery, MAX_LIMIT, Measure, Query, Read, StoreError};

use crate::schema::Schema;

/// Refuses a read that the contract does not offer.
pub(crate) fn check(schema: &Schema, read: &Read) -> Result<(), StoreError> {
    match read {
        Read::Get { def, ids } => {
            entity(schema, def)?;
            if ids.len() > MAX_LIMIT {
                return Err(refuse(format!("at most {MAX_LIMIT} ids are read at once")));
            }
            Ok(())
        }
        Read::Find(query) => limit(query.limit).and_then(|()| check_query(schema, query)),
        Read::Group(query) => limit(query.limit).and_then(|()| check_group(schema, query)),
        Read::Ancestors { def, limit: most, .. } | Read::Subtree { def, limit: most, .. } => {
            entity(schema, def)?;
            if def.parent.is_none() {
                return Err(refuse(format!("{} has no parent field", def.name)));
            }
            limit(*most)
        }
        Read::Timeline(query) => limit(query.limit),
        Read::History { def, limit: most, .. } => entity(schema, def).and_then(|()| limit(*most)),
        Read::Log { limit: most, .. } => limit(*most),
        Read::Key { .. } | Read::LogHead | Read::Position { .. } => Ok(()),
    }
}

/// Refuses a query whose paths do not belong to its entity; its limit does not matter.
pub(crate) fn check_query(schema: &Schema, query: &Query) -> Result<(), StoreError> {
    entity(schema, query.def)?;
    filter(&schema.catalog, query.def, &query.filter)?;
    for order in &query.order {
        path(&schema.catalog, query.def, &order.path)?;
        ordered(&order.path)?;
    }
    Ok(())
}

fn check_group(schema: &Schema, query: &GroupQuery) -> Result<(), StoreError> {
    entity(schema, query.def)?;
    filter(&schema.catalog, query.def, &query.filter)?;
    for by in &query.by {
        path(&schema.catalog, query.def, by)?;
        ordered(by)?;
    }
    for measure in &query.measures {
        match measure {
            Measure::Count => {}
            Measure::Sum(of) => {
                path(&schema.catalog, query.def, of)?;
                let kind = of.field_def().field_type();
                if !matches!(kind, FieldType::Int | FieldType::Decimal) && of.custom.is_none() {
                    return Err(refuse(format!(
                        "{} is not a number; only numbers are summed",
                        of.field_def().name
                    )));
                }
            }
            Measure::Min(of) | Measure::Max(of) => {
                path(&schema.catalog, query.def, of)?;
                ordered(of)?;
            }
        }
    }
    Ok(())
}

fn entity(schema: &Schema, def: &EntityDef) -> Result<(), StoreError> {
    match schema.place(def.name) {
        Some(_) => Ok(()),
        None => Err(refuse(format!("{} is not in the store's catalog", def.name))),
    }
}

fn limit(most: usize) -> Result<(), StoreError> {
    if (1..=MAX_LIMIT).contains(&most) { Ok(()) } else { Err(refuse(format!("a limit is 1 to {MAX_LIMIT}"))) }
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

/// A path starts at the entity, follows links of the catalog, and ends at a field of the entity it says.
fn path(catalog: &Catalog, def: &'static EntityDef, path: &Path) -> Result<(), StoreError> {
    let mut at = def;
    for (holder, place) in &path.links {
        let target = holder.fields.get(*place).and_then(|field| catalog.target(&field.kind));
        match target {
            Some(target) if *holder == at => at = target,
            _ => return Err(refuse(format!("a path does not lead on from {}", at.name))),
        }
    }
    match path.def.fields.get(path.field) {
        Some(field) if path.def == at => match (&field.kind, &path.custom) {
            (Kind::Custom, _) | (_, None) => Ok(()),
            (_, Some(_)) => Err(refuse(format!("{}.{} has no custom fields", at.name, field.name))),
        },
        _ => Err(refuse(format!("a path does not end at a field of {}", at.name))),
    }
}

fn ordered(path: &Path) -> Result<(), StoreError> {
    match (path.field_def().field_type(), &path.custom) {
        (FieldType::List | FieldType::Json, _) | (FieldType::Custom, None) => {
            Err(refuse(format!("{} has no order and makes no groups", path.field_def().name)))
        }
        _ => Ok(()),
    }
}

fn refuse(why: String) -> StoreError {
    StoreError::Refused { why }
}
