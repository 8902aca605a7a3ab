//! What is shown of a customer as a whole.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::account::Account;
use crate::address::Address;
use crate::contact::Contact;
use crate::customer::Customer;
use crate::directory::User;
use crate::format::Currency;
use crate::interaction::Interaction;
use crate::invoice::Invoice;
use crate::journey::Milestone;
use crate::lifecycle::{CustomerLifecycle, LifecycleStage};
use crate::profile::PanelError;
use crate::score::CurrentScore;
use crate::segment::Segment;
use crate::store::Group;
use crate::value::{Instant, Value};

/// Everything that is known of a customer (SPEC TL-05; seed 004, "Customer 360 View Patterns"), as far as the actor may
/// see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer360 {
    /// The customer.
    pub customer: Customer,
    /// Who looks after it.
    pub owner: Option<User>,
    /// Its account, if it is an organization that has one.
    pub account: Option<Account>,
    /// Its addresses, the default ones first, at most 100.
    pub addresses: Vec<Address>,
    /// Its contacts, the primary one first, then those of other customers that have a role here; at most 1,000 of each.
    pub people: Vec<Person>,
    /// Where it stands, with what it has bought.
    pub lifecycle: Option<CustomerLifecycle>,
    /// The stage it is in.
    pub stage: Option<LifecycleStage>,
    /// Its scores of all types.
    pub scores: Vec<CurrentScore>,
    /// What it has reached, newest first, at most 20.
    pub milestones: Vec<Milestone>,
    /// The active segments it is in now, by name.
    pub segments: Vec<Segment>,
    /// What it owes and has been billed.
    pub financial: Financial,
    /// How one is in touch with it.
    pub touches: Touches,
    /// What other systems know of it, by the name of the [`Panel`](crate::profile::Panel).
    pub panels: BTreeMap<String, Result<Json, PanelError>>,
    /// What somebody should look after.
    pub warnings: Vec<ProfileWarning>,
    /// The entities whose records are left out, because the actor may not read them.
    pub withheld: Vec<&'static str>,
    /// The instant that all of it is of.
    pub as_of: Instant,
}

/// A person to turn to.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The contact.
    pub contact: Contact,
    /// What it is to this customer, if it is a contact of another one.
    pub role: Option<String>,
}

/// What a customer owes and has been billed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Financial {
    /// Whether something is to be paid, and late.
    pub status: PaymentStatus,
    /// What is still to be paid of invoices, by currency; credit notes are left out.
    pub outstanding: Vec<Outstanding>,
    /// The last five invoices, newest first.
    pub recent: Vec<Invoice>,
}

/// What is still to be paid in a currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Outstanding {
    /// ISO 4217.
    pub currency: Currency,
    /// The totals less what was paid of them.
    pub amount: Decimal,
    /// How many invoices.
    pub invoices: i64,
    /// The earliest day that one of them is due.
    pub due_on: Option<NaiveDate>,
}

crate::codes! {
    /// How a customer pays.
    pub enum PaymentStatus: ordered {
        /// It has no invoice yet.
        #[default]
        None = "none",
        /// Everything is paid.
        Settled = "settled",
        /// Something is to be paid.
        Open = "open",
        /// Something should have been paid by now.
        Overdue = "overdue",
    }
}

/// How one is in touch with a customer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Touches {
    /// When the last interaction took place.
    pub last_at: Option<Instant>,
    /// How many took place in the last 30 days.
    pub last_30_days: i64,
    /// The last five, newest first.
    pub latest: Vec<Interaction>,
}

/// What somebody should look after.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileWarning {
    /// An organization has nobody to turn to (SPEC CM-10).
    NoContacts,
}

impl ProfileWarning {
    /// A name for programs, stable across versions.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoContacts => "organization_without_contacts",
        }
    }
}

impl Financial {
    /// From the last invoices and the open ones by currency: how many, totals, payments, earliest day due.
    pub(super) fn of(recent: Vec<Invoice>, open: &[Group], today: NaiveDate) -> Self {
        let owed = |of: &Outstanding| !of.amount.is_zero();
        let outstanding: Vec<Outstanding> = open.iter().filter_map(outstanding).filter(owed).collect();
        let late = |open: &Outstanding| open.due_on.is_some_and(|due| due < today);
        let status = if outstanding.iter().any(late) {
            PaymentStatus::Overdue
        } else if !outstanding.is_empty() {
            PaymentStatus::Open
        } else if recent.is_empty() {
            PaymentStatus::None
        } else {
            PaymentStatus::Settled
        };
        Self { status, outstanding, recent }
    }
}

fn outstanding(group: &Group) -> Option<Outstanding> {
    let currency = Currency::parse(group.by.first()?.as_text()?).ok()?;
    match group.measures.as_slice() {
        [Value::Int(invoices), Value::Decimal(total), Value::Decimal(paid), due] => Some(Outstanding {
            currency,
            amount: total - paid,
            invoices: *invoices,
            due_on: if let Value::Date(due) = due { Some(*due) } else { None },
        }),
        _ => None,
    }
}
