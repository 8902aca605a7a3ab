//! Users, teams, and who may be given work.

use uuid::Uuid;

use crate::catalog::Entity;
use crate::record::Meta;
use crate::record_id;

record_id! {
    /// The id of a [`User`]: the embedder's own.
    UserId
}

record_id! {
    /// The id of a [`Team`]: the embedder's own, as in [`Context::teams`](crate::Context::teams).
    TeamId
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
    index(name = "users_by_team", fields("team_id", "name")),
    index(name = "users_by_activity", fields("is_active")),
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
    /// Whether the user may own and do things. [`Users::deactivate`](crate::directory::Users::deactivate) ends it.
    pub is_active: bool,
    /// What the embedder calls the user's role, at most 50 characters. What it allows is the
    /// [`Policy`](crate::policy::Policy)'s to say.
    #[field(line(50), keep)]
    pub role: Option<String>,
    /// The manager. There is nobody who stands above themselves.
    #[field(link = "user")]
    pub manager_id: Option<UserId>,
    /// The team.
    #[field(link = "team")]
    pub team_id: Option<TeamId>,
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
            role: None,
            manager_id: None,
            team_id: None,
            zone: None,
            language: None,
        }
    }
}

/// A team of users, mirrored from the embedder's directory.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(name = "team", table = "teams", shared, unique(name = "team_name_once", fields("name")))]
pub struct Team {
    /// The embedder's own id.
    pub id: TeamId,
    /// Version and instants.
    pub meta: Meta,
    /// 1 to 200 characters; no two teams have the same in any case.
    #[field(line(200), fold, search, keep)]
    pub name: String,
    /// Who leads it: a user's id in the directory. Not a link, because a team is there before its users.
    pub lead_id: Option<UserId>,
}

impl Default for Team {
    fn default() -> Self {
        Self { id: TeamId(Uuid::nil()), meta: Meta::default(), name: String::new(), lead_id: None }
    }
}

/// That a user may be given records: there and live exactly while the user is active.
///
/// Who makes a user the owner of a record loads this and guards its life
/// ([`guard_live`](crate::command::Changes::guard_live)); who deactivates the user deletes it. So of the two, one is
/// decided again, and nothing is given to a user who has just left, however many give at once. Commands of the
/// embedder's own that set an `owner_id` do the same.
#[derive(Clone, Debug, PartialEq, Entity)]
#[entity(name = "assignee", table = "assignees", shared, extends("user", "assignee"))]
pub struct Assignee {
    /// The user's id.
    pub id: UserId,
    /// Version and instants.
    pub meta: Meta,
    /// The user.
    #[field(link = "user", frozen)]
    pub user_id: UserId,
}

impl Assignee {
    /// That this user is active.
    pub(crate) fn of(user: UserId) -> Self {
        Self { id: user, meta: Meta::default(), user_id: user }
    }
}
