//! The registry: which entities a `Crm` and its store know. A value, so that embedders add their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Check, Entity, EntityDef, FieldType, Kind, Privacy};

/// The entities that a store keeps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog {
    entities: Arc<BTreeMap<&'static str, &'static EntityDef>>,
}

/// Collects entities for a [`Catalog`].
#[derive(Debug, Default)]
pub struct CatalogBuilder {
    entities: Vec<&'static EntityDef>,
}

/// What is wrong with a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog is refused at {at}: {why}")]
pub struct CatalogError {
    /// The entity and field.
    pub at: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl Catalog {
    /// Starts an empty catalog. [`crate::standard_catalog`] starts one with the library's own entities.
    pub fn builder() -> CatalogBuilder {
        CatalogBuilder::default()
    }

    /// The entity of this name.
    pub fn get(&self, name: &str) -> Option<&'static EntityDef> {
        self.entities.get(name).copied()
    }

    /// All entities, by name.
    pub fn entities(&self) -> impl Iterator<Item = &'static EntityDef> + '_ {
        self.entities.values().copied()
    }

    /// The entity that a link leads to.
    pub fn target(&self, kind: &Kind) -> Option<&'static EntityDef> {
        match kind {
            Kind::Link { entity } => self.get(entity),
            _ => None,
        }
    }

    /// The entity whose records complete those of `entity` under this name in criteria paths.
    pub fn extension(&self, entity: &EntityDef, path: &str) -> Option<&'static EntityDef> {
        let completes = |def: &&'static EntityDef| {
            def.extends.is_some_and(|extends| extends.entity == entity.name && extends.path == path)
        };
        self.entities().find(completes)
    }

    /// The places of the links that lead from a record of `entity` to the customer it is read through, each
    /// with the entity that holds the link.
    pub fn root_path(&self, entity: &'static EntityDef) -> Option<Vec<(&'static EntityDef, usize)>> {
        let mut at = entity;
        let mut path = Vec::new();
        for link in entity.root_links()? {
            let place = at.index_of(link)?;
            path.push((at, place));
            at = self.target(&at.fields[place].kind)?;
        }
        Some(path)
    }

    /// The entities in an order in which every link leads to an earlier one or to its own kind.
    pub fn in_link_order(&self) -> Vec<&'static EntityDef> {
        fn visit(
            catalog: &Catalog,
            def: &'static EntityDef,
            done: &mut Vec<&'static EntityDef>,
            depth: usize,
        ) {
            if depth > 64 || done.contains(&def) {
                return;
            }
            for field in &def.fields {
                if let Some(target) = catalog.target(&field.kind)
                    && target != def
                {
                    visit(catalog, target, done, depth + 1);
                }
            }
            if !done.contains(&def) {
                done.push(def);
            }
        }
        let mut done = Vec::new();
        for def in self.entities() {
            visit(self, def, &mut done, 0);
        }
        done
    }
}

impl CatalogBuilder {
    /// Adds an entity.
    pub fn with<E: Entity>(mut self) -> Self {
        self.entities.push(E::def());
        self
    }

    pub(crate) fn into_entities(self) -> Vec<&'static EntityDef> {
        self.entities
    }

    /// Checks that names are unique, links lead to known entities, rules name known fields, and every field
    /// that can hold personal data has a privacy rule that its type accepts.
    pub fn build(self) -> Result<Catalog, CatalogError> {
        let mut entities = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let mut rules = BTreeMap::new();
        for def in self.entities {
            if entities.insert(def.name, def).is_some() {
                return Err(refuse(def, "", "two entities have this name; rename one"));
            }
            if let Some(other) = tables.insert(def.table, def.name) {
                return Err(refuse(def, "", &format!("{other} is kept in the table {} already", def.table)));
            }
            for name in def.uniques.iter().map(|u| u.name).chain(def.indexes.iter().map(|i| i.name)) {
                if let Some(other) = rules.insert(name, def.name) {
                    return Err(refuse(def, name, &format!("{other} has a rule or index of this name")));
                }
            }
        }
        let catalog = Catalog { entities: Arc::new(entities) };
        for def in catalog.entities() {
            check_names(def)?;
            check_fields(&catalog, def)?;
            check_extension(&catalog, def)?;
            if def.root.is_some() && catalog.root_path(def).is_none() {
                return Err(refuse(
                    def,
                    "root",
                    "the path must be links, joined by dots, that end at the customer",
                ));
            }
        }
        Ok(catalog)
    }
}

fn refuse(def: &EntityDef, field: &str, why: &str) -> CatalogError {
    let at = if field.is_empty() { def.name.to_owned() } else { format!("{}.{field}", def.name) };
    CatalogError { at, why: why.to_owned() }
}

fn check_names(def: &EntityDef) -> Result<(), CatalogError> {
    let plain = |name: &str| {
        !name.is_empty()
            && name.len() <= 48
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && name.as_bytes()[0].is_ascii_lowercase()
    };
    let names = [def.name, def.table].into_iter().chain(def.fields.iter().map(|f| f.name));
    for name in names.chain(def.uniques.iter().map(|u| u.name)).chain(def.indexes.iter().map(|i| i.name)) {
        if !plain(name) {
            return Err(refuse(def, name, "names are 1 to 48 of a-z, 0-9 and _, and start with a letter"));
        }
    }
    let in_rules = def.uniques.iter().flat_map(|u| u.fields.iter().chain(u.only_if.as_ref()));
    let in_indexes = def.indexes.iter().flat_map(|i| i.fields);
    let in_checks = def.checks.iter().flat_map(|check| match check {
        Check::Differ(a, b) | Check::Ordered(a, b) | Check::Together(a, b) => [a, b],
    });
    for name in in_rules.chain(in_indexes).chain(in_checks).chain(def.parent.as_ref()) {
        if def.index_of(name).is_none() {
            return Err(refuse(def, name, "a rule, index or check names this field, and it is not declared"));
        }
    }
    Ok(())
}

fn check_extension(catalog: &Catalog, def: &EntityDef) -> Result<(), CatalogError> {
    let Some(extends) = def.extends else { return Ok(()) };
    let Some(extended) = catalog.get(extends.entity) else {
        return Err(refuse(def, "extends", &format!("{} is not registered", extends.entity)));
    };
    if !def.extending_link().is_some_and(|place| def.fields[place].frozen && def.fields[place].required) {
        let why =
            format!("it needs a required, frozen link {}_id to the record it completes", extends.entity);
        return Err(refuse(def, "extends", &why));
    }
    if extended.resolve(extends.path).is_some() {
        return Err(refuse(
            def,
            extends.path,
            &format!("{} has a field or link of this name", extended.name),
        ));
    }
    match catalog.extension(extended, extends.path) {
        Some(first) if first != def => {
            let why = format!("{} completes {} by this name already", first.name, extended.name);
            Err(refuse(def, extends.path, &why))
        }
        _ => Ok(()),
    }
}

fn check_fields(catalog: &Catalog, def: &EntityDef) -> Result<(), CatalogError> {
    for (place, field) in def.fields.iter().enumerate() {
        if def.index_of(field.name) != Some(place) {
            return Err(refuse(def, field.name, "two fields have this name; rename one"));
        }
        match &field.kind {
            Kind::Link { entity } if catalog.get(entity).is_none() => {
                return Err(refuse(
                    def,
                    field.name,
                    &format!("the link leads to {entity}, which is not registered"),
                ));
            }
            Kind::Link { .. } if !field.name.ends_with("_id") => {
                return Err(refuse(def, field.name, "the name of a link ends with _id"));
            }
            Kind::AnyLink { entity_in } if def.index_of(entity_in).is_none() => {
                return Err(refuse(def, field.name, &format!("no field {entity_in} says what it leads to")));
            }
            _ => {}
        }
        if field.folded && field.field_type() != FieldType::Text {
            return Err(refuse(def, field.name, "only text has a folded form"));
        }
        if let Privacy::Personal(mask) = field.privacy {
            let text = matches!(field.kind, Kind::Text { .. });
            match mask {
                crate::catalog::Mask::Null if field.required => {
                    return Err(refuse(def, field.name, "a required field cannot be masked by nothing"));
                }
                crate::catalog::Mask::Text(_) | crate::catalog::Mask::Pseudonym(_) if !text => {
                    return Err(refuse(def, field.name, "only text can be masked by text"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::catalog::Entity;
    use crate::criteria::Scope;
    use crate::customer::{Customer, CustomerId};
    use crate::directory::User;
    use crate::record::Meta;
    use crate::standard_catalog;

    macro_rules! completing {
        ($name:ident, $entity:literal, $table:literal, $path:literal, $field:ident, $($frozen:ident)?) => {
            #[derive(Clone, Debug, PartialEq, Entity)]
            #[entity(name = $entity, table = $table, extends("customer", $path))]
            struct $name {
                id: CustomerId,
                meta: Meta,
                #[field(link = "customer", $($frozen)?)]
                $field: CustomerId,
                points: i64,
            }
        };
    }

    completing!(Bonus, "bonus", "bonuses", "bonus", customer_id, frozen);
    completing!(Second, "second_bonus", "second_bonuses", "bonus", customer_id, frozen);
    completing!(Owner, "owner_bonus", "owner_bonuses", "owner", customer_id, frozen);
    completing!(Loose, "loose_bonus", "loose_bonuses", "loose", customer_id,);
    completing!(Elsewhere, "other_bonus", "other_bonuses", "other", payer_id, frozen);

    #[test]
    fn lc_08_criteria_follow_a_name_to_the_record_that_completes() {
        let catalog = standard_catalog().with::<Bonus>().build().unwrap();
        let scope = Scope::new(&catalog, chrono_tz::Tz::UTC);
        let path = scope.path("parent.bonus.points", Customer::def()).unwrap();
        assert_eq!((path.links.len(), path.def.name, path.field_def().name), (2, "bonus", "points"));
        assert_eq!(scope.path("bonus", Customer::def()).unwrap().field_def().name, "id");
        assert!(scope.path("bonus.points", User::def()).is_err());
        assert!(scope.path("bonus.bonus", Customer::def()).is_err());
    }

    #[test]
    fn an_entity_that_completes_another_says_so_without_doubt() {
        let refused = |builder: crate::catalog::CatalogBuilder, at: &str| {
            let error = builder.build().unwrap_err();
            assert_eq!(error.at, at, "{error}");
        };
        refused(standard_catalog().with::<Bonus>().with::<Second>(), "second_bonus.bonus");
        refused(standard_catalog().with::<Owner>(), "owner_bonus.owner");
        refused(standard_catalog().with::<Loose>(), "loose_bonus.extends");
        refused(standard_catalog().with::<Elsewhere>(), "other_bonus.extends");
    }
}
