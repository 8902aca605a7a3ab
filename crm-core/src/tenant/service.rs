//! `crm.settings()`.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Error, Loaded, Need, NoRefusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::input_of;
use crate::directory::{Assignee, UserId, guard_assignee};
use crate::policy::Action;
use crate::record::FieldError;
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

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let mut needs = vec![Need::Records(Settings::def(), vec![self.id.0])];
        if loaded.lacks(needs[0].clone()).is_none()
            && let Ok(before) = loaded.settings(crate::id::TenantId(self.id.0))
        {
            let mut after = before.clone();
            (self.change)(&mut after);
            let named = newly_named(&before, &after).map(|(_, user)| user.0).collect();
            needs.push(Need::Records(Assignee::def(), named));
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Result<Settings, Decline<NoRefusal>> {
        let stored = loaded.live::<Settings>(self.id)?;
        let before = loaded.settings(changes.context().tenant)?;
        let mut after = before.clone();
        (self.change)(&mut after);
        after.id = self.id;
        for (field, user) in newly_named(&before, &after) {
            if !guard_assignee(user, loaded, changes) {
                let why = format!("{user} is not an active user of the tenant; name one who is");
                return Err(Decline::Invalid(vec![FieldError::new(field, why)]));
            }
        }
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

/// The users whom a change names, with the fields that do.
fn newly_named<'a>(
    before: &'a Settings,
    after: &'a Settings,
) -> impl Iterator<Item = (&'static str, UserId)> + 'a {
    let fields = |settings: &Settings| {
        [("pool_id", settings.pool_id), ("data_protection_officer_id", settings.data_protection_officer_id)]
    };
    let changed = fields(after).into_iter().zip(fields(before)).filter(|(after, before)| after != before);
    changed.filter_map(|((field, user), _)| Some((field, user?)))
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
