//! Deleting what meets criteria: a little at once, more after an approval (SPEC CM-10, IT-01).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::approval::ask::{draft, insert};
use crate::approval::{Approval, ApprovalId, ApprovalRequest};
use crate::catalog::{Catalog, Entity};
use crate::command::{Changes, Command, Decline, Error, Loaded, Need};
use crate::context::Context;
use crate::criteria::{Criteria, Filter, Scope};
use crate::crm::{Crm, Done};
use crate::id::RecordId;
use crate::policy::Action;
use crate::query::visible_filter;
use crate::store::Query;
use crate::tenant::Settings;
use crate::value::{Instant, truncate};

/// How many records are deleted without an approval.
pub const MOST_AT_ONCE: usize = 100;

/// What came of deleting many.
#[derive(Clone, Debug, PartialEq)]
pub enum BulkDeletion {
    /// So many were deleted, all in one commit.
    Deleted(usize),
    /// There were more than [`MOST_AT_ONCE`]. None was deleted; this asks for it.
    NeedsApproval(Box<Approval>),
}

/// Deletes the live records that meet criteria and that the actor may see, if there are at most [`MOST_AT_ONCE`]; else
/// asks for the approval of an [`ApprovalRequest::BulkDelete`]. Which they are is judged in one snapshot, and again when
/// one of them was changed meanwhile.
pub struct DeleteMatching<'c, E: Entity, C> {
    /// The command's name: `customers.delete_matching`.
    pub name: &'static str,
    /// Which records of the entity.
    pub criteria: Json,
    /// Why, 1 to 500 characters: kept with the approval.
    pub reason: String,
    /// The instant that relative dates refer to.
    pub at: Instant,
    /// The entities.
    pub catalog: &'c Catalog,
    /// The request: who may see what.
    pub ctx: &'c Context,
    /// The command that deletes one of them.
    pub one: fn(E::Id) -> C,
}

const FOUND: &str = "matching";

impl Crm {
    /// Deletes a few records, or asks for the approval to delete many.
    pub(crate) async fn delete_matching<E: Entity, C: Command>(
        &self,
        ctx: &Context,
        name: &'static str,
        criteria: Json,
        reason: &str,
        one: fn(E::Id) -> C,
    ) -> Result<Done<BulkDeletion>, Error<C::Refusal>> {
        let (at, catalog) = (truncate(self.env().now()), self.store().catalog());
        let reason = reason.to_owned();
        self.run(ctx, &DeleteMatching::<E, C> { name, criteria, reason, at, catalog, ctx, one }).await
    }
}

impl<E: Entity, C: Command> DeleteMatching<'_, E, C> {
    fn query(&self, loaded: &Loaded) -> Result<Query, Decline<C::Refusal>> {
        let zone = loaded.settings(self.ctx.tenant)?.tz();
        let criteria = Criteria::parse(&self.criteria, E::def(), &Scope::new(self.catalog, zone))?;
        let filter = criteria
            .at(self.at)
            .and(Filter::live(self.catalog, E::def()))
            .and(visible_filter(E::def(), &self.ctx.viewer()));
        Ok(Query::new(E::def(), filter, MOST_AT_ONCE + 1))
    }
}

impl<E: Entity, C: Command> Command for DeleteMatching<'_, E, C> {
    type Output = BulkDeletion;
    type Refusal = C::Refusal;

    fn name(&self) -> &'static str {
        self.name
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, E::def().name)
    }

    fn input(&self) -> Json {
        json!([self.criteria, self.reason])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        // The zone of the criteria's days is in the settings, which come with the first round.
        let settings = Need::Records(Settings::def(), vec![self.ctx.tenant.0]);
        if loaded.lacks(settings).is_some() {
            return Vec::new();
        }
        let mut needs = Vec::new();
        if let Ok(query) = self.query(loaded) {
            needs.push(Need::Find(FOUND.to_owned(), Box::new(query)));
        }
        let found = loaded.list(FOUND);
        if found.len() <= MOST_AT_ONCE {
            needs.extend(
                found.iter().flat_map(|record| (self.one)(E::Id::from_uuid(record.id())).needs(loaded)),
            );
        }
        needs
    }

    fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<BulkDeletion, Decline<C::Refusal>> {
        self.query(loaded)?;
        let request = ApprovalRequest::BulkDelete {
            entity: E::def().name.to_owned(),
            criteria: self.criteria.clone(),
            reason: self.reason.clone(),
        };
        let approval = draft(&request, None, changes)?;
        let found = loaded.list(FOUND);
        if found.len() > MOST_AT_ONCE {
            return Ok(BulkDeletion::NeedsApproval(Box::new(insert(&approval, changes)?)));
        }
        let mut deleted = 0;
        for record in found {
            match (self.one)(E::Id::from_uuid(record.id())).decide(loaded, changes) {
                Ok(_) => deleted += 1,
                // Its customer was deleted after the records were found.
                Err(Decline::NotFound(..)) => {}
                Err(decline) => return Err(decline),
            }
        }
        Ok(BulkDeletion::Deleted(deleted))
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<BulkDeletion> {
        match written.iter().find(|(entity, ..)| entity == Approval::def().name) {
            Some((_, id, _)) => {
                let approval = loaded.get(ApprovalId(*id)).ok().flatten()?;
                Some(BulkDeletion::NeedsApproval(Box::new(approval)))
            }
            None => {
                let deleted = written.iter().filter(|(entity, ..)| entity == E::def().name);
                Some(BulkDeletion::Deleted(deleted.count()))
            }
        }
    }
}
