//! What becomes of renewals when their customer leaves (SPEC LC-11; seed 004, "Churn during renewal").

use serde_json::json;

use crate::catalog::Entity;
use crate::command::{Changes, Decline, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId};
use crate::renewal::{Renewal, RenewalStatus};
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

/// What must be loaded to know which renewals of a customer are upcoming or in progress.
pub(crate) fn active_renewals(customer: CustomerId) -> Option<Need> {
    let def = Renewal::def();
    let active = RenewalStatus::ACTIVE.map(|status| Value::Text(status.code().to_owned()));
    let filter = Filter::eq(def, "customer_id", Value::Id(customer.0))?
        .and(Filter::leaf(Path::own(def, "status")?, Test::In(active.to_vec())))
        .and(Filter::undeleted(def));
    Some(Need::Find(name(customer), Box::new(Query::new(def, filter, MAX_LIMIT))))
}

/// How many those are; after [`active_renewals`].
pub(super) fn active_count(customer: CustomerId, loaded: &Loaded) -> usize {
    loaded.list(&name(customer)).len()
}

/// Pauses the renewals of a customer who leaves, and alerts sales if there are any. Nothing resumes them when it comes
/// back. Call it with the customer's stage changed in the same commit: whoever opens a renewal meanwhile changes the
/// customer's lifecycle too, and so one of the two is decided again.
pub(crate) fn pause_renewals<R>(
    customer: &Customer,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Result<(), Decline<R>> {
    let mut paused = Vec::new();
    for before in loaded.all::<Renewal>(&name(customer.id))? {
        let after = Renewal { status: RenewalStatus::Paused, ..before.clone() };
        let after = changes.update(&before, &after)?;
        changes.event("renewal.paused", super::commands::ids(&after, Some(before.status)));
        paused.push(after.id);
    }
    if !paused.is_empty() {
        changes.event(
            "sales.alerted",
            json!({
                "reason": "churn_during_renewal",
                "customer_id": customer.id,
                "owner_id": customer.owner_id,
                "renewal_ids": paused,
            }),
        );
    }
    Ok(())
}

fn name(customer: CustomerId) -> String {
    format!("active renewals of {customer}")
}
