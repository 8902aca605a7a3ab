//! Who asks, for which tenant, from where: one context for each request.

use uuid::Uuid;

use crate::id::TenantId;
use crate::log::{Actor, ActorKind, Origin};
use crate::store::Viewer;

/// The request that a call belongs to.
///
/// ```
/// use crm_core::{Context, TenantId};
/// use uuid::Uuid;
/// let ctx = Context::user(TenantId(Uuid::from_u128(1)), Uuid::from_u128(7)).with_role("manager").with_key("order-17");
/// assert_eq!(ctx.key.as_deref(), Some("order-17"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// The tenant: all that the call reads and writes is its own.
    pub tenant: TenantId,
    /// Who acts.
    pub actor: Actor,
    /// The actor's roles, as the [`Policy`](crate::policy::Policy) names them.
    pub roles: Vec<String>,
    /// The actor's teams; the first is the one new entries belong to.
    pub teams: Vec<Uuid>,
    /// IP address, user agent and part of the embedding service.
    pub origin: Origin,
    /// Joins what belongs to one request across services.
    pub correlation: Option<Uuid>,
    /// The idempotency key of a command (SPEC XT-03): a repeat gives the first result and changes nothing.
    pub key: Option<String>,
}

impl Context {
    /// A request of a user, with the role `user`.
    pub fn user(tenant: TenantId, user: Uuid) -> Self {
        Self {
            tenant,
            actor: Actor { kind: ActorKind::User, id: Some(user) },
            roles: vec!["user".to_owned()],
            teams: Vec::new(),
            origin: Origin::default(),
            correlation: None,
            key: None,
        }
    }

    /// The embedding service itself: due work, sync, migration. Has the role `admin`.
    pub fn system(tenant: TenantId) -> Self {
        Self {
            actor: Actor { kind: ActorKind::System, id: None },
            roles: vec!["admin".to_owned()],
            ..Self::user(tenant, Uuid::nil())
        }
    }

    /// Adds a role.
    pub fn with_role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    /// Adds a team.
    pub fn with_team(mut self, team: Uuid) -> Self {
        self.teams.push(team);
        self
    }

    /// Sets where the request came from.
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Sets the idempotency key.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Whether the actor has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// The acting user, when it is one.
    pub fn user_id(&self) -> Option<Uuid> {
        if self.actor.kind == ActorKind::User { self.actor.id } else { None }
    }

    /// What the actor may see of a timeline.
    pub fn viewer(&self) -> Viewer {
        Viewer {
            user: self.user_id(),
            teams: self.teams.clone(),
            sees_all: self.actor.kind == ActorKind::System,
            external_only: self.actor.kind == ActorKind::Customer,
        }
    }
}
