//! How a store fails.

use uuid::Uuid;

use crate::store::KeyRecord;

/// The store could not answer. Says nothing about the data: messages hold no row, no driver text and no address.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The server cannot be reached, or gave up on us. Nothing is known of a write under way.
    #[error("the store is unavailable ({what}); retry when its server answers again")]
    Unavailable {
        /// What was being done.
        what: String,
    },
    /// The server took longer than the store allows a statement.
    #[error("the store did not answer in time ({what}); narrow the question or raise the store's time limit")]
    Timeout {
        /// What was being done.
        what: String,
    },
    /// The server's schema, version or set-up is not what this store needs.
    #[error("the store is not ready: {why}")]
    NotReady {
        /// What is missing and what to do.
        why: String,
    },
    /// What is stored is not what the catalog says.
    #[error("stored data cannot be read: {what}")]
    Corrupt {
        /// The entity and field.
        what: String,
    },
    /// The read asks for something the contract does not offer.
    #[error("the store refuses the question: {why}")]
    Refused {
        /// What was asked and what may be.
        why: String,
    },
    /// The server refused for a reason that has no place above; its code, no text.
    #[error("the store failed ({what}, code {code})")]
    Failed {
        /// What was being done.
        what: String,
        /// The server's own code.
        code: String,
    },
}

impl StoreError {
    /// A name for programs, stable across versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "store_unavailable",
            Self::Timeout { .. } => "store_timeout",
            Self::NotReady { .. } => "store_not_ready",
            Self::Corrupt { .. } => "store_corrupt",
            Self::Refused { .. } => "store_refused",
            Self::Failed { .. } => "store_failed",
        }
    }
}

/// Why a change set was not applied. Nothing of it is stored.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// A record is not as a write or guard says: changed, deleted or missing. Reload and decide again. An update that
    /// comes too late and is alone in its change set is told this and nothing else that is wrong with it.
    #[error("{entity} {id} has changed since it was read")]
    Conflict {
        /// The entity.
        entity: &'static str,
        /// The record. When an inserted one was there already and the server does not say which, one of those
        /// inserted.
        id: Uuid,
    },
    /// A unique rule of the catalog would be broken.
    #[error("the rule {rule} would be broken")]
    Unique {
        /// The rule's name.
        rule: &'static str,
    },
    /// A [`Link`](crate::catalog::Kind::Link) leads to a record that this tenant does not have. Links to any entity
    /// ([`AnyLink`](crate::catalog::Kind::AnyLink)) are the core's to check.
    #[error("{entity}.{field} leads to nothing")]
    Dangling {
        /// The entity that holds the link.
        entity: &'static str,
        /// The link.
        field: &'static str,
    },
    /// A [`NoneRefer`](crate::store::NoneRefer) condition does not hold, or a purged record is still linked to.
    #[error("{entity}.{field} still refers to {id}")]
    InUse {
        /// The entity that refers.
        entity: &'static str,
        /// The link.
        field: &'static str,
        /// The record referred to.
        id: Uuid,
    },
    /// The idempotency key was used before; this is what it gave.
    #[error("the idempotency key was used before")]
    KeyUsed(KeyRecord),
    /// Other work is in the way. Commit the same change set again after a rest.
    #[error("other work is in the way")]
    Contended,
    /// The change set itself is not one the contract allows.
    #[error(transparent)]
    Invalid(#[from] crate::store::WriteError),
    /// The store failed. The outcome may be unknown: commit the same change set again to find out.
    #[error(transparent)]
    Store(#[from] StoreError),
}
