//! `crm.addresses()`.

use futures_util::future::join_all;
use serde_json::json;

use crate::address::commands::changed;
use crate::address::{
    Address, AddressId, Coordinates, CreateAddress, DeleteAddress, Geocoder, Place, UpdateAddress,
};
use crate::command::Error;
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{CustomerId, Expect};
use crate::policy::Action;
use crate::query::{Find, Page};

/// How many places of a batch a geocoder is asked about at once.
const ASKED_AT_ONCE: usize = 8;

/// Addresses: create, read, change, delete, find.
#[derive(Clone, Copy)]
pub struct Addresses<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<Done<T>, Error>;

impl<'a> Addresses<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Creates an address. A default one takes the place of the customer's old default of that type in the same
    /// commit. Missing coordinates are asked of the [`Geocoder`], if there is one.
    pub async fn create(&self, ctx: &Context, address: Address) -> Outcome<Address> {
        Ok(self.create_batch(ctx, vec![address]).await?.map(|mut list| list.remove(0)))
    }

    /// Creates many addresses, all or none.
    pub async fn create_batch(&self, ctx: &Context, addresses: Vec<Address>) -> Outcome<Vec<Address>> {
        let mut located = Vec::new();
        if let Some(geocoder) = self.geocoder(ctx) {
            for chunk in addresses.chunks(ASKED_AT_ONCE) {
                located.extend(join_all(chunk.iter().map(|address| locate(geocoder, ctx, address))).await);
            }
        }
        self.crm.run(ctx, &CreateAddress { addresses, located }).await
    }

    /// Changes an address by a function over it, which is called again if others were faster. When the place changes
    /// and no coordinates are given, the [`Geocoder`] is asked; without an answer they are missing afterwards.
    pub async fn update(
        &self,
        ctx: &Context,
        id: AddressId,
        expect: Expect,
        change: impl Fn(&mut Address) + Send + Sync,
    ) -> Outcome<Address> {
        let mut located = None;
        // Whether the address is there and may be changed is the command's to say.
        if let Some(geocoder) = self.geocoder(ctx)
            && let Ok(before) = self.get(ctx, id).await
        {
            let after = changed(&before, &change);
            located = locate(geocoder, ctx, &after).await.map(|found| (Place::of(&after), found));
        }
        self.crm.run(ctx, &UpdateAddress { id, expect, change: &change, located }).await
    }

    /// Makes an address the default of its type.
    pub async fn set_default(&self, ctx: &Context, id: AddressId) -> Outcome<Address> {
        self.update(ctx, id, Expect::Any, |address| address.is_default = true).await
    }

    /// Deletes an address.
    pub async fn delete(&self, ctx: &Context, id: AddressId, expect: Expect) -> Outcome<Address> {
        self.crm.run(ctx, &DeleteAddress { id, expect }).await
    }

    /// The address.
    pub async fn get(&self, ctx: &Context, id: AddressId) -> Result<Address, Error> {
        self.crm.get(ctx, id).await
    }

    /// The addresses of a customer, at most 1,000, defaults first, then by type.
    pub async fn of(&self, ctx: &Context, customer: CustomerId) -> Result<Vec<Address>, Error> {
        let of = json!({ "field": "customer_id", "operator": "eq", "value": customer });
        let find = Find::matching(of).descending("is_default").ascending("address_type");
        Ok(self.crm.find(ctx, &find.limit(1_000)).await?.items)
    }

    /// A page of the addresses that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Address>, Error> {
        self.crm.find(ctx, find).await
    }

    /// The geocoder, for who may write addresses: of others nothing leaves the house.
    fn geocoder(self, ctx: &Context) -> Option<&'a dyn Geocoder> {
        let crm = self.crm;
        crm.geocoder().filter(|_| crm.allow(ctx, Action::Write, "address").is_ok())
    }
}

/// Asks about an address whose coordinates are missing. A failure is told to the log of the process only.
async fn locate(geocoder: &dyn Geocoder, ctx: &Context, address: &Address) -> Option<Coordinates> {
    if !address.coordinates_missing() {
        return None;
    }
    if let Ok(found) = geocoder.locate(ctx, &Place::of(address)).await {
        return found;
    }
    // Its words may quote the address.
    tracing::warn!(tenant = %ctx.tenant, "the geocoder failed; an address is saved without coordinates");
    None
}
