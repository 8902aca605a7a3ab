//! Bounds that a condition implies on the first field of the order. A page after a cursor is an alternative ("less, or
//! equal and a greater id"), for which the server would read its index from the beginning; a plain bound beside it
//! starts the read where the page does.

use std::cmp::Ordering;

use bson::{Document, doc};
use crm_core::catalog::system;
use crm_core::criteria::{Filter, Path, Test};
use crm_core::store::{Direction, Order};
use crm_core::value::Value;

use super::filter::comparable;
use crate::document;

/// What the conditions together imply, as a condition on `key`.
pub(crate) fn implied(own: &[&Filter], order: &Order, key: &str) -> Option<Document> {
    let path = &order.path;
    if !path.links.is_empty() || path.custom.is_some() || path.field == system::ID {
        return None;
    }
    let ways = own.iter().filter(|filter| !matches!(filter, Filter::Leaf(_)));
    let bounds = ways.filter_map(|filter| bound(filter, path, order.direction)).filter_map(Reach::value);
    let value = tightest(bounds, order.direction)?;
    let value = document::value(&value);
    Some(match order.direction {
        Direction::Ascending => doc! { key: { "$gte": value } },
        // Missing values come last and must stay.
        Direction::Descending => doc! { key: { "$not": { "$gt": value } } },
    })
}

/// How far the values of records that meet a condition reach.
enum Reach {
    /// There are none.
    Nowhere,
    /// To this one: the smallest of an ascending order, the largest of a descending one.
    To(Value),
}

impl Reach {
    fn of(value: Option<Value>) -> Self {
        value.map_or(Self::Nowhere, Self::To)
    }

    fn value(self) -> Option<Value> {
        match self {
            Self::Nowhere => None,
            Self::To(value) => Some(value),
        }
    }
}

/// How far the condition lets values reach; `None` when it says nothing of them.
fn bound(filter: &Filter, path: &Path, direction: Direction) -> Option<Reach> {
    let ascending = direction == Direction::Ascending;
    // A literal of another type is met by nothing, and would not compare with the others.
    let fits = |value: &&Value| comparable(path.field_def().field_type(), value);
    match filter {
        Filter::Leaf(leaf) if leaf.path == *path => match (&leaf.test, ascending) {
            (Test::Gt(value) | Test::Ge(value), true) | (Test::Lt(value) | Test::Le(value), false) => {
                Some(Reach::of(Some(value).filter(fits).cloned()))
            }
            (Test::In(values), _) => Some(Reach::of(loosest(values.iter().filter(fits).cloned(), direction))),
            _ => None,
        },
        Filter::Not(inner) => match &**inner {
            Filter::Leaf(leaf) if leaf.path == *path && leaf.test == Test::Exists && !ascending => {
                Some(Reach::Nowhere)
            }
            _ => None,
        },
        Filter::All(filters) => filters.iter().find_map(|inner| bound(inner, path, direction)),
        Filter::Any(filters) => {
            let bounds =
                filters.iter().map(|inner| bound(inner, path, direction)).collect::<Option<Vec<_>>>()?;
            Some(Reach::of(loosest(bounds.into_iter().filter_map(Reach::value), direction)))
        }
        Filter::Leaf(_) => None,
    }
}

fn loosest(values: impl Iterator<Item = Value>, direction: Direction) -> Option<Value> {
    let keep = if direction == Direction::Ascending { Ordering::Less } else { Ordering::Greater };
    extreme(values, keep)
}

fn tightest(values: impl Iterator<Item = Value>, direction: Direction) -> Option<Value> {
    let keep = if direction == Direction::Ascending { Ordering::Greater } else { Ordering::Less };
    extreme(values, keep)
}

fn extreme(values: impl Iterator<Item = Value>, keep: Ordering) -> Option<Value> {
    values.reduce(|best, value| if value.compare(&best) == Some(keep) { value } else { best })
}
