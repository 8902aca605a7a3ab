//! How a command fails.

use uuid::Uuid;

use crate::criteria::CriteriaError;
use crate::record::{FieldError, Unreadable};
use crate::store::{StoreError, WriteError};

/// Why a command or query did not do what was asked. Nothing is changed.
///
/// `R` holds the refusals of the one operation, which a caller can match.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error<R: Refusal = NoRefusal> {
    /// A rule of this operation speaks against it.
    #[error(transparent)]
    Refused(R),
    /// The input is wrong.
    #[error("the input is wrong: {}", list(.0))]
    Invalid(Vec<FieldError>),
    /// Criteria or a cursor are wrong.
    #[error(transparent)]
    Criteria(#[from] CriteriaError),
    /// This tenant has no such live record.
    #[error("there is no {entity} {id}")]
    NotFound {
        /// The entity.
        entity: &'static str,
        /// The id that was given.
        id: Uuid,
    },
    /// The record is not at the version that the caller expected.
    #[error("{entity} {id} is at version {found}, not {expected}; read it again")]
    VersionConflict {
        /// The entity.
        entity: &'static str,
        /// The record.
        id: Uuid,
        /// What the caller expected.
        expected: i64,
        /// What is stored.
        found: i64,
    },
    /// The actor may not do this.
    #[error("the actor may not {action} {entity} records; the policy asks for another role")]
    Forbidden {
        /// The action's code.
        action: &'static str,
        /// The entity.
        entity: &'static str,
    },
    /// A unique rule would be broken and the operation has no better word for it.
    #[error("another record has the same value: the rule {rule} allows one")]
    NotUnique {
        /// The rule's name.
        rule: &'static str,
    },
    /// The record is still referred to.
    #[error("{id} is still referred to by {entity}.{field}; change those first")]
    InUse {
        /// The entity that refers.
        entity: &'static str,
        /// The link.
        field: &'static str,
        /// The record.
        id: Uuid,
    },
    /// The idempotency key was used with other input.
    #[error("the idempotency key was used with other input; use a new key for a new request")]
    KeyReused,
    /// Others kept changing the same records until the deadline.
    #[error("the records stayed contended until the deadline; retry later")]
    Contended,
    /// The change is not one that a store takes.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an operation refuses for reasons of its own.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// A name for programs, stable across versions.
    fn code(&self) -> &'static str;
}

/// For operations that have no refusals of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRefusal {}

impl Refusal for NoRefusal {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

/// Why a command declines; the facade turns it into an [`Error`].
#[derive(Debug)]
pub enum Decline<R> {
    /// A rule of the operation.
    Refused(R),
    /// The input.
    Invalid(Vec<FieldError>),
    /// The criteria in the input.
    Criteria(CriteriaError),
    /// No such live record.
    NotFound(&'static str, Uuid),
    /// The actor may not do what this turns out to be.
    Forbidden {
        /// The action's code.
        action: &'static str,
        /// The entity.
        entity: &'static str,
    },
    /// Not the expected version.
    Version {
        /// The entity.
        entity: &'static str,
        /// The record.
        id: Uuid,
        /// What the caller expected.
        expected: i64,
        /// What is stored.
        found: i64,
    },
    /// What is stored cannot be read.
    Unreadable(Unreadable),
}

impl<R> Decline<R> {
    /// The same for a command that another one is part of.
    pub(crate) fn map<S>(self, refusal: impl FnOnce(R) -> S) -> Decline<S> {
        match self {
            Self::Refused(inner) => Decline::Refused(refusal(inner)),
            Self::Invalid(errors) => Decline::Invalid(errors),
            Self::Criteria(error) => Decline::Criteria(error),
            Self::NotFound(entity, id) => Decline::NotFound(entity, id),
            Self::Forbidden { action, entity } => Decline::Forbidden { action, entity },
            Self::Version { entity, id, expected, found } => Decline::Version { entity, id, expected, found },
            Self::Unreadable(error) => Decline::Unreadable(error),
        }
    }
}

impl<R> From<Vec<FieldError>> for Decline<R> {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl<R> From<CriteriaError> for Decline<R> {
    fn from(error: CriteriaError) -> Self {
        Self::Criteria(error)
    }
}

impl<R> From<Unreadable> for Decline<R> {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
    }
}

impl<R: Refusal> From<Decline<R>> for Error<R> {
    fn from(decline: Decline<R>) -> Self {
        match decline {
            Decline::Refused(refusal) => Self::Refused(refusal),
            Decline::Invalid(errors) => Self::Invalid(errors),
            Decline::Criteria(error) => Self::Criteria(error),
            Decline::NotFound(entity, id) => Self::NotFound { entity, id },
            Decline::Forbidden { action, entity } => Self::Forbidden { action, entity },
            Decline::Version { entity, id, expected, found } => {
                Self::VersionConflict { entity, id, expected, found }
            }
            Decline::Unreadable(error) => Self::Store(StoreError::Corrupt { what: error.to_string() }),
        }
    }
}

impl<R: Refusal> From<Unreadable> for Error<R> {
    fn from(error: Unreadable) -> Self {
        Self::Store(StoreError::Corrupt { what: error.to_string() })
    }
}

impl<R: Refusal> Error<R> {
    /// A name for programs, stable across versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Invalid(_) => "invalid",
            Self::Criteria(_) => "invalid_criteria",
            Self::NotFound { .. } => "not_found",
            Self::VersionConflict { .. } => "version_conflict",
            Self::Forbidden { .. } => "forbidden",
            Self::NotUnique { .. } => "not_unique",
            Self::InUse { .. } => "in_use",
            Self::KeyReused => "key_reused",
            Self::Contended => "contended",
            Self::Write(_) => "change_refused",
            Self::Store(error) => error.code(),
        }
    }
}

impl Error<NoRefusal> {
    /// The same among the failures of an operation with refusals of its own.
    pub(crate) fn widen<R: Refusal>(self) -> Error<R> {
        match self {
            Self::Refused(never) => match never {},
            Self::Invalid(errors) => Error::Invalid(errors),
            Self::Criteria(error) => Error::Criteria(error),
            Self::NotFound { entity, id } => Error::NotFound { entity, id },
            Self::VersionConflict { entity, id, expected, found } => {
                Error::VersionConflict { entity, id, expected, found }
            }
            Self::Forbidden { action, entity } => Error::Forbidden { action, entity },
            Self::NotUnique { rule } => Error::NotUnique { rule },
            Self::InUse { entity, field, id } => Error::InUse { entity, field, id },
            Self::KeyReused => Error::KeyReused,
            Self::Contended => Error::Contended,
            Self::Write(error) => Error::Write(error),
            Self::Store(error) => Error::Store(error),
        }
    }
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
