//! Entities that the library does not know: what an embedder adds. One file, one line in a registry, one migration.
//!
//! Between them they have a field of every type, a link of every kind, rules of every kind, a hierarchy, a timeline
//! entry and an append-only sibling.

use chrono::NaiveDate;
use crm_core::catalog::{Catalog, Entity};
use crm_core::customer::CustomerId;
use crm_core::directory::UserId;
use crm_core::format::Currency;
use crm_core::record::{Custom, Meta};
use crm_core::timeline::{Audience, Entry, TimelineSource, Visibility};
use crm_core::value::Instant;
use crm_core::{record_id, standard_catalog};
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

/// The migration of both entities for PostgreSQL: the output of `crm_store_postgres::ddl`, kept as it was.
pub const POSTGRES_MIGRATION: &str = include_str!("../../migrations/0900_project_notes.sql");

/// The catalog that every property of the contract uses: the library's entities and the two of this file.
pub fn catalog() -> Catalog {
    standard_catalog().with::<ProjectNote>().with::<Visit>().build().unwrap()
}

record_id! {
    /// The id of a [`ProjectNote`].
    ProjectNoteId
}
record_id! {
    /// The id of a [`Visit`].
    VisitId
}

crm_core::codes! {
    /// How much a note matters. The order of the codes is not that of the alphabet.
    pub enum Weight: ordered {
        /// Little.
        #[default]
        Minor = "minor",
        /// Some.
        Average = "average",
        /// Much.
        Grave = "grave",
    }
}

/// A note on anything of a customer's.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "project_note",
    table = "project_notes",
    root = "customer_id",
    parent = "reply_to_id",
    timeline,
    unique(name = "project_note_slug_once", fields("slug")),
    unique(name = "project_note_current_code", fields("customer_id", "code"), only_if = "is_current"),
    unique(name = "project_note_serial_for_ever", fields("serial"), with_deleted),
    index(name = "project_notes_by_customer", fields("customer_id", "happened_at")),
    index(name = "project_notes_by_title", fields("title")),
    check(ordered("starts_on", "ends_on")),
    check(together("budget", "currency")),
    check(differ("id", "reply_to_id"))
)]
pub struct ProjectNote {
    /// The id.
    pub id: ProjectNoteId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer")]
    pub customer_id: Option<CustomerId>,
    /// The note that this one answers.
    #[field(link = "project_note")]
    pub reply_to_id: Option<ProjectNoteId>,
    /// Who looks after it.
    #[field(link = "user")]
    pub owner_id: Option<UserId>,
    /// The entity that it is about.
    #[field(line(48), keep)]
    pub about_type: Option<String>,
    /// The record that it is about.
    #[field(any_link = "about_type")]
    pub about_id: Option<Uuid>,
    /// An id of no meaning here.
    pub reference: Option<Uuid>,
    /// One line; case does not count.
    #[field(line(200), fold, search, mask)]
    pub title: Option<String>,
    /// Any text.
    #[field(block(20_000), search, mask)]
    pub text: Option<String>,
    /// Unique in any case.
    #[field(line(80), fold, keep)]
    pub slug: Option<String>,
    /// Unique for the customer among the current ones.
    #[field(line(80), keep)]
    pub code: Option<String>,
    /// Unique for ever.
    pub serial: Option<i64>,
    /// Whether the code counts.
    pub is_current: bool,
    /// How much it matters.
    pub weight: Option<Weight>,
    /// Any whole number.
    pub rank: Option<i64>,
    /// Fifteen digits before the point and twelve after it.
    #[field(decimal(12))]
    pub amount: Option<Decimal>,
    /// With `currency`.
    #[field(decimal(4))]
    pub budget: Option<Decimal>,
    /// With `budget`.
    pub currency: Option<Currency>,
    /// When it happened.
    pub happened_at: Instant,
    /// Any instant.
    pub remind_at: Option<Instant>,
    /// Not after `ends_on`.
    pub starts_on: Option<NaiveDate>,
    /// Not before `starts_on`.
    pub ends_on: Option<NaiveDate>,
    /// Labels.
    #[field(list(100, 50), search, mask)]
    pub tags: Vec<String>,
    /// The embedder's own fields.
    #[field(mask)]
    pub custom: Custom,
    /// Structure of no meaning to a store.
    #[field(json, keep)]
    pub settings: Option<Json>,
    /// Shown first.
    pub is_pinned: bool,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether the customer sees it.
    pub audience: Audience,
    /// The team it belongs to.
    pub team: Option<Uuid>,
}

/// A visit: recorded once, never changed.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "visit",
    table = "visits",
    root = "note_id.customer_id",
    append_only,
    timeline,
    index(name = "visits_by_note", fields("note_id", "at"))
)]
pub struct Visit {
    /// The id.
    pub id: VisitId,
    /// Version and instants.
    pub meta: Meta,
    /// The note it was made for.
    #[field(link = "project_note")]
    pub note_id: ProjectNoteId,
    /// When.
    pub at: Instant,
    /// How long.
    #[field(int(0, 10_000))]
    pub minutes: i64,
    /// Where.
    #[field(line(100), fold, search, mask)]
    pub place: Option<String>,
}

impl Default for ProjectNote {
    fn default() -> Self {
        Self {
            id: ProjectNoteId(Uuid::nil()),
            meta: Meta::default(),
            customer_id: None,
            reply_to_id: None,
            owner_id: None,
            about_type: None,
            about_id: None,
            reference: None,
            title: None,
            text: None,
            slug: None,
            code: None,
            serial: None,
            is_current: false,
            weight: None,
            rank: None,
            amount: None,
            budget: None,
            currency: None,
            happened_at: Instant::UNIX_EPOCH,
            remind_at: None,
            starts_on: None,
            ends_on: None,
            tags: Vec::new(),
            custom: Custom::new(),
            settings: None,
            is_pinned: false,
            visibility: Visibility::All,
            audience: Audience::Internal,
            team: None,
        }
    }
}

impl TimelineSource for ProjectNote {
    fn entry(&self) -> Option<Entry> {
        let customer = self.customer_id?;
        let title = self.title.clone().unwrap_or_else(|| "Note".to_owned());
        let mut entry = Entry::new(self.happened_at, ("customer", customer.0), title, "sticky-note");
        if let (Some("contact"), Some(about)) = (self.about_type.as_deref(), self.about_id) {
            entry.anchors.push(("contact", about).into());
        }
        entry.actor = self.owner_id.map(|user| user.0);
        entry.team = self.team;
        entry.visibility = self.visibility;
        entry.audience = self.audience;
        entry.pinned = self.is_pinned;
        entry.highlight = self.weight == Some(Weight::Grave);
        entry.subtype = self.weight.map(|weight| weight.code().to_owned());
        entry.amount = self.budget.zip(self.currency).map(|(b, c)| (b, c.code().to_owned()));
        entry.tags.clone_from(&self.tags);
        entry.display.text = self.text.as_ref().map(|text| text.chars().take(200).collect());
        Some(entry)
    }
}

impl TimelineSource for Visit {
    fn entry(&self) -> Option<Entry> {
        let title = self.place.clone().unwrap_or_else(|| "Visit".to_owned());
        Some(Entry::new(self.at, ("project_note", self.note_id.0), title, "map-pin"))
    }
}
