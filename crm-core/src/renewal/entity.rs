//! The renewal.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::format::Currency;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;
use crate::timeline::{Audience, Entry, TimelineSource};
use crate::value::Instant;

record_id! {
    /// The id of a [`Renewal`].
    RenewalId
}

crate::codes! {
    /// Where a renewal stands.
    pub enum RenewalStatus {
        /// Yet to begin.
        #[default]
        Upcoming = "upcoming",
        /// Being worked on.
        InProgress = "in_progress",
        /// Stopped: the customer left, or somebody put it aside.
        Paused = "paused",
        /// The contract goes on.
        Renewed = "renewed",
        /// The contract ends.
        Lost = "lost",
    }
}

impl RenewalStatus {
    /// What no renewal is of a customer who has left.
    pub const ACTIVE: [Self; 2] = [Self::Upcoming, Self::InProgress];

    /// Where it may go from here; nowhere once it is decided.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Upcoming => &[Self::InProgress, Self::Paused],
            Self::InProgress => &[Self::Renewed, Self::Lost, Self::Paused],
            Self::Paused => &[Self::Upcoming, Self::InProgress, Self::Lost],
            Self::Renewed | Self::Lost => &[],
        }
    }

    /// Whether it is upcoming or in progress.
    pub fn is_active(self) -> bool {
        Self::ACTIVE.contains(&self)
    }

    /// Whether it is decided, for good.
    pub fn is_closed(self) -> bool {
        self.next().is_empty()
    }
}

/// A contract that is to be renewed (SPEC LC-11).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "renewal",
    table = "renewals",
    root = "customer_id",
    timeline,
    validate,
    index(name = "renewals_by_customer", fields("customer_id", "due_on")),
    index(name = "renewals_by_status", fields("status", "due_on")),
    check(together("amount", "currency"))
)]
pub struct Renewal {
    /// The id.
    pub id: RenewalId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// What is renewed, 1 to 200 characters.
    #[field(line(200), search, mask = "[removed]")]
    pub subject: String,
    /// The local day by which it is decided.
    pub due_on: NaiveDate,
    /// Where it stands.
    pub status: RenewalStatus,
    /// What it is worth, zero or more, at most the currency's decimals.
    #[field(decimal(4))]
    pub amount: Option<Decimal>,
    /// ISO 4217.
    pub currency: Option<Currency>,
    /// When it was renewed or lost; set by the command.
    pub closed_at: Option<Instant>,
}

impl Renewal {
    /// A renewal that is yet to begin.
    pub fn new(customer: CustomerId, subject: impl Into<String>, due_on: NaiveDate) -> Self {
        Self {
            id: RenewalId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: customer,
            subject: subject.into(),
            due_on,
            status: RenewalStatus::Upcoming,
            amount: None,
            currency: None,
            closed_at: None,
        }
    }
}

impl Validate for Renewal {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let (Some(amount), Some(currency)) = (self.amount, &self.currency) {
            if let Err(error) = crate::format::amount(amount, currency) {
                errors.push(FieldError::new("amount", error.to_string()));
            }
            if amount < Decimal::ZERO {
                errors.push(FieldError::new("amount", format!("is {amount}; accepted is zero or more")));
            }
        }
        if self.closed_at.is_some() != self.status.is_closed() {
            errors.push(FieldError::new("closed_at", "is given exactly when the status is renewed or lost"));
        }
        errors
    }
}

impl TimelineSource for Renewal {
    fn entry(&self) -> Option<Entry> {
        let title = format!("Renewal: {} - {}", self.subject, self.status.code().replace('_', " "));
        let at = self.closed_at.unwrap_or(self.meta.created_at);
        let mut entry = Entry::new(at, ("customer", self.customer_id.0), title, "sync");
        entry.audience = Audience::Internal;
        entry.subtype = Some(self.status.code().to_owned());
        entry.amount = self.amount.zip(self.currency.as_ref().map(|currency| currency.code().to_owned()));
        Some(entry)
    }
}
