//! Who may do what (SPEC XT-04). Replaceable: the builder takes any [`Policy`].

use crate::context::Context;
use crate::log::ActorKind;

/// What an actor wants to do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read records, timelines and lists.
    Read,
    /// Create or change records.
    Write,
    /// Delete or restore records.
    Delete,
    /// Go against a rule that allows it to a few.
    Override,
    /// Decide on someone else's request. Carrying it out takes what the command takes that is asked for.
    Approve,
    /// Remove records for good.
    Purge,
    /// Read the audit trail and records as they were.
    Audit,
    /// Change the tenant's settings and its directory of users.
    Administer,
}

impl Action {
    /// A name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Override => "override",
            Self::Approve => "approve",
            Self::Purge => "purge",
            Self::Audit => "audit",
            Self::Administer => "administer",
        }
    }
}

/// Decides who may do what with records of an entity.
pub trait Policy: Send + Sync {
    /// Whether the request's actor may do this with records of the named entity.
    fn allows(&self, ctx: &Context, action: Action, entity: &str) -> bool;
}

/// The default policy, by role: `reader` reads; `user` writes and deletes as well; `manager` overrides, approves
/// and audits as well; `admin` does all. A customer, through a portal, reads nothing but their own timeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct RolePolicy;

impl Policy for RolePolicy {
    fn allows(&self, ctx: &Context, action: Action, entity: &str) -> bool {
        if ctx.actor.kind == ActorKind::Customer {
            return action == Action::Read && entity == "timeline";
        }
        let needed: &[&str] = match action {
            Action::Read => &["reader", "user", "manager", "admin"],
            Action::Write | Action::Delete => &["user", "manager", "admin"],
            Action::Override | Action::Approve | Action::Audit => &["manager", "admin"],
            Action::Purge | Action::Administer => &["admin"],
        };
        needed.iter().any(|role| ctx.has_role(role))
    }
}
