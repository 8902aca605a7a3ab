//! Milestones (SPEC LC-11).

use serde_json::Value as Json;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::directory::UserId;
use crate::journey::details_error;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::timeline::{Entry, TimelineSource};
use crate::value::Instant;

record_id! {
    /// The id of a [`Milestone`].
    MilestoneId
}

crate::codes! {
    /// What was reached.
    pub enum MilestoneType {
        /// The first interaction.
        #[default]
        FirstContact = "first_contact",
        /// The first purchase.
        FirstPurchase = "first_purchase",
        /// Everything is set up.
        OnboardingComplete = "onboarding_complete",
        /// A contract was renewed.
        Renewal = "renewal",
        /// More was bought.
        Upsell = "upsell",
        /// Somebody else was recommended to us.
        ReferralMade = "referral_made",
        /// A case went up.
        SupportEscalation = "support_escalation",
        /// Something says that it may leave.
        ChurnSignal = "churn_signal",
        /// It came back.
        WinBack = "win_back",
    }
}

impl MilestoneType {
    /// Whether a customer reaches it once at most.
    pub fn is_once(self) -> bool {
        matches!(self, Self::FirstContact | Self::FirstPurchase | Self::OnboardingComplete)
    }
}

/// A key event of a customer's journey (seed 004, Journey): highlighted in the timeline.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "milestone",
    table = "journey_milestones",
    root = "customer_id",
    timeline,
    validate,
    unique(name = "milestone_once", fields("customer_id", "milestone_type"), only_if = "is_once"),
    index(name = "milestones_by_customer", fields("customer_id", "occurred_at")),
    index(name = "milestones_by_type", fields("milestone_type", "occurred_at"))
)]
pub struct Milestone {
    /// The id.
    pub id: MilestoneId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// What was reached.
    #[field(frozen)]
    pub milestone_type: MilestoneType,
    /// When.
    pub occurred_at: Instant,
    /// Whatever else is known of it: a JSON object of at most 10,000 bytes, nested at most 16 deep.
    #[field(json, mask)]
    pub details: Option<Json>,
    /// A customer reaches it once at most; follows from the type.
    #[field(frozen)]
    pub is_once: bool,
    /// The user who recorded it; none for one that a rule did.
    #[field(frozen)]
    pub created_by: Option<UserId>,
}

impl Milestone {
    /// A milestone that a customer reached.
    pub fn new(customer: CustomerId, milestone_type: MilestoneType, occurred_at: Instant) -> Self {
        Self {
            id: MilestoneId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: customer,
            milestone_type,
            occurred_at,
            details: None,
            is_once: milestone_type.is_once(),
            created_by: None,
        }
    }
}

impl Validate for Milestone {
    fn check(&self) -> Vec<FieldError> {
        details_error(self.details.as_ref()).into_iter().collect()
    }
}

impl TimelineSource for Milestone {
    fn entry(&self) -> Option<Entry> {
        let words = self.milestone_type.code().replace('_', " ");
        let title = format!("Milestone: {words}");
        let mut entry = Entry::new(self.occurred_at, ("customer", self.customer_id.0), title, "flag");
        entry.highlight = true;
        entry.actor = self.created_by.map(|user| user.0);
        entry.subtype = Some(self.milestone_type.code().to_owned());
        Some(entry)
    }
}
