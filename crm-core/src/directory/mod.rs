//! Users and teams as the embedder's directory knows them (SPEC XT-07), and what happens to the work of who leaves
//! (SPEC CM-10).
//!
//! A record with a link `owner_id` to a user, of this library or the embedder's own, is that user's. When a user is
//! deactivated, their records go to the nearest active manager above them, otherwise to the tenant's
//! [pool](crate::tenant::Settings::pool_id).

mod commands;
mod deactivate;
mod entity;
mod managers;
mod port;
mod service;
mod successor;
mod sync;

pub use commands::{DirectoryRefusal, PutTeams, PutUsers};
pub use deactivate::{DeactivateUser, HandOver};
pub use entity::{Assignee, Team, TeamId, User, UserId};
pub use managers::MAX_MANAGERS;
pub use port::{Directory, DirectoryError, DirectoryPage};
pub use service::{Teams, Users};
pub(crate) use successor::{Keeper, give, guard_assignee, keeper, keeper_needs};
pub use sync::{NotTaken, SyncReport};
