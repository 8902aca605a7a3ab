//! What can be done with customers, as pure decisions.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::rules::{check_owner, check_parent, check_status, external_needs, take_external_id};
use crate::customer::{
    Customer, CustomerId, ExternalKey, MAX_HIERARCHY_DEPTH, at_place, input_of, live_customer,
};
use crate::directory::{Assignee, Keeper, UserId, give, guard_assignee, keeper, keeper_needs};
use crate::lifecycle::{
    CustomerLifecycle, LifecycleStage, StageCategory, insert_defaults, live_stages, stage_needs,
};
use crate::policy::Action;
use crate::record::Record;

/// Why a customer is not created, changed, deleted or restored.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomerRefusal {
    /// The parent is the customer itself or stands below it.
    #[error("{parent} stands below {customer}, so it cannot stand above it; move {parent} elsewhere first")]
    Cycle {
        /// The customer that was to be moved.
        customer: CustomerId,
        /// The parent that was asked for.
        parent: CustomerId,
    },
    /// The hierarchy would be too deep.
    #[error("the hierarchy would be more than {MAX_HIERARCHY_DEPTH} deep")]
    TooDeep,
    /// The owner is not an active user of the tenant.
    #[error("the owner {0} is not an active user; choose an active one, or add the user to the directory")]
    Owner(Uuid),
    /// The parent is not a live customer of the tenant.
    #[error("the parent {0} is not a customer, or is deleted")]
    Parent(CustomerId),
    /// Another customer has this external id.
    #[error("{system} {value} is the id of customer {holder} already")]
    ExternalIdTaken {
        /// The other system.
        system: String,
        /// The id there.
        value: String,
        /// Who has it.
        holder: CustomerId,
    },
    /// The owner has left, and nobody takes over.
    #[error(
        "customer {customer} belongs to user {owner}, who has left, and nobody takes over: none of the managers above \
         is active and there is no pool; name an active user as pool_id in the settings"
    )]
    NoSuccessor {
        /// The customer.
        customer: CustomerId,
        /// Whose it was.
        owner: UserId,
    },
    /// No active stage of the lifecycle has the category that the status asks for.
    #[error("no active lifecycle stage has the category {0}; add one, or activate one")]
    NoStage(&'static str),
    /// The status follows from the stage; by hand a customer is only put aside and taken back.
    #[error(
        "the status cannot be set to {asked}: it follows from the customer's stage; accepted are inactive and, to take it \
         back, {accepted}; for others use lifecycle().advance"
    )]
    Status {
        /// The code that was asked for.
        asked: &'static str,
        /// What its stage makes it.
        accepted: &'static str,
    },
    /// The customer is not deleted, so there is nothing to restore.
    #[error("customer {0} is not deleted")]
    NotDeleted(CustomerId),
}

impl Refusal for CustomerRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Cycle { .. } => "customer_cycle",
            Self::TooDeep => "customer_too_deep",
            Self::Owner(_) => "customer_owner",
            Self::Parent(_) => "customer_parent",
            Self::ExternalIdTaken { .. } => "external_id_taken",
            Self::NoSuccessor { .. } => "no_successor",
            Self::NoStage(_) => "no_stage",
            Self::Status { .. } => "customer_status",
            Self::NotDeleted(_) => "not_deleted",
        }
    }
}

/// Which version a change applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is stored: decided again if others were faster.
    #[default]
    Any,
    /// This version, or the change is refused.
    Version(i64),
}

impl Expect {
    /// Declines when another version is stored.
    pub(crate) fn check<R>(self, entity: &'static str, id: Uuid, found: i64) -> Result<(), Decline<R>> {
        match self {
            Self::Version(expected) if expected != found => {
                Err(Decline::Version { entity, id, expected, found })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn to_json(self) -> Json {
        match self {
            Self::Any => Json::Null,
            Self::Version(version) => json!(version),
        }
    }
}

pub(super) type Decision<T> = Result<T, Decline<CustomerRefusal>>;

/// Creates customers with their external ids, all or none; each starts as a prospect unless stated otherwise, in the
/// first stage that fits, owned by the acting user if the directory knows them and nobody else is named.
#[derive(Clone, Debug)]
pub struct CreateCustomer {
    /// The customers with the ids other systems know them by. Each writes two records, itself and its
    /// [`CustomerLifecycle`], and one for each id. The tenant's first also bring the default stages, 22 records.
    pub customers: Vec<(Customer, Vec<ExternalKey>)>,
    /// The acting user, the default owner.
    pub acting: Option<Uuid>,
}

impl Command for CreateCustomer {
    type Output = Vec<Customer>;
    type Refusal = CustomerRefusal;

    fn name(&self) -> &'static str {
        "customers.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "customer")
    }

    fn input(&self) -> Json {
        self.customers.iter().map(|(customer, keys)| json!([input_of(customer), keys])).collect()
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let customers = self.customers.iter().map(|(customer, _)| customer);
        let owners = customers.clone().filter_map(|c| c.owner_id.map(|id| id.0)).chain(self.acting).collect();
        let parents = customers.filter_map(|c| c.parent_id);
        let mut needs = vec![Need::Records(Assignee::def(), owners)];
        needs.extend(parents.map(|id| Need::Ancestors(format!("above {id}"), Customer::def(), id.0)));
        let keys = self.customers.iter().flat_map(|(_, keys)| keys);
        needs.extend(external_needs(keys, loaded));
        needs.extend(stage_needs());
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let region = loaded.settings(changes.context().tenant)?.region;
        let stages = match live_stages(loaded)? {
            Some(stages) => stages,
            None => insert_defaults(changes)?,
        };
        let mut created = Vec::with_capacity(self.customers.len());
        let mut taken = BTreeMap::new();
        for (place, (given, keys)) in self.customers.iter().enumerate() {
            let mut customer = given.clone();
            customer.normalise(region);
            customer.created_by = self.acting.map(UserId);
            customer.erased_at = None;
            match (customer.owner_id, self.acting) {
                (Some(owner), _) => check_owner(owner, loaded, changes)?,
                (None, Some(acting)) if guard_assignee(UserId(acting), loaded, changes) => {
                    customer.owner_id = Some(UserId(acting));
                }
                _ => {}
            }
            if let Some(parent) = customer.parent_id {
                check_parent(None, parent, loaded, changes)?;
            }
            let customer =
                changes.insert(&customer).map_err(|errors| at_place(errors, place, self.customers.len()))?;
            changes.event("customer.created", json!({ "customer_id": customer.id, "type": customer.r#type }));
            let category = StageCategory::of_new(customer.status);
            let first = stages.iter().find(|stage| stage.is_active && stage.category == category);
            let stage = first.ok_or(Decline::Refused(CustomerRefusal::NoStage(category.code())))?.id;
            changes.guard_live(LifecycleStage::def(), stage.0);
            changes.insert(&CustomerLifecycle::beginning(customer.id, stage, changes.now()))?;
            for key in keys {
                let key = key.cleaned();
                if let Some(holder) = taken.insert(key.clone(), customer.id) {
                    let ExternalKey { system, value } = key;
                    return Err(Decline::Refused(CustomerRefusal::ExternalIdTaken { system, value, holder }));
                }
                take_external_id(key, customer.id, loaded, changes)?;
            }
            created.push(customer);
        }
        Ok(created)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let ids = written.iter().filter(|(entity, ..)| entity == "customer");
        ids.map(|(_, id, _)| loaded.get(CustomerId(*id)).ok().flatten()).collect()
    }
}

/// Changes one customer by a function over it.
pub struct UpdateCustomer<'f> {
    /// The customer.
    pub id: CustomerId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Customer) + Send + Sync),
}

impl Command for UpdateCustomer<'_> {
    type Output = Customer;
    type Refusal = CustomerRefusal;

    fn name(&self) -> &'static str {
        "customers.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "customer")
    }

    fn input(&self) -> Json {
        let mut sample = Customer::default();
        (self.change)(&mut sample);
        json!([self.id, self.expect.to_json(), input_of(&sample)])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Customer::def(), vec![self.id.0])];
        if let Ok(Some(mut customer)) = loaded.live::<Customer>(self.id) {
            let before = customer.clone();
            (self.change)(&mut customer);
            if let Some(owner) = customer.owner_id.filter(|owner| before.owner_id != Some(*owner)) {
                needs.push(Need::Records(Assignee::def(), vec![owner.0]));
            }
            if let Some(parent) = customer.parent_id.filter(|parent| before.parent_id != Some(*parent)) {
                needs.push(Need::Ancestors(format!("above {parent}"), Customer::def(), parent.0));
            }
            if customer.status != before.status {
                needs.push(Need::Records(CustomerLifecycle::def(), vec![self.id.0]));
                if let Ok(Some(lifecycle)) = loaded.live::<CustomerLifecycle>(self.id) {
                    needs.push(Need::Records(LifecycleStage::def(), vec![lifecycle.current_stage_id.0]));
                }
            }
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_customer(self.id, loaded)?;
        self.expect.check("customer", self.id.0, before.meta.version)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        if after.phone == before.phone {
            after.phone_e164.clone_from(&before.phone_e164);
        } else {
            after.normalise(loaded.settings(changes.context().tenant)?.region);
        }
        if let Some(owner) = after.owner_id.filter(|owner| before.owner_id != Some(*owner)) {
            check_owner(owner, loaded, changes)?;
        }
        if let Some(parent) = after.parent_id.filter(|parent| before.parent_id != Some(*parent)) {
            check_parent(Some(self.id), parent, loaded, changes)?;
        }
        if after.status != before.status {
            check_status(&before, after.status, loaded, changes)?;
        }
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("customer.updated", json!({ "customer_id": after.id }));
        }
        if after.owner_id != before.owner_id {
            changes.event(
                "customer.owner_changed",
                json!({ "customer_id": after.id, "from": before.owner_id, "to": after.owner_id }),
            );
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes a customer; everything read through it is hidden with it, and comes back with it.
#[derive(Clone, Copy, Debug)]
pub struct DeleteCustomer {
    /// The customer.
    pub id: CustomerId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for DeleteCustomer {
    type Output = Customer;
    type Refusal = CustomerRefusal;

    fn name(&self) -> &'static str {
        "customers.delete"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "customer")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Customer::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_customer(self.id, loaded)?;
        self.expect.check("customer", self.id.0, before.meta.version)?;
        let after = changes.delete_record(&before.to_record());
        changes.event("customer.deleted", json!({ "customer_id": self.id }));
        Ok(Customer::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Takes a customer back from deletion. One whose owner has left meanwhile goes to who takes over from them.
#[derive(Clone, Copy, Debug)]
pub struct RestoreCustomer {
    /// The customer.
    pub id: CustomerId,
}

impl Command for RestoreCustomer {
    type Output = Customer;
    type Refusal = CustomerRefusal;

    fn name(&self) -> &'static str {
        "customers.restore"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "customer")
    }

    fn input(&self) -> Json {
        json!([self.id])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Customer::def(), vec![self.id.0])];
        if let Some(owner) = loaded.record(Customer::def(), self.id.0).and_then(owner_of) {
            needs.extend(keeper_needs(owner, loaded));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before =
            loaded.record(Customer::def(), self.id.0).ok_or(Decline::NotFound("customer", self.id.0))?;
        if before.is_live() {
            return Err(Decline::Refused(CustomerRefusal::NotDeleted(self.id)));
        }
        let mut after = changes.restore_record(before);
        changes.event("customer.restored", json!({ "customer_id": self.id }));
        if let Some(owner) = owner_of(before) {
            match keeper(owner, loaded, changes) {
                Keeper::Owner => {}
                Keeper::Successor(to) => after = give(&after, to, changes)?,
                Keeper::Nobody => {
                    let customer = self.id;
                    return Err(Decline::Refused(CustomerRefusal::NoSuccessor { customer, owner }));
                }
            }
        }
        Ok(Customer::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

fn owner_of(customer: &Record) -> Option<UserId> {
    customer.get("owner_id").as_id().map(UserId)
}
