//! The port of the embedder's directory (SPEC XT-07).

use async_trait::async_trait;

use crate::context::Context;
use crate::directory::{Team, User};

/// A page of what a directory knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryPage {
    /// Teams; each is on the same page as its users, or on an earlier one.
    pub teams: Vec<Team>,
    /// Users in any order; those who left with `is_active` false. Versions and instants do not count.
    pub users: Vec<User>,
    /// What the next page is asked with; `None` on the last.
    pub next: Option<String>,
}

/// Why a directory has no answer. What it told before is taken over.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DirectoryError(pub String);

/// Where users and teams come from: an identity provider, a staff system; given to
/// [`CrmBuilder::directory`](crate::CrmBuilder::directory) and read by [`Users::sync`](crate::directory::Users::sync).
///
/// The core has no timer: an implementation that asks a network brings its own timeout.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// A page of the tenant's users and teams: the first, or the one that the page before called `next`.
    async fn page(&self, ctx: &Context, after: Option<&str>) -> Result<DirectoryPage, DirectoryError>;
}
