//! The evaluator: one record, its linked records, one instant.

use std::borrow::Cow;

use uuid::Uuid;

use crate::catalog::EntityDef;
use crate::criteria::{Condition, Criteria, Filter, Leaf, Node, Path, Test};
use crate::record::Record;
use crate::value::{Instant, Value};

/// Where linked records are found.
pub trait Links {
    /// The record, deleted or not.
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record>;
}

/// No linked records: every path through a link is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLinks;

impl Links for NoLinks {
    fn follow(&self, _: &'static EntityDef, _: Uuid) -> Option<&Record> {
        None
    }
}

impl Links for std::collections::BTreeMap<Uuid, Record> {
    fn follow(&self, def: &'static EntityDef, id: Uuid) -> Option<&Record> {
        self.get(&id).filter(|record| record.def == def)
    }
}

/// The answer with the first instant at which it can be another without new data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the record meets the criteria now.
    pub holds: bool,
    /// Until just before this instant the answer stays the same; `None` for ever.
    pub changes_at: Option<Instant>,
}

impl Path {
    /// The stored value, through the links; null when a link is missing.
    pub fn value<'a>(&self, record: &'a Record, links: &'a dyn Links) -> &'a Value {
        match self.holder(record, links) {
            None => &Value::Null,
            Some(holder) => match (&holder.values[self.field], &self.custom) {
                (Value::Custom(map), Some(key)) => map.get(key).unwrap_or(&Value::Null),
                (_, Some(_)) => &Value::Null,
                (value, None) => value,
            },
        }
    }

    /// The value that comparisons and sorts read: folded where the field is.
    pub fn comparable<'a>(&self, record: &'a Record, links: &'a dyn Links) -> Cow<'a, Value> {
        match (self.value(record, links), self.field_def().folded) {
            (Value::Text(text), true) => Cow::Owned(Value::Text(crate::format::fold(text))),
            (value, _) => Cow::Borrowed(value),
        }
    }

    fn holder<'a>(&self, record: &'a Record, links: &'a dyn Links) -> Option<&'a Record> {
        let mut at = record;
        for (place, (_, field)) in self.links.iter().enumerate() {
            let next = self.links.get(place + 1).map_or(self.def, |(def, _)| *def);
            at = links.follow(next, at.values[*field].as_id()?)?;
        }
        Some(at)
    }
}

impl Filter {
    /// Whether the record meets the filter.
    pub fn holds(&self, record: &Record, links: &dyn Links) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.holds(record, links)),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(record, links)),
            Self::Not(filter) => !filter.holds(record, links),
            Self::Leaf(leaf) => leaf.holds(record, links),
        }
    }
}

impl Leaf {
    /// Whether the record meets the condition.
    pub fn holds(&self, record: &Record, links: &dyn Links) -> bool {
        self.path.passes(&self.test, record, links)
    }
}

impl Path {
    /// Whether the value, folded where the field is, passes the test.
    fn passes(&self, test: &Test, record: &Record, links: &dyn Links) -> bool {
        match self.value(record, links) {
            Value::Text(text) if self.field_def().folded && *test != Test::Exists => {
                crate::format::with_folded(text, |folded| test.passes_text(folded))
            }
            value => test.passes(value),
        }
    }
}

impl Test {
    /// Whether a comparable value passes.
    pub fn passes(&self, value: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if let Value::Text(text) = value {
            return self.passes_text(text);
        }
        if value.is_missing() {
            return false;
        }
        match self {
            Self::Exists => true,
            Self::In(list) => list.iter().any(|item| value.compare(item) == Some(Equal)),
            Self::Lt(bound) => value.compare(bound) == Some(Less),
            Self::Le(bound) => matches!(value.compare(bound), Some(Less | Equal)),
            Self::Gt(bound) => value.compare(bound) == Some(Greater),
            Self::Ge(bound) => matches!(value.compare(bound), Some(Greater | Equal)),
            Self::Contains(part) => {
                matches!(value, Value::List(items) if items.iter().any(|item| item == part))
            }
            Self::StartsWith(_) => false,
        }
    }

    /// [`passes`](Self::passes) for text, which need not be owned.
    fn passes_text(&self, text: &str) -> bool {
        let bound = |bound: &Value, holds: fn(&[u8], &[u8]) -> bool| match bound {
            Value::Text(bound) => holds(text.as_bytes(), bound.as_bytes()),
            _ => false,
        };
        if text.is_empty() {
            return false;
        }
        match self {
            Self::Exists => true,
            Self::In(list) => list.iter().any(|item| item.as_text() == Some(text)),
            Self::Lt(value) => bound(value, |a, b| a < b),
            Self::Le(value) => bound(value, |a, b| a <= b),
            Self::Gt(value) => bound(value, |a, b| a > b),
            Self::Ge(value) => bound(value, |a, b| a >= b),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::StartsWith(part) => text.starts_with(part.as_str()),
        }
    }
}

impl Criteria {
    /// Whether the record meets the criteria at `now`, and until when that stays so if nothing is written.
    pub fn judge(&self, record: &Record, links: &dyn Links, now: Instant) -> Verdict {
        let holds = self.root.holds(record, links, now);
        let mut next = self.root.next_change(record, links, now);
        for _ in 0..64 {
            match next {
                Some(at) if self.root.holds(record, links, at) == holds => {
                    next = self.root.next_change(record, links, at);
                }
                _ => break,
            }
        }
        Verdict { holds, changes_at: next }
    }
}

impl Node {
    /// Whether the record meets the node at `now`; as [`at`](Self::at) and [`Filter::holds`], without making a filter.
    fn holds(&self, record: &Record, links: &dyn Links, now: Instant) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(record, links, now)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(record, links, now)),
            Self::Not(node) => !node.holds(record, links, now),
            Self::Leaf { path, condition } => path.passes(&condition.at(path, now), record, links),
        }
    }

    /// The first instant after `now` at which a condition below this node can have another answer.
    fn next_change(&self, record: &Record, links: &dyn Links, now: Instant) -> Option<Instant> {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                nodes.iter().filter_map(|node| node.next_change(record, links, now)).min()
            }
            Self::Not(node) => node.next_change(record, links, now),
            Self::Leaf { path, condition } => match condition {
                Condition::Fixed(_) => None,
                Condition::Before { moment, .. } | Condition::After { moment, .. } => {
                    moment.next_change(now, path.value(record, links))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::catalog::Entity;
    use crate::criteria::Scope;
    use crate::customer::Customer;

    fn judge(json: &Json, customer: &Customer, now: &str) -> Verdict {
        let catalog = crate::standard_catalog().build().unwrap();
        let criteria =
            Criteria::parse(json, Customer::def(), &Scope::new(&catalog, chrono_tz::Tz::UTC)).unwrap();
        criteria.judge(&customer.to_record(), &NoLinks, now.parse().unwrap())
    }

    #[test]
    fn lc_08_of_a_missing_value_only_the_negations_are_true() {
        let customer = Customer::default();
        let now = "2024-02-29T12:00:00Z";
        for (operator, value) in [
            ("eq", json!("a")),
            ("in", json!(["a"])),
            ("contains", json!("a")),
            ("starts_with", json!("a")),
            ("lt", json!("z")),
            ("gte", json!("a")),
            ("between", json!(["a", "z"])),
        ] {
            let leaf = json!({ "field": "email", "operator": operator, "value": value });
            assert!(!judge(&leaf, &customer, now).holds, "{operator}");
            assert!(judge(&json!({ "not": leaf }), &customer, now).holds, "not {operator}");
        }
        for (operator, value) in [("ne", json!("a")), ("not_in", json!(["a"])), ("exists", json!(false))] {
            let leaf = json!({ "field": "email", "operator": operator, "value": value });
            assert!(judge(&leaf, &customer, now).holds, "{operator}");
        }
        assert!(!judge(&json!({ "field": "tags", "operator": "exists" }), &customer, now).holds);
    }

    #[test]
    fn lc_09_time_alone_moves_a_member_out_at_the_right_instant() {
        let mut customer = Customer::default();
        customer.meta.created_at = "2024-02-29T12:00:00Z".parse().unwrap();
        let recent = json!({ "field": "created_at", "operator": "gte", "value": "now-90d" });
        let verdict = judge(&recent, &customer, "2024-03-01T00:00:00Z");
        assert!(verdict.holds);
        assert_eq!(verdict.changes_at, Some("2024-05-29T12:00:00.001Z".parse().unwrap()));
        let berlin =
            json!({ "field": "created_at", "operator": "lt", "value": "today-1y", "zone": "Europe/Berlin" });
        let verdict = judge(&berlin, &customer, "2024-03-01T00:00:00Z");
        assert!(!verdict.holds);
        // The leap day lies before the start of the first local day whose anniversary comes after it.
        assert_eq!(verdict.changes_at, Some("2025-02-28T23:00:00Z".parse().unwrap()));
    }

    #[test]
    fn lc_09_what_time_cannot_change_has_no_instant() {
        let mut customer = Customer::default();
        customer.meta.created_at = "2020-01-01T00:00:00Z".parse().unwrap();
        let old = json!({ "field": "created_at", "operator": "lt", "value": "now-90d" });
        assert_eq!(judge(&old, &customer, "2024-01-01T00:00:00Z"), Verdict { holds: true, changes_at: None });
        // One half never lets the other through, so its instants do not count.
        let never = json!({ "all": [{ "field": "is_vip", "operator": "eq", "value": true },
            { "field": "created_at", "operator": "lt", "value": "now-3000d" }] });
        assert_eq!(
            judge(&never, &customer, "2024-01-01T00:00:00Z"),
            Verdict { holds: false, changes_at: None }
        );
    }
}
