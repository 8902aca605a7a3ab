//! The note.

use uuid::Uuid;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::record::{Meta, RecordRef};
use crate::record_id;
use crate::timeline::{Audience, Entry, TimelineSource, Visibility};

record_id! {
    /// The id of a [`Note`].
    NoteId
}

/// Free text about a customer or any other record (SPEC IT-02).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "note",
    table = "notes",
    root = "customer_id",
    timeline,
    index(name = "notes_by_customer", fields("customer_id", "created_at")),
    index(name = "notes_by_record", fields("related_type", "related_id")),
    check(together("related_type", "related_id"))
)]
pub struct Note {
    /// The id.
    pub id: NoteId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer it is about; that of the related record where there is one.
    #[field(link = "customer", frozen)]
    pub customer_id: Option<CustomerId>,
    /// The entity of a further record it is about.
    #[field(line(48), keep, frozen)]
    pub related_type: Option<String>,
    /// That record.
    #[field(any_link = "related_type", frozen)]
    pub related_id: Option<Uuid>,
    /// At most 200 characters.
    #[field(line(200), search, mask = "[REDACTED]")]
    pub title: Option<String>,
    /// 1 to 50,000 characters.
    #[field(block(50_000), search, mask = "[Content removed per deletion request]")]
    pub content: String,
    /// Shown first in the timeline.
    pub is_pinned: bool,
    /// Who of the tenant's own people sees it: the writer's team unless set.
    pub visibility: Visibility,
    /// Whether the customer sees it.
    pub audience: Audience,
    /// The text has what looks like a payment card's or a social security number: to be reviewed (seed 004, edge
    /// cases of customer management).
    pub has_sensitive_data: bool,
    /// The users it mentions, as `user:` and the id.
    #[field(list(50, 85), keep)]
    pub mentions: Vec<RecordRef>,
    /// The team it belongs to.
    #[field(frozen)]
    pub team_id: Option<Uuid>,
    /// The user who wrote it.
    #[field(frozen)]
    pub created_by: Option<UserId>,
}

impl Note {
    /// A note for the writer's team, to be filled in with struct update syntax.
    pub fn new(about: impl Into<RecordRef>, content: impl Into<String>) -> Self {
        let about = about.into();
        let customer = about.entity == "customer";
        Self {
            id: NoteId(Uuid::nil()),
            meta: Meta::default(),
            customer_id: customer.then_some(CustomerId(about.id)),
            related_type: (!customer).then(|| about.entity.into_owned()),
            related_id: (!customer).then_some(about.id),
            title: None,
            content: content.into(),
            is_pinned: false,
            visibility: Visibility::Team,
            audience: Audience::Internal,
            has_sensitive_data: false,
            mentions: Vec::new(),
            team_id: None,
            created_by: None,
        }
    }
}

impl TimelineSource for Note {
    fn entry(&self) -> Option<Entry> {
        let related =
            self.related_type.clone().zip(self.related_id).map(|(kind, id)| RecordRef::new(kind, id));
        let customer = self.customer_id.map(|id| RecordRef::new("customer", id.0));
        let mut anchors = customer.into_iter().chain(related);
        let title = self.title.as_ref().map_or_else(|| "Note".to_owned(), |title| format!("Note: {title}"));
        let mut entry = Entry::new(self.meta.created_at, anchors.next()?, title, "sticky-note");
        entry.anchors.extend(anchors);
        entry.actor = self.created_by.map(|user| user.0);
        entry.team = self.team_id;
        entry.visibility = self.visibility;
        entry.audience = self.audience;
        entry.pinned = self.is_pinned;
        entry.display.text = Some(self.content.chars().take(200).collect());
        Some(entry)
    }
}
