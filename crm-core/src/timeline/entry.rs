//! What an entity shows in the timeline, and the rows that stores keep of it.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::record::{Record, RecordRef};
use crate::store::TimelineRow;
use crate::value::Instant;

crate::codes! {
    /// Who of the tenant's own people sees an entry (SPEC IT-02).
    pub enum Visibility {
        /// Everyone.
        #[default]
        All = "all",
        /// The actor's team.
        Team = "team",
        /// The actor.
        Private = "private",
    }
}

crate::codes! {
    /// Whether the customer sees an entry, in a portal.
    pub enum Audience {
        /// The tenant's own people only.
        #[default]
        Internal = "internal",
        /// The customer too.
        External = "external",
    }
}

/// What is shown of an entry: a snapshot that masks reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// One line.
    pub title: String,
    /// A few words more, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The name of an icon, as the catalog of seed 004 names them.
    pub icon: String,
}

/// What an entity shows of itself: the same at every anchor.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it happened.
    pub at: Instant,
    /// The records whose timelines show it; the first is the primary one. Those of entities that the catalog does
    /// not have are left out.
    pub anchors: Vec<RecordRef>,
    /// The user who did it.
    pub actor: Option<Uuid>,
    /// The actor's team.
    pub team: Option<Uuid>,
    /// Who of the tenant's own people sees it.
    pub visibility: Visibility,
    /// Whether the customer sees it.
    pub audience: Audience,
    /// Shown first.
    pub pinned: bool,
    /// Shown with emphasis.
    pub highlight: bool,
    /// The type within the entity.
    pub subtype: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// positive, neutral or negative.
    pub sentiment: Option<String>,
    /// A number for statistics, and its currency.
    pub amount: Option<(Decimal, String)>,
    /// Labels.
    pub tags: Vec<String>,
    /// What is shown.
    pub display: Display,
}

/// An entity that appears in the timeline.
pub trait TimelineSource {
    /// What it shows, as a pure function of itself; `None` when this one shows nothing.
    fn entry(&self) -> Option<Entry>;
}

impl Entry {
    /// An internal entry, seen by all, at one anchor.
    pub fn new(at: Instant, anchor: impl Into<RecordRef>, title: impl Into<String>, icon: &str) -> Self {
        Self {
            at,
            anchors: vec![anchor.into()],
            actor: None,
            team: None,
            visibility: Visibility::All,
            audience: Audience::Internal,
            pinned: false,
            highlight: false,
            subtype: None,
            source: None,
            sentiment: None,
            amount: None,
            tags: Vec::new(),
            display: Display { title: title.into(), text: None, icon: icon.to_owned() },
        }
    }
}

/// The rows that a record stands for: none when it is deleted or its entity shows nothing. `root` is the
/// customer that the record is read through.
pub fn rows(catalog: &Catalog, record: &Record, root: Option<Uuid>) -> Vec<TimelineRow> {
    if !record.is_live() {
        return Vec::new();
    }
    let Some(entry) = record.def.entry.and_then(|project| project(record)) else { return Vec::new() };
    let Entry { mut tags, display, amount, .. } = entry;
    tags.sort_unstable();
    tags.dedup();
    let (amount, currency) = amount.map_or((None, None), |(amount, currency)| (Some(amount), Some(currency)));
    let mut seen = Vec::new();
    entry
        .anchors
        .iter()
        .filter_map(|anchor| {
            let known = catalog.get(&anchor.entity)?;
            let first = !seen.contains(&anchor.id);
            seen.push(anchor.id);
            first.then_some((known.name, anchor.id))
        })
        .enumerate()
        .map(|(place, (anchor_type, anchor_id))| TimelineRow {
            anchor_type,
            anchor_id,
            primary: place == 0,
            at: crate::value::truncate(entry.at),
            kind: record.def.name,
            entry_id: record.id(),
            root,
            actor: entry.actor,
            team: entry.team,
            visibility: entry.visibility,
            audience: entry.audience,
            pinned: entry.pinned,
            highlight: entry.highlight,
            subtype: entry.subtype.clone(),
            source: entry.source.clone(),
            sentiment: entry.sentiment.clone(),
            amount: amount.map(|a| a.normalize()),
            currency: currency.clone(),
            tags: tags.clone(),
            display: display.clone(),
        })
        .collect()
}

/// The customer that a record is read through, when one link leads there.
pub fn direct_root(catalog: &Catalog, record: &Record) -> Option<Uuid> {
    let path = catalog.root_path(record.def)?;
    match path.as_slice() {
        [(_, place)] => record.values[*place].as_id(),
        _ => None,
    }
}
