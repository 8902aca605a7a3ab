//! The port of a geocoder (SPEC CM-05, seed 004 address AC-3).

use async_trait::async_trait;
use rust_decimal::Decimal;

use crate::address::Address;
use crate::context::Context;
use crate::format::Country;

/// What a geocoder is asked about: the parts of an address that say where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Street and house number.
    pub street_line_1: String,
    /// More of the street.
    pub street_line_2: Option<String>,
    /// The city.
    pub city: String,
    /// State, province or region.
    pub state_province: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The country.
    pub country: Country,
}

impl Place {
    /// Where an address is.
    pub fn of(address: &Address) -> Self {
        Self {
            street_line_1: address.street_line_1.clone(),
            street_line_2: address.street_line_2.clone(),
            city: address.city.clone(),
            state_province: address.state_province.clone(),
            postal_code: address.postal_code.clone(),
            country: address.country,
        }
    }
}

/// A point on the earth (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinates {
    latitude: Decimal,
    longitude: Decimal,
}

impl Coordinates {
    /// A point by degrees north, -90 to 90, and degrees east, -180 to 180, rounded to six decimal places (0.1 m);
    /// `None` when there is no such point.
    pub fn new(latitude: Decimal, longitude: Decimal) -> Option<Self> {
        let known = latitude.abs() <= Decimal::from(90) && longitude.abs() <= Decimal::from(180);
        known.then(|| Self { latitude: latitude.round_dp(6), longitude: longitude.round_dp(6) })
    }

    /// Degrees north.
    pub fn latitude(self) -> Decimal {
        self.latitude
    }

    /// Degrees east.
    pub fn longitude(self) -> Decimal {
        self.longitude
    }
}

/// Why a geocoder has no answer. The address is saved without coordinates.
#[derive(Debug, thiserror::Error)]
#[error("the geocoder has no answer: {0}")]
pub struct GeocodeError(pub String);

/// Finds where an address is; given to [`CrmBuilder::geocoder`](crate::CrmBuilder::geocoder).
///
/// It is asked before an address is saved whose coordinates are missing or whose place has changed. Whatever it
/// answers, the address is saved. The core has no timer: an implementation that asks a network brings its own timeout.
#[async_trait]
pub trait Geocoder: Send + Sync + 'static {
    /// The coordinates of a place; `None` when it is not known.
    async fn locate(&self, ctx: &Context, place: &Place) -> Result<Option<Coordinates>, GeocodeError>;
}
