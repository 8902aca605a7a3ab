//! The text of migrations, from the catalog.

use std::fmt::Write as _;

use crm_core::catalog::{Catalog, Check, EntityDef, FieldDef, IndexDef, Kind, UniqueRule};

use crate::column;
use crate::names::{field_check, foreign_key, link_index, literal, primary_key, quote, rule_check};

/// The migration that creates the table of an entity, with its checks, indexes and foreign keys.
///
/// Print it once, keep it in a file and run it as a migration (see [`migration`](crate::migration)): a
/// migration never changes once it has run anywhere. The entities that its links lead to come first. No name is
/// qualified: migrations run with the search path set to the store's schema.
pub fn ddl(catalog: &Catalog, def: &EntityDef) -> String {
    let mut text = table(def);
    text.push_str(&foreign_keys(catalog, def));
    text
}

/// The migration that creates the tables of all entities of a catalog. Links may form circles.
pub fn ddl_all(catalog: &Catalog) -> String {
    let defs = catalog.in_link_order();
    let tables: Vec<String> = defs.iter().map(|def| table(def)).collect();
    let keys: String = defs.iter().map(|def| foreign_keys(catalog, def)).collect();
    format!("{}{keys}", tables.join("\n"))
}

fn table(def: &EntityDef) -> String {
    let mut lines = vec!["tenant uuid NOT NULL".to_owned()];
    for field in &def.fields {
        lines.extend(columns(field));
    }
    lines.push(format!("CONSTRAINT {} PRIMARY KEY (tenant, id)", quote(&primary_key(def))));
    lines.extend(
        checks(def).iter().map(|check| format!("CONSTRAINT {} CHECK ({})", quote(&check.name), check.rule)),
    );
    let table = quote(def.table);
    let mut text = format!("CREATE TABLE {table} (\n    {}\n);\n", lines.join(",\n    "));
    for rule in def.uniques {
        text.push_str(&unique_index(def, rule));
    }
    for index in def.indexes {
        text.push_str(&plain_index(def, index));
    }
    for field in bare_links(def) {
        let _ = writeln!(
            text,
            "CREATE INDEX {} ON {table} (tenant, {column}) WHERE {column} IS NOT NULL;",
            quote(&link_index(def, field)),
            column = quote(field),
        );
    }
    if def.append_only {
        let _ = write!(
            text,
            "CREATE TRIGGER crm_append_only BEFORE UPDATE OR DELETE ON {table}\n    \
             FOR EACH ROW EXECUTE FUNCTION crm_append_only();\n\
             CREATE TRIGGER crm_append_only_all BEFORE TRUNCATE ON {table}\n    \
             FOR EACH STATEMENT EXECUTE FUNCTION crm_append_only();\n"
        );
    }
    text
}

fn columns(field: &FieldDef) -> Vec<String> {
    let null = if column::refuses_null(field) { " NOT NULL" } else { "" };
    let kind = column::definition(field.field_type());
    let mut columns = vec![format!("{} {kind}{null}", quote(field.name))];
    if field.folded {
        columns.push(format!("{} {kind}{null}", quote(&field.compare_column())));
    }
    columns
}

/// A check of a table.
pub(crate) struct TableCheck {
    /// Its name.
    pub(crate) name: String,
    /// The condition.
    rule: String,
    /// What the server's own wording of it contains, whichever way it puts it.
    pub(crate) mentions: Vec<String>,
}

/// The checks of an entity.
pub(crate) fn checks(def: &EntityDef) -> Vec<TableCheck> {
    let mut checks = Vec::new();
    for field in &def.fields {
        let column = quote(field.name);
        match &field.kind {
            Kind::Enum { codes, .. } => {
                let mentions: Vec<String> = codes.iter().map(|code| literal(code)).collect();
                let rule = format!("{column} IN ({})", mentions.join(", "));
                checks.push(TableCheck { name: field_check(def, field.name, "codes"), rule, mentions });
            }
            Kind::Text { max, .. } => {
                let rule = format!("char_length({column}) <= {max}");
                let mentions = vec![format!("<= {max})")];
                checks.push(TableCheck { name: field_check(def, field.name, "length"), rule, mentions });
            }
            _ => {}
        }
    }
    for check in def.checks {
        let rule = match check {
            Check::Differ(a, b) => format!("{} <> {}", quote(a), quote(b)),
            Check::Ordered(a, b) => format!("{} <= {}", quote(a), quote(b)),
            Check::Together(a, b) => format!("({} IS NULL) = ({} IS NULL)", quote(a), quote(b)),
        };
        checks.push(TableCheck { name: rule_check(def, check), rule, mentions: Vec::new() });
    }
    checks
}

/// The column that a rule or index reads.
fn compared(def: &EntityDef, name: &str) -> String {
    quote(&def.index_of(name).map_or_else(|| name.into(), |place| def.fields[place].compare_column()))
}

fn unique_index(def: &EntityDef, rule: &UniqueRule) -> String {
    let mut columns = vec!["tenant".to_owned()];
    columns.extend(rule.fields.iter().map(|name| compared(def, name)));
    let mut when = Vec::new();
    if !rule.with_deleted {
        when.push("deleted_at IS NULL".to_owned());
    }
    when.extend(rule.only_if.map(quote));
    let when = if when.is_empty() { String::new() } else { format!(" WHERE {}", when.join(" AND ")) };
    format!(
        "CREATE UNIQUE INDEX {} ON {} ({}){when};\n",
        quote(rule.name),
        quote(def.table),
        columns.join(", ")
    )
}

fn plain_index(def: &EntityDef, index: &IndexDef) -> String {
    let mut columns = vec!["tenant".to_owned()];
    // Missing values come first in ascending order; an index that sorts otherwise would not serve it.
    columns.extend(index.fields.iter().map(|name| format!("{} NULLS FIRST", compared(def, name))));
    columns.push("id".to_owned());
    format!("CREATE INDEX {} ON {} ({});\n", quote(index.name), quote(def.table), columns.join(", "))
}

/// The links that no declared index begins with. Each gets an index of its own, for otherwise purging a record that
/// it could lead to, and asking whether it does, reads the whole table.
pub(crate) fn bare_links(def: &EntityDef) -> impl Iterator<Item = &'static str> {
    def.fields
        .iter()
        .filter(|field| matches!(field.kind, Kind::Link { .. }))
        .map(|field| field.name)
        .filter(|name| !def.indexes.iter().any(|index| index.fields.first() == Some(name)))
}

fn foreign_keys(catalog: &Catalog, def: &EntityDef) -> String {
    let mut text = String::new();
    for field in &def.fields {
        if let Some(target) = catalog.target(&field.kind) {
            let _ = writeln!(
                text,
                "ALTER TABLE {} ADD CONSTRAINT {}\n    FOREIGN KEY (tenant, {}) REFERENCES {} (tenant, id);",
                quote(def.table),
                quote(&foreign_key(def, field.name)),
                quote(field.name),
                quote(target.table),
            );
        }
    }
    text
}
