//! The store.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crm_core::TenantId;
use crm_core::catalog::Catalog;
use crm_core::record::Record;
use crm_core::store::{Answer, ChangeSet, CommitError, Query, Read, Store, StoreError};
use crm_core::value::Instant;
use futures_util::stream::BoxStream;
use sqlx::postgres::PgPool;
use sqlx::{Connection, Postgres, Transaction};

use crate::commit;
use crate::error::{Stop, is_lost, store_error};
use crate::inner::Inner;
use crate::log;
use crate::read;
use crate::scan;
use crate::session::{Purpose, Session, Watch, settings};
use crate::sql::Args;
use crate::verify;

/// How often a commit whose outcome is unknown is handed in again.
const LOST_ATTEMPTS: u32 = 4;
/// How often sealing is tried when others seal too.
const SEAL_ATTEMPTS: u32 = 6;

/// Keeps records in PostgreSQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pub(crate) inner: Arc<Inner>,
}

impl PostgresStore {
    /// Checks that the server's version and encoding, and every table, column, index and constraint are what the
    /// catalog needs; with row level security, that it binds this role.
    ///
    /// # Errors
    /// [`StoreError::NotReady`] names what differs and what to do.
    pub async fn verify_schema(&self) -> Result<(), StoreError> {
        let options = &self.inner.options;
        verify::verify(&self.inner.pool, &options.schema, &self.inner.catalog, options.row_level_security)
            .await
    }

    /// Applies the change set inside the embedder's own transaction, so that it is kept or lost together with what
    /// else that transaction writes.
    ///
    /// It runs in a savepoint: after an error nothing of it is left and the transaction can go on. After
    /// [`CommitError::Contended`] or [`CommitError::Conflict`] roll the whole transaction back before deciding
    /// again, for it keeps its snapshot and locks. The transaction must be `READ COMMITTED`. Its settings
    /// `app.tenant`, `statement_timeout` and `lock_timeout` are changed until it ends; consumers are woken when it
    /// commits.
    #[tracing::instrument(skip_all, fields(tenant = %change.tenant, commit = %change.commit_id))]
    pub async fn commit_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        change: &ChangeSet,
    ) -> Result<(), CommitError> {
        let inner = &*self.inner;
        let _watch = Watch::new("commit_in", inner.options.slow_call);
        commit::check(&inner.catalog, change)?;
        let failed = |error: sqlx::Error| CommitError::Store(store_error("commit_in", &error));
        inner.counter.add();
        let mut savepoint = transaction.begin().await.map_err(failed)?;
        let mut session = Session::new(&mut savepoint, &inner.counter, &inner.names);
        let purpose = commit::purpose(change);
        let applied = match session.plain(settings(&inner.options, false, change.tenant.0, purpose)).await {
            Ok(()) => commit::apply(&mut session, change, inner.channel.as_deref()).await,
            Err(error) => Err(error.into()),
        };
        inner.counter.add();
        match applied {
            Ok(()) => {
                if purpose == Purpose::Erase {
                    let close = "SELECT set_config('app.erasing', '', true)".to_owned();
                    Session::new(&mut savepoint, &inner.counter, &inner.names)
                        .plain(close)
                        .await
                        .map_err(failed)?;
                }
                savepoint.commit().await.map_err(failed)
            }
            Err(stop) => {
                savepoint.rollback().await.map_err(failed)?;
                let mut session = Session::new(transaction, &inner.counter, &inner.names);
                // The rollback has undone the settings too.
                session
                    .plain(settings(&inner.options, false, change.tenant.0, Purpose::Write))
                    .await
                    .map_err(failed)?;
                inner.ended(change, stop, Some(&mut session)).await
            }
        }
    }

    /// The server's plan of a read, as text: for tests and for finding out why one is slow.
    pub async fn explain(&self, tenant: TenantId, read: &Read) -> Result<String, StoreError> {
        let inner = &*self.inner;
        let failed = |error: sqlx::Error| store_error("explain", &error);
        let sql = inner.statement(tenant, read)?.wrap(|text| format!("EXPLAIN {text}"));
        let mut transaction = inner.begin(tenant, Purpose::Read).await.map_err(failed)?;
        let mut session = Session::new(&mut transaction, &inner.counter, &inner.names);
        let rows = session.rows_once(sql).await.map_err(failed)?;
        let lines = rows
            .iter()
            .map(|row| sqlx::Row::try_get::<String, _>(row, 0))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        Ok(lines.join("\n"))
    }

    /// How many round trips this store has made, those of the pool itself not counted: for tests.
    #[doc(hidden)]
    pub fn statements(&self) -> u64 {
        self.inner.counter.get()
    }

    /// The pool, for an embedder who keeps tables of their own in the same database.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    #[tracing::instrument(skip_all, fields(tenant = %change.tenant, commit = %change.commit_id))]
    async fn commit(&self, change: &ChangeSet) -> Result<(), CommitError> {
        let inner = &*self.inner;
        let _watch = Watch::new("commit", inner.options.slow_call);
        let call = async {
            commit::check(&inner.catalog, change)?;
            let mut attempt = 1;
            loop {
                match inner.try_commit(change).await {
                    Ok(()) => return Ok(()),
                    // Nothing is known of the last attempt. The commit id makes another one harmless.
                    Err(Stop::Driver(error)) if is_lost(&error) && attempt < LOST_ATTEMPTS => {
                        inner.health.lost();
                        self.rest(attempt + 3).await;
                        attempt += 1;
                    }
                    Err(stop) => return inner.ended(change, stop, None).await,
                }
            }
        };
        inner.health.within(inner.longest(), "commit", call).await
    }

    #[tracing::instrument(skip_all, fields(%tenant, reads = reads.len()))]
    async fn read(&self, tenant: TenantId, reads: &[Read]) -> Result<Vec<Answer>, StoreError> {
        let inner = &*self.inner;
        let _watch = Watch::new("read", inner.options.slow_call);
        let call = async {
            if reads.is_empty() {
                return Ok(Vec::new());
            }
            let mut again = true;
            loop {
                match inner.try_read(tenant, reads).await {
                    Ok(answers) => return Ok(answers),
                    // A connection that the server has closed since it was last used.
                    Err(Stop::Driver(error)) if again && is_lost(&error) => {
                        inner.health.lost();
                        again = false;
                    }
                    Err(Stop::Driver(error)) => return Err(store_error("read", &error)),
                    Err(Stop::Refused(CommitError::Store(error))) => return Err(error),
                    Err(_) => {
                        return Err(StoreError::Failed {
                            what: "read".to_owned(),
                            code: "internal".to_owned(),
                        });
                    }
                }
            }
        };
        inner.health.within(inner.longest(), "read", call).await
    }

    fn scan(&self, tenant: TenantId, query: Query) -> BoxStream<'static, Result<Record, StoreError>> {
        scan::scan(Arc::clone(&self.inner), tenant, query)
    }

    #[tracing::instrument(skip_all, fields(%tenant, limit))]
    async fn seal_log(&self, tenant: TenantId, limit: usize) -> Result<usize, StoreError> {
        let inner = &*self.inner;
        let _watch = Watch::new("seal_log", inner.options.slow_call);
        let call = async {
            let mut attempt = 1;
            loop {
                match inner.try_seal(tenant, limit).await {
                    Ok(sealed) => return Ok(sealed),
                    Err(error) if attempt < SEAL_ATTEMPTS && read::is_transient(&error) => {
                        if is_lost(&error) {
                            inner.health.lost();
                        }
                        self.rest(attempt).await;
                        attempt += 1;
                    }
                    Err(error) => return Err(log::seal_error(&error)),
                }
            }
        };
        inner.health.within(inner.longest(), "seal_log", call).await
    }

    #[tracing::instrument(skip_all, fields(%tenant, consumer, number))]
    async fn acknowledge(&self, tenant: TenantId, consumer: &str, number: i64) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let _watch = Watch::new("acknowledge", inner.options.slow_call);
        let call = async {
            let failed = |error: sqlx::Error| store_error("acknowledge", &error);
            let mut args = Args::default();
            args.bind(tenant.0);
            args.bind(consumer);
            args.bind(number);
            let table = inner.names.table("crm_consumers");
            let text = format!(
                "INSERT INTO {table} AS c (tenant, consumer, number) VALUES ($1, $2, $3) \
                 ON CONFLICT (tenant, consumer) DO UPDATE SET number = excluded.number WHERE c.number < excluded.number"
            );
            let mut transaction = inner.begin(tenant, Purpose::Write).await.map_err(failed)?;
            let mut session = Session::new(&mut transaction, &inner.counter, &inner.names);
            session.rows(args.into_sql(text)).await.map_err(failed)?;
            inner.counter.add();
            transaction.commit().await.map_err(failed)
        };
        inner.health.within(inner.longest(), "acknowledge", call).await
    }

    #[tracing::instrument(skip_all, fields(%tenant, limit))]
    async fn expire_keys(
        &self,
        tenant: TenantId,
        before: Instant,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let inner = &*self.inner;
        let _watch = Watch::new("expire_keys", inner.options.slow_call);
        let call = async {
            let failed = |error: sqlx::Error| store_error("expire_keys", &error);
            let mut args = Args::default();
            args.bind(tenant.0);
            args.bind(before);
            args.bind(i64::try_from(limit).unwrap_or(i64::MAX));
            let table = inner.names.table("crm_keys");
            // A key that another process removes, or a commit waits for, is left to the next call.
            let text = format!(
                "WITH gone AS (DELETE FROM {table} AS k USING (SELECT command, key FROM {table} WHERE tenant = $1 AND at < $2 \
                 ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED) AS o \
                 WHERE k.tenant = $1 AND k.command = o.command AND k.key = o.key RETURNING 1) SELECT count(*) FROM gone"
            );
            let mut transaction = inner.begin(tenant, Purpose::Write).await.map_err(failed)?;
            let mut session = Session::new(&mut transaction, &inner.counter, &inner.names);
            let rows = session.rows(args.into_sql(text)).await.map_err(failed)?;
            let gone: i64 = rows.first().map_or(Ok(0), |row| sqlx::Row::try_get(row, 0)).map_err(failed)?;
            inner.counter.add();
            transaction.commit().await.map_err(failed)?;
            Ok(usize::try_from(gone).unwrap_or_default())
        };
        inner.health.within(inner.longest(), "expire_keys", call).await
    }

    #[tracing::instrument(skip_all, fields(%tenant))]
    async fn wakes(&self, tenant: TenantId) -> Result<BoxStream<'static, ()>, StoreError> {
        let inner = &*self.inner;
        let call = async {
            inner
                .wakes
                .subscribe(&inner.pool, &inner.options.schema, tenant.0)
                .await
                .map_err(|error| store_error("wakes", &error))
        };
        inner.health.within(inner.longest(), "wakes", call).await
    }

    async fn rest(&self, attempt: u32) {
        tokio::time::sleep(pause(attempt, jitter())).await;
    }
}

/// How long to wait before an attempt: 2 ms, doubled each time up to 200 ms, of which the jitter (0 to 65,535)
/// takes a part between a quarter and all.
fn pause(attempt: u32, jitter: u16) -> Duration {
    let most = 2_000_u64.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(200_000);
    Duration::from_micros(most / 4 + most * 3 / 4 * u64::from(jitter) / u64::from(u16::MAX))
}

/// A number that differs from call to call. Not for secrets.
fn jitter() -> u16 {
    std::collections::hash_map::RandomState::new().build_hasher().finish() as u16
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

    #[test]
    fn pauses_grow_to_their_end_and_differ() {
        assert_eq!(pause(1, u16::MAX), Duration::from_millis(2));
        assert_eq!(pause(4, u16::MAX), Duration::from_millis(16));
        assert_eq!(pause(40, u16::MAX), Duration::from_millis(200));
        assert_eq!(pause(40, 0), Duration::from_millis(50));
    }
}
