//! Invoices with their lines (SPEC TL-06, TL-08).

mod commands;
mod counting;
mod entity;
mod service;

pub use commands::{InvoiceRefusal, IssueInvoice, NewInvoice, RecordInvoices, UpdateInvoice};
pub use entity::{Invoice, InvoiceId, InvoiceLine, InvoiceLineId, InvoiceStatus};
pub use service::{InvoiceWithLines, Invoices};
