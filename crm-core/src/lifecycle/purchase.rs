//! What a customer's invoices make of its lifecycle (SPEC LC-04).

use rust_decimal::Decimal;
use serde_json::json;

use crate::catalog::Entity;
use crate::command::{Changes, Decline, Loaded, Need};
use crate::customer::{Customer, CustomerId, live_customer};
use crate::format::Currency;
use crate::id::TenantId;
use crate::journey::{Milestone, MilestoneType, Reached, reached_needs};
use crate::lifecycle::step::{Step, follow_stage, take_step, way_to_customer};
use crate::lifecycle::{
    CustomerLifecycle, StageCategory, StageTrigger, live_stages, live_transitions, stage_needs,
    transition_needs,
};
use crate::record::FieldError;
use crate::value::Instant;

/// The first and the last instant of some purchases.
pub(crate) type Span = (Instant, Instant);

/// What changes of one customer's purchases in one commit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PurchaseChange {
    /// How much revenue is added, in the lifecycle's currency; negative when it is taken back.
    pub(crate) revenue: Decimal,
    /// How many purchases are added; negative when they are taken back.
    pub(crate) count: i64,
    /// When the added ones were made.
    pub(crate) bought: Option<Span>,
    /// What becomes of those that were there.
    pub(crate) earlier: Earlier,
}

/// What becomes of purchases that were there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Earlier {
    /// All of them stay.
    #[default]
    Stay,
    /// Of some that were taken back, these are left, if any.
    Left(Option<Span>),
}

impl PurchaseChange {
    /// Adds revenue, and a purchase if the invoice is one.
    pub(crate) fn add(&mut self, revenue: Decimal, bought: Option<Instant>) {
        self.revenue += revenue;
        if let Some(at) = bought {
            self.count += 1;
            self.bought = Some(self.bought.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
    }

    /// Takes a purchase back, of which these are left.
    pub(crate) fn take_back(&mut self, left: Option<Span>) {
        self.count -= 1;
        self.earlier = Earlier::Left(left);
    }
}

/// What must be known of customers before their purchases change.
pub(crate) fn purchase_needs(customers: &[CustomerId]) -> Vec<Need> {
    let ids: Vec<_> = customers.iter().map(|customer| customer.0).collect();
    let mut needs =
        vec![Need::Records(Customer::def(), ids.clone()), Need::Records(CustomerLifecycle::def(), ids)];
    needs.extend(stage_needs());
    needs.extend(transition_needs());
    needs.extend(reached_needs(customers));
    needs
}

/// The currency that a customer's revenue is in: the tenant's, from the first purchase on the one it was then.
pub(crate) fn revenue_currency<R>(
    customer: CustomerId,
    tenant: TenantId,
    loaded: &Loaded,
) -> Result<Currency, Decline<R>> {
    let tenants = loaded.settings(tenant)?.currency;
    Ok(lifecycle_of(customer, loaded)?.currency.unwrap_or(tenants))
}

/// Changes a customer's purchases: revenue, count, dates and the milestone of the first; whoever buys becomes a
/// customer, along the listed transitions.
pub(crate) fn change_purchases<R>(
    id: CustomerId,
    change: PurchaseChange,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Result<(), Decline<R>> {
    let customer = live_customer(id, loaded)?;
    let before = lifecycle_of(id, loaded)?;
    let mut after = before.clone();
    after.total_revenue += change.revenue;
    after.purchase_count += change.count;
    after.currency = Some(revenue_currency(id, changes.context().tenant, loaded)?);
    let zone = loaded.settings(changes.context().tenant)?.tz();
    let day = |at: Instant| at.with_timezone(&zone).date_naive();
    let days = |span: Option<Span>| span.map(|(first, last)| (day(first), day(last))).unzip();
    if let Earlier::Left(left) = change.earlier {
        (after.first_purchase_date, after.last_purchase_date) = days(left);
    }
    let (first, last) = days(change.bought);
    after.first_purchase_date = earlier(after.first_purchase_date, first);
    after.last_purchase_date = after.last_purchase_date.max(last);
    let mut reached = Reached::of(loaded)?;
    keep_first(&before, change, &mut reached, changes)?;
    if let Some((_, bought_last)) = change.bought {
        become_customer(&customer, &mut after, bought_last, &mut reached, loaded, changes)?;
    }
    let after = changes.update(&before, &after).map_err(|errors| of_customer(errors, id))?;
    if after.meta.version != before.meta.version {
        changes.event("lifecycle.purchases_changed", json!({ "customer_id": id }));
    }
    Ok(())
}

/// Keeps the milestone of the first purchase at the first of those that count. One that was deleted by hand is not
/// reached again by a later purchase.
fn keep_first<R>(
    lifecycle: &CustomerLifecycle,
    change: PurchaseChange,
    reached: &mut Reached,
    changes: &mut Changes<'_>,
) -> Result<(), Decline<R>> {
    let id = lifecycle.customer_id;
    let known = reached.once(id, MilestoneType::FirstPurchase).cloned();
    let before = match change.earlier {
        Earlier::Left(left) => left.map(|(first, _)| first),
        Earlier::Stay => known.as_ref().map(|known| known.occurred_at),
    };
    match (known, earlier(before, change.bought.map(|(first, _)| first))) {
        (None, Some(_)) if lifecycle.purchase_count > 0 && matches!(change.earlier, Earlier::Stay) => {}
        (None, Some(at)) => {
            reached.reach(Milestone::new(id, MilestoneType::FirstPurchase, at), changes)?;
        }
        (Some(known), Some(at)) if known.occurred_at != at => {
            changes.update(&known, &Milestone { occurred_at: at, ..known.clone() })?;
        }
        (Some(known), None) => {
            changes.delete_record(&known.to_record());
            changes.event("milestone.withdrawn", json!({ "milestone_id": known.id, "customer_id": id }));
        }
        _ => {}
    }
    Ok(())
}

/// Brings whoever buys, and is no customer yet or no longer, along the listed transitions to the nearest stage in which
/// it is one. Where none leads there, it stays; what it bought before it left does not bring it back.
fn become_customer<R>(
    customer: &Customer,
    lifecycle: &mut CustomerLifecycle,
    bought: Instant,
    reached: &mut Reached,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Result<(), Decline<R>> {
    let stages = live_stages(loaded)?.unwrap_or_default();
    let Some(from) = stages.iter().find(|stage| stage.id == lifecycle.current_stage_id) else {
        return Ok(());
    };
    if from.category == StageCategory::PostCustomer && bought < lifecycle.entered_stage_at {
        return Ok(());
    }
    let transitions = live_transitions(loaded)?;
    let Some(way) = way_to_customer(from, &stages, &transitions).filter(|way| way.len() > 1) else {
        return Ok(());
    };
    for pair in way.windows(2) {
        let reason = Some("purchase".to_owned());
        let step = Step { from: pair[0], to: pair[1], reason, trigger: StageTrigger::Rule };
        take_step(lifecycle, &step, reached, changes)?;
    }
    follow_stage(customer, way[way.len() - 1], changes)?;
    Ok(())
}

fn lifecycle_of<R>(customer: CustomerId, loaded: &Loaded) -> Result<CustomerLifecycle, Decline<R>> {
    loaded.live(customer)?.ok_or(Decline::NotFound("customer_lifecycle", customer.0))
}

/// Says whose lifecycle would be wrong: many invoices may be of many customers.
fn of_customer(errors: Vec<FieldError>, id: CustomerId) -> Vec<FieldError> {
    let named =
        |error: FieldError| FieldError { field: format!("lifecycle of {id}.{}", error.field), ..error };
    errors.into_iter().map(named).collect()
}

fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
