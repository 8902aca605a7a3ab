//! `crm.sweeps()`.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Error, Loaded, Need};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::policy::Action;
use crate::record::Meta;
use crate::sweep::piece::check;
use crate::sweep::{Sweep, SweepAction, SweepId, SweepPiece, SweepRefusal};
use crate::value::Instant;

/// Bulk work.
#[derive(Clone, Copy)]
pub struct Sweeps<'a> {
    crm: &'a Crm,
}

impl<'a> Sweeps<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Plans bulk work on the records of an entity that meet criteria (all, without). Nothing is changed before
    /// [`run`](Self::run). Nobody else is asked: what takes a second pair of eyes goes through
    /// [`Crm::approvals`].
    pub async fn plan(
        &self,
        ctx: &Context,
        entity: &str,
        criteria: Option<Json>,
        action: SweepAction,
        reason: &str,
    ) -> Result<Done<Sweep>, Error<SweepRefusal>> {
        self.crm.run(ctx, &PlanSweep { entity: entity.into(), criteria, action, reason: reason.into() }).await
    }

    /// Works until all is done; safe to call again after a kill, and from several processes at once. Returns the
    /// finished sweep with the number of records it changed.
    pub async fn run(&self, ctx: &Context, id: SweepId) -> Result<Sweep, Error<SweepRefusal>> {
        while let Some(sweep) = self.run_piece(ctx, id).await? {
            if sweep.is_done {
                return Ok(sweep);
            }
        }
        match self.crm.get(ctx, id).await {
            Ok(sweep) => Ok(sweep),
            Err(Error::Store(error)) => Err(Error::Store(error)),
            Err(Error::Forbidden { action, entity }) => Err(Error::Forbidden { action, entity }),
            Err(_) => Err(Error::NotFound { entity: "sweep", id: id.0 }),
        }
    }

    /// Does one piece, one commit: for whoever wants to choose when. `None` when all is done.
    pub async fn run_piece(&self, ctx: &Context, id: SweepId) -> Result<Option<Sweep>, Error<SweepRefusal>> {
        let zone = match self.crm.settings_of(ctx).await {
            Ok(settings) => settings.tz(),
            Err(Error::Store(error)) => return Err(Error::Store(error)),
            Err(_) => chrono_tz::Tz::UTC,
        };
        // Each piece is idempotent by itself: a key of the request would name only one of them.
        let ctx = Context { key: None, ..ctx.clone() };
        Ok(self.crm.run(&ctx, &SweepPiece { id, catalog: self.crm.store().catalog(), zone }).await?.value)
    }
}

/// Plans a sweep.
pub(crate) struct PlanSweep {
    pub(crate) entity: String,
    pub(crate) criteria: Option<Json>,
    pub(crate) action: SweepAction,
    pub(crate) reason: String,
}

impl Command for PlanSweep {
    type Output = Sweep;
    type Refusal = SweepRefusal;

    fn name(&self) -> &'static str {
        "sweeps.plan"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Purge, "sweep")
    }

    fn input(&self) -> Json {
        json!([self.entity, self.criteria, self.action, self.reason])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        Vec::new()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Result<Sweep, Decline<SweepRefusal>> {
        let zone = loaded.settings(changes.context().tenant)?.tz();
        let as_of: Instant = changes.now();
        let sweep = Sweep {
            id: changes.new_id(),
            meta: Meta::default(),
            reason: self.reason.clone(),
            entity: self.entity.clone(),
            criteria: self.criteria.clone(),
            as_of,
            action: self.action,
            reached: None,
            changed: 0,
            is_done: false,
        };
        check(&sweep, changes.catalog(), zone).map_err(Decline::Refused)?;
        let sweep = changes.insert(&sweep)?;
        changes.event("sweep.planned", json!({ "sweep_id": sweep.id, "action": sweep.action }));
        Ok(sweep)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Sweep> {
        written
            .iter()
            .find(|(entity, ..)| entity == Sweep::def().name)
            .and_then(|(_, id, _)| loaded.get(SweepId(*id)).ok().flatten())
    }
}
