//! Reaching milestones, whatever command lets customers do so (SPEC LC-11).

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Entity;
use crate::command::{Changes, Loaded, Need};
use crate::criteria::{Filter, Path, Test};
use crate::customer::CustomerId;
use crate::journey::{Milestone, MilestoneType};
use crate::record::{FieldError, Unreadable};
use crate::store::{MAX_LIMIT, Query};
use crate::value::Value;

const ONCE: &str = "milestones reached once";
const WON_BACK: &str = "milestones of winning back";

/// What customers have reached so far, of what decides on more; after [`reached_needs`].
pub(crate) struct Reached {
    once: BTreeMap<(CustomerId, MilestoneType), Milestone>,
    won_back: BTreeSet<CustomerId>,
}

/// What must be loaded before customers reach milestones. The command that uses it
/// [resolves](crate::command::Command::resolves) the rule `milestone_once`.
pub(crate) fn reached_needs(customers: &[CustomerId]) -> Vec<Need> {
    let def = Milestone::def();
    let won_back = Value::Text(MilestoneType::WinBack.code().to_owned());
    let asked = [(ONCE, "is_once", Value::Bool(true)), (WON_BACK, "milestone_type", won_back)];
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
    pub(crate) fn of(loaded: &Loaded) -> Result<Self, Unreadable> {
        let once = loaded.all::<Milestone>(ONCE)?.into_iter();
        let won_back = loaded.all::<Milestone>(WON_BACK)?;
        Ok(Self {
            once: once.map(|known| ((known.customer_id, known.milestone_type), known)).collect(),
            won_back: won_back.iter().map(|known| known.customer_id).collect(),
        })
    }

    /// The milestone of a type that is reached once, if it is there.
    pub(crate) fn once(&self, customer: CustomerId, reached: MilestoneType) -> Option<&Milestone> {
        self.once.get(&(customer, reached))
    }

    /// Whether the customer has come back before.
    pub(crate) fn has_won_back(&self, customer: CustomerId) -> bool {
        self.won_back.contains(&customer)
    }

    /// Records a milestone, or gives the one that is there when it is reached once.
    pub(crate) fn reach(
        &mut self,
        milestone: Milestone,
        changes: &mut Changes<'_>,
    ) -> Result<Milestone, Vec<FieldError>> {
        let (customer, reached) = (milestone.customer_id, milestone.milestone_type);
        if let Some(known) = self.once(customer, reached) {
            return Ok(known.clone());
        }
        let milestone = changes.insert(&Milestone { is_once: reached.is_once(), ..milestone })?;
        changes.event("milestone.reached", super::commands::ids(&milestone));
        if milestone.is_once {
            self.once.insert((customer, reached), milestone.clone());
        } else if reached == MilestoneType::WinBack {
            self.won_back.insert(customer);
        }
        Ok(milestone)
    }
}
