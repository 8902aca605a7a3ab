//! Postal addresses (SPEC CM-05).

mod commands;
mod entity;
mod geocoder;
mod service;

pub use commands::{CreateAddress, DeleteAddress, UpdateAddress};
pub use entity::{Address, AddressId, AddressType};
pub use geocoder::{Coordinates, GeocodeError, Geocoder, Place};
pub use service::Addresses;
