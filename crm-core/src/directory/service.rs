//! `crm.users()`: the mirror of the embedder's directory.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Changes, Command, Decline, Error, Loaded, Need, Refusal};
use crate::context::Context;
use crate::crm::{Crm, Done};
use crate::customer::{at_place, input_of};
use crate::directory::{User, UserId};
use crate::policy::Action;
use crate::query::{Find, Page};

/// Why users are not taken over.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefusal {
    /// The user has no id of the embedder's.
    #[error("the user {0:?} has no id; use the id of the directory it comes from")]
    NoId(String),
}

impl Refusal for DirectoryRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NoId(_) => "user_without_id",
        }
    }
}

/// Takes users over as they are in the embedder's directory: inserted, changed, or left alone.
#[derive(Clone, Debug)]
pub struct PutUsers {
    /// The users; a manager comes before those it manages.
    pub users: Vec<User>,
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

    fn needs(&self, _: &Loaded) -> Vec<Need> {
        vec![Need::Records(User::def(), self.users.iter().map(|user| user.id.0).collect())]
    }

    fn decide(
        &self,
        loaded: &Loaded,
        changes: &mut Changes<'_>,
    ) -> Result<Vec<User>, Decline<DirectoryRefusal>> {
        let mut put = Vec::with_capacity(self.users.len());
        for (place, user) in self.users.iter().enumerate() {
            if user.id.0.is_nil() {
                return Err(Decline::Refused(DirectoryRefusal::NoId(user.name.chars().take(40).collect())));
            }
            let at = |errors| at_place(errors, place, self.users.len());
            put.push(match loaded.get::<User>(user.id)? {
                None => {
                    let user = changes.insert(user).map_err(at)?;
                    changes.event("user.added", json!({ "user_id": user.id }));
                    user
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
            });
        }
        Ok(put)
    }

    fn recall(&self, loaded: &Loaded, _: &[(String, Uuid, i64)]) -> Option<Vec<User>> {
        self.users.iter().map(|user| loaded.get(user.id).ok().flatten()).collect()
    }
}

/// Users of the tenant.
#[derive(Clone, Copy)]
pub struct Users<'a> {
    crm: &'a Crm,
}

impl<'a> Users<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Takes users over from the embedder's directory.
    pub async fn put(
        &self,
        ctx: &Context,
        users: Vec<User>,
    ) -> Result<Done<Vec<User>>, Error<DirectoryRefusal>> {
        self.crm.run(ctx, &PutUsers { users }).await
    }

    /// The user.
    pub async fn get(&self, ctx: &Context, id: UserId) -> Result<User, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the users that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<User>, Error> {
        self.crm.find(ctx, find).await
    }
}
