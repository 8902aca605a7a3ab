//! What can be asked for.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::approval::{ApprovalId, ApprovalRefusal};
use crate::catalog::{Catalog, Entity};
use crate::command::{Changes, Command, Decline, Loaded, Need};
use crate::customer::CustomerId;
use crate::lifecycle::{AdvanceStage, CustomerLifecycle, StageId};
use crate::policy::Action;
use crate::record::Unreadable;
use crate::sweep::{PlanSweep, SweepAction, SweepId, SweepRefusal};

/// What somebody asks for: a command with its input.
///
/// ```
/// use crm_core::approval::ApprovalRequest;
/// let request = ApprovalRequest::BulkDelete {
///     entity: "interaction".to_owned(),
///     criteria: serde_json::json!({ "field": "occurred_at", "operator": "lt", "value": "now-3650d" }),
///     reason: "Nothing is kept for more than ten years".to_owned(),
/// };
/// assert_eq!(serde_json::to_value(&request).unwrap()["command"], "sweeps.delete");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "input")]
pub enum ApprovalRequest {
    /// Marks records as deleted (SPEC CM-10, IT-01). When it is approved, a [`Sweep`](crate::sweep::Sweep) is planned for
    /// all records that then meet the criteria: also those that who asked may not see, and those of deleted customers.
    ///
    /// Asking needs [`Action::Delete`] on the entity, approving [`Action::Purge`] on sweeps.
    #[serde(rename = "sweeps.delete")]
    BulkDelete {
        /// The entity's name.
        entity: String,
        /// Which of its records.
        criteria: Json,
        /// Why, 1 to 500 characters.
        reason: String,
    },
    /// Removes records for good, with what the log holds of their values: otherwise as
    /// [`BulkDelete`](Self::BulkDelete), but of deleted records too.
    #[serde(rename = "sweeps.purge")]
    Purge {
        /// The entity's name.
        entity: String,
        /// Which of its records.
        criteria: Json,
        /// Why, 1 to 500 characters.
        reason: String,
    },
    /// Brings a customer to another stage along a transition that requires approval (SPEC LC-02). Whether it may still go
    /// there is decided again when it is approved.
    ///
    /// Asking and approving need [`Action::Write`] on lifecycles.
    #[serde(rename = "lifecycle.advance")]
    AdvanceStage {
        /// The customer.
        customer: CustomerId,
        /// The stage to go to.
        to: StageId,
        /// Why, at most 500 characters; kept in the customer's history.
        reason: Option<String>,
    },
}

/// What the record says of a request besides its input.
pub(super) struct Summary<'r> {
    pub(super) entity: &'r str,
    pub(super) customer: Option<CustomerId>,
    pub(super) reason: &'r str,
    /// Whether it is not asked for without one.
    pub(super) needs_reason: bool,
}

/// The command that carries a request out, as a part of [`Approve`](crate::approval::Approve).
pub(super) enum Deed {
    Sweep(PlanSweep),
    Advance(AdvanceStage),
}

impl ApprovalRequest {
    /// Reads a request back from a record's fields.
    pub(super) fn from_parts(command: &str, input: &Json) -> Result<Self, Unreadable> {
        // The text of the reader's own error can quote the input.
        let why = || "not the input of a command that this version knows".to_owned();
        let unreadable = |_| Unreadable { entity: "approval", field: "request", why: why() };
        serde_json::from_value(json!({ "command": command, "input": input })).map_err(unreadable)
    }

    /// The command's name and input.
    pub(super) fn to_parts(&self) -> (String, Option<Json>) {
        match serde_json::to_value(self) {
            Ok(Json::Object(mut parts)) => {
                let command = parts.get("command").and_then(Json::as_str).unwrap_or_default().to_owned();
                (command, parts.remove("input"))
            }
            _ => (String::new(), None),
        }
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        match self {
            Self::BulkDelete { entity, reason, .. } | Self::Purge { entity, reason, .. } => {
                Summary { entity, customer: None, reason, needs_reason: true }
            }
            Self::AdvanceStage { customer, reason, .. } => Summary {
                entity: CustomerLifecycle::def().name,
                customer: Some(*customer),
                reason: reason.as_deref().unwrap_or_default(),
                needs_reason: false,
            },
        }
    }

    /// What asking for it takes.
    pub(super) fn asking(
        &self,
        catalog: &Catalog,
    ) -> Result<(Action, &'static str), Decline<ApprovalRefusal>> {
        match self {
            Self::BulkDelete { entity, .. } | Self::Purge { entity, .. } => match catalog.get(entity) {
                Some(def) => Ok((Action::Delete, def.name)),
                None => Err(Decline::Refused(SweepRefusal::Entity(entity.chars().take(48).collect()).into())),
            },
            Self::AdvanceStage { .. } => Ok((Action::Write, CustomerLifecycle::def().name)),
        }
    }

    /// The command that carries it out.
    pub(super) fn deed(&self, id: ApprovalId) -> Deed {
        let (entity, criteria, action) = match self {
            Self::BulkDelete { entity, criteria, .. } => (entity, criteria, SweepAction::Delete),
            Self::Purge { entity, criteria, .. } => (entity, criteria, SweepAction::Purge),
            Self::AdvanceStage { customer, to, reason } => {
                let reason = reason.clone();
                return Deed::Advance(AdvanceStage { reason, ..AdvanceStage::new(*customer, *to) });
            }
        };
        // The reason may name a person, and a sweep keeps its own for ever.
        let reason = format!("approval {id}");
        Deed::Sweep(PlanSweep { entity: entity.clone(), criteria: Some(criteria.clone()), action, reason })
    }
}

impl Deed {
    /// What carrying it out takes, beside the right to approve.
    pub(super) fn permission(&self) -> (Action, &'static str) {
        match self {
            Self::Sweep(plan) => plan.permission(),
            Self::Advance(step) => step.permission(),
        }
    }

    pub(super) fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        match self {
            Self::Sweep(plan) => plan.needs(loaded),
            Self::Advance(step) => step.needs(loaded),
        }
    }

    /// Does it. Gives the bulk work that it has planned.
    pub(super) fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<Option<SweepId>, Decline<ApprovalRefusal>> {
        match self {
            Self::Sweep(plan) => match plan.decide(loaded, changes) {
                Ok(sweep) => Ok(Some(sweep.id)),
                Err(decline) => Err(decline.map(ApprovalRefusal::Sweep)),
            },
            Self::Advance(step) => match step.take(true, loaded, changes) {
                Ok(_) => Ok(None),
                Err(decline) => Err(decline.map(ApprovalRefusal::Lifecycle)),
            },
        }
    }
}
