//! The stages and transitions that a tenant begins with (SPEC LC-01; seed 004, `LifecycleStage` and WF-LC-001).

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::command::Changes;
use crate::id::TenantId;
use crate::journey::MilestoneType;
use crate::lifecycle::{LifecycleStage, StageCategory, StageId, StageTransition, StageTransitionId};
use crate::record::{FieldError, Meta};

type DefaultStage = (&'static str, StageCategory, Option<MilestoneType>, &'static [&'static str]);

/// In their order: name, category, milestone, and where customers may go from there.
const DEFAULTS: [DefaultStage; 7] = [
    ("Lead", StageCategory::PreCustomer, None, &["Prospect", "Churned"]),
    ("Prospect", StageCategory::PreCustomer, None, &["Opportunity", "Lead", "Churned"]),
    ("Opportunity", StageCategory::PreCustomer, None, &["Customer", "Prospect", "Churned"]),
    ("Customer", StageCategory::Customer, None, &["At Risk", "Churned"]),
    ("At Risk", StageCategory::Customer, Some(MilestoneType::ChurnSignal), &["Customer", "Churned"]),
    ("Churned", StageCategory::PostCustomer, None, &["Won Back"]),
    ("Won Back", StageCategory::Customer, Some(MilestoneType::WinBack), &["Customer", "Churned"]),
];

/// Inserts the default stages with their transitions. Their ids follow from tenant and name, so that of two commands
/// that both found no stages one meets the other's, is decided again, and finds them.
pub(crate) fn insert_defaults(changes: &mut Changes<'_>) -> Result<Vec<LifecycleStage>, Vec<FieldError>> {
    let tenant = changes.context().tenant;
    let stage_id = |name: &str| StageId(derived(tenant, &["stage", name]));
    let mut stages = Vec::with_capacity(DEFAULTS.len());
    for ((name, category, milestone, _), display_order) in DEFAULTS.iter().zip(1..) {
        stages.push(changes.insert(&LifecycleStage {
            id: stage_id(name),
            milestone: *milestone,
            ..LifecycleStage::new(*name, *category, display_order)
        })?);
    }
    for (from, _, _, allowed) in &DEFAULTS {
        for to in *allowed {
            changes.insert(&StageTransition {
                id: StageTransitionId(derived(tenant, &["transition", from, to])),
                meta: Meta::default(),
                from_stage_id: stage_id(from),
                to_stage_id: stage_id(to),
                requires_approval: false,
            })?;
        }
    }
    Ok(stages)
}

fn derived(tenant: TenantId, names: &[&str]) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(tenant.0.as_bytes());
    for name in names {
        digest.update([0]);
        digest.update(name);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
