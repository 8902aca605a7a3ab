//! `crm.users()` and `crm.teams()`: the mirror of the embedder's directory.

use crate::catalog::Entity;
use crate::command::Error;
use crate::context::Context;
use crate::criteria::{Filter, Path, Test};
use crate::crm::{Crm, Done};
use crate::directory::deactivate::{belongs_to, owned};
use crate::directory::successor::OWNER;
use crate::directory::sync::{Sync, SyncReport};
use crate::directory::{
    DeactivateUser, DirectoryRefusal, HandOver, PutTeams, PutUsers, Team, TeamId, User, UserId,
};
use crate::policy::Action;
use crate::query::{Find, Page};
use crate::store::{Answer, GroupQuery, MAX_LIMIT, Measure, Query, Read};
use crate::value::Value;

/// Users of the tenant.
#[derive(Clone, Copy)]
pub struct Users<'a> {
    crm: &'a Crm,
}

type Outcome<T> = Result<T, Error<DirectoryRefusal>>;

impl<'a> Users<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Takes users over from the embedder's directory, all or none. A user who is new or active again counts as two
    /// records of [`MAX_WRITES`](crate::store::MAX_WRITES). An active user is not deactivated by it: that is
    /// [`deactivate`](Self::deactivate)'s to do.
    pub async fn put(&self, ctx: &Context, users: Vec<User>) -> Outcome<Done<Vec<User>>> {
        self.crm.run(ctx, &PutUsers { users }).await
    }

    /// Deactivates a user (SPEC XT-07, CM-10): first nothing more can be given to them, then their records go to the
    /// nearest active manager above them, otherwise to the tenant's [pool](crate::tenant::Settings::pool_id), in
    /// pieces of 500 that are one commit each. Gives how many it handed over.
    ///
    /// Safe to call again after a kill, and from several processes at once: what is done stays done, and the rest is
    /// done. Refused, with nothing changed, for who is named in the settings and for who owns something that nobody
    /// could take over.
    pub async fn deactivate(&self, ctx: &Context, id: UserId) -> Outcome<usize> {
        let ctx = Context { key: None, ..ctx.clone() };
        self.crm.run(&ctx, &DeactivateUser { id, catalog: self.crm.store().catalog() }).await?;
        self.hand_over(&ctx, id).await
    }

    /// Does one piece of what [`deactivate`](Self::deactivate) does after the user is out of service: for whoever
    /// wants to choose when. Gives how many records it handed over; `None` when nothing is left.
    pub async fn hand_over_piece(&self, ctx: &Context, id: UserId) -> Outcome<Option<usize>> {
        // Each piece is idempotent by itself: a key of the request would name only one of them.
        let ctx = Context { key: None, ..ctx.clone() };
        Ok(self.crm.run(&ctx, &HandOver { id, catalog: self.crm.store().catalog() }).await?.value)
    }

    pub(super) async fn hand_over(&self, ctx: &Context, id: UserId) -> Outcome<usize> {
        let mut moved = 0;
        while let Some(piece) = self.hand_over_piece(ctx, id).await? {
            moved += piece;
        }
        Ok(moved)
    }

    /// The users who are not active and still own something, with how many records: those whose deactivation was
    /// interrupted. [`deactivate`](Self::deactivate) does the rest.
    pub async fn handovers(&self, ctx: &Context) -> Result<Vec<(UserId, i64)>, Error> {
        self.crm.allow(ctx, Action::Administer, User::def().name)?;
        let mut left = std::collections::BTreeMap::new();
        let mut after = None;
        loop {
            let inactive = self.inactive(ctx, after).await?;
            after = inactive.last().and_then(Value::as_id);
            let more = inactive.len() == MAX_LIMIT;
            let count = |def| {
                Read::Group(GroupQuery {
                    def,
                    filter: belongs_to(def, inactive.clone()),
                    by: Path::own(def, OWNER).into_iter().collect(),
                    measures: vec![Measure::Count],
                    limit: MAX_LIMIT,
                })
            };
            let questions: Vec<Read> = owned(self.crm.store().catalog()).map(count).collect();
            for answer in self.crm.read(ctx, &questions).await? {
                let Answer::Groups(groups) = answer else { continue };
                for group in groups {
                    if let (Some(Value::Id(user)), Some(Value::Int(count))) =
                        (group.by.first(), group.measures.first())
                    {
                        *left.entry(UserId(*user)).or_default() += count;
                    }
                }
            }
            if !more {
                return Ok(left.into_iter().collect());
            }
        }
    }

    /// The ids of users who are not active, in their order, after this one.
    async fn inactive(&self, ctx: &Context, after: Option<uuid::Uuid>) -> Result<Vec<Value>, Error> {
        let def = User::def();
        let mut filter = Filter::undeleted(def);
        if let Some(path) = Path::own(def, "is_active") {
            filter = filter.and(Filter::leaf(path, Test::In(vec![Value::Bool(false)])));
        }
        if let Some(after) = after {
            let id = Path::system(def, crate::catalog::system::ID);
            filter = filter.and(Filter::leaf(id, Test::Gt(Value::Id(after))));
        }
        match self.crm.read(ctx, &[Read::Find(Query::new(def, filter, MAX_LIMIT))]).await?.pop() {
            Some(Answer::Records(records)) => Ok(records.iter().map(|r| Value::Id(r.id())).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// Takes over what has changed in the [`Directory`](crate::directory::Directory): teams, users, who manages whom;
    /// then deactivates who left, and does what is left of deactivations that were interrupted. Users and teams that
    /// the directory does not name stay as they are.
    ///
    /// What cannot be taken over is told in the report, and the rest is. When the directory does not answer, what it
    /// told before is taken over already, and the next call does the rest.
    pub async fn sync(&self, ctx: &Context) -> Outcome<SyncReport> {
        self.crm.allow(ctx, Action::Administer, User::def().name).map_err(Error::widen)?;
        let Some(directory) = self.crm.directory() else {
            return Err(Error::Refused(DirectoryRefusal::NoDirectory));
        };
        let unavailable = |why: String| Error::Refused(DirectoryRefusal::Unavailable(why));
        let ctx = Context { key: None, ..ctx.clone() };
        let mut sync = Sync::new(self.crm, &ctx);
        let mut at: Option<String> = None;
        loop {
            let page = directory.page(&ctx, at.as_deref()).await.map_err(|error| unavailable(error.0))?;
            let next = page.next.clone();
            sync.take(page).await?;
            if next.is_none() {
                return sync.finish().await;
            }
            if next == at {
                return Err(unavailable("it names one page as the next after itself".to_owned()));
            }
            at = next;
        }
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

/// Teams of the tenant.
#[derive(Clone, Copy)]
pub struct Teams<'a> {
    crm: &'a Crm,
}

impl<'a> Teams<'a> {
    pub(crate) fn new(crm: &'a Crm) -> Self {
        Self { crm }
    }

    /// Takes teams over from the embedder's directory, all or none, before the users in them.
    pub async fn put(&self, ctx: &Context, teams: Vec<Team>) -> Outcome<Done<Vec<Team>>> {
        self.crm.run(ctx, &PutTeams { teams }).await
    }

    /// The team.
    pub async fn get(&self, ctx: &Context, id: TeamId) -> Result<Team, Error> {
        self.crm.get(ctx, id).await
    }

    /// A page of the teams that meet criteria.
    pub async fn find(&self, ctx: &Context, find: &Find) -> Result<Page<Team>, Error> {
        self.crm.find(ctx, find).await
    }
}
