//! One piece of a sweep, as a pure decision.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::{Catalog, Entity, EntityDef, Privacy, system};
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::criteria::{Criteria, CriteriaError, Filter, Path, Scope, Test};
use crate::directory::{Assignee, Team, User};
use crate::invoice::{Invoice, InvoiceLine};
use crate::lifecycle::{CustomerLifecycle, LifecycleStage};
use crate::policy::Action;
use crate::record::Record;
use crate::score::Score;
use crate::store::Query;
use crate::sweep::{Sweep, SweepAction, SweepId};
use crate::tenant::Settings;
use crate::value::Value;

/// How many records a piece changes at most; with the sweep's own record it stays below what a store takes.
pub const PIECE: usize = 500;

/// Why a sweep does not start or go on.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepRefusal {
    /// The entity is not in the catalog.
    #[error("{0:?} is not an entity of the catalog")]
    Entity(String),
    /// The entity is append-only and can only be masked or purged.
    #[error("{0} is append-only: its records are masked or purged, not deleted")]
    AppendOnly(String),
    /// Records of the entity are not deleted alone: something else would no longer be right.
    #[error("{entity} records are not deleted alone; {instead}")]
    Kept {
        /// The entity.
        entity: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// Bulk work that is not done would lose its criteria, and so be on all records.
    #[error("sweep records are not masked; each forgets its criteria when it is done")]
    Unmasked,
    /// The criteria are wrong.
    #[error(transparent)]
    Criteria(#[from] CriteriaError),
}

impl Refusal for SweepRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Entity(_) => "sweep_entity",
            Self::AppendOnly(_) => "sweep_append_only",
            Self::Kept { .. } => "sweep_kept",
            Self::Unmasked => "sweep_unmasked",
            Self::Criteria(_) => "invalid_criteria",
        }
    }
}

/// Changes the next records of a sweep and moves it on.
pub struct SweepPiece<'c> {
    /// The sweep.
    pub id: SweepId,
    /// The entities.
    pub catalog: &'c Catalog,
    /// The zone of the criteria's local days: the tenant's.
    pub zone: chrono_tz::Tz,
}

impl SweepPiece<'_> {
    fn sweep(&self, loaded: &Loaded) -> Option<Sweep> {
        loaded.live::<Sweep>(self.id).ok().flatten().filter(|sweep| !sweep.is_done)
    }

    /// The records of the next piece, in order of their ids.
    fn query(&self, sweep: &Sweep) -> Result<Query, SweepRefusal> {
        let (def, criteria) = check(sweep, self.catalog, self.zone)?;
        let mut filter = criteria.at(sweep.as_of);
        if let Some(reached) = sweep.reached {
            filter = Filter::leaf(Path::system(def, system::ID), Test::Gt(Value::Id(reached))).and(filter);
        }
        if sweep.action == SweepAction::Delete {
            filter = filter.and(Filter::undeleted(def));
        }
        // A customer without its lifecycle could neither buy nor move, and one whose lifecycle still has the value of a
        // score that is gone would never be due for another.
        if sweep.action == SweepAction::Purge && [CustomerLifecycle::def(), Score::def()].contains(&def) {
            filter = filter.and(Filter::Not(Box::new(Filter::live(self.catalog, def))));
        }
        Ok(Query::new(def, filter, PIECE))
    }
}

/// The entity and the criteria of a sweep.
pub(super) fn check(
    sweep: &Sweep,
    catalog: &Catalog,
    zone: chrono_tz::Tz,
) -> Result<(&'static EntityDef, Criteria), SweepRefusal> {
    let def = catalog.get(&sweep.entity).ok_or_else(|| SweepRefusal::Entity(sweep.entity.clone()))?;
    if def.append_only && sweep.action == SweepAction::Delete {
        return Err(SweepRefusal::AppendOnly(sweep.entity.clone()));
    }
    if sweep.action == SweepAction::Delete
        && let Some(instead) = instead_of_deleting(def)
    {
        return Err(SweepRefusal::Kept { entity: sweep.entity.clone(), instead });
    }
    if sweep.action == SweepAction::Mask && def == Sweep::def() {
        return Err(SweepRefusal::Unmasked);
    }
    let criteria = match &sweep.criteria {
        None => Criteria::everything(def),
        Some(json) => Criteria::parse(json, def, &Scope::new(catalog, zone))?,
    };
    Ok((def, criteria))
}

/// What to do instead of deleting records that something else rests on; `None` for those that are deleted.
fn instead_of_deleting(def: &'static EntityDef) -> Option<&'static str> {
    let kept: [(&[&'static EntityDef], _); 6] = [
        (
            &[User::def(), Assignee::def()],
            "users().deactivate takes a user out of service and hands over what is theirs",
        ),
        (
            &[Invoice::def(), InvoiceLine::def()],
            "void an invoice with invoices().update, which takes back what it added to its customer's purchases",
        ),
        (&[Score::def()], "scores().record replaces one, and it is hidden with its customer"),
        (
            &[LifecycleStage::def()],
            "lifecycle().delete_stage deletes a stage that no customer is in or came from",
        ),
        (&[Team::def()], "teams().put changes a team, and one without users can be purged"),
        (&[Settings::def()], "settings().update changes them"),
    ];
    let listed = kept.into_iter().find(|(defs, _)| defs.contains(&def)).map(|(_, instead)| instead);
    let part = "each is a part of its customer, and hidden with it when that is deleted";
    listed.or(def.extending_link().is_some().then_some(part))
}

impl Command for SweepPiece<'_> {
    type Output = Option<Sweep>;
    type Refusal = SweepRefusal;

    fn name(&self) -> &'static str {
        "sweeps.run"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Purge, "sweep")
    }

    fn input(&self) -> Json {
        json!([self.id])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Sweep::def(), vec![self.id.0])];
        if let Some(sweep) = self.sweep(loaded)
            && let Ok(query) = self.query(&sweep)
        {
            needs.push(Need::Find("piece".to_owned(), Box::new(query)));
        }
        needs
    }

    fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<Option<Sweep>, Decline<SweepRefusal>> {
        let stored: Sweep = loaded.live(self.id)?.ok_or(Decline::NotFound("sweep", self.id.0))?;
        if stored.is_done {
            return Ok(None);
        }
        self.query(&stored).map_err(Decline::Refused)?;
        let piece = loaded.list("piece");
        let mut moved = stored.clone();
        for record in piece {
            let before = changes.written().len();
            match stored.action {
                SweepAction::Delete => {
                    changes.delete_record(record);
                }
                SweepAction::Mask => {
                    changes.update_record(record, masked(record))?;
                    changes.erase_log(record);
                }
                SweepAction::Purge => changes.purge_record(record),
            }
            if changes.written().len() > before {
                moved.changed += 1;
                changes.event(
                    &format!("{}.swept", record.def.name),
                    json!({ "sweep_id": self.id, "id": record.id() }),
                );
            }
        }
        moved.reached = piece.last().map(Record::id).or(stored.reached);
        if piece.len() < PIECE {
            moved.is_done = true;
            moved.criteria = None;
            // The criteria may name a person; the log must not keep what the record forgets.
            changes.erase_log(&stored.to_record());
        }
        let moved = changes.update(&stored, &moved)?;
        if moved.is_done {
            changes.event("sweep.done", json!({ "sweep_id": self.id, "changed": moved.changed }));
        }
        Ok(Some(moved))
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Option<Sweep>> {
        Some(loaded.get(self.id).ok().flatten())
    }
}

/// The record with the catalog's masks in place of everything personal (SPEC PR-04).
pub fn masked(record: &Record) -> Record {
    let mut masked = record.clone();
    for (place, field) in record.def.own_fields() {
        if let Privacy::Personal(mask) = field.privacy
            && !record.values[place].is_missing()
        {
            masked.values[place] = mask.apply(record.id());
        }
    }
    masked
}
