//! The interaction.

use uuid::Uuid;

use crate::catalog::Entity;
use crate::contact::ContactId;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::record::{Meta, RecordRef};
use crate::record_id;
use crate::timeline::{Audience, Entry, TimelineSource, Visibility};
use crate::value::Instant;

record_id! {
    /// The id of an [`Interaction`].
    InteractionId
}

crate::codes! {
    /// The channel of an interaction.
    pub enum InteractionType {
        /// E-mail.
        Email = "email",
        /// A telephone call.
        Call = "call",
        /// A meeting.
        Meeting = "meeting",
        /// A chat.
        Chat = "chat",
        /// A text message.
        Sms = "sms",
        /// A WhatsApp message.
        Whatsapp = "whatsapp",
        /// A post or comment on a social network.
        Social = "social",
        /// In person.
        InPerson = "in_person",
        /// Anything else.
        #[default]
        Other = "other",
    }
}

crate::codes! {
    /// Who began.
    pub enum Direction {
        /// The customer.
        #[default]
        Inbound = "inbound",
        /// We.
        Outbound = "outbound",
    }
}

crate::codes! {
    /// What came of it.
    pub enum Outcome {
        /// It went well.
        #[default]
        Successful = "successful",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// A message was left.
        LeftMessage = "left_message",
        /// The message came back.
        Bounced = "bounced",
        /// Something is to be done.
        FollowUpNeeded = "follow_up_needed",
        /// It is done.
        Completed = "completed",
    }
}

crate::codes! {
    /// How the customer sounded.
    pub enum Sentiment: ordered {
        /// Unhappy.
        Negative = "negative",
        /// Neither.
        #[default]
        Neutral = "neutral",
        /// Happy.
        Positive = "positive",
    }
}

crate::codes! {
    /// How the interaction came to be recorded.
    pub enum InteractionSource {
        /// By hand.
        #[default]
        Manual = "manual",
        /// From a mailbox.
        EmailSync = "email_sync",
        /// From a telephone system.
        PhoneIntegration = "phone_integration",
        /// From a calendar.
        CalendarSync = "calendar_sync",
        /// By another system.
        Api = "api",
    }
}

crate::codes! {
    /// Whether a message waits for an answer (seed 002).
    pub enum ReplyStatus {
        /// It needs none.
        #[default]
        None = "none",
        /// It waits.
        Awaiting = "awaiting",
        /// It was answered.
        Replied = "replied",
    }
}

/// A single touchpoint between the tenant and a customer (SPEC IT-01).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "interaction",
    table = "interactions",
    root = "customer_id",
    timeline,
    unique(name = "interaction_external_id", fields("source", "external_id")),
    index(name = "interactions_by_customer", fields("customer_id", "occurred_at")),
    index(name = "interactions_by_contact", fields("contact_id", "occurred_at")),
    index(name = "interactions_by_type", fields("interaction_type", "occurred_at")),
    index(name = "interactions_by_reply", fields("reply_status", "occurred_at"))
)]
pub struct Interaction {
    /// The id.
    pub id: InteractionId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The person.
    #[field(link = "contact")]
    pub contact_id: Option<ContactId>,
    /// The channel.
    pub interaction_type: InteractionType,
    /// Who began.
    pub direction: Direction,
    /// At most 500 characters.
    #[field(line(500), search, mask = "[REDACTED]")]
    pub subject: Option<String>,
    /// At most 50,000 characters.
    #[field(block(50_000), search, mask = "[Content removed per deletion request]")]
    pub description: Option<String>,
    /// When it took place.
    pub occurred_at: Instant,
    /// How long, in minutes, at most a week.
    #[field(int(0, 10_080))]
    pub duration_minutes: Option<i64>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The telephone system's own word for the outcome, at most 100 characters.
    #[field(line(100), keep)]
    pub disposition: Option<String>,
    /// How the customer sounded.
    pub sentiment: Option<Sentiment>,
    /// How it came to be recorded.
    pub source: InteractionSource,
    /// The id in the system it came from; unique for each source.
    #[field(line(200), mask)]
    pub external_id: Option<String>,
    /// The tenant's own word for what it is about, at most 50 characters.
    #[field(line(50), keep)]
    pub category: Option<String>,
    /// Whether it waits for an answer.
    pub reply_status: ReplyStatus,
    /// Recorded more than 30 days after it took place.
    pub is_backdated: bool,
    /// Further records it belongs to (an opportunity, a case): its entry is in their timelines too.
    #[field(list(100, 85), keep)]
    pub related: Vec<RecordRef>,
    /// Shown first in the timeline.
    pub is_pinned: bool,
    /// Labels, at most 100 of 50 characters.
    #[field(list(100, 50), search, mask)]
    pub tags: Vec<String>,
    /// Who of the tenant's own people sees it.
    pub visibility: Visibility,
    /// Whether the customer sees it.
    pub audience: Audience,
    /// The team it belongs to.
    #[field(frozen)]
    pub team_id: Option<Uuid>,
    /// The user who recorded it.
    #[field(frozen)]
    pub created_by: Option<UserId>,
}

impl Default for Interaction {
    fn default() -> Self {
        Self {
            id: InteractionId(Uuid::nil()),
            meta: Meta::default(),
            customer_id: CustomerId(Uuid::nil()),
            contact_id: None,
            interaction_type: InteractionType::default(),
            direction: Direction::default(),
            subject: None,
            description: None,
            occurred_at: Instant::UNIX_EPOCH,
            duration_minutes: None,
            outcome: None,
            disposition: None,
            sentiment: None,
            source: InteractionSource::default(),
            external_id: None,
            category: None,
            reply_status: ReplyStatus::default(),
            is_backdated: false,
            related: Vec::new(),
            is_pinned: false,
            tags: Vec::new(),
            visibility: Visibility::default(),
            audience: Audience::default(),
            team_id: None,
            created_by: None,
        }
    }
}

impl TimelineSource for Interaction {
    fn entry(&self) -> Option<Entry> {
        let (word, icon) = match self.interaction_type {
            InteractionType::Email => ("Email", "envelope"),
            InteractionType::Call => ("Call", "phone"),
            InteractionType::Meeting => ("Meeting", "calendar"),
            InteractionType::Chat => ("Chat", "comment"),
            InteractionType::Sms => ("SMS", "mobile"),
            InteractionType::Whatsapp => ("WhatsApp", "whatsapp"),
            InteractionType::Social => ("Social", "share"),
            InteractionType::InPerson => ("In person", "handshake"),
            InteractionType::Other => ("Interaction", "circle"),
        };
        let title =
            self.subject.as_ref().map_or_else(|| word.to_owned(), |subject| format!("{word} - {subject}"));
        let mut entry = Entry::new(self.occurred_at, ("customer", self.customer_id.0), title, icon);
        entry.anchors.extend(self.contact_id.map(|contact| ("contact", contact.0).into()));
        entry.anchors.extend(self.related.iter().cloned());
        entry.actor = self.created_by.map(|user| user.0);
        entry.team = self.team_id;
        entry.visibility = self.visibility;
        entry.audience = self.audience;
        entry.pinned = self.is_pinned;
        entry.subtype = Some(self.interaction_type.code().to_owned());
        entry.source = Some(self.source.code().to_owned());
        entry.sentiment = self.sentiment.map(|sentiment| sentiment.code().to_owned());
        entry.tags.clone_from(&self.tags);
        entry.display.text = self.description.as_ref().map(|text| text.chars().take(200).collect());
        Some(entry)
    }
}
