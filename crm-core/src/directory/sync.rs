//! Taking over what has changed in the embedder's directory.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::catalog::Entity;
use crate::command::{Command, Error};
use crate::context::Context;
use crate::crm::Crm;
use crate::directory::managers::top_down;
use crate::directory::{
    DeactivateUser, DirectoryPage, DirectoryRefusal, PutTeams, PutUsers, Team, User, UserId,
};
use crate::id::RecordId;
use crate::store::{Answer, Read};

/// How many are put in one commit; a new user counts as two records.
const CHUNK: usize = 400;

/// What a [sync](crate::directory::Users::sync) did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncReport {
    /// Users and teams that are new.
    pub added: usize,
    /// Users and teams that were there and differed.
    pub changed: usize,
    /// Users who left.
    pub deactivated: usize,
    /// Records that went from who left to who takes over.
    pub reassigned: usize,
    /// What was not taken over; it is tried again by the next sync.
    pub refused: Vec<NotTaken>,
}

/// A user or team that was not taken over as the directory has it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotTaken {
    /// `user` or `team`.
    pub entity: &'static str,
    /// Its id.
    pub id: Uuid,
    /// The code of the error.
    pub code: &'static str,
    /// What the error says.
    pub why: String,
}

/// A sync under way.
pub(super) struct Sync<'a> {
    crm: &'a Crm,
    ctx: &'a Context,
    report: SyncReport,
    /// Counted already.
    written: BTreeSet<(String, Uuid)>,
    /// Who manages whom in the directory.
    managers: BTreeMap<UserId, Option<UserId>>,
    /// Those whose manager is another one.
    moved: BTreeSet<UserId>,
    /// Those who left.
    leavers: BTreeSet<UserId>,
}

type Outcome<T> = Result<T, Error<DirectoryRefusal>>;

impl<'a> Sync<'a> {
    pub(super) fn new(crm: &'a Crm, ctx: &'a Context) -> Self {
        Self {
            crm,
            ctx,
            report: SyncReport::default(),
            written: BTreeSet::new(),
            managers: BTreeMap::new(),
            moved: BTreeSet::new(),
            leavers: BTreeSet::new(),
        }
    }

    /// Takes over a page, but for who manages whom and who left: both can depend on other pages.
    pub(super) async fn take(&mut self, page: DirectoryPage) -> Outcome<()> {
        for chunk in page.teams.chunks(CHUNK) {
            self.put(chunk.to_vec(), |teams| PutTeams { teams }).await?;
        }
        for chunk in page.users.chunks(CHUNK) {
            let stored = self.stored(chunk.iter().map(|user| user.id)).await?;
            let mut put = Vec::with_capacity(chunk.len());
            for user in chunk {
                let mut user = user.clone();
                let before = stored.get(&user.id);
                let manager = before.and_then(|before| before.manager_id);
                self.managers.insert(user.id, user.manager_id);
                if user.manager_id != manager {
                    self.moved.insert(user.id);
                }
                user.manager_id = manager;
                self.leavers.remove(&user.id);
                if before.is_some_and(|before| before.is_active) && !user.is_active {
                    user.is_active = true;
                    self.leavers.insert(user.id);
                }
                put.push(user);
            }
            self.put(put, |users| PutUsers { users }).await?;
        }
        Ok(())
    }

    /// Does what depends on all pages.
    pub(super) async fn finish(mut self) -> Outcome<SyncReport> {
        // From the top, each is put below a chain that is as it shall be: no ring comes up on the way.
        let mut moved: Vec<UserId> = std::mem::take(&mut self.moved).into_iter().collect();
        top_down(&self.managers, &mut moved);
        for chunk in moved.chunks(CHUNK) {
            let mut stored = self.stored(chunk.iter().copied()).await?;
            let mut put: Vec<User> = chunk.iter().filter_map(|id| stored.remove(id)).collect();
            for user in &mut put {
                user.manager_id = self.managers.get(&user.id).copied().flatten();
            }
            self.put(put, |users| PutUsers { users }).await?;
        }
        // From the top again: what is handed over does not go to somebody who leaves next.
        let mut leavers: Vec<UserId> = std::mem::take(&mut self.leavers).into_iter().collect();
        top_down(&self.managers, &mut leavers);
        for id in leavers {
            let command = DeactivateUser { id, catalog: self.crm.store().catalog() };
            match self.crm.run(self.ctx, &command).await {
                Ok(done) => self.report.deactivated += usize::from(!done.written.is_empty()),
                Err(error) => self.refuse("user", id.0, error)?,
            }
        }
        for (id, _) in self.crm.users().handovers(self.ctx).await.map_err(Error::widen)? {
            match self.crm.users().hand_over(self.ctx, id).await {
                Ok(moved) => self.report.reassigned += moved,
                Err(error) => self.refuse("user", id.0, error)?,
            }
        }
        Ok(self.report)
    }

    /// Puts as many as can be put: of those refused together each is found by halves.
    async fn put<E, C>(&mut self, all: Vec<E>, command: impl Fn(Vec<E>) -> C) -> Outcome<()>
    where
        E: Entity,
        C: Command<Refusal = DirectoryRefusal>,
    {
        let mut rest = vec![all];
        while let Some(mut some) = rest.pop() {
            match self.crm.run(self.ctx, &command(some.clone())).await {
                Ok(done) => self.count(done.written),
                Err(error) if some.len() > 1 && !is_failure(&error) => {
                    let second = some.split_off(some.len() / 2);
                    rest.extend([second, some]);
                }
                Err(error) => {
                    let id = some.first().map_or(Uuid::nil(), |one| one.id().uuid());
                    self.refuse(E::def().name, id, error)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, written: Vec<(String, Uuid, i64)>) {
        for (entity, id, version) in written {
            if (entity == User::def().name || entity == Team::def().name) && self.written.insert((entity, id))
            {
                *if version == 1 { &mut self.report.added } else { &mut self.report.changed } += 1;
            }
        }
    }

    /// Remembers what was not taken over; a failure ends the sync.
    fn refuse(&mut self, entity: &'static str, id: Uuid, error: Error<DirectoryRefusal>) -> Outcome<()> {
        if is_failure(&error) {
            return Err(error);
        }
        self.report.refused.push(NotTaken { entity, id, code: error.code(), why: error.to_string() });
        Ok(())
    }

    async fn stored(&self, ids: impl Iterator<Item = UserId>) -> Outcome<BTreeMap<UserId, User>> {
        let read = Read::Get { def: User::def(), ids: ids.map(|id| id.0).collect() };
        let Some(Answer::Records(records)) = self.crm.read(self.ctx, &[read]).await?.pop() else {
            return Ok(BTreeMap::new());
        };
        let users = records.iter().map(|record| User::from_record(record).map(|user| (user.id, user)));
        Ok(users.collect::<Result<_, _>>()?)
    }
}

/// Whether it says nothing about the input.
fn is_failure(error: &Error<DirectoryRefusal>) -> bool {
    matches!(error, Error::Store(_) | Error::Contended | Error::Forbidden { .. })
}
