//! The timeline projection of one tenant.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::sync::Arc;

use crm_core::store::{Direction, TimelineAnchor, TimelineKey, TimelinePosition, TimelineQuery, TimelineRow};
use crm_core::value::Instant;
use uuid::Uuid;

use crate::tenant::Tenant;

/// (instant, kind, entry, anchor): the total order.
type Place = (Instant, &'static str, Uuid, Uuid);
type Rows = BTreeMap<Place, Arc<TimelineRow>>;

/// Rows by what they are read by.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    by_key: BTreeMap<TimelineKey, Arc<TimelineRow>>,
    by_anchor: BTreeMap<(Uuid, Place), Arc<TimelineRow>>,
    primary_by_actor: BTreeMap<(Uuid, Place), Arc<TimelineRow>>,
    primary: Rows,
    /// Pinned rows, which are few and a page of their own: by anchor, and the primary ones.
    pinned_by_anchor: BTreeMap<(Uuid, Place), Arc<TimelineRow>>,
    pinned_primary: Rows,
}

fn place(row: &TimelineRow) -> Place {
    (row.at, row.kind, row.entry_id, row.anchor_id)
}

impl Timeline {
    /// Inserts the row or replaces the one of its key.
    pub(crate) fn put(&mut self, row: TimelineRow) {
        self.drop(&row.key());
        let row = Arc::new(row);
        let place = place(&row);
        self.by_key.insert(row.key(), Arc::clone(&row));
        self.by_anchor.insert((row.anchor_id, place), Arc::clone(&row));
        if row.pinned {
            self.pinned_by_anchor.insert((row.anchor_id, place), Arc::clone(&row));
        }
        if row.primary {
            if let Some(actor) = row.actor {
                self.primary_by_actor.insert((actor, place), Arc::clone(&row));
            }
            if row.pinned {
                self.pinned_primary.insert(place, Arc::clone(&row));
            }
            self.primary.insert(place, row);
        }
    }

    pub(crate) fn drop(&mut self, key: &TimelineKey) {
        let Some(row) = self.by_key.remove(key) else { return };
        let place = place(&row);
        self.by_anchor.remove(&(row.anchor_id, place));
        self.pinned_by_anchor.remove(&(row.anchor_id, place));
        self.pinned_primary.remove(&place);
        if row.primary {
            if let Some(actor) = row.actor {
                self.primary_by_actor.remove(&(actor, place));
            }
            self.primary.remove(&place);
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &TimelineRow> {
        self.by_key.values().map(|row| &**row)
    }

    /// The rows of one part, of the anchor or actor `of`, within the bounds, in order.
    fn part<'a>(
        part: &'a BTreeMap<(Uuid, Place), Arc<TimelineRow>>,
        of: Uuid,
        bounds: &Bounds<'a>,
        direction: Direction,
    ) -> Walk<'a> {
        // The keys may be compared with places whose kind does not live as long as the program.
        let part: &'a BTreeMap<(Uuid, BorrowedPlace<'a>), Arc<TimelineRow>> = part;
        let (start, end) = bounds.of(of);
        if bounds.empty {
            return Box::new(std::iter::empty());
        }
        let range = part.range((start, end)).map(|(_, row)| &**row);
        match direction {
            Direction::Ascending => Box::new(range),
            Direction::Descending => Box::new(range.rev()),
        }
    }

    /// The rows of `all`, within the bounds, in order.
    fn all<'a>(all: &'a Rows, bounds: &Bounds<'a>, direction: Direction) -> Walk<'a> {
        let rows: &'a BTreeMap<BorrowedPlace<'a>, Arc<TimelineRow>> = all;
        if bounds.empty {
            return Box::new(std::iter::empty());
        }
        let range = rows.range((bounds.start, bounds.end)).map(|(_, row)| &**row);
        match direction {
            Direction::Ascending => Box::new(range),
            Direction::Descending => Box::new(range.rev()),
        }
    }
}

type Walk<'a> = Box<dyn Iterator<Item = &'a TimelineRow> + 'a>;
type BorrowedPlace<'a> = (Instant, &'a str, Uuid, Uuid);
type PartBound<'a> = Bound<(Uuid, BorrowedPlace<'a>)>;

/// Between which places a page lies: the period and the cursor together.
struct Bounds<'a> {
    start: Bound<BorrowedPlace<'a>>,
    end: Bound<BorrowedPlace<'a>>,
    empty: bool,
}

impl<'a> Bounds<'a> {
    fn new(query: &'a TimelineQuery) -> Self {
        let edge = |at: &'a TimelinePosition| (at.at, at.kind.as_str(), at.entry_id, at.anchor_id);
        let mut start =
            query.filter.from.map(|at| (at, "", Uuid::nil(), Uuid::nil())).map_or(Unbounded, Included);
        // No kind is empty or begins with the last character: these are the ends of all of an instant.
        let until = query.filter.until.map(|at| (at, "\u{10ffff}", Uuid::max(), Uuid::max()));
        let mut end = until.map_or(Unbounded, Excluded);
        if let Some(after) = query.after.as_ref().map(edge) {
            match query.direction {
                Direction::Ascending => {
                    if !matches!(start, Included(from) if from > after) {
                        start = Excluded(after);
                    }
                }
                Direction::Descending => {
                    if !matches!(end, Excluded(until) if until <= after) {
                        end = Excluded(after);
                    }
                }
            }
        }
        let empty = match (start, end) {
            (Included(start) | Excluded(start), Excluded(end)) => start >= end,
            _ => false,
        };
        Self { start, end, empty }
    }

    fn of(&self, of: Uuid) -> (PartBound<'a>, PartBound<'a>) {
        let first = (Instant::MIN_UTC, "", Uuid::nil(), Uuid::nil());
        let start = match self.start {
            Included(place) => Included((of, place)),
            Excluded(place) => Excluded((of, place)),
            Unbounded => Included((of, first)),
        };
        let end = match (self.end, of.as_u128().checked_add(1)) {
            (Included(place), _) => Included((of, place)),
            (Excluded(place), _) => Excluded((of, place)),
            (Unbounded, Some(next)) => Excluded((Uuid::from_u128(next), first)),
            (Unbounded, None) => Unbounded,
        };
        (start, end)
    }
}

impl Tenant {
    /// A page of the timeline.
    pub(crate) fn page(&self, query: &TimelineQuery) -> Vec<TimelineRow> {
        let bounds = Bounds::new(query);
        let shown = |row: &&TimelineRow| self.shows(row, query);
        let timeline = &self.timeline;
        let only_pinned = query.filter.pinned == Some(true);
        match &query.anchor {
            TimelineAnchor::Records(anchors) => {
                let anchors: BTreeSet<Uuid> = anchors.iter().copied().collect();
                let part = if only_pinned { &timeline.pinned_by_anchor } else { &timeline.by_anchor };
                let walks = anchors
                    .iter()
                    .map(|anchor| Timeline::part(part, *anchor, &bounds, query.direction))
                    .collect();
                merged(walks, query.direction).filter(shown).take(query.limit).cloned().collect()
            }
            TimelineAnchor::User(user) if only_pinned => {
                let walk = Timeline::all(&timeline.pinned_primary, &bounds, query.direction);
                let own = walk.filter(|row| row.actor == Some(*user));
                own.filter(shown).take(query.limit).cloned().collect()
            }
            TimelineAnchor::User(user) => {
                let walk = Timeline::part(&timeline.primary_by_actor, *user, &bounds, query.direction);
                walk.filter(shown).take(query.limit).cloned().collect()
            }
            TimelineAnchor::Tenant => {
                let rows = if only_pinned { &timeline.pinned_primary } else { &timeline.primary };
                let walk = Timeline::all(rows, &bounds, query.direction);
                walk.filter(shown).take(query.limit).cloned().collect()
            }
        }
    }

    fn shows(&self, row: &TimelineRow, query: &TimelineQuery) -> bool {
        query.viewer.sees(row)
            && query.filter.passes(row)
            && (query.filter.tokens.is_empty()
                || self.table(row.kind).is_some_and(|(table, _)| {
                    query.filter.tokens.iter().all(|token| table.has_token(token, row.entry_id))
                }))
            && self.root_is_live(row.root)
    }
}

/// Joins ordered walks into one.
fn merged<'a>(mut walks: Vec<Walk<'a>>, direction: Direction) -> Walk<'a> {
    if walks.len() == 1
        && let Some(only) = walks.pop()
    {
        return only;
    }
    let head = move |from: usize, row: &'a TimelineRow| Head { row, place: place(row), from, direction };
    let mut heads: BinaryHeap<Head<'a>> = walks
        .iter_mut()
        .enumerate()
        .filter_map(|(from, walk)| walk.next().map(|row| head(from, row)))
        .collect();
    Box::new(std::iter::from_fn(move || {
        let Head { row, from, .. } = heads.pop()?;
        heads.extend(walks[from].next().map(|row| head(from, row)));
        Some(row)
    }))
}

/// The next row of one walk. The greatest head is the one whose turn it is.
struct Head<'a> {
    row: &'a TimelineRow,
    place: Place,
    from: usize,
    direction: Direction,
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Head<'_> {}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.direction {
            Direction::Ascending => other.place.cmp(&self.place),
            Direction::Descending => self.place.cmp(&other.place),
        }
    }
}

#[cfg(test)]
mod tests;
