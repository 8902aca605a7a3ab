//! A tenant's settings (SPEC XT-11).

mod service;

pub use service::{PutSettings, TenantSettingsService};

use chrono_tz::Tz;
use serde_json::Value as Json;

use crate::catalog::Entity;
use crate::directory::UserId;
use crate::format::{Country, Currency};
use crate::id::TenantId;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of a tenant's [`Settings`]: the tenant's own.
    SettingsId
}

/// What holds for one tenant. A tenant without stored settings has these defaults: UTC, USD, no region.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(name = "tenant_settings", table = "tenant_settings")]
pub struct Settings {
    /// The tenant's own id.
    pub id: SettingsId,
    /// Version and instants.
    pub meta: Meta,
    /// The zone of the tenant's days, IANA.
    #[field(zone, keep)]
    pub zone: String,
    /// The currency that totals are in.
    pub currency: Currency,
    /// Where telephone numbers without country code are from.
    pub region: Option<Country>,
    /// Days after which recording an interaction counts as backdating.
    #[field(int(0, 3_650))]
    pub backdated_after_days: i64,
    /// Who takes over what belonged to a user who left and has no active manager (SPEC XT-07). An active user.
    #[field(link = "user")]
    pub pool_id: Option<UserId>,
    /// The data protection officer. An active user.
    #[field(link = "user")]
    pub data_protection_officer_id: Option<UserId>,
    /// Business hours, thresholds and feature flags.
    #[field(json, keep)]
    pub options: Json,
}

impl Settings {
    /// The defaults of a tenant.
    pub fn of(tenant: TenantId) -> Self {
        Self {
            id: SettingsId(tenant.0),
            meta: Meta::default(),
            zone: "UTC".to_owned(),
            currency: Currency::USD,
            region: None,
            backdated_after_days: 30,
            pool_id: None,
            data_protection_officer_id: None,
            options: Json::Object(serde_json::Map::new()),
        }
    }

    /// The zone; UTC if the stored name has left the database of zones.
    pub fn tz(&self) -> Tz {
        crate::format::zone(&self.zone).unwrap_or(Tz::UTC)
    }

    /// Whether a feature is switched on in `options.features`.
    pub fn feature(&self, name: &str) -> bool {
        self.options.get("features").and_then(|features| features.get(name)) == Some(&Json::Bool(true))
    }
}
