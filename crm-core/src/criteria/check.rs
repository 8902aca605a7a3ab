//! The type check: which field, which operator, which literal.

use chrono::NaiveDate;
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::catalog::{Catalog, EntityDef, FieldDef, FieldType, Kind, system};
use crate::criteria::parse::kind_of;
use crate::criteria::{Condition, Moment, Node, Path, Test};
use crate::value::{Value, parse_instant};

/// What criteria are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The entities.
    pub catalog: &'a Catalog,
    /// The zone of local days where a condition names none: the tenant's.
    pub zone: Tz,
}

/// Why criteria were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("criteria refused at {}: {why}", if at.is_empty() { "the top" } else { at })]
pub struct CriteriaError {
    /// The place in the JSON: `all[1].not.value`.
    pub at: String,
    /// What is wrong and what would be accepted.
    pub why: String,
}

type Refusal = (&'static str, String);

impl Scope<'_> {
    /// The field that a dotted path means, starting at an entity: `status`, `customer.owner.name`, `custom.tier`.
    pub fn path(&self, text: &str, def: &'static EntityDef) -> Result<Path, String> {
        let mut links = Vec::new();
        let mut at = def;
        let mut steps = text.split('.').peekable();
        while let Some(step) = steps.next() {
            let Some(place) = at.resolve(step) else {
                let target = self.catalog.extension(at, step).ok_or_else(|| unknown_field(at, step))?;
                links.push((at, system::ID));
                at = target;
                if steps.peek().is_none() {
                    return Ok(Path { links, def: at, field: system::ID, custom: None });
                }
                continue;
            };
            let field = &at.fields[place];
            if field.kind == Kind::Custom {
                let key: Vec<&str> = steps.collect();
                let key = key.join(".");
                return match crate::record::custom_name(&key) {
                    Ok(()) => Ok(Path { links, def: at, field: place, custom: Some(key) }),
                    Err(why) => Err(format!("{}.{key}: {why}", field.name)),
                };
            }
            if steps.peek().is_none() {
                if field.kind == Kind::Json {
                    return Err(format!("{} holds settings, which criteria do not read", field.name));
                }
                return Ok(Path { links, def: at, field: place, custom: None });
            }
            let Some(target) = self.catalog.target(&field.kind) else {
                return Err(format!("{} is not a link, so nothing can follow it", field.name));
            };
            links.push((at, place));
            at = target;
        }
        Err(unknown_field(def, ""))
    }
}

/// The node that an operator and its value make.
pub(super) fn condition(
    path: &Path,
    operator: &str,
    value: Option<&Json>,
    zone: Tz,
) -> Result<Node, Refusal> {
    let leaf = |test| Node::Leaf { path: path.clone(), condition: Condition::Fixed(test) };
    let not = |node| Node::Not(Box::new(node));
    let one = || value.ok_or(("operator", format!("{operator} needs a value")));
    match operator {
        "exists" => match value {
            None | Some(Json::Bool(true)) => Ok(leaf(Test::Exists)),
            Some(Json::Bool(false)) => Ok(not(leaf(Test::Exists))),
            Some(other) => Err(("value", format!("{} found; exists takes true or false", kind_of(other)))),
        },
        "eq" => equal(path, one()?, zone),
        "ne" => equal(path, one()?, zone).map(not),
        "in" | "not_in" => {
            let Json::Array(items) = one()? else {
                return Err(("value", format!("{operator} takes a list")));
            };
            if items.len() > 1_000 {
                return Err(("value", format!("{operator} takes at most 1,000 values")));
            }
            let mut nodes = Vec::new();
            let mut fixed = Vec::new();
            for item in items {
                match equal(path, item, zone)? {
                    Node::Leaf { condition: Condition::Fixed(Test::In(values)), .. } => {
                        fixed.extend(values);
                    }
                    node => nodes.push(node),
                }
            }
            nodes.push(leaf(Test::In(fixed)));
            let node = if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) };
            Ok(if operator == "in" { node } else { not(node) })
        }
        "lt" | "lte" | "gt" | "gte" => compare(path, operator, one()?, zone),
        "between" => match one()? {
            Json::Array(ends) if ends.len() == 2 => Ok(Node::All(vec![
                compare(path, "gte", &ends[0], zone)?,
                compare(path, "lte", &ends[1], zone)?,
            ])),
            _ => Err(("value", "between takes a list of two values, both included".to_owned())),
        },
        "contains" | "starts_with" => text_test(path, operator, one()?).map(leaf),
        _ => Err((
            "operator",
            format!(
                "{operator} is unknown; use eq, ne, gt, gte, lt, lte, in, not_in, between, contains, starts_with \
                 or exists"
            ),
        )),
    }
}

fn equal(path: &Path, json: &Json, zone: Tz) -> Result<Node, Refusal> {
    let field = path.field_def();
    if field.field_type() == FieldType::List {
        return Err(("operator", format!("{} is a list; use contains or exists", field.name)));
    }
    let leaf = |condition| Node::Leaf { path: path.clone(), condition };
    Ok(match literal(path, json, zone)? {
        Literal::Value(value) => leaf(Condition::Fixed(Test::In(vec![value]))),
        Literal::Moment(moment) => Node::All(vec![
            leaf(Condition::After { moment, or_equal: true }),
            leaf(Condition::Before { moment, or_equal: true }),
        ]),
    })
}

fn compare(path: &Path, operator: &str, json: &Json, zone: Tz) -> Result<Node, Refusal> {
    let field = path.field_def();
    let leaf = |condition| Node::Leaf { path: path.clone(), condition };
    if let Kind::Enum { codes, ordered } = field.kind {
        if !ordered {
            return Err(("operator", format!("{} has no order; use eq or in", field.name)));
        }
        let Literal::Value(Value::Text(code)) = literal(path, json, zone)? else {
            return Err(("value", format!("expected one of {}", codes.join(", "))));
        };
        let rank = codes.iter().position(|c| *c == code).unwrap_or_default();
        let chosen = match operator {
            "lt" => &codes[..rank],
            "lte" => &codes[..=rank],
            "gt" => &codes[rank + 1..],
            _ => &codes[rank..],
        };
        let values = chosen.iter().map(|code| Value::Text((*code).to_owned())).collect();
        return Ok(leaf(Condition::Fixed(Test::In(values))));
    }
    if matches!(field.field_type(), FieldType::Bool | FieldType::List | FieldType::Id) {
        return Err(("operator", format!("{} has no order; use eq, in or exists", field.name)));
    }
    Ok(leaf(match literal(path, json, zone)? {
        Literal::Value(Value::Bool(_)) => {
            return Err(("value", "truth values have no order; use eq".to_owned()));
        }
        Literal::Value(value) => Condition::Fixed(match operator {
            "lt" => Test::Lt(value),
            "lte" => Test::Le(value),
            "gt" => Test::Gt(value),
            _ => Test::Ge(value),
        }),
        Literal::Moment(moment) => match operator {
            "lt" => Condition::Before { moment, or_equal: false },
            "lte" => Condition::Before { moment, or_equal: true },
            "gt" => Condition::After { moment, or_equal: false },
            _ => Condition::After { moment, or_equal: true },
        },
    }))
}

fn text_test(path: &Path, operator: &str, json: &Json) -> Result<Test, Refusal> {
    let field = path.field_def();
    let kind = field.field_type();
    let is_text = matches!(field.kind, Kind::Text { .. }) || kind == FieldType::Custom;
    let is_item = kind == FieldType::List && operator == "contains";
    if !is_text && !is_item {
        return Err(("operator", format!("{operator} needs text, and {} is {}", field.name, name_of(field))));
    }
    let Json::String(text) = json else {
        return Err(("value", format!("{} found; {operator} takes text", kind_of(json))));
    };
    let text = clean(text)?;
    let text = if field.folded { crate::format::fold(&text) } else { text };
    if text.is_empty() {
        return Err(("value", format!("{operator} needs a text that is not empty")));
    }
    Ok(if operator == "contains" { Test::Contains(text) } else { Test::StartsWith(text) })
}

enum Literal {
    Value(Value),
    Moment(Moment),
}

fn literal(path: &Path, json: &Json, zone: Tz) -> Result<Literal, Refusal> {
    let field = path.field_def();
    let value = |value| Ok(Literal::Value(value));
    let wrong =
        |expected: &str| Err(("value", format!("{} found; {} is {expected}", kind_of(json), field.name)));
    match (&field.kind, json) {
        (_, Json::Null) => Err(("value", "null equals nothing; use exists".to_owned())),
        (Kind::Bool | Kind::Custom, Json::Bool(b)) => value(Value::Bool(*b)),
        (Kind::Bool, _) => wrong("true or false"),
        (Kind::Int { .. } | Kind::Decimal { .. }, Json::Number(_) | Json::String(_)) => {
            value(Value::Decimal(decimal(json)?))
        }
        (Kind::Int { .. } | Kind::Decimal { .. }, _) => wrong("a number"),
        (Kind::Enum { codes, .. }, Json::String(code)) => {
            if codes.contains(&code.as_str()) {
                value(Value::Text(code.clone()))
            } else {
                Err(("value", format!("{} is one of {}", field.name, codes.join(", "))))
            }
        }
        (Kind::Text { .. }, Json::String(text)) => {
            let text = clean(text)?;
            value(Value::Text(if field.folded { crate::format::fold(&text) } else { text }))
        }
        (Kind::Text { .. } | Kind::Enum { .. }, _) => wrong("text"),
        (Kind::Instant | Kind::Date, Json::String(text)) => moment_or_fixed(field, text, zone),
        (Kind::Instant, _) => wrong("an instant such as \"2024-03-01T12:00:00Z\" or \"now-90d\""),
        (Kind::Date, _) => wrong("a day such as \"2024-03-01\" or \"today-90d\""),
        (Kind::Id | Kind::Link { .. } | Kind::AnyLink { .. }, Json::String(text)) => {
            match Uuid::parse_str(text) {
                Ok(id) => value(Value::Id(id)),
                Err(_) => wrong("an id such as \"01890a5d-ac96-774b-bcce-b302099a8057\""),
            }
        }
        (Kind::Id | Kind::Link { .. } | Kind::AnyLink { .. }, _) => wrong("an id"),
        (Kind::Custom, Json::Number(_)) => value(Value::Decimal(decimal(json)?)),
        (Kind::Custom, Json::String(text)) => match (Moment::parse(text, zone), parse_instant(text)) {
            (Some(moment), _) => moment.map(Literal::Moment).map_err(|why| ("value", why)),
            (None, Some(at)) => value(Value::Instant(at)),
            (None, None) => value(Value::Text(clean(text)?)),
        },
        (Kind::Custom, _) => wrong("text, a number, a truth value or an instant"),
        (Kind::List { .. } | Kind::Json, _) => wrong("not comparable"),
    }
}

fn moment_or_fixed(field: &FieldDef, text: &str, zone: Tz) -> Result<Literal, Refusal> {
    let moment = |text| Moment::parse(text, zone);
    let fixed = if field.field_type() == FieldType::Date {
        text.parse::<NaiveDate>().ok().filter(|day| crate::record::day_in_range(*day)).map(Value::Date)
    } else {
        parse_instant(text).filter(|at| crate::record::instant_in_range(*at)).map(Value::Instant)
    };
    match (moment(text), fixed) {
        (Some(moment), _) => moment.map(Literal::Moment).map_err(|why| ("value", why)),
        (None, Some(value)) => Ok(Literal::Value(value)),
        (None, None) => {
            let (what, example) = if field.field_type() == FieldType::Date {
                ("a day", "\"2024-03-01\" or \"today-90d\"")
            } else {
                ("an instant", "\"2024-03-01T12:00:00Z\" or \"now-90d\"")
            };
            Err(("value", format!("{} is {what} such as {example}, in the years 1 to 9999", field.name)))
        }
    }
}

fn decimal(json: &Json) -> Result<Decimal, Refusal> {
    let text = match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parsed = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text));
    match parsed {
        Ok(number) if number.abs() < Decimal::from(10_i64.pow(15)) && number.scale() <= 12 => {
            Ok(number.normalize())
        }
        _ => Err(("value", "expected a number below 10^15 with at most 12 decimals".to_owned())),
    }
}

fn clean(text: &str) -> Result<String, Refusal> {
    crate::format::clean(text).map_err(|error| ("value", error.to_string()))
}

fn name_of(field: &FieldDef) -> &'static str {
    match field.field_type() {
        FieldType::Bool => "true or false",
        FieldType::Int | FieldType::Decimal => "a number",
        FieldType::Text => "one of a list of codes",
        FieldType::Instant => "an instant",
        FieldType::Date => "a day",
        FieldType::Id => "an id",
        FieldType::List => "a list",
        FieldType::Custom | FieldType::Json => "structured",
    }
}

fn unknown_field(def: &EntityDef, step: &str) -> String {
    let names: Vec<&str> = def.fields.iter().map(|field| field.link_name().unwrap_or(field.name)).collect();
    format!("{} has no field {step:?}; it has {}", def.name, names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::criteria::Criteria;
    use crate::customer::Customer;

    fn customers(json: &Json) -> Result<Criteria, CriteriaError> {
        let catalog = crate::standard_catalog().build().unwrap();
        Criteria::parse(json, <Customer as crate::catalog::Entity>::def(), &Scope::new(&catalog, Tz::UTC))
    }

    #[test]
    fn lc_08_an_error_points_at_its_place_and_says_what_would_be_right() {
        let cases = [
            (
                json!({ "all": [{ "field": "status", "operator": "eq", "value": "active" },
                { "field": "status", "operator": "eq", "value": "gold" }] }),
                "all[1].value",
                "prospect",
            ),
            (json!({ "not": { "field": "statu", "operator": "eq", "value": "x" } }), "not.field", "status"),
            (json!({ "field": "status", "operator": "like", "value": "x" }), "operator", "starts_with"),
            (json!({ "field": "status", "operator": "lt", "value": "active" }), "operator", "no order"),
            (json!({ "field": "created_at", "operator": "gt", "value": "now-3M" }), "value", "today-3M"),
            (json!({ "field": "created_at", "operator": "gt", "value": 7 }), "value", "now-90d"),
            (
                json!({ "field": "created_at", "operator": "gt", "value": "now", "zone": "Mars" }),
                "zone",
                "Europe",
            ),
            (json!({ "field": "is_vip", "operator": "eq", "value": "yes" }), "value", "true or false"),
            (json!({ "field": "is_vip", "operator": "eq", "value": null }), "value", "exists"),
            (json!({ "field": "owner.nam", "operator": "exists" }), "field", "name"),
            (json!({ "field": "status.x", "operator": "exists" }), "field", "not a link"),
            (json!({ "field": "tags", "operator": "eq", "value": "x" }), "operator", "contains"),
            (json!({ "field": "custom.a$b", "operator": "exists" }), "field", "letters"),
            (json!({ "field": "display_name", "operator": "contains", "value": "" }), "value", "not empty"),
            (json!({ "field": "display_name", "operator": "in", "value": "x" }), "value", "list"),
            (
                json!({ "field": "display_name", "operator": "eq", "value": "x", "extra": 1 }),
                "extra",
                "unknown",
            ),
            (json!({ "all": [], "any": [] }), "", "nest"),
            (json!({ "all": {} }), "", "list"),
            (json!([]), "", "object"),
        ];
        for (criteria, at, why) in cases {
            let error = customers(&criteria).unwrap_err();
            assert_eq!(error.at, at, "{criteria}: {}", error.why);
            assert!(error.why.contains(why), "{criteria}: {:?} lacks {why:?}", error.why);
        }
    }

    #[test]
    fn lc_08_nesting_and_lists_are_bounded() {
        let mut deep = json!({ "all": [] });
        for _ in 0..40 {
            deep = json!({ "not": deep });
        }
        assert!(customers(&deep).is_err());
        let many: Vec<Json> = (0..1_001).map(|_| json!({ "all": [] })).collect();
        assert!(customers(&json!({ "any": many })).is_err());
    }
}
