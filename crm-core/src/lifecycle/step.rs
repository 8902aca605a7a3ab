//! A customer's step from one stage to the next, whoever asked for it (SPEC LC-02, LC-03).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::customer::{Customer, CustomerId, CustomerStatus};
use crate::directory::UserId;
use crate::journey::{Milestone, MilestoneType};
use crate::lifecycle::{
    CustomerLifecycle, LifecycleHistory, LifecycleHistoryId, LifecycleStage, StageCategory, StageTransition,
    StageTrigger,
};
use crate::record::{FieldError, Meta, Unreadable};
use crate::store::{MAX_LIMIT, Query};
use crate::value::{Instant, Value};

const ONCE: &str = "milestones reached once";
const WON_BACK: &str = "milestones of winning back";

/// Where a customer goes, why, and what makes it go.
pub(super) struct Step<'a> {
    pub(super) from: &'a LifecycleStage,
    pub(super) to: &'a LifecycleStage,
    pub(super) reason: Option<String>,
    pub(super) trigger: StageTrigger,
}

/// What customers have reached so far; after [`reached_needs`].
pub(super) struct Reached {
    once: BTreeMap<(CustomerId, MilestoneType), Milestone>,
    won_back: BTreeSet<CustomerId>,
}

/// The milestones that decide what a step adds.
pub(super) fn reached_needs(customers: &[CustomerId]) -> Vec<Need> {
    let def = Milestone::def();
    let of = Value::Text(MilestoneType::WinBack.code().to_owned());
    let asked = [(ONCE, "is_once", Value::Bool(true)), (WON_BACK, "milestone_type", of)];
    let need = |(name, field, value): (&str, &str, Value)| {
        let customers = customers.iter().map(|id| Value::Id(id.0)).collect();
        let filter = Filter::leaf(Path::own(def, "customer_id")?, Test::In(customers))
            .and(Filter::eq(def, field, value)?)
            .and(Filter::undeleted(def));
        Some(Need::Find(name.to_owned(), Box::new(Query::new(def, filter, MAX_LIMIT))))
    };
    asked.into_iter().filter_map(need).collect()
}

impl Reached {
    pub(super) fn of(loaded: &Loaded) -> Result<Self, Unreadable> {
        let once = loaded.all::<Milestone>(ONCE)?.into_iter();
        let won_back = loaded.all::<Milestone>(WON_BACK)?;
        Ok(Self {
            once: once.map(|known| ((known.customer_id, known.milestone_type), known)).collect(),
            won_back: won_back.iter().map(|known| known.customer_id).collect(),
        })
    }

    /// The milestone of this type, of which a customer has one at most.
    pub(super) fn once(&self, customer: CustomerId, reached: MilestoneType) -> Option<&Milestone> {
        self.once.get(&(customer, reached))
    }

    /// Records a milestone, unless the customer has the one that it can have.
    pub(super) fn reach(
        &mut self,
        customer: CustomerId,
        reached: MilestoneType,
        at: Instant,
        changes: &mut Changes<'_>,
    ) -> Result<(), Vec<FieldError>> {
        if self.once(customer, reached).is_some() {
            return Ok(());
        }
        let milestone = changes.insert(&Milestone::new(customer, reached, at))?;
        changes.event(
            "milestone.reached",
            json!({ "milestone_id": milestone.id, "customer_id": customer, "milestone_type": reached }),
        );
        match reached {
            MilestoneType::WinBack => drop(self.won_back.insert(customer)),
            once if once.is_once() => drop(self.once.insert((customer, once), milestone)),
            _ => {}
        }
        Ok(())
    }
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
    if to.category == StageCategory::PostCustomer && reached.won_back.contains(&customer) {
        lifecycle.is_re_churned = true;
        changes.event("lifecycle.re_churned", json!({ "customer_id": customer }));
    }
    if let Some(milestone) = to.milestone {
        reached.reach(customer, milestone, changes.now(), changes)?;
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

/// The stages on the shortest way along listed transitions from one stage to the nearest in which customers are
/// customers, first and last included, never by leaving; of ways of the same length the one through lower stages. `None`
/// when there is no way.
pub(super) fn way_to_customer<'a>(
    from: &'a LifecycleStage,
    stages: &'a [LifecycleStage],
    transitions: &[StageTransition],
) -> Option<Vec<&'a LifecycleStage>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from.id]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last.category == StageCategory::Customer {
            return Some(way);
        }
        let listed = |to: &LifecycleStage| {
            transitions.iter().any(|t| t.from_stage_id == last.id && t.to_stage_id == to.id)
        };
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
        stages[3].is_active = false;
        assert_eq!(way(4, &stages, &[(4, 3)]), None);
    }
}
