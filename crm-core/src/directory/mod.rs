//! Users as the embedder's directory knows them (SPEC XT-07): owners, managers, zones, languages.

mod service;

pub use service::{DirectoryRefusal, PutUsers, Users};

use uuid::Uuid;

use crate::catalog::Entity;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of a [`User`]: the embedder's own.
    UserId
}

/// A user of the tenant, mirrored from the embedder's directory so that links, criteria and lists can follow it.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(
    name = "user",
    table = "users",
    shared,
    parent = "manager_id",
    unique(name = "user_email_once", fields("email")),
    index(name = "users_by_name", fields("name")),
    index(name = "users_by_manager", fields("manager_id")),
    check(differ("id", "manager_id"))
)]
pub struct User {
    /// The embedder's own id.
    pub id: UserId,
    /// Version and instants.
    pub meta: Meta,
    /// 1 to 200 characters.
    #[field(line(200), fold, search, pseudonym = "Deleted User ")]
    pub name: String,
    /// The e-mail address.
    #[field(email, fold, mask)]
    pub email: Option<String>,
    /// Whether the user may own and do things.
    pub is_active: bool,
    /// The manager.
    #[field(link = "user")]
    pub manager_id: Option<UserId>,
    /// The team.
    pub team_id: Option<Uuid>,
    /// The zone of the user's days, IANA.
    #[field(zone, keep)]
    pub zone: Option<String>,
    /// The user's language, BCP 47.
    #[field(language, keep)]
    pub language: Option<String>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            id: UserId(Uuid::nil()),
            meta: Meta::default(),
            name: String::new(),
            email: None,
            is_active: true,
            manager_id: None,
            team_id: None,
            zone: None,
            language: None,
        }
    }
}
