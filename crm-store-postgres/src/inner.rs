//! What a store is made of, and single attempts at what it does.

use std::time::Duration;

use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::store::{ChangeSet, CommitError, Read, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection, Postgres, Transaction};
use tokio::time::timeout;

use crate::commit;
use crate::error::{Stop, commit_error, stopped, store_error};
use crate::log;
use crate::names::Names;
use crate::options::PostgresOptions;
use crate::session::{Counter, Purpose, Session, opening};
use crate::sql::Sql;
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
}

impl Inner {
    /// Begins a transaction with the store's settings that lives as long as it is wanted.
    pub(crate) async fn begin(
        &self,
        tenant: TenantId,
        purpose: Purpose,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.counter.add();
        self.pool.begin_with(opening(&self.options, tenant.0, purpose)).await
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
        let mut connection = self.pool.acquire().await?;
        let done = timeout(self.patience(), self.commit_on(&mut connection, change)).await;
        done.unwrap_or_else(|_| Err(give_up(&mut connection, "commit")))
    }

    async fn commit_on(&self, connection: &mut PgConnection, change: &ChangeSet) -> Result<(), Stop> {
        let mut transaction = self.begin_on(connection, change.tenant, commit::purpose(change)).await?;
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
        let mut connection = self.pool.acquire().await?;
        let done = timeout(self.patience(), self.read_on(&mut connection, tenant, statements)).await;
        done.unwrap_or_else(|_| Err(give_up(&mut connection, "read")))
    }

    async fn read_on(
        &self,
        connection: &mut PgConnection,
        tenant: TenantId,
        statements: Vec<Sql>,
    ) -> Result<Vec<Vec<PgRow>>, Stop> {
        let mut answers = Vec::with_capacity(statements.len());
        if statements.len() == 1 && self.limited && !self.options.row_level_security {
            let mut session = Session::new(connection, &self.counter, &self.names);
            for sql in statements {
                answers.push(session.rows(sql).await?);
            }
            return Ok(answers);
        }
        let mut transaction = self.begin_on(connection, tenant, Purpose::Read).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        for sql in statements {
            answers.push(session.rows(sql).await?);
        }
        self.counter.add();
        transaction.rollback().await?;
        Ok(answers)
    }

    /// One attempt to seal.
    pub(crate) async fn try_seal(&self, tenant: TenantId, limit: usize) -> Result<usize, Stop> {
        let mut connection = self.pool.acquire().await?;
        let done = timeout(self.patience(), self.seal_on(&mut connection, tenant, limit)).await;
        done.unwrap_or_else(|_| Err(give_up(&mut connection, "seal_log")))
    }

    async fn seal_on(
        &self,
        connection: &mut PgConnection,
        tenant: TenantId,
        limit: usize,
    ) -> Result<usize, Stop> {
        let mut transaction = self.begin_on(connection, tenant, Purpose::Write).await?;
        let mut session = Session::new(&mut transaction, &self.counter, &self.names);
        let sealed = log::seal_rows(&mut session, tenant.0, limit).await?;
        self.counter.add();
        transaction.commit().await?;
        Ok(sealed)
    }

    /// One writing statement in a transaction of its own.
    pub(crate) async fn write(
        &self,
        what: &'static str,
        tenant: TenantId,
        sql: Sql,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(|error| store_error(what, &error))?;
        let done = timeout(self.patience(), self.write_on(&mut connection, tenant, sql)).await;
        done.unwrap_or_else(|_| Err(give_up(&mut connection, what))).map_err(|stop| stopped(what, stop))
    }

    async fn write_on(
        &self,
        connection: &mut PgConnection,
        tenant: TenantId,
        sql: Sql,
    ) -> Result<Vec<PgRow>, Stop> {
        let mut transaction = self.begin_on(connection, tenant, Purpose::Write).await?;
        let rows = Session::new(&mut transaction, &self.counter, &self.names).rows(sql).await?;
        self.counter.add();
        transaction.commit().await?;
        Ok(rows)
    }

    async fn begin_on<'c>(
        &self,
        connection: &'c mut PgConnection,
        tenant: TenantId,
        purpose: Purpose,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        self.counter.add();
        connection.begin_with(opening(&self.options, tenant.0, purpose)).await
    }

    /// How long one attempt may take before the server counts as gone. It ends each statement itself when it is
    /// there, so only a connection that has gone silent takes as long.
    fn patience(&self) -> Duration {
        self.options.statement_timeout.saturating_mul(2)
    }
}

/// What comes of an attempt that was not answered. Its connection is not used again.
fn give_up(connection: &mut PoolConnection<Postgres>, what: &str) -> Stop {
    connection.close_on_drop();
    Stop::Refused(CommitError::Store(StoreError::Timeout { what: what.to_owned() }))
}
