//! Names of tables, columns and constraints as they stand in SQL.

use std::collections::HashMap;

use crm_core::catalog::{Catalog, Check, EntityDef, Kind};

/// PostgreSQL cuts longer names off.
const MAX_NAME: usize = 63;

/// The name in quotes.
pub(crate) fn quote(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    push_quoted(&mut text, name);
    text
}

/// Appends the name in quotes.
pub(crate) fn push_quoted(text: &mut String, name: &str) {
    text.push('"');
    for (place, part) in name.split('"').enumerate() {
        text.push_str(if place == 0 { "" } else { "\"\"" });
        text.push_str(part);
    }
    text.push('"');
}

/// The text as a literal. Only for what is known when the program is built: codes, names of the catalog.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name made of parts, kept unique when it has to be shortened.
fn joined(parts: &[&str]) -> String {
    let name = parts.join("_");
    if name.len() <= MAX_NAME {
        return name;
    }
    // FNV-1a: stable across versions and platforms, which a migration's text must be.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let mut end = MAX_NAME - 9;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash:08x}", &name[..end])
}

/// The primary key of an entity's table.
pub(crate) fn primary_key(def: &EntityDef) -> String {
    joined(&[def.table, "pkey"])
}

/// The foreign key of a link.
pub(crate) fn foreign_key(def: &EntityDef, field: &str) -> String {
    joined(&[def.table, field, "fkey"])
}

/// The index of a link that no declared index serves.
pub(crate) fn link_index(def: &EntityDef, field: &str) -> String {
    joined(&[def.table, field, "link"])
}

/// The check of one field: `codes` or `length`.
pub(crate) fn field_check(def: &EntityDef, field: &str, what: &str) -> String {
    joined(&[def.table, field, what])
}

/// The check of a rule over two fields.
pub(crate) fn rule_check(def: &EntityDef, check: &Check) -> String {
    let (a, b, what) = match check {
        Check::Differ(a, b) => (a, b, "differ"),
        Check::Ordered(a, b) => (a, b, "ordered"),
        Check::Together(a, b) => (a, b, "together"),
    };
    joined(&[def.table, a, b, what])
}

/// What a violated constraint means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Constraint {
    /// A rule of uniqueness.
    Unique(&'static str),
    /// An id that is taken.
    PrimaryKey(&'static EntityDef),
    /// A link.
    Link {
        /// Who holds it.
        def: &'static EntityDef,
        /// Its field.
        field: &'static str,
    },
    /// The log's identity: the change set has been applied.
    Applied,
}

/// Everything that is looked up by name, computed once.
#[derive(Debug)]
pub(crate) struct Names {
    schema: String,
    constraints: HashMap<String, Constraint>,
}

impl Names {
    /// The names of a catalog in a schema, whose name has been checked.
    pub(crate) fn new(schema: &str, catalog: &Catalog) -> Self {
        let mut constraints = HashMap::new();
        constraints.insert("crm_log_pkey".to_owned(), Constraint::Applied);
        for def in catalog.entities() {
            constraints.insert(primary_key(def), Constraint::PrimaryKey(def));
            for rule in def.uniques {
                constraints.insert(rule.name.to_owned(), Constraint::Unique(rule.name));
            }
            for field in def.fields.iter().filter(|field| matches!(field.kind, Kind::Link { .. })) {
                constraints.insert(foreign_key(def, field.name), Constraint::Link { def, field: field.name });
            }
        }
        Self { schema: quote(schema), constraints }
    }

    /// The table, with its schema.
    pub(crate) fn table(&self, table: &str) -> String {
        format!("{}.{}", self.schema, quote(table))
    }

    /// The table of an entity, with its schema.
    pub(crate) fn of(&self, def: &EntityDef) -> String {
        self.table(def.table)
    }

    /// What the constraint of this name stands for.
    pub(crate) fn constraint(&self, name: &str) -> Option<Constraint> {
        self.constraints.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn long_names_stay_apart() {
        let long = "a".repeat(48);
        let (one, other) =
            (joined(&[&long, "first_link_id", "fkey"]), joined(&[&long, "other_link_id", "fkey"]));
        assert!(one.len() <= 63 && other.len() <= 63);
        assert_ne!(one, other);
    }
}
