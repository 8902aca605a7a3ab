//! What a store is made of, and single attempts at what it does.

use std::time::Duration;

use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::store::{ChangeSet, CommitError, Read};
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{Postgres, Transaction};

use crate::commit;
use crate::error::{Stop, commit_error, is_lost};
use crate::health::Health;
use crate::log;
use crate::names::Names;
use crate::options::PostgresOptions;
use crate::session::{Counter, Purpose, Session, begin};
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
        let begin = || begin(&self.pool, &self.counter, &self.options, tenant.0, purpose);
        match begin().await {
            Err(error) if is_lost(&error) => {
                self.health.lost();
                begin().await
            }
            other => other,
        }
    }

    /// What became of a change set that was not applied now.
    pub(crate) fn ended(&self, change: &ChangeSet, stop: Stop) -> Result<(), CommitError> {
        match stop {
            Stop::Applied => Ok(()),
            Stop::Refused(error) => Err(error),
            Stop::Driver(error) => match commit_error(&self.names, change, &error) {
                None => Ok(()),
                Some(error) => Err(error),
            },
        }
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

    /// One attempt to read: the rows of each answer.
    pub(crate) async fn try_read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Vec<PgRow>>, Stop> {
        let mut statements = Vec::with_capacity(reads.len());
        for read in reads {
            statements.push(self.statement(tenant, read)?);
        }
        if reads.len() == 1 && self.limited && !self.options.row_level_security {
            let mut connection = self.pool.acquire().await?;
            let mut session = Session::new(&mut connection, &self.counter, &self.names);
            let mut answers = Vec::with_capacity(1);
            for sql in statements {
                answers.push(session.rows(sql).await?);
            }
            return Ok(answers);
        }
        let mut transaction = self.begin(tenant, Purpose::Read).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        let mut answers = Vec::with_capacity(reads.len());
        for sql in statements {
            answers.push(session.rows(sql).await?);
        }
        self.counter.add();
        transaction.rollback().await?;
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
