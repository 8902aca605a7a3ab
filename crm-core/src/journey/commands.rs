//! What can be done with milestones, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crate::criteria::Filter;
use crate::customer::{Customer, CustomerId, Expect, input_of, live_customer};
use crate::directory::UserId;
use crate::journey::{Milestone, MilestoneId, MilestoneType};
use crate::policy::Action;
use crate::store::{MAX_LIMIT, Query};
use crate::value::{Instant, Value};

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
        std::iter::once(customers).chain(reach_needs(customer)).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Milestone> {
        live_customer(self.milestone.customer_id, loaded)?;
        changes.has_occurred(self.milestone.occurred_at, NOT_YET)?;
        let created_by = changes.context().user_id().map(UserId);
        reach(Milestone { created_by, ..self.milestone.clone() }, loaded, changes)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Milestone> {
        match written.first() {
            Some((_, id, _)) => loaded.get(MilestoneId(*id)).ok().flatten(),
            None => known(&self.milestone, loaded).ok().flatten(),
        }
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

/// What must be loaded before a customer reaches milestones: those that it reached and reaches once.
pub(crate) fn reach_needs(customer: CustomerId) -> Option<Need> {
    milestone_need(&once(customer), customer, "is_once", Value::Bool(true), MAX_LIMIT)
}

/// A question for live milestones of a customer by one field, under a name.
pub(crate) fn milestone_need(
    name: &str,
    customer: CustomerId,
    field: &str,
    value: Value,
    limit: usize,
) -> Option<Need> {
    let def = Milestone::def();
    let filter = Filter::eq(def, "customer_id", Value::Id(customer.0))?
        .and(Filter::eq(def, field, value)?)
        .and(Filter::undeleted(def));
    Some(Need::Find(name.to_owned(), Box::new(Query::new(def, filter, limit))))
}

/// Lets a customer reach a milestone, or gives the one that is there when it is reached once; after [`reach_needs`].
/// The command [resolves](Command::resolves) the rule `milestone_once`.
pub(crate) fn reach<R>(
    milestone: Milestone,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Result<Milestone, Decline<R>> {
    if let Some(known) = known(&milestone, loaded)? {
        return Ok(known);
    }
    let is_once = milestone.milestone_type.is_once();
    let milestone = changes.insert(&Milestone { is_once, ..milestone })?;
    changes.event("milestone.reached", ids(&milestone));
    Ok(milestone)
}

/// The milestone that is there in place of one that is reached once.
fn known(milestone: &Milestone, loaded: &Loaded) -> Result<Option<Milestone>, crate::record::Unreadable> {
    let once = loaded.all::<Milestone>(&once(milestone.customer_id))?;
    Ok(once.into_iter().find(|known| known.milestone_type == milestone.milestone_type))
}

fn once(customer: CustomerId) -> String {
    format!("milestones that {customer} reached once")
}

fn ids(milestone: &Milestone) -> Json {
    json!({
        "milestone_id": milestone.id,
        "customer_id": milestone.customer_id,
        "milestone_type": milestone.milestone_type,
    })
}
