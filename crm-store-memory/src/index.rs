//! An ordered index, and walks over it in any mix of directions.

use std::collections::BTreeSet;
use std::collections::btree_set::Range;
use std::ops::{Bound, ControlFlow};

use crm_core::store::Direction;
use uuid::Uuid;

use crate::key::{column_len, successor};

/// Entries are the columns of a record's fields and then its id, in binary order.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeSet<Box<[u8]>>,
}

/// A part of an index: the entries that begin with `prefix`, from `start` to just before `end`. `start` and `end`
/// stand between whole values of the column after the prefix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) prefix: Vec<u8>,
    pub(crate) start: Vec<u8>,
    pub(crate) end: Option<Vec<u8>>,
}

/// Where a walk continues: behind the record with these columns and this id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge<'a> {
    /// One column for each direction of the walk.
    pub(crate) columns: &'a [&'a [u8]],
    /// The id, when the index has no more columns after those of the walk.
    pub(crate) id: Option<Uuid>,
}

impl Span {
    /// All entries that begin with these columns.
    pub(crate) fn of(prefix: Vec<u8>) -> Self {
        Self { start: prefix.clone(), end: successor(&prefix), prefix }
    }

    fn part(&self, start: Vec<u8>, end: Option<Vec<u8>>) -> Self {
        Self { prefix: self.prefix.clone(), start, end }
    }
}

impl Index {
    /// Whether it has no entry that begins like this, but those that end with this id.
    pub(crate) fn is_free(&self, columns: &[u8], id: Uuid) -> bool {
        self.range(&Span::of(columns.to_vec())).all(|entry| entry[columns.len()..] == *id.as_bytes())
    }

    pub(crate) fn insert(&mut self, mut columns: Vec<u8>, id: Uuid) {
        columns.extend(id.as_bytes());
        self.entries.insert(columns.into_boxed_slice());
    }

    pub(crate) fn remove(&mut self, mut columns: Vec<u8>, id: Uuid) {
        columns.extend(id.as_bytes());
        self.entries.remove(columns.as_slice());
    }

    /// The entries of a span, in order.
    pub(crate) fn range(&self, span: &Span) -> Range<'_, Box<[u8]>> {
        let start = span.start.as_slice();
        let end = match &span.end {
            // An empty range must not be given the wrong way round.
            Some(end) if end.as_slice() <= start => Bound::Excluded(start),
            Some(end) => Bound::Excluded(end.as_slice()),
            None => Bound::Unbounded,
        };
        self.entries.range::<[u8], _>((Bound::Included(start), end))
    }

    /// How many entries the spans have, counted up to `cap`.
    pub(crate) fn count(&self, spans: &[Span], cap: usize) -> usize {
        spans.iter().flat_map(|span| self.range(span)).take(cap).count()
    }

    /// Visits the span in groups of entries that have the same values in the columns after the prefix, one column
    /// for each direction, in the order of those directions. Entries before the edge are left out as far as whole
    /// groups go and, when the edge has an id, within the group too.
    pub(crate) fn walk(
        &self,
        span: &Span,
        directions: &[Direction],
        edge: Option<Edge<'_>>,
        visit: &mut dyn FnMut(&Span) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some((direction, deeper)) = directions.split_first() else {
            return match edge.and_then(|edge| edge.id) {
                None => visit(span),
                Some(id) => {
                    let behind = successor(&[&span.prefix, id.as_bytes().as_slice()].concat());
                    behind.map_or(ControlFlow::Continue(()), |start| {
                        visit(&span.part(start.max(span.start.clone()), span.end.clone()))
                    })
                }
            };
        };
        let first = edge.and_then(|edge| edge.columns.first().copied());
        let at_edge = first.map(|column| [&span.prefix, column].concat());
        let mut rest = match (direction, &at_edge) {
            (_, None) => span.clone(),
            (Direction::Ascending, Some(from)) => {
                span.part(from.clone().max(span.start.clone()), span.end.clone())
            }
            (Direction::Descending, Some(to)) => {
                span.part(span.start.clone(), below(successor(to), span.end.clone()))
            }
        };
        loop {
            let next = match direction {
                Direction::Ascending => self.range(&rest).next(),
                Direction::Descending => self.range(&rest).next_back(),
            };
            let Some(entry) = next else { return ControlFlow::Continue(()) };
            let length = span.prefix.len() + column_len(&entry[span.prefix.len()..]);
            let group = Span::of(entry[..length].to_vec());
            let on_edge = edge.filter(|_| at_edge.as_ref() == Some(&group.prefix));
            let on_edge = on_edge.map(|edge| Edge { columns: &edge.columns[1..], id: edge.id });
            match direction {
                Direction::Ascending => match &group.end {
                    Some(end) => rest.start.clone_from(end),
                    None => rest.end = Some(rest.start.clone()),
                },
                Direction::Descending => rest.end = Some(group.start.clone()),
            }
            self.walk(&group, deeper, on_edge, visit)?;
        }
    }
}

/// The lower of two ends.
fn below(a: Option<Vec<u8>>, b: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
