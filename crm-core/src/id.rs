//! Newtype ids: an id of one entity cannot be passed where another's is meant.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id that wraps a UUID and knows nothing else.
pub trait RecordId: Copy + Eq + Ord + std::hash::Hash + std::fmt::Display + Send + Sync + 'static {
    /// Wraps the UUID.
    fn from_uuid(id: Uuid) -> Self;
    /// The UUID inside.
    fn uuid(self) -> Uuid;
}

/// Declares a newtype id over a UUID; embedders use it for entities of their own.
#[macro_export]
macro_rules! record_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::__private::Serialize, $crate::__private::Deserialize,
        )]
        #[serde(crate = "::crm_core::__private::serde", transparent)]
        pub struct $name(pub $crate::__private::Uuid);

        impl $crate::RecordId for $name {
            fn from_uuid(id: $crate::__private::Uuid) -> Self { Self(id) }
            fn uuid(self) -> $crate::__private::Uuid { self.0 }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result { self.0.fmt(f) }
        }
    };
}

/// The tenant that a record, an event and a unique rule belong to (SPEC XT-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Uuid);

impl std::fmt::Display for TenantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
