//! What must hold of a customer, whatever command changes it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::catalog::Entity;
use crate::command::{Changes, Decline, Loaded, Need};
use crate::customer::commands::Decision;
use crate::customer::{
    Customer, CustomerId, CustomerRefusal, CustomerStatus, ExternalId, ExternalKey, MAX_HIERARCHY_DEPTH,
};
use crate::directory::{UserId, guard_assignee};
use crate::lifecycle::{CustomerLifecycle, LifecycleStage};
use crate::record::FieldError;

/// The customer, if it is live.
pub(crate) fn live_customer<R>(id: CustomerId, loaded: &Loaded) -> Result<Customer, Decline<R>> {
    loaded.live(id)?.ok_or(Decline::NotFound("customer", id.0))
}

/// The input of a command that carries an entity: its values without version and instants.
pub(crate) fn input_of<E: Entity>(entity: &E) -> Json {
    let record = entity.to_record();
    record.def.own_fields().map(|(place, _)| record.values[place].to_json()).collect()
}

/// Points errors of one of many inputs at its place.
pub(crate) fn at_place(mut errors: Vec<FieldError>, place: usize, of: usize) -> Vec<FieldError> {
    if of > 1 {
        for error in &mut errors {
            error.field = format!("[{place}].{}", error.field);
        }
    }
    errors
}

/// What must be loaded to know who has these external ids.
pub(super) fn external_needs<'k>(keys: impl Iterator<Item = &'k ExternalKey>, loaded: &Loaded) -> Vec<Need> {
    let mut by_system = BTreeMap::<String, Vec<String>>::new();
    for key in keys {
        let key = key.cleaned();
        by_system.entry(key.system).or_default().push(key.value);
    }
    let mut needs = Vec::new();
    for (system, values) in by_system {
        let name = format!("external {system}");
        let holders =
            loaded.list(&name).iter().filter(|row| row.get("record_type").as_text() == Some("customer"));
        needs.push(Need::Records(
            Customer::def(),
            holders.filter_map(|row| row.get("record_id").as_id()).collect(),
        ));
        if let Some(query) = crate::query::external_ids(&system, values) {
            needs.push(Need::Find(name, Box::new(query)));
        }
    }
    needs
}

/// Gives a customer an external id in its cleaned form. One that a deleted record has is free.
pub(super) fn take_external_id(
    key: ExternalKey,
    customer: CustomerId,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<()> {
    let row = ExternalId {
        id: changes.new_id(),
        meta: crate::record::Meta::default(),
        system: key.system.clone(),
        value: key.value.clone(),
        record_type: "customer".to_owned(),
        record_id: customer.0,
    };
    let held = loaded.all::<ExternalId>(&format!("external {}", key.system))?;
    match held.into_iter().find(|held| held.value == key.value) {
        None => changes.insert(&row)?,
        Some(held) => {
            let holder = CustomerId(held.record_id);
            if held.record_type != "customer"
                || loaded.live(holder)?.is_some_and(|c: Customer| c.id != customer)
            {
                let ExternalKey { system, value } = key;
                return Err(Decline::Refused(CustomerRefusal::ExternalIdTaken { system, value, holder }));
            }
            if let Some(record) = loaded.record(Customer::def(), holder.0) {
                changes.guard_version(record);
            }
            changes.update(&held, &ExternalId { id: held.id, meta: held.meta.clone(), ..row })?
        }
    };
    Ok(())
}

/// Refuses a status that the customer's stage does not give, but for `inactive`; guards where it stands, which a
/// change of the stage would move.
pub(super) fn check_status(
    before: &Customer,
    asked: CustomerStatus,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<()> {
    if asked == CustomerStatus::Inactive {
        return Ok(());
    }
    let lost = || Decline::NotFound("customer_lifecycle", before.id.0);
    let lifecycle: CustomerLifecycle = loaded.live(before.id)?.ok_or_else(lost)?;
    let stage: LifecycleStage = loaded.get(lifecycle.current_stage_id)?.ok_or_else(lost)?;
    let accepted = stage.category.status();
    if before.status != CustomerStatus::Inactive || asked != accepted {
        let (asked, accepted) = (asked.code(), accepted.code());
        return Err(Decline::Refused(CustomerRefusal::Status { asked, accepted }));
    }
    changes.guard_version(&lifecycle.to_record());
    Ok(())
}

/// Refuses an owner who is not an active user; guards that the user stays one.
pub(super) fn check_owner(id: UserId, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<()> {
    if guard_assignee(id, loaded, changes) {
        return Ok(());
    }
    Err(Decline::Refused(CustomerRefusal::Owner(id.0)))
}

/// Refuses a parent that is not there, stands below the customer, or is too deep; guards everyone above, so that no
/// other change can close a circle at the same time.
pub(super) fn check_parent(
    customer: Option<CustomerId>,
    parent: CustomerId,
    loaded: &Loaded,
    changes: &mut Changes<'_>,
) -> Decision<()> {
    let above = loaded.list(&format!("above {parent}"));
    if !above.first().is_some_and(|record| record.id() == parent.0 && record.is_live()) {
        return Err(Decline::Refused(CustomerRefusal::Parent(parent)));
    }
    if let Some(customer) = customer
        && above.iter().any(|record| record.id() == customer.0)
    {
        return Err(Decline::Refused(CustomerRefusal::Cycle { customer, parent }));
    }
    if above.len() >= MAX_HIERARCHY_DEPTH {
        return Err(Decline::Refused(CustomerRefusal::TooDeep));
    }
    for record in above {
        changes.guard_version(record);
    }
    Ok(())
}
