//! What can be done with milestones, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crate::customer::{Customer, CustomerId, Expect, input_of, live_customer};
use crate::directory::UserId;
use crate::journey::{Milestone, MilestoneId, MilestoneType, Reached, reached_needs};
use crate::policy::Action;
use crate::value::Instant;

const NOT_YET: &str = "a milestone has been reached already, plan an activity instead";

type Decision<T> = Result<T, Decline<NoRefusal>>;

/// Records that a customer reached a milestone. One that is reached once and is there already is returned as it is,
/// and nothing changes.
#[derive(Clone, Debug)]
pub struct ReachMilestone {
    /// The milestone; who recorded it is the acting user.
    pub milestone: Milestone,
}

impl Command for ReachMilestone {
    type Output = Milestone;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "journey.reach"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "milestone")
    }

    fn input(&self) -> Json {
        input_of(&self.milestone)
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customer = self.milestone.customer_id;
        let customers = Need::Records(Customer::def(), vec![customer.0]);
        std::iter::once(customers).chain(reached_needs(&[customer])).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Milestone> {
        live_customer(self.milestone.customer_id, loaded)?;
        changes.has_occurred(self.milestone.occurred_at, NOT_YET)?;
        let created_by = changes.context().user_id().map(UserId);
        let milestone = Milestone { created_by, ..self.milestone.clone() };
        Ok(Reached::of(loaded)?.reach(milestone, changes)?)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Milestone> {
        if let Some((_, id, _)) = written.first() {
            return loaded.get(MilestoneId(*id)).ok().flatten();
        }
        let Milestone { customer_id, milestone_type, .. } = self.milestone;
        Reached::of(loaded).ok()?.once(customer_id, milestone_type).cloned()
    }
}

/// Changes when a milestone was reached and its details, or deletes it. One that is reached once can be reached again
/// after it was deleted.
pub struct UpdateMilestone<'f> {
    /// The milestone.
    pub id: MilestoneId,
    /// Which version it applies to.
    pub expect: Expect,
    /// Whether it is deleted instead of changed.
    pub delete: bool,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Milestone) + Send + Sync),
}

impl Command for UpdateMilestone<'_> {
    type Output = Milestone;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        if self.delete { "journey.delete" } else { "journey.update" }
    }

    fn permission(&self) -> (Action, &'static str) {
        (if self.delete { Action::Delete } else { Action::Write }, "milestone")
    }

    fn input(&self) -> Json {
        let mut sample =
            Milestone::new(CustomerId(Uuid::nil()), MilestoneType::default(), Instant::UNIX_EPOCH);
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), self.delete, input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Milestone::def(), vec![self.id.0])];
        if let Ok(Some(milestone)) = loaded.live::<Milestone>(self.id) {
            needs.push(Need::Records(Customer::def(), vec![milestone.customer_id.0]));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Milestone> {
        let missing = || Decline::NotFound("milestone", self.id.0);
        let before: Milestone = loaded.live(self.id)?.ok_or_else(missing)?;
        loaded.live::<Customer>(before.customer_id)?.ok_or_else(missing)?;
        self.expect.check("milestone", self.id.0, before.meta.version)?;
        if self.delete {
            let after = changes.delete_record(&before.to_record());
            changes.event("milestone.deleted", ids(&before));
            return Ok(Milestone::from_record(&after)?);
        }
        let mut after = before.clone();
        (self.change)(&mut after);
        changes.has_occurred(after.occurred_at, NOT_YET)?;
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("milestone.updated", ids(&after));
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Milestone> {
        loaded.get(self.id).ok().flatten()
    }
}

/// What an event says of a milestone: ids and codes.
pub(super) fn ids(milestone: &Milestone) -> Json {
    json!({
        "milestone_id": milestone.id,
        "customer_id": milestone.customer_id,
        "milestone_type": milestone.milestone_type,
    })
}
