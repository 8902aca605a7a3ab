//! What can be done with invoices, as pure decisions.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{Customer, Expect, at_place, input_of, live_customer};
use crate::invoice::{Invoice, InvoiceId, InvoiceLine};
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
    /// A recorded invoice keeps its total, the sum of its lines.
    #[error(
        "the total of invoice {0} is the sum of its lines and stays as it is; void it and record another"
    )]
    Fixed(InvoiceId),
}

impl Refusal for InvoiceRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Total { .. } => "invoice_total",
            Self::Fixed(_) => "invoice_fixed",
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
    /// The invoices. With all lines they count at most [`MAX_WRITES`](crate::store::MAX_WRITES) records.
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

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(
            Customer::def(),
            self.invoices.iter().map(|new| new.invoice.customer_id.0).collect(),
        )]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut recorded = Vec::with_capacity(self.invoices.len());
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
            let invoice = changes.insert(&invoice).map_err(|errors| at_place(errors, place, of))?;
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
        Ok(recorded)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let ids = written.iter().filter(|(entity, ..)| entity == "invoice");
        ids.map(|(_, id, _)| loaded.get(InvoiceId(*id)).ok().flatten()).collect()
    }
}

/// Quantity times price in the currency's minor unit, half to even.
fn line_amount(line: &InvoiceLine, minor_units: u32) -> Option<Decimal> {
    let product = line.quantity.checked_mul(line.unit_price)?;
    let amount = product.round_dp_with_strategy(minor_units, RoundingStrategy::MidpointNearestEven);
    (amount.abs() < Decimal::from(10_i64.pow(15))).then_some(amount)
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

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Invoice::def(), vec![self.id.0])];
        if let Ok(Some(invoice)) = loaded.live::<Invoice>(self.id) {
            needs.push(Need::Records(Customer::def(), vec![invoice.customer_id.0]));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let missing = || Decline::NotFound("invoice", self.id.0);
        let before: Invoice = loaded.live(self.id)?.ok_or_else(missing)?;
        loaded.live::<Customer>(before.customer_id)?.ok_or_else(missing)?;
        self.expect.check("invoice", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        if after.total != before.total {
            return Err(Decline::Refused(InvoiceRefusal::Fixed(self.id)));
        }
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event(
                "invoice.updated",
                json!({ "invoice_id": after.id, "customer_id": after.customer_id, "status": after.status }),
            );
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}
