//! The address.

use rust_decimal::Decimal;

use crate::address::Coordinates;
use crate::catalog::Entity;
use crate::customer::CustomerId;
use crate::format::Country;
use crate::record::{FieldError, Meta, Validate};
use crate::record_id;

record_id! {
    /// The id of an [`Address`].
    AddressId
}

crate::codes! {
    /// What an address is for.
    pub enum AddressType {
        /// Where invoices go.
        #[default]
        Billing = "billing",
        /// Where goods go.
        Shipping = "shipping",
        /// Where service is done.
        Service = "service",
        /// The headquarters.
        Headquarters = "headquarters",
        /// Anything else.
        Other = "other",
    }
}

/// A postal address of a customer (SPEC CM-05).
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "address",
    table = "addresses",
    root = "customer_id",
    validate,
    unique(name = "one_default_per_type", fields("customer_id", "address_type"), only_if = "is_default"),
    index(name = "addresses_by_customer", fields("customer_id", "address_type")),
    index(name = "addresses_by_postal_code", fields("postal_code")),
    check(together("latitude", "longitude"))
)]
pub struct Address {
    /// The id.
    pub id: AddressId,
    /// Version and instants.
    pub meta: Meta,
    /// The customer.
    #[field(link = "customer", frozen)]
    pub customer_id: CustomerId,
    /// What it is for.
    pub address_type: AddressType,
    /// The one to use: at most one for each type of a customer.
    pub is_default: bool,
    /// 1 to 200 characters.
    #[field(line(200), mask = "Deleted")]
    pub street_line_1: String,
    /// At most 200 characters.
    #[field(line(200), mask)]
    pub street_line_2: Option<String>,
    /// 1 to 100 characters.
    #[field(line(100), fold, search, mask = "[REDACTED]")]
    pub city: String,
    /// State, province or region, at most 100 characters.
    #[field(line(100), mask)]
    pub state_province: Option<String>,
    /// At most 20 characters.
    #[field(line(20), search, mask)]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Country,
    /// Degrees north, -90 to 90 (WGS 84).
    #[field(decimal(6), mask)]
    pub latitude: Option<Decimal>,
    /// Degrees east, -180 to 180 (WGS 84).
    #[field(decimal(6), mask)]
    pub longitude: Option<Decimal>,
}

impl Address {
    /// An address that is not a default one, to be filled in with struct update syntax.
    pub fn new(
        customer: CustomerId,
        address_type: AddressType,
        street: impl Into<String>,
        city: impl Into<String>,
        country: Country,
    ) -> Self {
        Self {
            id: AddressId(uuid::Uuid::nil()),
            meta: Meta::default(),
            customer_id: customer,
            address_type,
            is_default: false,
            street_line_1: street.into(),
            street_line_2: None,
            city: city.into(),
            state_province: None,
            postal_code: None,
            country,
            latitude: None,
            longitude: None,
        }
    }

    pub(super) fn coordinates_missing(&self) -> bool {
        self.latitude.is_none() && self.longitude.is_none()
    }

    pub(super) fn put(&mut self, at: Coordinates) {
        (self.latitude, self.longitude) = (Some(at.latitude()), Some(at.longitude()));
    }
}

impl Validate for Address {
    fn check(&self) -> Vec<FieldError> {
        [("latitude", self.latitude, 90), ("longitude", self.longitude, 180)]
            .into_iter()
            .filter(|(_, degrees, most)| degrees.is_some_and(|degrees| degrees.abs() > Decimal::from(*most)))
            .map(|(field, _, most)| {
                FieldError::new(field, format!("is not between -{most} and {most} degrees"))
            })
            .collect()
    }
}
