//! The behaviour event.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::catalog::Entity;
use crate::contact::ContactId;
use crate::customer::CustomerId;
use crate::journey::details_error;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::timeline::{Entry, TimelineSource};
use crate::value::Instant;

record_id! {
    /// The id of a [`BehaviorEvent`].
    BehaviorEventId
}

crate::codes! {
    /// What a customer did with a product or a site.
    pub enum BehaviorType {
        /// Signed in.
        #[default]
        Login = "login",
        /// Used a feature.
        FeatureUse = "feature_use",
        /// Looked at a page.
        PageView = "page_view",
        /// Filled in a form.
        FormSubmit = "form_submit",
        /// Did what one had hoped for.
        Conversion = "conversion",
    }
}

/// Something a customer did with a product or a site (SPEC LC-11); recorded once and not changed.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "behavior_event",
    table = "behavior_events",
    root = "customer_id",
    timeline,
    validate,
    unique(name = "behavior_event_external_id", fields("source", "external_id")),
    index(name = "behavior_events_by_customer", fields("customer_id", "occurred_at")),
    index(name = "behavior_events_by_contact", fields("contact_id", "occurred_at")),
    index(name = "behavior_events_by_type", fields("behavior_type", "occurred_at"))
)]
pub struct BehaviorEvent {
    /// The id.
    pub id: BehaviorEventId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The person.
    #[field(link = "contact")]
    pub contact_id: Option<ContactId>,
    /// What kind of thing it did.
    #[field(frozen)]
    pub behavior_type: BehaviorType,
    /// The feature, page, form or goal, at most 200 characters.
    #[field(line(200), mask)]
    pub subject: Option<String>,
    /// When.
    pub occurred_at: Instant,
    /// A number that belongs to it: seconds, an amount.
    #[field(decimal(4))]
    pub amount: Option<Decimal>,
    /// Whatever else is known of it: a JSON object of at most 10,000 bytes, nested at most 16 deep.
    #[field(json, mask)]
    pub details: Option<Json>,
    /// The system that saw it, 1 to 50 characters.
    #[field(line(50), keep)]
    pub source: String,
    /// The id there, at most 200 characters; unique for each source.
    #[field(line(200), mask)]
    pub external_id: Option<String>,
}

impl BehaviorEvent {
    /// Something that a system saw a customer do, to be filled in with struct update syntax.
    pub fn new(
        customer: CustomerId,
        behavior_type: BehaviorType,
        source: impl Into<String>,
        occurred_at: Instant,
    ) -> Self {
        Self {
            id: BehaviorEventId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: customer,
            contact_id: None,
            behavior_type,
            subject: None,
            occurred_at,
            amount: None,
            details: None,
            source: source.into(),
            external_id: None,
        }
    }
}

impl Validate for BehaviorEvent {
    fn check(&self) -> Vec<FieldError> {
        details_error(self.details.as_ref()).into_iter().collect()
    }
}

impl TimelineSource for BehaviorEvent {
    fn entry(&self) -> Option<Entry> {
        let (word, icon) = match self.behavior_type {
            BehaviorType::Login => ("Login", "sign-in"),
            BehaviorType::FeatureUse => ("Feature", "puzzle-piece"),
            BehaviorType::PageView => ("Page", "eye"),
            BehaviorType::FormSubmit => ("Form", "clipboard"),
            BehaviorType::Conversion => ("Conversion", "bullseye"),
        };
        let title =
            self.subject.as_ref().map_or_else(|| word.to_owned(), |subject| format!("{word}: {subject}"));
        let mut entry = Entry::new(self.occurred_at, ("customer", self.customer_id.0), title, icon);
        entry.anchors.extend(self.contact_id.map(|contact| ("contact", contact.0).into()));
        entry.subtype = Some(self.behavior_type.code().to_owned());
        entry.source = Some(self.source.clone());
        Some(entry)
    }
}
