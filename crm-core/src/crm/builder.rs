//! Building a `Crm`.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Geocoder;
use crate::catalog::EntityDef;
use crate::crm::{Crm, Inner};
use crate::cursor::CursorKeys;
use crate::directory::Directory;
use crate::env::{Env, SystemEnv};
use crate::policy::{Policy, RolePolicy};
use crate::profile::Panel;
use crate::score::ScoreFactors;
use crate::store::Store;

/// Collects what a [`Crm`] works with.
pub struct CrmBuilder {
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    policy: Arc<dyn Policy>,
    keys: Vec<Vec<u8>>,
    geocoder: Option<Arc<dyn Geocoder>>,
    directory: Option<Arc<dyn Directory>>,
    panels: Vec<Arc<dyn Panel>>,
    score_factors: Option<Arc<dyn ScoreFactors>>,
    deadline: Duration,
    slow_call: Duration,
}

/// Why a `Crm` is not built.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No key for cursors, or one too short to be secret.
    #[error(
        "a cursor key of at least 32 random bytes is needed: pass it to `cursor_key`, the same in every process"
    )]
    CursorKey,
    /// The store keeps other entities than this library's.
    #[error("the store's catalog lacks the entity {0}; start it from `crm_core::standard_catalog()`")]
    Entity(&'static str),
}

impl CrmBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            env: Arc::new(SystemEnv),
            policy: Arc::new(RolePolicy),
            keys: Vec::new(),
            geocoder: None,
            directory: None,
            panels: Vec::new(),
            score_factors: None,
            deadline: Duration::from_secs(5),
            slow_call: Duration::from_secs(1),
        }
    }

    /// The key that cursors are signed with: at least 32 random bytes, kept secret, the same in every process. The
    /// key passed first signs; further ones still verify, so that keys can be rotated.
    pub fn cursor_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Where time, ids and random bytes come from; the machine's own unless set.
    pub fn env(mut self, env: impl Env + 'static) -> Self {
        self.env = Arc::new(env);
        self
    }

    /// As [`env`](Self::env), for one that the caller keeps a hand on.
    pub fn shared_env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// Who may do what; [`RolePolicy`] unless set.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// What finds the coordinates of addresses; none unless set.
    pub fn geocoder(mut self, geocoder: impl Geocoder) -> Self {
        self.geocoder = Some(Arc::new(geocoder));
        self
    }

    /// Where [`Users::sync`](crate::directory::Users::sync) takes users and teams over from; none unless set.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Adds what another system shows of a customer in its [`Customer360`](crate::profile::Customer360).
    pub fn panel(mut self, panel: impl Panel) -> Self {
        self.panels.push(Arc::new(panel));
        self
    }

    /// What knows the factors of scores; none unless set.
    pub fn score_factors(mut self, factors: impl ScoreFactors) -> Self {
        self.score_factors = Some(Arc::new(factors));
        self
    }

    /// How long a contended command is decided again before it is refused; 5 s unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Calls that take longer are logged as warnings; 1 s unless set.
    pub fn slow_call(mut self, slow_call: Duration) -> Self {
        self.slow_call = slow_call;
        self
    }

    /// Builds the `Crm`.
    pub fn build(self) -> Result<Crm, BuildError> {
        let cursors = CursorKeys::new(self.keys).ok_or(BuildError::CursorKey)?;
        let standard: Vec<&'static EntityDef> = crate::standard_entities();
        if let Some(missing) =
            standard.into_iter().find(|def| self.store.catalog().get(def.name) != Some(def))
        {
            return Err(BuildError::Entity(missing.name));
        }
        let Self {
            store, env, policy, geocoder, directory, panels, score_factors, deadline, slow_call, ..
        } = self;
        let inner = Inner {
            store,
            env,
            policy,
            cursors,
            geocoder,
            directory,
            panels,
            score_factors,
            deadline,
            slow_call,
        };
        Ok(Crm { inner: Arc::new(inner) })
    }
}
