//! What can be done with stages and the transitions between them, as pure decisions (SPEC LC-01).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crate::criteria::{Filter, Path};
use crate::customer::{Expect, input_of};
use crate::lifecycle::{
    CustomerLifecycle, LifecycleStage, StageCategory, StageId, StageTransition, StageTransitionId,
};
use crate::policy::Action;
use crate::record::Meta;
use crate::store::{Direction, MAX_LIMIT, Order, Query};

const STAGES: &str = "stages";
const TRANSITIONS: &str = "transitions";

type Decision<T> = Result<T, Decline<NoRefusal>>;

/// Adds a stage.
#[derive(Clone, Debug)]
pub struct AddStage {
    /// The stage.
    pub stage: LifecycleStage,
}

impl Command for AddStage {
    type Output = LifecycleStage;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.add_stage"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "lifecycle_stage")
    }

    fn input(&self) -> Json {
        json!(input_of(&self.stage))
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        Vec::new()
    }

    fn decide(&self, _: &Loaded, changes: &mut Changes<'_>) -> Decision<LifecycleStage> {
        let stage = changes.insert(&self.stage)?;
        changes.event("lifecycle.stage_added", json!({ "stage_id": stage.id, "category": stage.category }));
        Ok(stage)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<LifecycleStage> {
        written.first().and_then(|(_, id, _)| loaded.get(StageId(*id)).ok().flatten())
    }
}

/// Changes a stage by a function over it. Its category stays as it is: it decides the status of the customers in it.
pub struct UpdateStage<'f> {
    /// The stage.
    pub id: StageId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut LifecycleStage) + Send + Sync),
}

impl Command for UpdateStage<'_> {
    type Output = LifecycleStage;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.update_stage"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "lifecycle_stage")
    }

    fn input(&self) -> Json {
        let mut sample = LifecycleStage::new("", StageCategory::default(), 0);
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(LifecycleStage::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<LifecycleStage> {
        let before = live_stage(self.id, loaded)?;
        self.expect.check("lifecycle_stage", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("lifecycle.stage_updated", json!({ "stage_id": after.id }));
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<LifecycleStage> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes a stage with its transitions, unless a customer is in it or came from it: then the answer is
/// [`Error::InUse`](crate::Error::InUse). Customers that are deleted count, because they can be restored.
#[derive(Clone, Copy, Debug)]
pub struct DeleteStage {
    /// The stage.
    pub id: StageId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for DeleteStage {
    type Output = LifecycleStage;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.delete_stage"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "lifecycle_stage")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let stage = Need::Records(LifecycleStage::def(), vec![self.id.0]);
        std::iter::once(stage).chain(transition_needs()).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<LifecycleStage> {
        let before = live_stage(self.id, loaded)?;
        self.expect.check("lifecycle_stage", self.id.0, before.meta.version)?;
        for transition in live_transitions(loaded)? {
            if transition.from_stage_id == self.id || transition.to_stage_id == self.id {
                changes.delete_record(&transition.to_record());
            }
        }
        let after = changes.delete_record(&before.to_record());
        changes.event("lifecycle.stage_deleted", json!({ "stage_id": self.id }));
        changes.none_refer(CustomerLifecycle::def(), "current_stage_id", self.id.0);
        changes.none_refer(CustomerLifecycle::def(), "previous_stage_id", self.id.0);
        changes.none_refer(StageTransition::def(), "from_stage_id", self.id.0);
        changes.none_refer(StageTransition::def(), "to_stage_id", self.id.0);
        Ok(LifecycleStage::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<LifecycleStage> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Lets customers go from one stage to another, with or without approval; nothing changes where they may already.
#[derive(Clone, Copy, Debug)]
pub struct AllowTransition {
    /// From here.
    pub from: StageId,
    /// To there.
    pub to: StageId,
    /// Whether somebody else has to approve each step.
    pub requires_approval: bool,
}

impl Command for AllowTransition {
    type Output = StageTransition;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.allow"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "stage_transition")
    }

    fn input(&self) -> Json {
        json!([self.from, self.to, self.requires_approval])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == "stage_transition_once"
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let stages = Need::Records(LifecycleStage::def(), vec![self.from.0, self.to.0]);
        std::iter::once(stages).chain(transition_needs()).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<StageTransition> {
        for id in [self.from, self.to] {
            live_stage(id, loaded)?;
            changes.guard_live(LifecycleStage::def(), id.0);
        }
        let transition = match find_transition(self.from, self.to, loaded)? {
            Some(known) if known.requires_approval == self.requires_approval => return Ok(known),
            Some(known) => {
                let requires_approval = self.requires_approval;
                changes.update(&known, &StageTransition { requires_approval, ..known.clone() })?
            }
            None => changes.insert(&StageTransition {
                id: StageTransitionId(Uuid::nil()),
                meta: Meta::default(),
                from_stage_id: self.from,
                to_stage_id: self.to,
                requires_approval: self.requires_approval,
            })?,
        };
        changes.event(
            "lifecycle.transition_allowed",
            json!({
                "from_stage_id": self.from,
                "to_stage_id": self.to,
                "requires_approval": self.requires_approval,
            }),
        );
        Ok(transition)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<StageTransition> {
        match written.first() {
            Some((_, id, _)) => loaded.get(StageTransitionId(*id)).ok().flatten(),
            None => find_transition::<NoRefusal>(self.from, self.to, loaded).ok().flatten(),
        }
    }
}

/// No longer lets customers go from one stage to another.
#[derive(Clone, Copy, Debug)]
pub struct ForbidTransition {
    /// From here.
    pub from: StageId,
    /// To there.
    pub to: StageId,
}

impl Command for ForbidTransition {
    type Output = ();
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "lifecycle.forbid"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "stage_transition")
    }

    fn input(&self) -> Json {
        json!([self.from, self.to])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        transition_needs()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<()> {
        if let Some(known) = find_transition(self.from, self.to, loaded)? {
            changes.delete_record(&known.to_record());
            changes.event(
                "lifecycle.transition_forbidden",
                json!({ "from_stage_id": self.from, "to_stage_id": self.to }),
            );
        }
        Ok(())
    }

    fn recall(&self, _: &Loaded, _: &[(String, Uuid, i64)]) -> Option<()> {
        Some(())
    }
}

fn live_stage(id: StageId, loaded: &Loaded) -> Decision<LifecycleStage> {
    loaded.live(id)?.ok_or(Decline::NotFound("lifecycle_stage", id.0))
}

fn find_transition<R>(
    from: StageId,
    to: StageId,
    loaded: &Loaded,
) -> Result<Option<StageTransition>, Decline<R>> {
    let mut listed = live_transitions(loaded)?.into_iter();
    Ok(listed.find(|listed| listed.from_stage_id == from && listed.to_stage_id == to))
}

/// All stages of the tenant, deleted ones too, by their order.
pub(crate) fn stage_needs() -> Vec<Need> {
    let def = LifecycleStage::def();
    let order = Path::own(def, "display_order").map(|path| Order { path, direction: Direction::Ascending });
    let query = Query { order: order.into_iter().collect(), ..Query::new(def, Filter::always(), MAX_LIMIT) };
    vec![Need::Find(STAGES.to_owned(), Box::new(query))]
}

/// All live transitions of the tenant.
pub(crate) fn transition_needs() -> Vec<Need> {
    let def = StageTransition::def();
    let query = Query::new(def, Filter::undeleted(def), MAX_LIMIT);
    vec![Need::Find(TRANSITIONS.to_owned(), Box::new(query))]
}

/// The live stages by their order, or `None` when the tenant never had any; after [`stage_needs`].
pub(crate) fn live_stages(loaded: &Loaded) -> Result<Option<Vec<LifecycleStage>>, crate::record::Unreadable> {
    let mut stages = loaded.all::<LifecycleStage>(STAGES)?;
    let any = !stages.is_empty();
    stages.retain(|stage| stage.meta.deleted_at.is_none());
    Ok(any.then_some(stages))
}

/// The live transitions; after [`transition_needs`].
pub(crate) fn live_transitions(loaded: &Loaded) -> Result<Vec<StageTransition>, crate::record::Unreadable> {
    loaded.all(TRANSITIONS)
}
