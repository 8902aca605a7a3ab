//! From one stage to the next, as pure decisions (SPEC LC-02, LC-03; seed 004, WF-LC-001).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{Customer, CustomerId, Expect, live_customer};
use crate::journey::{Reached, reached_needs};
use crate::lifecycle::step::{Step, follow_stage, take_step};
use crate::lifecycle::{
    CustomerLifecycle, LifecycleStage, StageCategory, StageId, StageTrigger, live_stages, live_transitions,
    stage_needs, transition_needs,
};
use crate::policy::Action;
use crate::renewal::{active_renewals, pause_renewals};

/// Why a customer does not change its stage.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleRefusal {
    /// The customer is in the stage.
    #[error("the customer is in the stage {0} already; choose another one")]
    SameStage(String),
    /// Customers no longer enter the stage.
    #[error("the stage {0} is not active; activate it, or choose an active one")]
    Inactive(String),
    /// The step is not listed, and leads onward.
    #[error("a customer does not go from {from} to {to}; allowed are: {}", names(.allowed))]
    NotAllowed {
        /// The stage it is in.
        from: String,
        /// The stage that was asked for.
        to: String,
        /// Where it may go.
        allowed: Vec<String>,
    },
    /// The step is not listed, and leads backward.
    #[error("from {from} back to {to} is against the rules; override them with a reason, or choose: {}", names(.allowed))]
    Backward {
        /// The stage it is in.
        from: String,
        /// The stage that was asked for.
        to: String,
        /// Where it may go.
        allowed: Vec<String>,
    },
    /// Somebody else has to approve of the step.
    #[error("going from {from} to {to} takes somebody's approval; ask for it with approvals().request")]
    NeedsApproval {
        /// The stage it is in.
        from: String,
        /// The stage that was asked for.
        to: String,
    },
    /// Rules are overridden for a reason only.
    #[error("the rules are overridden without a reason; give one")]
    NoReason,
}

impl Refusal for LifecycleRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::SameStage(_) => "same_stage",
            Self::Inactive(_) => "stage_inactive",
            Self::NotAllowed { .. } => "stage_not_allowed",
            Self::Backward { .. } => "stage_backward",
            Self::NeedsApproval { .. } => "stage_needs_approval",
            Self::NoReason => "override_without_reason",
        }
    }
}

fn names(allowed: &[String]) -> String {
    if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") }
}

type Decision<T> = Result<T, Decline<LifecycleRefusal>>;

/// Brings a customer to another stage: along a listed transition, or backward with [`override_rules`].
///
/// [`override_rules`]: Self::override_rules
#[derive(Clone, Debug)]
pub struct AdvanceStage {
    /// The customer.
    pub customer: CustomerId,
    /// The stage to go to.
    pub to: StageId,
    /// Which version of its [`CustomerLifecycle`] it applies to. That version moves when a score changes, too.
    pub expect: Expect,
    /// Why, at most 500 characters.
    pub reason: Option<String>,
    /// What makes it change.
    pub trigger: StageTrigger,
    /// Goes backward without a listed transition, or without the approval that one requires. Needs [`Action::Override`]
    /// and a reason.
    pub override_rules: bool,
}

impl AdvanceStage {
    /// By hand and by the rules, whatever the version; to be filled in with struct update syntax.
    pub fn new(customer: CustomerId, to: StageId) -> Self {
        Self {
            customer,
            to,
            expect: Expect::Any,
            reason: None,
            trigger: StageTrigger::Manual,
            override_rules: false,
        }
    }

    /// Takes the step, as somebody else has approved of or not.
    pub(crate) fn take(
        &self,
        approved: bool,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Decision<CustomerLifecycle> {
        let customer = live_customer(self.customer, loaded)?;
        let before: CustomerLifecycle =
            loaded.live(self.customer)?.ok_or(Decline::NotFound("customer_lifecycle", self.customer.0))?;
        self.expect.check("customer_lifecycle", self.customer.0, before.meta.version)?;
        let stages = live_stages(loaded)?.unwrap_or_default();
        let stage = |id: StageId| {
            let found = stages.iter().find(|stage| stage.id == id);
            found.ok_or(Decline::NotFound("lifecycle_stage", id.0))
        };
        let (from, to) = (stage(before.current_stage_id)?, stage(self.to)?);
        self.check(from, to, &stages, approved, loaded)?;
        let mut after = before.clone();
        let step = Step { from, to, reason: self.reason.clone(), trigger: self.trigger };
        take_step(&mut after, &step, &mut Reached::of(loaded)?, changes)?;
        let after = changes.update(&before, &after)?;
        follow_stage(&customer, to, changes)?;
        if to.category == StageCategory::PostCustomer {
            pause_renewals(&customer, loaded, changes)?;
        }
        Ok(after)
    }

    fn check(
        &self,
        from: &LifecycleStage,
        to: &LifecycleStage,
        stages: &[LifecycleStage],
        approved: bool,
        loaded: &Loaded,
    ) -> Decision<()> {
        let refused = |refusal| Err(Decline::Refused(refusal));
        if from.id == to.id {
            return refused(LifecycleRefusal::SameStage(to.name.clone()));
        }
        if !to.is_active {
            return refused(LifecycleRefusal::Inactive(to.name.clone()));
        }
        let reason = self.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
        if self.override_rules && !reason {
            return refused(LifecycleRefusal::NoReason);
        }
        let transitions = live_transitions(loaded)?;
        let listed = |stage: &LifecycleStage| {
            transitions.iter().find(|t| t.from_stage_id == from.id && t.to_stage_id == stage.id)
        };
        let backward = to.display_order < from.display_order;
        match listed(to) {
            Some(step) if step.requires_approval && !approved && !self.override_rules => {
                let (from, to) = (from.name.clone(), to.name.clone());
                return refused(LifecycleRefusal::NeedsApproval { from, to });
            }
            Some(_) => return Ok(()),
            None if backward && self.override_rules => return Ok(()),
            None => {}
        }
        let open = stages.iter().filter(|stage| stage.is_active && listed(stage).is_some());
        let allowed = open.map(|stage| stage.name.clone()).collect();
        let (from, to) = (from.name.clone(), to.name.clone());
        refused(if backward {
            LifecycleRefusal::Backward { from, to, allowed }
        } else {
            LifecycleRefusal::NotAllowed { from, to, allowed }
        })
    }
}

impl Command for AdvanceStage {
    type Output = CustomerLifecycle;
    type Refusal = LifecycleRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.advance"
    }

    fn permission(&self) -> (Action, &'static str) {
        (if self.override_rules { Action::Override } else { Action::Write }, "customer_lifecycle")
    }

    fn input(&self) -> Json {
        let Self { customer, to, expect, reason, trigger, override_rules } = self;
        json!([customer, to, expect.to_json(), reason, trigger, override_rules])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "milestone_once"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let mut needs = vec![
            Need::Records(Customer::def(), vec![self.customer.0]),
            Need::Records(CustomerLifecycle::def(), vec![self.customer.0]),
        ];
        needs.extend(stage_needs());
        needs.extend(transition_needs());
        needs.extend(reached_needs(&[self.customer]));
        needs.extend(active_renewals(self.customer));
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        self.take(false, loaded, changes)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.customer).ok().flatten()
    }
}
