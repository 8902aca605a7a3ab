//! Commands: what is loaded, what is decided, and the change set that comes of it.
//!
//! A [`Command`] is synchronous and pure. [`Crm`](crate::Crm) loads what it asks for, lets it decide, commits, and on
//! a conflict loads and decides again. Whoever wants only the rules calls [`Command::decide`] with records of
//! their own.

mod changes;
mod error;
mod loaded;

pub use changes::Changes;
pub(crate) use changes::tag_token;
pub use error::{Decline, Error, NoRefusal, Refusal};
pub use loaded::{Loaded, Need};

use serde_json::Value as Json;

use crate::policy::Action;

/// One command: create a customer, log an interaction.
pub trait Command: Send + Sync {
    /// What it gives.
    type Output: Send;
    /// Why it may be refused, beyond what every command may be.
    type Refusal: Refusal;

    /// The name in log and idempotency keys: `customers.create`.
    fn name(&self) -> &'static str;

    /// What the actor needs to be allowed, and on which entity.
    fn permission(&self) -> (Action, &'static str);

    /// The input, for the digest of an idempotency key: the same key with another input is refused.
    fn input(&self) -> Json;

    /// Whether the command, decided again, finds its way around a breach of this unique rule by others who were
    /// faster (it demotes the new primary contact, it returns the record that is there). Of other rules a breach
    /// is an answer: [`Error::NotUnique`].
    fn resolves(&self, _rule: &str) -> bool {
        false
    }

    /// What must be loaded before it can decide, given what is loaded already. Asked until it wants nothing new.
    fn needs(&self, loaded: &Loaded) -> Vec<Need>;

    /// Decides: fills the changes, or declines.
    fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<Self::Output, Decline<Self::Refusal>>;

    /// What a repeat with the same idempotency key gives: the records that the first one wrote, as they are now.
    fn recall(&self, loaded: &Loaded, written: &[(String, uuid::Uuid, i64)]) -> Option<Self::Output>;
}
