//! `crm.settings()`.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Error, Loaded, Need, NoRefusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::input_of;
use crate::policy::Action;
use crate::tenant::{Settings, SettingsId};

/// Changes the tenant's settings by a function over them; the defaults are what is changed first.
pub struct PutSettings<'f> {
    /// The tenant's settings' id.
    pub id: SettingsId,
    /// What changes. Called again when others were faster.
    pub change: &'f (dyn Fn(&mut Settings) + Send + Sync),
}

impl Command for PutSettings<'_> {
    type Output = Settings;
    type Refusal = NoRefusal;

    fn name(&self) -> &'static str {
        "settings.put"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "tenant_settings")
    }

    fn input(&self) -> Json {
        let mut sample = Settings::of(crate::id::TenantId(self.id.0));
        (self.change)(&mut sample);
        json!(input_of(&sample))
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Settings::def(), vec![self.id.0])]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Result<Settings, Decline<NoRefusal>> {
        let stored = loaded.live::<Settings>(self.id)?;
        let mut after = loaded.settings(changes.context().tenant)?;
        (self.change)(&mut after);
        after.id = self.id;
        let after = match &stored {
            None => changes.insert(&after)?,
            Some(before) => changes.update(before, &after)?,
        };
        if stored.is_none_or(|before| before.meta.version != after.meta.version) {
            changes.event("settings.changed", Json::Null);
        }
        Ok(after)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Settings> {
        loaded.get(self.id).ok().flatten()
    }
}

/// The tenant's settings.
#[derive(Clone, Copy)]
pub struct TenantSettingsService<'a> {
    crm: &'a Crm,
}

impl<'a> TenantSettingsService<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// The settings; the defaults where none are stored.
    pub async fn get(&self, ctx: &Context) -> Result<Settings, Error> {
        self.crm.settings_of(ctx).await
    }

    /// Changes the settings.
    pub async fn update(
        &self,
        ctx: &Context,
        change: impl Fn(&mut Settings) + Send + Sync,
    ) -> Result<Done<Settings>, Error> {
        self.crm.run(ctx, &PutSettings { id: SettingsId(ctx.tenant.0), change: &change }).await
    }
}
