//! Conditions as MongoDB's query language. Each leaf is exact: what it matches is what [`Test::passes`] says.

use bson::{Bson, Document, doc};
use crm_core::TenantId;
use crm_core::catalog::{FieldType, system};
use crm_core::criteria::{Filter, Leaf, Test};
use crm_core::value::Value;

use super::join::Joins;
use crate::{document, names};

/// What a translation needs to know.
pub(crate) struct Translator<'a> {
    /// Whose records.
    pub(crate) tenant: TenantId,
    /// Gives keys to paths through links.
    pub(crate) joins: &'a mut Joins,
    /// Whether ranges of the id are asked of `_id`, the order of the read.
    pub(crate) by_id: bool,
}

/// Matches nothing.
pub(crate) fn never() -> Document {
    doc! { "_id": { "$in": [] } }
}

/// All of these.
pub(crate) fn all(mut parts: Vec<Document>) -> Document {
    match parts.len() {
        0 => Document::new(),
        1 => parts.remove(0),
        _ => doc! { "$and": parts },
    }
}

/// One of these.
pub(crate) fn any(mut parts: Vec<Document>) -> Document {
    match parts.len() {
        0 => never(),
        1 => parts.remove(0),
        _ => doc! { "$or": parts },
    }
}

/// Whether the condition reads other records.
pub(crate) fn follows_links(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(follows_links),
        Filter::Not(filter) => follows_links(filter),
        Filter::Leaf(leaf) => !leaf.path.links.is_empty(),
    }
}

impl Translator<'_> {
    /// The condition.
    pub(crate) fn filter(&mut self, filter: &Filter) -> Document {
        match filter {
            Filter::All(filters) => all(filters.iter().map(|inner| self.filter(inner)).collect()),
            Filter::Any(filters) => any(filters.iter().map(|inner| self.filter(inner)).collect()),
            Filter::Not(inner) => match &**inner {
                Filter::Leaf(leaf) if leaf.test == Test::Exists && leaf.path.custom.is_none() => {
                    self.missing(leaf)
                }
                Filter::Not(inner) => self.filter(inner),
                inner => doc! { "$nor": [self.filter(inner)] },
            },
            Filter::Leaf(leaf) => self.leaf(leaf),
        }
    }

    /// That the value is not there, so that an index can answer it.
    fn missing(&mut self, leaf: &Leaf) -> Document {
        let key = self.joins.key(&leaf.path, false);
        match leaf.path.field_def().field_type() {
            FieldType::Text => doc! { key: { "$in": [Bson::Null, ""] } },
            FieldType::List => doc! { key: { "$in": [Bson::Null, Bson::Array(Vec::new())] } },
            FieldType::Custom => doc! { key: { "$in": [Bson::Null, Document::new()] } },
            _ => doc! { key: Bson::Null },
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Document {
        if leaf.path.custom.is_some() {
            return self.custom_leaf(leaf);
        }
        let field = leaf.path.field_def().field_type();
        if leaf.path.links.is_empty() && leaf.path.field == system::ID {
            return self.id_leaf(&leaf.test);
        }
        let key = self.joins.key(&leaf.path, leaf.test != Test::Exists);
        match &leaf.test {
            Test::Exists => match field {
                FieldType::Text => doc! { key: { "$gt": "" } },
                FieldType::List => doc! { format!("{key}.0"): { "$exists": true } },
                FieldType::Custom => doc! { key: { "$gt": {} } },
                _ => doc! { key: { "$ne": Bson::Null } },
            },
            Test::In(values) => one_of(&key, values.iter().filter(|value| comparable(field, value))),
            Test::Lt(bound) | Test::Le(bound) | Test::Gt(bound) | Test::Ge(bound) => {
                if comparable(field, bound) {
                    doc! { key: range(&leaf.test, bound) }
                } else {
                    never()
                }
            }
            Test::Contains(part) => match field {
                FieldType::Text => all(vec![doc! { &key: { "$gt": "" } }, contains(&key, part)]),
                FieldType::List => doc! { key: part },
                _ => never(),
            },
            Test::StartsWith(part) if field == FieldType::Text => doc! { key: starts_with(part) },
            Test::StartsWith(_) => never(),
        }
    }

    /// A condition on the record's own id: equality is asked of the primary key.
    fn id_leaf(&self, test: &Test) -> Document {
        let id = |value: &Value| value.as_id();
        let key = |value: Bson| {
            if self.by_id {
                Bson::Document(doc! { "t": names::tenant(self.tenant), "i": value })
            } else {
                value
            }
        };
        let field = if self.by_id { "_id" } else { "id" };
        match test {
            Test::Exists => Document::new(),
            Test::In(values) => {
                let mut ids: Vec<Bson> = values
                    .iter()
                    .filter_map(id)
                    .map(|id| Bson::Document(names::record(self.tenant, id)))
                    .collect();
                if ids.len() == 1 {
                    doc! { "_id": ids.remove(0) }
                } else {
                    doc! { "_id": { "$in": ids } }
                }
            }
            Test::Lt(bound) | Test::Le(bound) | Test::Gt(bound) | Test::Ge(bound) => match id(bound) {
                Some(bound) => doc! { field: { operator(test): key(names::uuid(bound)) } },
                None => never(),
            },
            Test::Contains(_) | Test::StartsWith(_) => never(),
        }
    }

    /// A condition on one of the embedder's own fields, whose stored type decides.
    fn custom_leaf(&mut self, leaf: &Leaf) -> Document {
        let key = self.joins.key(&leaf.path, false);
        // MongoDB compares each item of an array where a plain value is asked for; here a list is no text.
        let no_list = || doc! { &key: { "$not": { "$type": "array" } } };
        match &leaf.test {
            Test::Exists => any(vec![
                doc! { &key: { "$gt": "" } },
                doc! { format!("{key}.0"): { "$exists": true } },
                doc! { &key: { "$type": ["bool", "decimal", "date", "long"] } },
            ]),
            Test::In(values) => {
                all(vec![no_list(), one_of(&key, values.iter().filter(|value| comparable_custom(value)))])
            }
            Test::Lt(bound) | Test::Le(bound) | Test::Gt(bound) | Test::Ge(bound) => {
                if comparable_custom(bound) {
                    all(vec![no_list(), doc! { &key: range(&leaf.test, bound) }])
                } else {
                    never()
                }
            }
            Test::Contains(part) => any(vec![
                all(vec![no_list(), doc! { &key: { "$gt": "" } }, contains(&key, part)]),
                doc! { &key: { "$elemMatch": { "$eq": part } } },
            ]),
            Test::StartsWith(part) => all(vec![no_list(), doc! { &key: starts_with(part) }]),
        }
    }
}

/// Whether a value of this type of field can compare with the literal.
pub(crate) fn comparable(field: FieldType, value: &Value) -> bool {
    match value {
        Value::Bool(_) => field == FieldType::Bool,
        Value::Int(_) | Value::Decimal(_) => matches!(field, FieldType::Int | FieldType::Decimal),
        Value::Text(_) => field == FieldType::Text,
        Value::Instant(_) => field == FieldType::Instant,
        Value::Date(_) => field == FieldType::Date,
        Value::Id(_) => field == FieldType::Id,
        _ => false,
    }
}

fn comparable_custom(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Decimal(_) | Value::Text(_) | Value::Instant(_))
}

fn one_of<'a>(key: &str, values: impl Iterator<Item = &'a Value>) -> Document {
    let mut values: Vec<Bson> = values.filter(|value| !value.is_missing()).map(document::value).collect();
    match values.len() {
        0 => never(),
        1 => doc! { key: { "$eq": values.remove(0) } },
        _ => doc! { key: { "$in": values } },
    }
}

fn operator(test: &Test) -> &'static str {
    match test {
        Test::Lt(_) => "$lt",
        Test::Le(_) => "$lte",
        Test::Gt(_) => "$gt",
        _ => "$gte",
    }
}

/// A comparison. Empty text is missing and so on no side of anything.
fn range(test: &Test, bound: &Value) -> Document {
    let mut range = doc! { operator(test): document::value(bound) };
    if matches!(bound, Value::Text(_)) && !range.contains_key("$gt") {
        range.insert("$gt", "");
    }
    range
}

/// That the text contains this one, byte for byte. Not a regular expression: those know line ends, options and a
/// Unicode version.
fn contains(key: &str, part: &str) -> Document {
    let path = format!("${key}");
    let text = doc! { "$cond": [{ "$eq": [{ "$type": &path }, "string"] }, &path, ""] };
    doc! { "$expr": { "$gte": [{ "$indexOfBytes": [text, { "$literal": part }] }, 0] } }
}

/// That the text starts with this one: a range, which an index answers.
pub(crate) fn starts_with(part: &str) -> Document {
    let mut range = if part.is_empty() {
        doc! { "$gt": "" }
    } else {
        doc! { "$gte": part }
    };
    if let Some(end) = after_prefix(part) {
        range.insert("$lt", end);
    }
    range
}

/// The smallest text greater than all that start with this one; `None` when there is no greater one.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_greater_than_all_that_start_with_it() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
        assert_eq!(after_prefix(""), None);
        let end = after_prefix("a\u{D7FF}").unwrap_or_default();
        assert_eq!(end, "a\u{E000}");
        assert!(end.as_str() > "a\u{D7FF}\u{10FFFF}");
    }

    #[test]
    fn empty_text_is_below_nothing() {
        let range = range(&Test::Lt(Value::Null), &Value::Text("b".to_owned()));
        assert_eq!(range, doc! { "$lt": "b", "$gt": "" });
        let open = super::range(&Test::Ge(Value::Null), &Value::Text(String::new()));
        assert_eq!(open, doc! { "$gte": "", "$gt": "" });
    }
}
