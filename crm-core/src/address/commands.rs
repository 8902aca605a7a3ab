//! What can be done with addresses, as pure decisions.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::address::{Address, AddressId, AddressType, Coordinates, Place};
use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, NoRefusal};
use crate::criteria::Filter;
use crate::customer::{Customer, CustomerId, Expect, at_place, input_of, live_customer};
use crate::format::Country;
use crate::policy::Action;
use crate::record::FieldError;
use crate::store::Query;
use crate::value::Value;

type Decision<T> = Result<T, Decline<NoRefusal>>;

const DEFAULT_RULE: &str = "one_default_per_type";

/// Creates addresses, all or none. A new default of a type demotes the customer's old one in the same commit.
#[derive(Clone, Debug)]
pub struct CreateAddress {
    /// The addresses.
    pub addresses: Vec<Address>,
    /// What a geocoder found, in the same order; used for addresses without coordinates. May be shorter.
    pub located: Vec<Option<Coordinates>>,
}

impl Command for CreateAddress {
    type Output = Vec<Address>;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "addresses.create"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "address")
    }

    fn input(&self) -> Json {
        self.addresses.iter().map(input_of).collect()
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == DEFAULT_RULE
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        let customers = self.addresses.iter().map(|address| address.customer_id.0).collect();
        let defaults = self.addresses.iter().filter(|address| address.is_default);
        let defaults = defaults.filter_map(|address| default_of(address.customer_id, address.address_type));
        std::iter::once(Need::Records(Customer::def(), customers)).chain(defaults).collect()
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let mut created = Vec::with_capacity(self.addresses.len());
        for (place, address) in self.addresses.iter().enumerate() {
            live_customer(address.customer_id, loaded)?;
            let mut address = address.clone();
            if let (true, Some(Some(found))) = (address.coordinates_missing(), self.located.get(place)) {
                address.put(*found);
            }
            if address.is_default {
                let rival = |other: &Address| {
                    other.is_default
                        && (other.customer_id, other.address_type)
                            == (address.customer_id, address.address_type)
                };
                if self.addresses[..place].iter().any(rival) {
                    let why =
                        "is true for two addresses of one customer and type in this batch; name one of them";
                    let errors = vec![FieldError::new("is_default", why)];
                    return Err(Decline::Invalid(at_place(errors, place, self.addresses.len())));
                }
                demote(&address, loaded, changes)?;
            }
            let address =
                changes.insert(&address).map_err(|errors| at_place(errors, place, self.addresses.len()))?;
            changes.event("address.created", told(&address));
            created.push(address);
        }
        Ok(created)
    }

    fn recall(&self, loaded: &Loaded, written: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        let ids = written.iter().filter(|(entity, _, version)| entity == "address" && *version == 1);
        ids.map(|(_, id, _)| loaded.get(AddressId(*id)).ok().flatten()).collect()
    }
}

/// Changes one address by a function over it. Making it the default of its type demotes the old one. Coordinates of
/// another place are dropped when the place changes and no new ones are given.
pub struct UpdateAddress<'f> {
    /// The address.
    pub id: AddressId,
    /// Which version it applies to.
    pub expect: Expect,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Address) + Send + Sync),
    /// A place and what a geocoder found there; used if the changed address is at that very place.
    pub located: Option<(Place, Coordinates)>,
}

impl Command for UpdateAddress<'_> {
    type Output = Address;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "addresses.update"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Write, "address")
    }

    fn input(&self) -> Json {
        let nobody = CustomerId(Uuid::nil());
        let sample = Country::all().next().map(|country| {
            let mut sample = Address::new(nobody, AddressType::default(), "", "", country);
            (self.change)(&mut sample);
            input_of(&sample)
        });
        json!([self.id, self.expect.to_json(), sample])
    }

    fn resolves(&self, rule: &str) -> bool {
        rule == DEFAULT_RULE
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = address_and_customer(self.id, loaded);
        if let Ok(Some(before)) = loaded.live::<Address>(self.id) {
            let after = changed(&before, self.change);
            if becomes_default(&before, &after) {
                needs.extend(default_of(before.customer_id, after.address_type));
            }
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_address(self.id, loaded)?;
        self.expect.check("address", self.id.0, before.meta.version)?;
        let mut after = changed(&before, self.change);
        if let Some((place, found)) = &self.located
            && after.coordinates_missing()
            && Place::of(&after) == *place
        {
            after.put(*found);
        }
        if becomes_default(&before, &after) {
            demote(&after, loaded, changes)?;
        }
        let after = changes.update(&before, &after)?;
        if after.meta.version != before.meta.version {
            changes.event("address.updated", told(&after));
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// Deletes an address.
#[derive(Clone, Copy, Debug)]
pub struct DeleteAddress {
    /// The address.
    pub id: AddressId,
    /// Which version it applies to.
    pub expect: Expect,
}

impl Command for DeleteAddress {
    type Output = Address;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "addresses.delete"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Delete, "address")
    }

    fn input(&self) -> Json {
        json!([self.id, self.expect.to_json()])
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        address_and_customer(self.id, loaded)
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Self::Output> {
        let before = live_address(self.id, loaded)?;
        self.expect.check("address", self.id.0, before.meta.version)?;
        let after = changes.delete_record(&before.to_record());
        changes.event("address.deleted", told(&before));
        Ok(Address::from_record(&after)?)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Self::Output> {
        loaded.get(self.id).ok().flatten()
    }
}

/// The address after a change, without coordinates that are those of another place.
pub(super) fn changed(before: &Address, change: &(dyn Fn(&mut Address) + Send + Sync)) -> Address {
    let mut after = before.clone();
    change(&mut after);
    let same = (after.latitude, after.longitude) == (before.latitude, before.longitude);
    if same && Place::of(&after) != Place::of(before) {
        (after.latitude, after.longitude) = (None, None);
    }
    after
}

/// Whether it takes a default's place that it did not have.
fn becomes_default(before: &Address, after: &Address) -> bool {
    after.is_default && !(before.is_default && before.address_type == after.address_type)
}

fn told(address: &Address) -> Json {
    json!({
        "address_id": address.id,
        "customer_id": address.customer_id,
        "address_type": address.address_type,
        "is_default": address.is_default,
    })
}

/// The address, if it and its customer are live.
fn live_address(id: AddressId, loaded: &Loaded) -> Decision<Address> {
    let missing = || Decline::NotFound("address", id.0);
    let address: Address = loaded.live(id)?.ok_or_else(missing)?;
    loaded.live::<Customer>(address.customer_id)?.ok_or_else(missing)?;
    Ok(address)
}

fn address_and_customer(id: AddressId, loaded: &Loaded) -> Vec<Need> {
    let mut needs = vec![Need::Records(Address::def(), vec![id.0])];
    if let Ok(Some(address)) = loaded.live::<Address>(id) {
        needs.push(Need::Records(Customer::def(), vec![address.customer_id.0]));
    }
    needs
}

fn default_name(customer: CustomerId, kind: AddressType) -> String {
    format!("default {} of {customer}", kind.code())
}

fn default_of(customer: CustomerId, kind: AddressType) -> Option<Need> {
    let def = Address::def();
    let filter = Filter::eq(def, "customer_id", Value::Id(customer.0))?
        .and(Filter::eq(def, "address_type", Value::Text(kind.code().to_owned()))?)
        .and(Filter::eq(def, "is_default", Value::Bool(true))?)
        .and(Filter::undeleted(def));
    Some(Need::Find(default_name(customer, kind), Box::new(Query::new(def, filter, 1))))
}

/// Takes the default's place of a type from whichever address has it.
fn demote(new: &Address, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<()> {
    for old in loaded.all::<Address>(&default_name(new.customer_id, new.address_type))? {
        if old.id != new.id {
            changes.update(&old, &Address { is_default: false, ..old.clone() })?;
            changes.event("address.default_lost", told(&Address { is_default: false, ..old }));
        }
    }
    Ok(())
}
