//! What a store is made of, and single attempts at what it does.

use std::time::Duration;

use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::store::{Answer, ChangeSet, CommitError, Read};
use sqlx::postgres::PgPool;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use crate::commit;
use crate::error::{Clue, Stop, clue, commit_error, is_lost, named};
use crate::health::Health;
use crate::log;
use crate::names::{Names, quote};
use crate::options::PostgresOptions;
use crate::session::{Counter, Purpose, Session, begin, settings};
use crate::sql::{Args, Sql};
use crate::timeline::Shape;
use crate::wake::Wakes;

/// What the clones of a store share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) catalog: Catalog,
    pub(crate) options: PostgresOptions,
    pub(crate) names: Names,
    pub(crate) shape: Shape,
    pub(crate) counter: Counter,
    pub(crate) channel: Option<String>,
    pub(crate) wakes: Wakes,
    /// Whether connections carry the limits already, so that a single read needs no transaction.
    pub(crate) limited: bool,
    pub(crate) health: Health,
}

impl Inner {
    /// The longest that one call waits for its answer.
    pub(crate) fn longest(&self) -> Duration {
        self.options.acquire_timeout + self.options.statement_timeout
    }

    /// Begins a transaction with the store's settings. On a connection that turns out to be dead nothing was done yet:
    /// another one is taken.
    pub(crate) async fn begin(
        &self,
        tenant: TenantId,
        purpose: Purpose,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let settings = settings(&self.options, self.limited, tenant.0, purpose);
        let begin = || begin(&self.pool, &self.counter, &settings, purpose);
        match begin().await {
            Err(error) if is_lost(&error) => {
                self.health.lost();
                begin().await
            }
            other => other,
        }
    }

    /// What became of a change set that was not applied now. The session, where there is one, is in a transaction of
    /// the tenant; without one, a transaction is begun when something has to be looked up.
    pub(crate) async fn ended(
        &self,
        change: &ChangeSet,
        stop: Stop,
        session: Option<&mut Session<'_>>,
    ) -> Result<(), CommitError> {
        let error = match stop {
            Stop::Applied => return Ok(()),
            Stop::Refused(error) => return Err(error),
            Stop::Driver(error) => error,
        };
        let Some(refused) = commit_error(&self.names, change, &error) else { return Ok(()) };
        let Some(clue) = clue(&self.names, change, &error) else { return Err(refused) };
        let found = match session {
            Some(session) => look(session, change, &clue).await,
            None => match self.begin(change.tenant, Purpose::Read).await {
                Ok(mut transaction) => {
                    let mut session = Session::new(&mut transaction, &self.counter, &self.names);
                    look(&mut session, change, &clue).await
                }
                Err(error) => Err(error),
            },
        };
        Err(match found {
            Ok(found) => named(refused, found),
            Err(_) => refused,
        })
    }

    /// One attempt to apply a change set.
    pub(crate) async fn try_commit(&self, change: &ChangeSet) -> Result<(), Stop> {
        let mut transaction = self.begin(change.tenant, commit::purpose(change)).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        match commit::apply(&mut session, change, self.channel.as_deref()).await {
            Ok(()) => {
                self.counter.add();
                Ok(transaction.commit().await?)
            }
            Err(stop) => {
                // Gives the locks back before the caller decides again; on a lost connection they are gone anyway.
                self.counter.add();
                let _ = transaction.rollback().await;
                Err(stop)
            }
        }
    }

    /// One attempt to read.
    pub(crate) async fn try_read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, Stop> {
        let mut statements = Vec::with_capacity(reads.len());
        for read in reads {
            statements.push(self.statement(tenant, read)?);
        }
        if reads.len() == 1 && self.limited && !self.options.row_level_security {
            let mut connection = self.pool.acquire().await?;
            let mut session = Session::new(&mut connection, &self.counter, &self.names);
            return self.answers(&mut session, reads, statements).await;
        }
        let mut transaction = self.begin(tenant, Purpose::Read).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        let answers = self.answers(&mut session, reads, statements).await?;
        self.counter.add();
        transaction.rollback().await?;
        Ok(answers)
    }

    async fn answers(
        &self,
        session: &mut Session<'_>,
        reads: &[Read],
        statements: Vec<Sql>,
    ) -> Result<Vec<Answer>, Stop> {
        let mut answers = Vec::with_capacity(reads.len());
        for (read, sql) in reads.iter().zip(statements) {
            answers.push(self.answer(session, read, sql).await?);
        }
        Ok(answers)
    }

    /// One attempt to seal.
    pub(crate) async fn try_seal(&self, tenant: TenantId, limit: usize) -> Result<usize, sqlx::Error> {
        let mut transaction = self.begin(tenant, Purpose::Write).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        let sealed = log::seal_rows(&mut session, tenant.0, limit).await?;
        self.counter.add();
        transaction.commit().await?;
        Ok(sealed)
    }
}

/// Which of a clue's records is there, the first in the order of the writes.
async fn look(
    session: &mut Session<'_>,
    change: &ChangeSet,
    clue: &Clue,
) -> Result<Option<Uuid>, sqlx::Error> {
    let mut args = Args::default();
    args.bind(change.tenant.0);
    args.bind(clue.ids.clone());
    let text = format!(
        "SELECT DISTINCT c.{field} FROM {} AS c WHERE c.tenant = $1 AND c.{field} = ANY($2)",
        session.names().of(clue.def),
        field = quote(clue.field),
    );
    let rows = session.rows(args.into_sql(text)).await?;
    let there = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    Ok(clue.ids.iter().copied().find(|id| there.contains(id)))
}
