//! A customer's step from one stage to the next, whoever asked for it (SPEC LC-02, LC-03).

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::Changes;
use crate::customer::{Customer, CustomerStatus};
use crate::directory::UserId;
use crate::journey::{Milestone, Reached};
use crate::lifecycle::{
    CustomerLifecycle, LifecycleHistory, LifecycleHistoryId, LifecycleStage, StageCategory, StageTransition,
    StageTrigger,
};
use crate::record::{FieldError, Meta};

/// Where a customer goes, why, and what makes it go.
pub(super) struct Step<'a> {
    pub(super) from: &'a LifecycleStage,
    pub(super) to: &'a LifecycleStage,
    pub(super) reason: Option<String>,
    pub(super) trigger: StageTrigger,
}

/// Takes a step: history, events and milestone are written, `lifecycle` is changed for the caller to write.
pub(super) fn take_step(
    lifecycle: &mut CustomerLifecycle,
    step: &Step<'_>,
    reached: &mut Reached,
    changes: &mut Changes<'_>,
) -> Result<(), Vec<FieldError>> {
    let (customer, Step { from, to, .. }) = (lifecycle.customer_id, step);
    changes.guard_live(LifecycleStage::def(), to.id.0);
    lifecycle.previous_stage_id = Some(from.id);
    lifecycle.current_stage_id = to.id;
    lifecycle.entered_stage_at = changes.now();
    lifecycle.stage_changes += 1;
    changes.insert(&LifecycleHistory {
        id: LifecycleHistoryId(Uuid::nil()),
        meta: Meta::default(),
        customer_id: customer,
        sequence: lifecycle.stage_changes,
        from_stage_id: Some(from.id),
        to_stage_id: to.id,
        from_stage: Some(from.name.clone()),
        to_stage: to.name.clone(),
        to_category: to.category,
        changed_at: lifecycle.entered_stage_at,
        changed_by: changes.context().user_id().map(UserId),
        reason: step.reason.clone(),
        trigger: step.trigger,
    })?;
    changes.event(
        "lifecycle.stage_changed",
        json!({
            "customer_id": customer,
            "from_stage_id": from.id, "from": from.name,
            "to_stage_id": to.id, "to": to.name,
            "trigger": step.trigger,
        }),
    );
    if to.category == StageCategory::PostCustomer && reached.has_won_back(customer) {
        lifecycle.is_re_churned = true;
        changes.event("lifecycle.re_churned", json!({ "customer_id": customer }));
    }
    if let Some(milestone) = to.milestone {
        reached.reach(Milestone::new(customer, milestone, changes.now()), changes)?;
    }
    Ok(())
}

/// Gives the customer the status of its stage, unless it was put aside by hand.
pub(super) fn follow_stage(
    customer: &Customer,
    stage: &LifecycleStage,
    changes: &mut Changes<'_>,
) -> Result<(), Vec<FieldError>> {
    let status = stage.category.status();
    if customer.status == CustomerStatus::Inactive || customer.status == status {
        changes.guard_version(&customer.to_record());
        return Ok(());
    }
    changes.update(customer, &Customer { status, ..customer.clone() })?;
    changes.event("customer.updated", json!({ "customer_id": customer.id }));
    Ok(())
}

/// The stages on the shortest way along listed transitions that take no approval, from one stage to the nearest in which customers are
/// customers, first and last included, never by leaving; of ways of the same length the one through lower stages. `None`
/// when there is no way.
pub(super) fn way_to_customer<'a>(
    from: &'a LifecycleStage,
    stages: &'a [LifecycleStage],
    transitions: &[StageTransition],
) -> Option<Vec<&'a LifecycleStage>> {
    let free: Vec<_> = transitions.iter().filter(|transition| !transition.requires_approval).collect();
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from.id]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last.category == StageCategory::Customer {
            return Some(way);
        }
        let listed =
            |to: &LifecycleStage| free.iter().any(|t| t.from_stage_id == last.id && t.to_stage_id == to.id);
        let open = |stage: &&LifecycleStage| {
            stage.is_active && stage.category != StageCategory::PostCustomer && listed(stage)
        };
        for next in stages.iter().filter(open) {
            if seen.insert(next.id) {
                ways.push_back(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{StageId, StageTransitionId};

    fn stage(n: u128, category: StageCategory) -> LifecycleStage {
        let id = StageId(Uuid::from_u128(n));
        LifecycleStage { id, ..LifecycleStage::new(n.to_string(), category, n as i64) }
    }

    fn listed(pairs: &[(u128, u128)]) -> Vec<StageTransition> {
        let id = |n| StageId(Uuid::from_u128(n));
        let transition = |(from, to): &(u128, u128)| StageTransition {
            id: StageTransitionId(Uuid::from_u128(from << 64 | to)),
            meta: Meta::default(),
            from_stage_id: id(*from),
            to_stage_id: id(*to),
            requires_approval: false,
        };
        pairs.iter().map(transition).collect()
    }

    fn way(from: usize, stages: &[LifecycleStage], pairs: &[(u128, u128)]) -> Option<Vec<i64>> {
        let way = way_to_customer(&stages[from], stages, &listed(pairs))?;
        Some(way.iter().map(|stage| stage.display_order).collect())
    }

    #[test]
    fn lc_04_the_shortest_listed_way_leads_to_the_nearest_customer_stage() {
        use StageCategory::{Customer, PostCustomer, PreCustomer};
        let mut stages = vec![
            stage(0, PreCustomer),
            stage(1, PreCustomer),
            stage(2, PreCustomer),
            stage(3, Customer),
            stage(4, PostCustomer),
        ];
        assert_eq!(way(0, &stages, &[(0, 1), (1, 2), (2, 3)]), Some(vec![0, 1, 2, 3]));
        assert_eq!(way(0, &stages, &[(0, 1), (1, 0), (1, 2), (2, 3), (0, 2)]), Some(vec![0, 2, 3]));
        assert_eq!(way(0, &stages, &[(0, 2), (0, 1), (1, 3), (2, 3)]), Some(vec![0, 1, 3]));
        assert_eq!(way(0, &stages, &[(0, 1), (1, 0), (3, 0)]), None);
        assert_eq!(way(3, &stages, &[]), Some(vec![3]));
        assert_eq!(way(4, &stages, &[(4, 3), (0, 3)]), Some(vec![4, 3]));
        assert_eq!(way(0, &stages, &[(0, 1), (1, 2), (2, 3), (0, 4), (4, 3)]), Some(vec![0, 1, 2, 3]));
        let mut guarded = listed(&[(0, 3), (0, 1), (1, 3)]);
        guarded[0].requires_approval = true;
        let way_around = way_to_customer(&stages[0], &stages, &guarded).map(|way| way.len());
        assert_eq!(way_around, Some(3));
        stages[3].is_active = false;
        assert_eq!(way(4, &stages, &[(4, 3)]), None);
    }
}
