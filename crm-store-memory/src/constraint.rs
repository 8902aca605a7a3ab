//! What a filter asks of single fields of the record itself, as parts of the order of columns.

use std::collections::BTreeMap;

use crm_core::catalog::system;
use crm_core::criteria::{Filter, Leaf, Path, Test};
use crm_core::store::Order;

use crate::key;

/// What the conjunction at the top of a filter says of the record's own fields.
///
/// Every constraint is implied by the filter; the filter says more.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    fields: BTreeMap<usize, Constraint>,
    /// Whether a part of the conjunction is not, or not wholly, told by the constraints.
    untold: bool,
}

/// What is known of the column of one field in every record that passes.
#[derive(Debug, Default)]
pub(crate) struct Constraint {
    /// It is one of these.
    pub(crate) one_of: Option<Vec<Vec<u8>>>,
    /// It is not below this.
    pub(crate) from: Option<Vec<u8>>,
    /// It is below this.
    pub(crate) below: Option<Vec<u8>>,
}

impl Constraints {
    /// The constraints of a filter, for a read in this order.
    pub(crate) fn of(filter: &Filter, order: &[Order]) -> Self {
        let mut all = Self::default();
        all.add(filter, order);
        all
    }

    /// Whether the filter says nothing more than constraints on these fields and where in the order to continue.
    pub(crate) fn told_by(&self, fields: &[usize]) -> bool {
        !self.untold && self.fields.keys().all(|field| *field == system::DELETED_AT || fields.contains(field))
    }

    pub(crate) fn get(&self, field: usize) -> Option<&Constraint> {
        self.fields.get(&field)
    }

    /// Whether every record that passes has this one value in the field.
    pub(crate) fn is_one(&self, field: usize) -> bool {
        self.get(field).and_then(|constraint| constraint.one_of.as_ref()).is_some_and(|list| list.len() == 1)
    }

    /// Whether every record that passes has exactly this column in the field.
    pub(crate) fn is(&self, field: usize, column: &[u8]) -> bool {
        self.get(field).and_then(|c| c.one_of.as_ref()).is_some_and(|list| *list == [column])
    }

    /// Whether every record that passes has a value in the field.
    pub(crate) fn is_present(&self, field: usize) -> bool {
        self.get(field).is_some_and(|constraint| match &constraint.one_of {
            Some(list) => list.iter().all(|column| column.first() != Some(&key::MISSING)),
            None => constraint.from.is_some(),
        })
    }

    fn add(&mut self, filter: &Filter, order: &[Order]) {
        match filter {
            Filter::All(parts) => parts.iter().for_each(|part| self.add(part, order)),
            Filter::Leaf(leaf) if is_own(&leaf.path) => self.add_leaf(leaf),
            Filter::Not(part) => match &**part {
                Filter::Leaf(leaf) if leaf.test == Test::Exists && is_own(&leaf.path) => {
                    self.field(leaf).narrow(vec![vec![key::MISSING]]);
                }
                // The deleted are few: that they are left out hardly counts.
                Filter::Leaf(leaf) if leaf.test == Test::Exists && leaf.path.field == system::DELETED_AT => {}
                _ => self.untold = true,
            },
            // A cursor: it holds for all but a few of the records that its bound lets through.
            Filter::Any(parts) if parts.iter().all(|part| is_position(part, order)) => {}
            _ => self.untold = true,
        }
    }

    fn add_leaf(&mut self, leaf: &Leaf) {
        let column = |value| Some(key::column(value)).filter(|column| key::has_order(column));
        match &leaf.test {
            Test::Exists => self.field(leaf).raise(vec![key::MISSING + 1]),
            Test::In(list) => {
                let mut columns: Vec<Vec<u8>> = list.iter().filter_map(column).collect();
                columns.sort_unstable();
                columns.dedup();
                self.field(leaf).narrow(columns);
            }
            Test::Lt(bound) => self.bound(leaf, column(bound), |c, column| {
                c.raise(column[..1].to_vec());
                c.lower(column);
            }),
            Test::Le(bound) => self.bound(leaf, column(bound), |c, column| {
                c.raise(column[..1].to_vec());
                c.lower_to(key::successor(&column));
            }),
            Test::Gt(bound) => self.bound(leaf, column(bound), |c, column| {
                c.lower_to(key::successor(&column[..1]));
                c.raise_to(key::successor(&column));
            }),
            Test::Ge(bound) => self.bound(leaf, column(bound), |c, column| {
                c.lower_to(key::successor(&column[..1]));
                c.raise(column);
            }),
            Test::StartsWith(part) => {
                let mut open = Vec::new();
                key::push_text_open(&mut open, part);
                let constraint = self.field(leaf);
                constraint.lower_to(key::successor(&open));
                constraint.raise(open);
            }
            Test::Contains(_) => self.untold = true,
        }
    }

    fn field(&mut self, leaf: &Leaf) -> &mut Constraint {
        self.fields.entry(leaf.path.field).or_default()
    }

    fn bound(&mut self, leaf: &Leaf, column: Option<Vec<u8>>, apply: impl FnOnce(&mut Constraint, Vec<u8>)) {
        match column {
            Some(column) => apply(self.field(leaf), column),
            // Nothing compares with it, so nothing passes.
            None => self.field(leaf).narrow(Vec::new()),
        }
    }
}

impl Constraint {
    fn narrow(&mut self, columns: Vec<Vec<u8>>) {
        match &mut self.one_of {
            Some(list) => list.retain(|column| columns.contains(column)),
            None => self.one_of = Some(columns),
        }
    }

    fn raise(&mut self, column: Vec<u8>) {
        if self.from.as_ref().is_none_or(|from| *from < column) {
            self.from = Some(column);
        }
    }

    fn raise_to(&mut self, column: Option<Vec<u8>>) {
        if let Some(column) = column {
            self.raise(column);
        }
    }

    fn lower(&mut self, column: Vec<u8>) {
        if self.below.as_ref().is_none_or(|below| *below > column) {
            self.below = Some(column);
        }
    }

    fn lower_to(&mut self, column: Option<Vec<u8>>) {
        if let Some(column) = column {
            self.lower(column);
        }
    }
}

/// Whether the path is a field of the record itself.
pub(crate) fn is_own(path: &Path) -> bool {
    path.links.is_empty() && path.custom.is_none()
}

/// Whether only fields of the order, and the id, are asked for.
fn is_position(filter: &Filter, order: &[Order]) -> bool {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().all(|part| is_position(part, order)),
        Filter::Not(part) => is_position(part, order),
        Filter::Leaf(Leaf { path, .. }) => {
            (is_own(path) && path.field == system::ID) || order.iter().any(|step| step.path == *path)
        }
    }
}
