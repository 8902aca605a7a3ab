//! Custom fields: values of any of five types in one jsonb column. A value of another type than the question's
//! makes the answer false, never an error, whatever stands in the column.

use crm_core::criteria::Test;
use crm_core::value::{Value, format_instant};
use rust_decimal::Decimal;

use crate::sql::Args;

/// Whether the value is not missing.
pub(crate) fn exists(value: &str) -> String {
    format!("({value} NOT IN ('\"\"'::jsonb, '[]'::jsonb, 'null'::jsonb))")
}

/// Whether the value is of a type that has an order.
pub(crate) fn comparable(value: &str) -> String {
    format!("({value} <> '\"\"'::jsonb AND jsonb_typeof({value}) IN ('string', 'boolean', 'object'))")
}

/// The value as text, or null.
pub(crate) fn as_text(value: &str) -> String {
    format!(
        "(CASE WHEN jsonb_typeof({value}) = 'string' THEN nullif({value} #>> '{{}}', '') END COLLATE \"C\")"
    )
}

/// Whether the value is one of these texts, none of them empty. Its type is looked at only where the text fits: texts of
/// other values can be the same.
fn is_text(value: &str, texts: &str) -> String {
    format!("({value} #>> '{{}}' = ANY({texts}) AND jsonb_typeof({value}) = 'string')")
}

/// The value as a truth value, or null.
pub(crate) fn as_bool(value: &str) -> String {
    format!("(CASE WHEN jsonb_typeof({value}) = 'boolean' THEN {value}::boolean END)")
}

/// The value as a decimal, or null.
pub(crate) fn as_decimal(value: &str) -> String {
    format!(
        "(CASE WHEN jsonb_typeof({value} -> 'decimal') = 'string' \
         AND {value} ->> 'decimal' ~ '^-?[0-9]{{1,40}}([.][0-9]{{1,40}})?$' \
         THEN ({value} ->> 'decimal')::numeric END)"
    )
}

/// The value as the text of an instant, which orders as the instants do, or null.
pub(crate) fn as_instant(value: &str) -> String {
    format!(
        "(CASE WHEN jsonb_typeof({value} -> 'instant') = 'string' THEN {value} ->> 'instant' END COLLATE \"C\")"
    )
}

/// The sort keys of a value: one of them is not null.
pub(crate) fn sort_keys(value: &str) -> [String; 4] {
    [as_bool(value), as_decimal(value), as_instant(value), as_text(value)]
}

/// The condition on a value.
pub(crate) fn test(args: &mut Args, value: &str, test: &Test) -> String {
    match test {
        Test::Exists => exists(value),
        Test::In(list) => one_of(args, value, list),
        Test::Lt(bound) => compare(args, value, "<", bound),
        Test::Le(bound) => compare(args, value, "<=", bound),
        Test::Gt(bound) => compare(args, value, ">", bound),
        Test::Ge(bound) => compare(args, value, ">=", bound),
        Test::Contains(part) => {
            let part = args.bind(part.clone());
            format!(
                "(CASE jsonb_typeof({value}) WHEN 'string' THEN strpos({value} #>> '{{}}', {part}) > 0 \
                 WHEN 'array' THEN {value} ? {part} ELSE FALSE END)"
            )
        }
        Test::StartsWith(part) => format!("starts_with({}, {})", as_text(value), args.bind(part.clone())),
    }
}

fn compare(args: &mut Args, value: &str, operator: &str, bound: &Value) -> String {
    let (value, bound) = match bound {
        Value::Bool(b) => (as_bool(value), args.bind(*b)),
        Value::Int(i) => (as_decimal(value), args.bind(Decimal::from(*i))),
        Value::Decimal(d) => (as_decimal(value), args.bind(*d)),
        Value::Instant(at) => (as_instant(value), args.bind(format_instant(*at))),
        Value::Text(text) => (as_text(value), args.bind(text.clone())),
        _ => return "FALSE".to_owned(),
    };
    format!("{value} {operator} {bound}")
}

fn one_of(args: &mut Args, value: &str, list: &[Value]) -> String {
    let mut texts = Vec::new();
    let mut instants = Vec::new();
    let mut decimals = Vec::new();
    let mut bools = Vec::new();
    for literal in list {
        match literal {
            Value::Text(text) if !text.is_empty() => texts.push(text.clone()),
            Value::Instant(at) => instants.push(format_instant(*at)),
            Value::Decimal(d) => decimals.push(*d),
            Value::Int(i) => decimals.push(Decimal::from(*i)),
            Value::Bool(b) => bools.push(*b),
            _ => {}
        }
    }
    let mut parts = Vec::new();
    if !texts.is_empty() {
        parts.push(is_text(value, &args.bind(texts)));
    }
    if !instants.is_empty() {
        parts.push(format!("{} = ANY({})", as_instant(value), args.bind(instants)));
    }
    if !decimals.is_empty() {
        parts.push(format!("{} = ANY({})", as_decimal(value), args.bind(decimals)));
    }
    if !bools.is_empty() {
        parts.push(format!("{} = ANY({})", as_bool(value), args.bind(bools)));
    }
    if parts.is_empty() { "FALSE".to_owned() } else { format!("({})", parts.join(" OR ")) }
}
