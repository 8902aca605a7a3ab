//! What can be done with invoices, as pure decisions.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::account::Account;
use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{CustomerId, CustomerType, Expect, at_place, input_of, live_customer};
use crate::invoice::counting::{bought, change, change_needs, count, in_minor_units, limit, live_invoice};
use crate::invoice::{Invoice, InvoiceId, InvoiceLine, InvoiceStatus};
use crate::lifecycle::{PurchaseChange, change_purchases, purchase_needs};
use crate::policy::Action;
use crate::record::FieldError;

/// Why an invoice is not recorded or changed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceRefusal {
    /// The total is not the sum of the lines.
    #[error(
        "invoice {number} has the total {total}, and its lines add up to {lines}; correct one of the two"
    )]
    Total {
        /// The invoice's number.
        number: String,
        /// The total given.
        total: Decimal,
        /// The sum of the lines.
        lines: Decimal,
    },
    /// A recorded invoice keeps its total, the sum of its lines; one that counts also its date and exchange rate.
    #[error(
        "invoice {id} keeps its {field}: the total always, date and exchange rate while it counts; void it and record \
         another"
    )]
    Fixed {
        /// The invoice.
        id: InvoiceId,
        /// What was to change.
        field: &'static str,
    },
    /// The invoice counts, is in another currency than the customer's revenue, and has no exchange rate.
    #[error(
        "invoice {number} is in {currency} and revenue is in {base}: give exchange_rate, how many {base} one {currency} was \
         worth when it was issued"
    )]
    Rate {
        /// The invoice's number.
        number: String,
        /// Its currency.
        currency: &'static str,
        /// The currency of the customer's revenue.
        base: &'static str,
    },
    /// Only a draft is issued.
    #[error("invoice {number} is {status}; only a draft is issued")]
    NotDraft {
        /// The invoice's number.
        number: String,
        /// Where it stands.
        status: &'static str,
    },
    /// An organization without a tax id is not invoiced.
    #[error("the organization {0} has no tax id; add it to its account, then issue the invoice")]
    TaxId(CustomerId),
}

impl Refusal for InvoiceRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Total { .. } => "invoice_total",
            Self::Fixed { .. } => "invoice_fixed",
            Self::Rate { .. } => "invoice_exchange_rate",
            Self::NotDraft { .. } => "invoice_not_draft",
            Self::TaxId(_) => "missing_tax_id",
        }
    }
}

type Decision<T> = Result<T, Decline<InvoiceRefusal>>;

/// An invoice with its lines, as it is handed in.
#[derive(Clone, Debug)]
pub struct NewInvoice {
    /// The invoice. A total of zero is computed from the lines.
    pub invoice: Invoice,
    /// The lines in their order; `invoice_id`, `position` and `amount` are filled in.
    pub lines: Vec<InvoiceLine>,
}

/// Records invoices with their lines, all or none.
#[derive(Clone, Debug)]
pub struct RecordInvoices {
    /// The invoices. Each is a record, as is each line; each customer who has counted ones adds its lifecycle and, as
    /// needed, itself, its first purchase and each step to the stage of customers: six by the default stages. Together
    /// they are at most [`MAX_WRITES`](crate::store::MAX_WRITES).
    pub invoices: Vec<NewInvoice>,
}

impl Command for RecordInvoices {
    type Output = Vec<Invoice>;
    type Refusal = InvoiceRefusal;

    fn name(&self) -> &'static str {
        "invoices.record"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "invoice")
    }

    fn input(&self) -> Json {
        let lines = |new: &NewInvoice| new.lines.iter().map(input_of).collect::<Json>();
        self.invoices.iter().map(|new| json!([input_of(&new.invoice), lines(new)])).collect()
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customers: BTreeSet<_> = self.invoices.iter().map(|new| new.invoice.customer_id).collect();
        purchase_needs(&customers.into_iter().collect::<Vec<_>>())
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut recorded = Vec::with_capacity(self.invoices.len());
        let mut purchases = BTreeMap::<CustomerId, PurchaseChange>::new();
        for (place, new) in self.invoices.iter().enumerate() {
            let of = self.invoices.len();
            live_customer(new.invoice.customer_id, loaded)?;
            let mut invoice = new.invoice.clone();
            let mut lines = new.lines.clone();
            let mut sum = Decimal::ZERO;
            for (line, position) in lines.iter_mut().zip(1..) {
                line.position = position;
                line.amount = line_amount(line, invoice.currency.minor_units())
                    .ok_or_else(|| {
                        let field = format!("lines[{}].unit_price", position - 1);
                        vec![FieldError::new(
                            field,
                            "times quantity is too large; accepted is less than 10^15",
                        )]
                    })
                    .map_err(|errors| at_place(errors, place, of))?;
                sum += line.amount;
            }
            if !lines.is_empty() {
                if invoice.total.is_zero() {
                    invoice.total = sum;
                } else if invoice.total != sum {
                    let (number, total) = (invoice.number, invoice.total);
                    return Err(Decline::Refused(InvoiceRefusal::Total { number, total, lines: sum }));
                }
            }
            count(&mut invoice, loaded, changes).map_err(|declined| match declined {
                Decline::Invalid(errors) => Decline::Invalid(at_place(errors, place, of)),
                other => other,
            })?;
            let invoice = changes.insert(&invoice).map_err(|errors| at_place(errors, place, of))?;
            if let Some(revenue) = invoice.base_total {
                purchases.entry(invoice.customer_id).or_default().add(revenue, bought(&invoice));
            }
            changes.event(
                "invoice.recorded",
                json!({ "invoice_id": invoice.id, "customer_id": invoice.customer_id, "status": invoice.status }),
            );
            for mut line in lines {
                line.invoice_id = invoice.id;
                changes.insert(&line).map_err(|errors| {
                    let field = |error: FieldError| FieldError {
                        field: format!("lines[{}].{}", line.position - 1, error.field),
                        ..error
                    };
                    at_place(errors.into_iter().map(field).collect(), place, of)
                })?;
            }
            recorded.push(invoice);
        }
        for (customer, change) in purchases {
            change_purchases(customer, change, loaded, changes)?;
        }
        Ok(recorded)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let ids = written.iter().filter(|(entity, ..)| entity == "invoice");
        ids.map(|(_, id, _)| loaded.get(InvoiceId(*id)).ok().flatten()).collect()
    }
}

/// Quantity times price in the currency's minor unit, half to even.
fn line_amount(line: &InvoiceLine, minor_units: u32) -> Option<Decimal> {
    let amount = in_minor_units(line.quantity.checked_mul(line.unit_price)?, minor_units);
    (amount.abs() < limit()).then_some(amount)
}

/// Changes one invoice by a function over it: its status, what was paid, the day it is due.
pub struct UpdateInvoice<'f> {
    /// The invoice.
    pub id: InvoiceId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Invoice) + Send + Sync),
}

impl Command for UpdateInvoice<'_> {
    type Output = Invoice;
    type Refusal = InvoiceRefusal;

    fn name(&self) -> &'static str {
        "invoices.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "invoice")
    }

    fn input(&self) -> Json {
        let mut sample = Invoice::sample();
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        change_needs(self.id, loaded, self.change)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_invoice(self.id, loaded)?;
        self.expect.check("invoice", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        change(&before, after, loaded, changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Issues a draft, as of now. An organization must have a tax id (SPEC CM-10); invoices that were issued elsewhere are
/// [recorded](RecordInvoices) as they are.
#[derive(Clone, Copy, Debug)]
pub struct IssueInvoice {
    /// The invoice.
    pub id: InvoiceId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for IssueInvoice {
    type Output = Invoice;
    type Refusal = InvoiceRefusal;

    fn name(&self) -> &'static str {
        "invoices.issue"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "invoice")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = change_needs(self.id, loaded, &|invoice| invoice.status = InvoiceStatus::Issued);
        if let Ok(Some(invoice)) = loaded.live::<Invoice>(self.id) {
            needs.push(Need::Records(Account::def(), vec![invoice.customer_id.0]));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_invoice(self.id, loaded)?;
        self.expect.check("invoice", self.id.0, before.meta.version)?;
        if before.status != InvoiceStatus::Draft {
            let (number, status) = (before.number, before.status.code());
            return Err(Decline::Refused(InvoiceRefusal::NotDraft { number, status }));
        }
        let customer = live_customer(before.customer_id, loaded)?;
        if customer.r#type == CustomerType::Organization {
            let account =
                loaded.live::<Account>(before.customer_id)?.filter(|account| account.tax_id.is_some());
            let missing = || Decline::Refused(InvoiceRefusal::TaxId(before.customer_id));
            changes.guard_version(&account.ok_or_else(missing)?.to_record());
        }
        let after = Invoice { status: InvoiceStatus::Issued, issued_at: changes.now(), ..before.clone() };
        change(&before, after, loaded, changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}
