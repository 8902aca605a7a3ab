//! Everything that can be asked of a store.

use uuid::Uuid;

use crate::catalog::EntityDef;
use crate::criteria::{Filter, Path};
use crate::log::LogRow;
use crate::record::Record;
use crate::store::TimelineRow;
use crate::timeline::{Audience, Visibility};
use crate::value::{Instant, Value};

/// The most records, groups, entries or log rows that one read returns.
pub const MAX_LIMIT: usize = 10_000;

/// One question.
#[derive(Clone, Debug)]
pub enum Read {
    /// The records with these ids, deleted ones included, in any order; unknown ids are left out.
    /// Answered by [`Answer::Records`].
    Get {
        /// The entity.
        def: &'static EntityDef,
        /// At most [`MAX_LIMIT`].
        ids: Vec<Uuid>,
    },
    /// The records of a query in its order. Answered by [`Answer::Records`].
    Find(Query),
    /// Counts and sums by group. Answered by [`Answer::Groups`], in order of the group's values.
    Group(GroupQuery),
    /// The record and those above it along its [`EntityDef::parent`], nearest first, deleted ones included; at
    /// most `limit`. Answered by [`Answer::Records`].
    Ancestors {
        /// An entity with a parent.
        def: &'static EntityDef,
        /// Where to start.
        id: Uuid,
        /// At most [`MAX_LIMIT`].
        limit: usize,
    },
    /// The record itself, deleted or not, and all live ones below it, parents before children, by (depth, id); at
    /// most `limit`. What is below a deleted one is reached through it.
    /// Answered by [`Answer::Records`].
    Subtree {
        /// An entity with a parent.
        def: &'static EntityDef,
        /// Where to start.
        id: Uuid,
        /// At most [`MAX_LIMIT`].
        limit: usize,
    },
    /// Rows of the timeline projection. Answered by [`Answer::Timeline`].
    Timeline(TimelineQuery),
    /// What an idempotency key gave. Answered by [`Answer::Key`].
    Key {
        /// The command.
        command: &'static str,
        /// The caller's key.
        key: String,
    },
    /// The log rows of one record, sealed or not, newest version first. Answered by [`Answer::Log`].
    History {
        /// The entity.
        def: &'static EntityDef,
        /// The record.
        id: Uuid,
        /// Only versions below this one.
        before_version: Option<i64>,
        /// At most [`MAX_LIMIT`].
        limit: usize,
    },
    /// Sealed log rows with a number above this one, in order. Answered by [`Answer::Log`].
    Log {
        /// 0 for the beginning.
        after: i64,
        /// At most [`MAX_LIMIT`].
        limit: usize,
    },
    /// The number of the last sealed log row, 0 for none. Answered by [`Answer::Position`].
    LogHead,
    /// How far a named consumer has come. Answered by [`Answer::Position`].
    Position {
        /// The consumer's name.
        consumer: String,
    },
}

/// One answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Read::Get`], [`Read::Find`], [`Read::Ancestors`] and [`Read::Subtree`].
    Records(Vec<Record>),
    /// To [`Read::Group`].
    Groups(Vec<Group>),
    /// To [`Read::Timeline`].
    Timeline(Vec<TimelineRow>),
    /// To [`Read::Key`].
    Key(Option<KeyRecord>),
    /// To [`Read::History`] and [`Read::Log`].
    Log(Vec<LogRow>),
    /// To [`Read::LogHead`] and [`Read::Position`]: the last acknowledged number, 0 for a consumer that is not known.
    Position(i64),
}

/// Which way a sort goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first, missing values before all.
    Ascending,
    /// Largest first, missing values after all.
    Descending,
}

/// One step of a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The field, through any number of links. Folded fields sort by their folded form.
    pub path: Path,
    /// Which way.
    pub direction: Direction,
}

/// Which records, in what order. Built by [`crate::criteria`] and the facade: what must always be asked (only live
/// records, only of live customers) is part of `filter` already, and a cursor has become part of it too.
#[derive(Clone, Debug)]
pub struct Query {
    /// The entity.
    pub def: &'static EntityDef,
    /// The condition.
    pub filter: Filter,
    /// Only records that are found by all of these tokens.
    pub tokens: Vec<String>,
    /// Only records that are found by a token that begins like this.
    pub token_prefix: Option<String>,
    /// The sort. The id, ascending, decides what these leave open; the store adds it.
    pub order: Vec<Order>,
    /// How many at most, up to [`MAX_LIMIT`].
    pub limit: usize,
}

impl Query {
    /// A query without tokens or sort.
    pub fn new(def: &'static EntityDef, filter: Filter, limit: usize) -> Self {
        Self { def, filter, tokens: Vec::new(), token_prefix: None, order: Vec::new(), limit }
    }
}

/// What is computed for each group.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// How many records.
    Count,
    /// The exact sum of a decimal or whole number field; missing values add nothing.
    Sum(Path),
    /// The smallest value as stored, not folded; missing for none.
    Min(Path),
    /// The largest value as stored, not folded; missing for none.
    Max(Path),
}

/// Counts and sums by group.
#[derive(Clone, Debug)]
pub struct GroupQuery {
    /// The entity.
    pub def: &'static EntityDef,
    /// Which records count.
    pub filter: Filter,
    /// What makes a group: the values as stored (not folded); empty for one group of all.
    pub by: Vec<Path>,
    /// What is computed.
    pub measures: Vec<Measure>,
    /// More groups than this are refused with [`StoreError::Refused`](crate::store::StoreError::Refused).
    pub limit: usize,
}

/// One group and its measures, in the order they were asked for. Sums are [`Value::Decimal`], counts
/// [`Value::Int`].
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The values of the group.
    pub by: Vec<Value>,
    /// The measures. Without any record and without `by` there is still one group, of zeros.
    pub measures: Vec<Value>,
}

/// Who looks at a timeline: what they may see is part of the question, never filtered afterwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Viewer {
    /// The user; sees their own private entries.
    pub user: Option<Uuid>,
    /// Their teams; sees those teams' entries.
    pub teams: Vec<Uuid>,
    /// Sees everything.
    pub sees_all: bool,
    /// Sees only what the customer may see.
    pub external_only: bool,
}

impl Viewer {
    /// Whether this viewer sees the entry: the definition that stores push down.
    pub fn sees(&self, row: &TimelineRow) -> bool {
        if self.external_only && row.audience != Audience::External {
            return false;
        }
        self.sees_all
            || match row.visibility {
                Visibility::All => true,
                Visibility::Team => {
                    row.team.is_some_and(|team| self.teams.contains(&team))
                        || (row.actor.is_some() && row.actor == self.user)
                }
                Visibility::Private => row.actor.is_some() && row.actor == self.user,
            }
    }
}

/// Whose timeline.
#[derive(Clone, Debug, PartialEq)]
pub enum TimelineAnchor {
    /// One of these records' (a customer with those merged into it); an entry at several appears once for each.
    Records(Vec<Uuid>),
    /// What this user did.
    User(Uuid),
    /// All of the tenant's.
    Tenant,
}

/// Which entries. Every list is "one of these"; an empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimelineFilter {
    /// Entities.
    pub kinds: Vec<String>,
    /// Types within the kind.
    pub subtypes: Vec<String>,
    /// Sources.
    pub sources: Vec<String>,
    /// Actors.
    pub actors: Vec<Uuid>,
    /// Teams.
    pub teams: Vec<Uuid>,
    /// Visibilities.
    pub visibilities: Vec<Visibility>,
    /// Sentiments.
    pub sentiments: Vec<String>,
    /// The first instant, included.
    pub from: Option<Instant>,
    /// The last instant, included.
    pub until: Option<Instant>,
    /// Only entries whose record is found by all of these tokens; tags are tokens that begin with `#`.
    pub tokens: Vec<String>,
    /// Only entries that are pinned, or are not.
    pub pinned: Option<bool>,
}

/// A place between two entries of the total order (instant, kind, entry id, anchor id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelinePosition {
    /// The instant.
    pub at: Instant,
    /// The kind, in binary order.
    pub kind: String,
    /// The entry.
    pub entry_id: Uuid,
    /// The anchor, where several are read together.
    pub anchor_id: Uuid,
}

/// A page of the timeline.
///
/// Entries whose [`root`](TimelineRow::root) customer is deleted are left out: the store joins to the live
/// customer. For users and the tenant only [`primary`](TimelineRow::primary) rows count.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineQuery {
    /// Whose.
    pub anchor: TimelineAnchor,
    /// Which.
    pub filter: TimelineFilter,
    /// For whom.
    pub viewer: Viewer,
    /// `Descending` for newest first.
    pub direction: Direction,
    /// Only what comes after this place in that direction.
    pub after: Option<TimelinePosition>,
    /// How many at most.
    pub limit: usize,
}

/// What is kept for an idempotency key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRecord {
    /// A digest of the command's input: the same key with other input is refused.
    pub digest: String,
    /// What the command gave, ids and versions: JSON as text.
    pub result: String,
    /// When.
    pub at: Instant,
}

impl TimelineRow {
    /// Where the row stands in the total order.
    pub fn position(&self) -> TimelinePosition {
        TimelinePosition {
            at: self.at,
            kind: self.kind.to_owned(),
            entry_id: self.entry_id,
            anchor_id: self.anchor_id,
        }
    }
}

impl TimelineFilter {
    /// Whether the filter, without its tokens, passes the row: the definition that stores push down.
    pub fn passes(&self, row: &TimelineRow) -> bool {
        fn one_of<T: PartialEq>(list: &[T], value: Option<&T>) -> bool {
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        }
        one_of(&self.kinds, Some(&row.kind.to_owned()))
            && one_of(&self.subtypes, row.subtype.as_ref())
            && one_of(&self.sources, row.source.as_ref())
            && one_of(&self.actors, row.actor.as_ref())
            && one_of(&self.teams, row.team.as_ref())
            && one_of(&self.visibilities, Some(&row.visibility))
            && one_of(&self.sentiments, row.sentiment.as_ref())
            && self.from.is_none_or(|from| row.at >= from)
            && self.until.is_none_or(|until| row.at <= until)
            && self.pinned.is_none_or(|pinned| row.pinned == pinned)
    }
}
