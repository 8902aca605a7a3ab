//! The invoice and its lines.

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
    /// The id of an [`Invoice`].
    InvoiceId
}
record_id! {
    /// The id of an [`InvoiceLine`].
    InvoiceLineId
}

crate::codes! {
    /// Where an invoice stands.
    pub enum InvoiceStatus {
        /// Being written.
        #[default]
        Draft = "draft",
        /// Sent to the customer.
        Issued = "issued",
        /// Paid in part.
        PartlyPaid = "partly_paid",
        /// Paid.
        Paid = "paid",
        /// Taken back.
        Void = "void",
        /// Given up.
        WrittenOff = "written_off",
    }
}

/// An invoice to a customer.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "invoice",
    table = "invoices",
    root = "customer_id",
    timeline,
    validate,
    unique(name = "invoice_number_once", fields("number")),
    index(name = "invoices_by_customer", fields("customer_id", "issued_at")),
    index(name = "invoices_by_status", fields("status", "due_on"))
)]
pub struct Invoice {
    /// The id.
    pub id: InvoiceId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// The number that is printed on it, 1 to 50 characters; unique for the tenant.
    #[field(line(50), keep, search)]
    pub number: String,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// When it was issued.
    pub issued_at: Instant,
    /// The day it is due.
    pub due_on: Option<NaiveDate>,
    /// ISO 4217; all amounts of the invoice are in it.
    #[field(frozen)]
    pub currency: Currency,
    /// The sum of its lines, in the currency, at most its minor unit's decimals; negative for a credit note.
    #[field(decimal(4))]
    pub total: Decimal,
    /// How much of the base currency one unit of the invoice's was worth when it was issued, above zero; 1 unless given
    /// where the two are the same. The base currency is the tenant's, at the customer's first purchase.
    #[field(decimal(10))]
    pub exchange_rate: Option<Decimal>,
    /// The total in the base currency at that rate, rounded to its minor unit, half to even; derived, and there as long
    /// as the invoice counts (SPEC LC-04).
    #[field(decimal(4))]
    pub base_total: Option<Decimal>,
    /// What was paid of it: between zero and the total.
    #[field(decimal(4))]
    pub amount_paid: Decimal,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "invoice_line",
    table = "invoice_lines",
    root = "invoice_id.customer_id",
    unique(name = "invoice_line_position", fields("invoice_id", "position"))
)]
pub struct InvoiceLine {
    /// The id.
    pub id: InvoiceLineId,
    /// Version and instants.
    pub meta: Meta,
    /// The invoice.
    #[field(link = "invoice", frozen)]
    pub invoice_id: InvoiceId,
    /// The place on the invoice, from 1.
    #[field(int(1, 100_000))]
    pub position: i64,
    /// What was sold, 1 to 500 characters.
    #[field(line(500), keep)]
    pub description: String,
    /// How many.
    #[field(decimal(4))]
    pub quantity: Decimal,
    /// The price of one, in the invoice's currency.
    #[field(decimal(6))]
    pub unit_price: Decimal,
    /// The amount of the line: quantity times price, rounded to the currency's minor unit, half to even.
    #[field(decimal(4))]
    pub amount: Decimal,
}

impl Validate for Invoice {
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (field, amount) in [("total", self.total), ("amount_paid", self.amount_paid)] {
            if let Err(error) = crate::format::amount(amount, &self.currency) {
                errors.push(FieldError::new(field, error.to_string()));
            }
        }
        if self.exchange_rate.is_some_and(|rate| rate <= Decimal::ZERO) {
            errors.push(FieldError::new("exchange_rate", "is not above zero"));
        }
        let zero = Decimal::ZERO;
        let (least, most) = (self.total.min(zero), self.total.max(zero));
        if self.amount_paid < least || self.amount_paid > most {
            errors.push(FieldError::new("amount_paid", format!("is not between {least} and {most}")));
        }
        errors
    }
}

impl InvoiceStatus {
    /// Those of invoices that count towards the customer's revenue.
    pub const COUNTED: [Self; 3] = [Self::Issued, Self::PartlyPaid, Self::Paid];
}

impl TimelineSource for Invoice {
    fn entry(&self) -> Option<Entry> {
        if self.status == InvoiceStatus::Draft {
            return None;
        }
        let places = self.currency.minor_units() as usize;
        let title = format!("Invoice {} - {:.places$} {}", self.number, self.total, self.currency.code());
        let mut entry = Entry::new(self.issued_at, ("customer", self.customer_id.0), title, "file-invoice");
        entry.audience = Audience::External;
        entry.subtype = Some(self.status.code().to_owned());
        entry.amount = Some((self.total, self.currency.code().to_owned()));
        Some(entry)
    }
}

impl Invoice {
    /// An issued invoice of nothing, to be filled in with struct update syntax.
    pub fn issued(customer: CustomerId, number: impl Into<String>, at: Instant, currency: Currency) -> Self {
        Self { customer_id: customer, number: number.into(), issued_at: at, currency, ..Self::sample() }
    }

    /// Whether it adds to the customer's revenue: issued, paid in part or paid (SPEC LC-04).
    pub fn counts(&self) -> bool {
        InvoiceStatus::COUNTED.contains(&self.status)
    }

    /// Whether it is a purchase: it counts and is of more than nothing, so is no credit note.
    pub fn is_purchase(&self) -> bool {
        self.counts() && self.total > Decimal::ZERO
    }

    pub(crate) fn sample() -> Self {
        Self {
            id: InvoiceId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: CustomerId(uuid::Uuid::nil()),
            number: String::new(),
            status: InvoiceStatus::Issued,
            issued_at: Instant::UNIX_EPOCH,
            due_on: None,
            currency: Currency::USD,
            total: Decimal::ZERO,
            exchange_rate: None,
            base_total: None,
            amount_paid: Decimal::ZERO,
        }
    }
}

impl InvoiceLine {
    /// A line of an invoice that is about to be recorded.
    pub fn new(description: impl Into<String>, quantity: Decimal, unit_price: Decimal) -> Self {
        Self {
            id: InvoiceLineId(uuid::Uuid::nil()),
            meta: Meta::default(),
            invoice_id: InvoiceId(uuid::Uuid::nil()),
            position: 1,
            description: description.into(),
            quantity,
            unit_price,
            amount: Decimal::ZERO,
        }
    }
}
