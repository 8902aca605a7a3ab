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
        if let Some((_, id, _)) = written.iter().find(|(entity, ..)| entity == Approval::def().name) {
            let approval = loaded.get(ApprovalId(*id)).ok().flatten()?;
            return Some(BulkDeletion::NeedsApproval(Box::new(approval)));
        }
        let deleted = written.iter().filter(|(entity, ..)| entity == E::def().name);
        Some(BulkDeletion::Deleted(deleted.count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::{Customer, CustomerId, Expect};
    use crate::env::FixedEnv;
    use crate::id::TenantId;
    use crate::interaction::{Interaction, InteractionId, UpdateInteraction};
    use crate::record::Meta;

    /// What is hidden between the two rounds of reads is left alone; it does not refuse the rest.
    #[test]
    fn it_01_a_record_whose_customer_is_deleted_meanwhile_is_left_out() {
        let catalog = crate::standard_catalog().build().unwrap();
        let now: Instant = "2024-02-29T12:00:00Z".parse().unwrap();
        let (env, ctx) = (FixedEnv::at(now), Context::user(TenantId(Uuid::from_u128(1)), Uuid::from_u128(2)));
        let command = DeleteMatching::<Interaction, _> {
            name: "interactions.delete_matching",
            criteria: json!({ "all": [] }),
            reason: "asked for".to_owned(),
            at: now,
            catalog: &catalog,
            ctx: &ctx,
            one: |id| UpdateInteraction { id, expect: Expect::Any, delete: true, change: &|_| {} },
        };
        let meta = |deleted_at| Meta { version: 1, created_at: now, updated_at: now, deleted_at };
        let customer = |id, deleted_at| Customer {
            id: CustomerId(Uuid::from_u128(id)),
            meta: meta(deleted_at),
            display_name: "Someone".to_owned(),
            ..Customer::default()
        };
        let talk = |id, customer| Interaction {
            id: InteractionId(Uuid::from_u128(id)),
            meta: meta(None),
            customer_id: CustomerId(Uuid::from_u128(customer)),
            ..Interaction::default()
        };
        let mut loaded = Loaded::default();
        assert!(command.needs(&loaded).is_empty(), "the settings come first");
        loaded.add_records(Settings::def(), &[ctx.tenant.0], Vec::new());
        let needs = command.needs(&loaded);
        assert!(matches!(&needs[..], [Need::Find(name, query)] if name == FOUND && query.limit == 101));
        loaded.add_list(FOUND, [talk(10, 3), talk(11, 4)].iter().map(Entity::to_record).collect());
        let customers = [customer(3, None), customer(4, Some(now))];
        let ids = customers.clone().map(|customer| customer.id.0);
        assert!(
            command
                .needs(&loaded)
                .iter()
                .any(|need| matches!(need, Need::Records(def, _) if *def == Customer::def()))
        );
        loaded.add_records(Customer::def(), &ids, customers.iter().map(Entity::to_record).collect());
        let mut changes = Changes::new(&catalog, &env, &ctx, command.name);
        let done = command.decide(&loaded, &mut changes).unwrap();
        assert_eq!(done, BulkDeletion::Deleted(1));
        assert_eq!(changes.written(), [("interaction".to_owned(), Uuid::from_u128(10), 2)]);
    }
}
