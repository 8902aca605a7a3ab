//! Taking users and teams over, as pure decisions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Loaded, Need, Refusal};
use crate::customer::{at_place, input_of};
use crate::directory::managers::{Above, above};
use crate::directory::{Assignee, MAX_MANAGERS, Team, TeamId, User, UserId};
use crate::policy::Action;
use crate::record::Record;

/// Why users and teams are not taken over, or a user is not deactivated.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefusal {
    /// The user or team has no id of the embedder's.
    #[error("the {entity} {name:?} has no id; use the id of the directory it comes from")]
    NoId {
        /// `user` or `team`.
        entity: &'static str,
        /// The beginning of its name.
        name: String,
    },
    /// The user is active, and what is theirs must go to somebody else.
    #[error("user {0} is active; call users().deactivate, which hands over what is theirs")]
    Deactivation(UserId),
    /// The manager is no user of the tenant.
    #[error(
        "{manager}, the manager of {user}, is not a user of the tenant; put the manager first or with them"
    )]
    Manager {
        /// The user.
        user: UserId,
        /// Who is not there.
        manager: UserId,
    },
    /// The managers would stand above one another.
    #[error("the managers would form a ring: {}; give one of them another manager", ring(.0))]
    ManagerRing(Vec<UserId>),
    /// Too many managers stand above the user.
    #[error("more than {MAX_MANAGERS} managers would stand above {0}; name one who is higher up")]
    TooManyManagers(UserId),
    /// The team is not one of the tenant's.
    #[error("{team}, the team of {user}, is not a team of the tenant; put the team first")]
    Team {
        /// The user.
        user: UserId,
        /// What is not there.
        team: TeamId,
    },
    /// The settings name the user, who must therefore stay active.
    #[error("user {user} is the {setting} of the tenant's settings; name another one there first")]
    InSettings {
        /// The user.
        user: UserId,
        /// The field of the settings.
        setting: &'static str,
    },
    /// There is nobody to take over what belongs to the user.
    #[error(
        "nobody can take over what belongs to user {0}: none of the managers above is active and there is no pool; \
         give them an active manager, or name an active user as pool_id in the settings"
    )]
    NoSuccessor(UserId),
    /// There is no directory to take users over from.
    #[error("no directory is set; pass one to CrmBuilder::directory")]
    NoDirectory,
    /// The directory did not answer. What it told before is taken over.
    #[error("the directory did not answer; what it told before is taken over, call again for the rest: {0}")]
    Unavailable(String),
}

impl Refusal for DirectoryRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NoId { .. } => "no_id",
            Self::Deactivation(_) => "user_deactivation",
            Self::Manager { .. } => "user_manager",
            Self::ManagerRing(_) => "manager_ring",
            Self::TooManyManagers(_) => "too_many_managers",
            Self::Team { .. } => "user_team",
            Self::InSettings { .. } => "user_in_settings",
            Self::NoSuccessor(_) => "no_successor",
            Self::NoDirectory => "no_directory",
            Self::Unavailable(_) => "directory_unavailable",
        }
    }
}

fn ring(users: &[UserId]) -> String {
    let names = users.iter().chain(users.first()).map(ToString::to_string);
    names.collect::<Vec<_>>().join(" below ")
}

type Decision<T> = Result<T, Decline<DirectoryRefusal>>;

fn check_id(entity: &'static str, id: Uuid, name: &str) -> Decision<()> {
    if !id.is_nil() {
        return Ok(());
    }
    let name = name.chars().take(40).collect();
    Err(Decline::Refused(DirectoryRefusal::NoId { entity, name }))
}

/// Takes users over as they are in the embedder's directory: inserted, changed, or left alone. A user who is new or
/// active again counts as two records. An active user is not deactivated by it.
#[derive(Clone, Debug)]
pub struct PutUsers {
    /// The users; a manager comes before those it manages, or with them.
    pub users: Vec<User>,
}

impl PutUsers {
    /// Those whose manager is another than is stored.
    fn moved<'a>(&'a self, loaded: &'a Loaded) -> impl Iterator<Item = &'a User> {
        self.users.iter().filter(|user| {
            let stored = loaded.record(User::def(), user.id.0).and_then(|r| r.get("manager_id").as_id());
            user.manager_id.map(|manager| manager.0) != stored
        })
    }

    /// Refuses managers who stand above one another, and guards everyone above, so that no other change can close a
    /// ring at the same time.
    fn check_managers(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<()> {
        let here: BTreeMap<_, _> = self.users.iter().map(|user| (user.id, user.manager_id)).collect();
        let stored = |id: UserId| loaded.record(User::def(), id.0).filter(|record| record.is_live());
        let mut guarded = BTreeSet::new();
        for user in self.moved(loaded) {
            let chain = above(user.id, |id| {
                let known = || stored(id).map(|record| record.get("manager_id").as_id().map(UserId));
                here.get(&id).copied().or_else(known)
            });
            let chain = chain.map_err(|why| {
                Decline::Refused(match why {
                    Above::Unknown(manager) => DirectoryRefusal::Manager { user: user.id, manager },
                    Above::Ring(ring) => DirectoryRefusal::ManagerRing(ring),
                    Above::TooMany => DirectoryRefusal::TooManyManagers(user.id),
                })
            })?;
            for record in chain.into_iter().filter(|id| guarded.insert(*id)).filter_map(stored) {
                changes.guard_version(record);
            }
        }
        Ok(())
    }
}

impl Command for PutUsers {
    type Output = Vec<User>;
    type Refusal = DirectoryRefusal;

    fn name(&self) -> &'static str {
        "users.put"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "user")
    }

    fn input(&self) -> Json {
        self.users.iter().map(|user| json!([user.id, input_of(user)])).collect()
    }

    fn needs(&self, loaded: &Loaded) -> Vec<Need> {
        let ids: Vec<Uuid> = self.users.iter().map(|user| user.id.0).collect();
        let users = Need::Records(User::def(), ids.clone());
        if loaded.lacks(users.clone()).is_some() {
            let teams = self.users.iter().filter_map(|user| Some(user.team_id?.0)).collect();
            return vec![users, Need::Records(Assignee::def(), ids), Need::Records(Team::def(), teams)];
        }
        let here: BTreeMap<_, _> = self.users.iter().map(|user| (user.id, user.manager_id)).collect();
        let (mut seen, mut needs) = (BTreeSet::new(), Vec::new());
        for user in self.moved(loaded) {
            let mut at = user.manager_id;
            while let Some(id) = at.filter(|id| seen.insert(*id)) {
                at = here.get(&id).copied().flatten();
                if !here.contains_key(&id) {
                    needs.push(Need::Ancestors(format!("above {id}"), User::def(), id.0));
                }
            }
        }
        needs
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Vec<User>> {
        self.check_managers(loaded, changes)?;
        let mut put = Vec::with_capacity(self.users.len());
        for (place, user) in self.users.iter().enumerate() {
            check_id("user", user.id.0, &user.name)?;
            let at = |errors| at_place(errors, place, self.users.len());
            if let Some(team) = user.team_id
                && loaded.live::<Team>(team)?.is_none()
            {
                return Err(Decline::Refused(DirectoryRefusal::Team { user: user.id, team }));
            }
            let after = match loaded.get::<User>(user.id)? {
                None => {
                    let user = changes.insert(user).map_err(at)?;
                    changes.event("user.added", json!({ "user_id": user.id }));
                    user
                }
                Some(before) if before.is_active && !user.is_active => {
                    return Err(Decline::Refused(DirectoryRefusal::Deactivation(user.id)));
                }
                Some(before) => {
                    let after = changes.update(&before, user).map_err(at)?;
                    if after.meta.version != before.meta.version {
                        changes.event(
                            "user.changed",
                            json!({ "user_id": user.id, "is_active": user.is_active }),
                        );
                    }
                    after
                }
            };
            let assignee = loaded.record(Assignee::def(), user.id.0);
            if after.is_active && !assignee.is_some_and(Record::is_live) {
                changes.guard_version(&after.to_record());
                match assignee {
                    None => _ = changes.insert(&Assignee::of(user.id)).map_err(at)?,
                    Some(gone) => _ = changes.restore_record(gone),
                }
            }
            put.push(after);
        }
        Ok(put)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Vec<User>> {
        self.users.iter().map(|user| loaded.get(user.id).ok().flatten()).collect()
    }
}

/// Takes teams over as they are in the embedder's directory: inserted, changed, or left alone.
#[derive(Clone, Debug)]
pub struct PutTeams {
    /// The teams.
    pub teams: Vec<Team>,
}

impl Command for PutTeams {
    type Output = Vec<Team>;
    type Refusal = DirectoryRefusal;

    fn name(&self) -> &'static str {
        "teams.put"
    }

    fn permission(&self) -> (Action, &'static str) {
        (Action::Administer, "team")
    }

    fn input(&self) -> Json {
        self.teams.iter().map(|team| json!([team.id, input_of(team)])).collect()
    }

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(Team::def(), self.teams.iter().map(|team| team.id.0).collect())]
    }

    fn decide(&self, loaded: &Loaded, changes: &mut Changes<'_>) -> Decision<Vec<Team>> {
        let mut put = Vec::with_capacity(self.teams.len());
        for (place, team) in self.teams.iter().enumerate() {
            check_id("team", team.id.0, &team.name)?;
            let at = |errors| at_place(errors, place, self.teams.len());
            put.push(match loaded.get::<Team>(team.id)? {
                None => {
                    let team = changes.insert(team).map_err(at)?;
                    changes.event("team.added", json!({ "team_id": team.id }));
                    team
                }
                Some(before) => {
                    let after = changes.update(&before, team).map_err(at)?;
                    if after.meta.version != before.meta.version {
                        changes.event("team.changed", json!({ "team_id": team.id }));
                    }
                    after
                }
            });
        }
        Ok(put)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Vec<Team>> {
        self.teams.iter().map(|team| loaded.get(team.id).ok().flatten()).collect()
    }
}
