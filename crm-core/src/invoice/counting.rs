//! What an invoice adds to its customer's purchases, and what a change of it takes back (SPEC LC-04).

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;

use crate::catalog::{Entity, system};
use crate::command::{Changes, Decline, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::customer::Customer;
use crate::invoice::{Invoice, InvoiceId, InvoiceRefusal, InvoiceStatus};
use crate::lifecycle::{PurchaseChange, Span, change_purchases, purchase_needs, revenue_currency};
use crate::record::{FieldError, Unreadable};
use crate::store::{Direction, Order, Query};
use crate::value::{Instant, Value};

const FIRST_LEFT: &str = "first purchase left";
const LAST_LEFT: &str = "last purchase left";

type Decision<T> = Result<T, Decline<InvoiceRefusal>>;

pub(super) fn live_invoice(id: InvoiceId, loaded: &Loaded) -> Decision<Invoice> {
    let missing = || Decline::NotFound("invoice", id.0);
    let invoice: Invoice = loaded.live(id)?.ok_or_else(missing)?;
    loaded.live::<Customer>(invoice.customer_id)?.ok_or_else(missing)?;
    Ok(invoice)
}

/// What a change of an invoice must know: what it was, and what becomes of the customer's purchases by it.
pub(super) fn change_needs(id: InvoiceId, loaded: &Loaded, change: &dyn Fn(&mut Invoice)) -> Vec<Need> {
    let mut needs = vec![Need::Records(Invoice::def(), vec![id.0])];
    if let Ok(Some(before)) = loaded.live::<Invoice>(id) {
        let mut after = before.clone();
        change(&mut after);
        needs.push(Need::Records(Customer::def(), vec![before.customer_id.0]));
        if before.counts() != after.counts() {
            needs.extend(purchase_needs(&[before.customer_id]));
        }
        if before.is_purchase() && !after.is_purchase() {
            needs.extend(left_needs(&before));
        }
    }
    needs
}

/// Changes an invoice, and with it what it adds to its customer's purchases.
pub(super) fn change(
    before: &Invoice,
    mut after: Invoice,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<Invoice> {
    let counted = before.counts() && after.counts();
    for (field, differs) in [
        ("total", before.total != after.total),
        ("issued_at", counted && before.issued_at != after.issued_at),
        ("exchange_rate", counted && before.exchange_rate != after.exchange_rate),
    ] {
        if differs {
            return Err(Decline::Refused(InvoiceRefusal::Fixed { id: before.id, field }));
        }
    }
    if before.counts() == after.counts() {
        after.base_total = before.base_total;
    } else {
        count(&mut after, loaded, changes)?;
    }
    let after = changes.update(before, &after)?;
    if after.meta.version == before.meta.version {
        return Ok(after);
    }
    changes.event(
        "invoice.updated",
        json!({ "invoice_id": after.id, "customer_id": after.customer_id, "status": after.status }),
    );
    if before.base_total != after.base_total {
        let mut purchases = PurchaseChange::default();
        let revenue = after.base_total.unwrap_or_default() - before.base_total.unwrap_or_default();
        purchases.add(revenue, bought(&after));
        if before.is_purchase() {
            purchases.take_back(left(loaded)?);
        }
        change_purchases(after.customer_id, purchases, loaded, changes)?;
    }
    Ok(after)
}

/// Fills in what an invoice that counts adds to its customer's revenue.
pub(super) fn count(invoice: &mut Invoice, loaded: &Loaded, changes: &Changes<'_>) -> Decision<()> {
    invoice.base_total = None;
    if !invoice.counts() {
        return Ok(());
    }
    let base = revenue_currency(invoice.customer_id, changes.context().tenant, loaded)?;
    let rate = match invoice.exchange_rate {
        Some(rate) if invoice.currency != base => rate,
        None if invoice.currency != base => {
            let (number, currency) = (invoice.number.clone(), invoice.currency.code());
            return Err(Decline::Refused(InvoiceRefusal::Rate { number, currency, base: base.code() }));
        }
        given if given.is_none_or(|rate| rate == Decimal::ONE) => Decimal::ONE,
        _ => {
            let why = format!("is not 1, and the invoice is in {}, as revenue is; leave it out", base.code());
            return Err(Decline::Invalid(vec![FieldError::new("exchange_rate", why)]));
        }
    };
    invoice.exchange_rate = Some(rate);
    let product = invoice.total.checked_mul(rate).map(|product| in_minor_units(product, base.minor_units()));
    invoice.base_total = Some(product.filter(|total| total.abs() < limit()).ok_or_else(|| {
        let why = "is too large in the currency of revenue; accepted is less than 10^15";
        vec![FieldError::new("total", why)]
    })?);
    Ok(())
}

/// When a purchase was made, if the invoice is one.
pub(super) fn bought(invoice: &Invoice) -> Option<Instant> {
    invoice.is_purchase().then_some(invoice.issued_at)
}

/// The first and the last purchase that are left without this one.
fn left_needs(without: &Invoice) -> Vec<Need> {
    let def = Invoice::def();
    let need = |name: &str, direction| {
        let leaf = |field: &str, test| Path::own(def, field).map(|path| Filter::leaf(path, test));
        let counted = InvoiceStatus::COUNTED.map(|status| Value::Text(status.code().to_owned())).to_vec();
        let this = Filter::leaf(Path::system(def, system::ID), Test::In(vec![Value::Id(without.id.0)]));
        let filter = leaf("customer_id", Test::In(vec![Value::Id(without.customer_id.0)]))?
            .and(leaf("status", Test::In(counted))?)
            .and(leaf("total", Test::Gt(Value::Decimal(Decimal::ZERO)))?)
            .and(Filter::Not(Box::new(this)))
            .and(Filter::undeleted(def));
        let order = vec![Order { path: Path::own(def, "issued_at")?, direction }];
        Some(Need::Find(name.to_owned(), Box::new(Query { order, ..Query::new(def, filter, 1) })))
    };
    [need(FIRST_LEFT, Direction::Ascending), need(LAST_LEFT, Direction::Descending)]
        .into_iter()
        .flatten()
        .collect()
}

/// When the purchases were made that are left; after [`left_needs`].
fn left(loaded: &Loaded) -> Result<Option<Span>, Unreadable> {
    let one = |name| loaded.all::<Invoice>(name).map(|found| found.first().map(|invoice| invoice.issued_at));
    Ok(one(FIRST_LEFT)?.zip(one(LAST_LEFT)?))
}

pub(super) fn in_minor_units(amount: Decimal, minor_units: u32) -> Decimal {
    amount.round_dp_with_strategy(minor_units, RoundingStrategy::MidpointNearestEven)
}

pub(super) fn limit() -> Decimal {
    Decimal::from(10_i64.pow(15))
}
