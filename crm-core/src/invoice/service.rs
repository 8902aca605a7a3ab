//! `crm.invoices()`.

use serde_json::json;

use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::Expect;
use crate::invoice::{
    Invoice, InvoiceId, InvoiceLine, InvoiceRefusal, IssueInvoice, NewInvoice, RecordInvoices, UpdateInvoice,
};
use crate::query::{Find, Page, Totals};
use crate::store::{Group, MAX_LIMIT};

/// Invoices: record, read, change, find, add up.
#[derive(Clone, Copy)]
pub struct Invoices<'a> {
    crm: &'a Crm,
}

/// An invoice and its lines by position.
#[derive(Clone, Debug, PartialEq)]
pub struct InvoiceWithLines {
    /// The invoice.
    pub invoice: Invoice,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
}

type Outcome<T> = Result<Done<T>, Error<InvoiceRefusal>>;

impl<'a> Invoices<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Records an invoice with its lines, as it was issued elsewhere or as a draft. One that counts adds to its customer's
    /// revenue and purchases, and brings whoever buys to a stage in which it is a customer, in the same commit.
    pub async fn record(&self, ctx: &Context, invoice: NewInvoice) -> Outcome<Invoice> {
        Ok(self.record_batch(ctx, vec![invoice]).await?.map(|mut list| list.remove(0)))
    }

    /// Records many invoices with their lines, all or none.
    pub async fn record_batch(&self, ctx: &Context, invoices: Vec<NewInvoice>) -> Outcome<Vec<Invoice>> {
        self.crm.run(ctx, &RecordInvoices { invoices }).await
    }

    /// Changes an invoice by a function over it, which is called again if others were faster.
    pub async fn update(
        &self,
        ctx: &Context,
        id: InvoiceId,
        expect: Expect,
        change: impl Fn(&mut Invoice) + Send + Sync,
    ) -> Outcome<Invoice> {
        self.crm.run(ctx, &UpdateInvoice { id, expect, change: &change }).await
    }

    /// Issues a draft, as of now. An organization must have a tax id.
    pub async fn issue(&self, ctx: &Context, id: InvoiceId, expect: Expect) -> Outcome<Invoice> {
        self.crm.run(ctx, &IssueInvoice { id, expect }).await
    }

    /// The invoice with its lines.
    pub async fn get(&self, ctx: &Context, id: InvoiceId) -> Result<InvoiceWithLines, Error> {
        let invoice = self.crm.get(ctx, id).await?;
        let of = json!({ "field": "invoice_id", "operator": "eq", "value": id });
        let lines =
            self.crm.find(ctx, &Find::matching(of).ascending("position").limit(MAX_LIMIT - 1)).await?.items;
        Ok(InvoiceWithLines { invoice, lines })
    }

    /// A page of the invoices that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Invoice>, Error> {
        self.crm.find(ctx, find).await
    }

    /// Counts and sums of invoices by group.
    pub async fn totals(&self, ctx: &Context, totals: &Totals) -> Result<Vec<Group>, Error> {
        self.crm.totals::<Invoice>(ctx, totals).await
    }
}
