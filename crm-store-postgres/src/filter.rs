//! The criteria's tree as SQL, with the answer that the core gives: a missing value makes a leaf false, and `NOT`
//! is the exact complement.
//!
//! SQL knows a third answer, unknown. It does no harm where rows are kept that are true, below any number of
//! `AND` and `OR`; under `NOT` it would, so that is `IS NOT TRUE`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crm_core::catalog::{EntityDef, FieldType};
use crm_core::criteria::{Filter, Leaf, Path, Test};
use crm_core::value::Value;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::custom;
use crate::names::{Names, quote};
use crate::sql::{Args, after_prefix};

/// The alias of the table that a query is about.
pub(crate) const BASE: &str = "t0";

/// A query's tables: its own and those that paths lead to, each joined once.
pub(crate) struct Scope<'a> {
    names: &'a Names,
    /// The values; the tenant is `$1`.
    pub(crate) args: Args,
    joined: BTreeMap<Vec<(usize, &'static str)>, String>,
    joins: String,
}

impl<'a> Scope<'a> {
    /// A scope whose values begin with the tenant.
    pub(crate) fn new(names: &'a Names, tenant: uuid::Uuid) -> Self {
        let mut args = Args::default();
        args.bind(tenant);
        Self { names, args, joined: BTreeMap::new(), joins: String::new() }
    }

    /// `FROM` the entity's table and all that paths have led to.
    pub(crate) fn from(&self, def: &EntityDef) -> String {
        format!("FROM {} AS {BASE}{}", self.names.of(def), self.joins)
    }

    /// The alias of the table that holds the path's field.
    fn holder(&mut self, path: &Path) -> String {
        let mut alias = BASE.to_owned();
        let mut prefix = Vec::with_capacity(path.links.len());
        for (step, (def, place)) in path.links.iter().enumerate() {
            let target = path.links.get(step + 1).map_or(path.def, |(next, _)| *next);
            // The id leads to each of the records that complete one, so that the place alone does not say where.
            prefix.push((*place, target.name));
            if let Some(known) = self.joined.get(&prefix) {
                alias.clone_from(known);
                continue;
            }
            let next = format!("j{}", self.joined.len() + 1);
            let _ = write!(
                self.joins,
                " LEFT JOIN {} AS {next} ON {next}.tenant = $1 AND {next}.id = {alias}.{}",
                self.names.of(target),
                quote(def.fields[*place].name),
            );
            self.joined.insert(prefix.clone(), next.clone());
            alias = next;
        }
        alias
    }

    /// The stored value of the path: a column, or the jsonb value of a custom field.
    pub(crate) fn stored(&mut self, path: &Path) -> String {
        let column = format!("{}.{}", self.holder(path), quote(path.field_def().name));
        match &path.custom {
            Some(key) if path.field_def().field_type() == FieldType::Custom => {
                format!("({column} -> {})", self.args.bind(key.clone()))
            }
            _ => column,
        }
    }

    /// The value that comparisons and sorts read.
    pub(crate) fn compared(&mut self, path: &Path) -> String {
        if path.field_def().folded {
            return format!("{}.{}", self.holder(path), quote(&path.field_def().compare_column()));
        }
        self.stored(path)
    }

    /// The condition.
    pub(crate) fn condition(&mut self, filter: &Filter) -> String {
        match filter {
            Filter::All(filters) => self.joined_by(filters, " AND ", "TRUE"),
            Filter::Any(filters) => self.joined_by(filters, " OR ", "FALSE"),
            Filter::Not(inner) => match &**inner {
                Filter::Leaf(leaf) if leaf.test == Test::Exists => self.missing(&leaf.path),
                other => format!("({}) IS NOT TRUE", self.condition(other)),
            },
            Filter::Leaf(leaf) => self.leaf(leaf),
        }
    }

    fn joined_by(&mut self, filters: &[Filter], word: &str, none: &str) -> String {
        let parts: Vec<String> = filters.iter().map(|filter| self.condition(filter)).collect();
        match parts.as_slice() {
            [] => none.to_owned(),
            [one] => one.clone(),
            _ => format!("({})", parts.join(word)),
        }
    }

    /// The complement of "exists", in a form that indexes serve.
    fn missing(&mut self, path: &Path) -> String {
        let value = self.stored(path);
        if path.custom.is_some() {
            return format!("({}) IS NOT TRUE", custom::exists(&value));
        }
        match path.field_def().field_type() {
            FieldType::Text => format!("({value} IS NULL OR {value} = '')"),
            FieldType::List => format!("({value} IS NULL OR cardinality({value}) = 0)"),
            FieldType::Custom => format!("({value} IS NULL OR {value} = '{{}}'::jsonb)"),
            _ => format!("{value} IS NULL"),
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> String {
        let kind = leaf.path.field_def().field_type();
        if leaf.path.custom.is_some() && kind != FieldType::Custom {
            return "FALSE".to_owned();
        }
        if leaf.test == Test::Exists {
            let value = self.stored(&leaf.path);
            if leaf.path.custom.is_some() {
                return custom::exists(&value);
            }
            return match kind {
                FieldType::Text => format!("{value} <> ''"),
                FieldType::List => format!("cardinality({value}) > 0"),
                FieldType::Custom => format!("{value} <> '{{}}'::jsonb"),
                _ => format!("{value} IS NOT NULL"),
            };
        }
        let value = self.compared(&leaf.path);
        if leaf.path.custom.is_some() {
            return custom::test(&mut self.args, &value, &leaf.test);
        }
        match &leaf.test {
            Test::Exists => String::new(),
            Test::In(list) => self.one_of(kind, &value, list),
            Test::Lt(bound) => self.compare(kind, &value, "<", bound),
            Test::Le(bound) => self.compare(kind, &value, "<=", bound),
            Test::Gt(bound) => self.compare(kind, &value, ">", bound),
            Test::Ge(bound) => self.compare(kind, &value, ">=", bound),
            Test::Contains(part) => match kind {
                FieldType::Text => format!("strpos({value}, {}) > 0", self.args.bind(part.clone())),
                FieldType::List => format!("{} = ANY({value})", self.args.bind(part.clone())),
                _ => "FALSE".to_owned(),
            },
            // In binary order the texts with a prefix are those from it up to the first text above them all.
            Test::StartsWith(part) if kind == FieldType::Text => {
                let prefix = self.args.bind(part.clone());
                match after_prefix(part) {
                    Some(until) => format!("({value} >= {prefix} AND {value} < {})", self.args.bind(until)),
                    None => format!("{value} >= {prefix}"),
                }
            }
            Test::StartsWith(_) => "FALSE".to_owned(),
        }
    }

    fn compare(&mut self, kind: FieldType, value: &str, operator: &str, bound: &Value) -> String {
        match bind_literal(&mut self.args, kind, bound) {
            Some(Bound::Same(literal)) if kind == FieldType::Text && operator.starts_with('<') => {
                format!("({value} {operator} {literal} AND {value} <> '')")
            }
            Some(Bound::Same(literal)) => format!("{value} {operator} {literal}"),
            Some(Bound::Numeric(literal)) => format!("{value}::numeric {operator} {literal}"),
            None => "FALSE".to_owned(),
        }
    }

    /// Equality with one of these. One literal is compared by `=`, which lets an index keep its order.
    fn one_of(&mut self, kind: FieldType, value: &str, list: &[Value]) -> String {
        macro_rules! any {
            ($of:expr) => {{
                let literals: Vec<_> = list.iter().filter_map($of).collect();
                match literals.len() {
                    0 => "FALSE".to_owned(),
                    1 => {
                        let mut literals = literals;
                        match literals.pop() {
                            Some(only) => format!("{value} = {}", self.args.bind(only)),
                            None => "FALSE".to_owned(),
                        }
                    }
                    _ => format!("{value} = ANY({})", self.args.bind(literals)),
                }
            }};
        }
        match kind {
            FieldType::Bool => any!(|v| if let Value::Bool(b) = v { Some(*b) } else { None }),
            FieldType::Int => any!(whole),
            FieldType::Decimal => any!(|v| match v {
                Value::Decimal(d) => Some(*d),
                Value::Int(i) => Some(Decimal::from(*i)),
                _ => None,
            }),
            FieldType::Text => {
                any!(|v| v.as_text().filter(|text| !text.is_empty()).map(str::to_owned))
            }
            FieldType::Instant => any!(Value::as_instant),
            FieldType::Date => any!(|v| if let Value::Date(d) = v { Some(*d) } else { None }),
            FieldType::Id => any!(Value::as_id),
            FieldType::List | FieldType::Custom | FieldType::Json => "FALSE".to_owned(),
        }
    }
}

enum Bound {
    /// Of the column's own type.
    Same(String),
    /// A decimal that a whole number is compared with.
    Numeric(String),
}

/// The whole number that this literal is, if it is one.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Decimal(d) if d.is_integer() => d.to_i64(),
        _ => None,
    }
}

/// Binds a literal for the column; `None` when it is of another type, so that nothing compares with it.
fn bind_literal(args: &mut Args, kind: FieldType, value: &Value) -> Option<Bound> {
    Some(Bound::Same(match (kind, value) {
        (FieldType::Bool, Value::Bool(b)) => args.bind(*b),
        (FieldType::Int, Value::Int(_) | Value::Decimal(_)) => match (whole(value), value) {
            (Some(i), _) => args.bind(i),
            (None, Value::Decimal(d)) => return Some(Bound::Numeric(args.bind(*d))),
            (None, _) => return None,
        },
        (FieldType::Decimal, Value::Decimal(d)) => args.bind(*d),
        (FieldType::Decimal, Value::Int(i)) => args.bind(Decimal::from(*i)),
        (FieldType::Text, Value::Text(t)) => args.bind(t.clone()),
        (FieldType::Instant, Value::Instant(at)) => args.bind(*at),
        (FieldType::Date, Value::Date(day)) => args.bind(*day),
        (FieldType::Id, Value::Id(id)) => args.bind(*id),
        _ => return None,
    }))
}
