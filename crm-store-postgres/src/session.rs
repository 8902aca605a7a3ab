//! Connections, transactions, and what is measured of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Transaction};
use uuid::Uuid;

use crate::names::Names;
use crate::options::PostgresOptions;
use crate::sql::Sql;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Several answers from one snapshot.
    Read,
    /// A commit.
    Write,
    /// A commit that may change what is append-only.
    Erase,
}

/// Counts what goes to the server.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more round trip.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The `plan_cache_mode` of reads: planned each time, for the values at hand.
pub(crate) const CUSTOM_PLAN: &str = "force_custom_plan";

/// The statement that names the tenant and the limits of a transaction: they end with it.
pub(crate) fn settings(options: &PostgresOptions, tenant: Uuid, purpose: Purpose) -> String {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i32::MAX as u64);
    // The plan of a find depends on the values of its criteria: one made without them was seen to take ten times as
    // long. What a commit does is planned once.
    let plan = if purpose == Purpose::Read { CUSTOM_PLAN } else { "auto" };
    let erasing = if purpose == Purpose::Erase { ", set_config('app.erasing', 'on', true)" } else { "" };
    format!(
        "SELECT set_config('app.tenant', '{tenant}', true), set_config('statement_timeout', '{}', true), \
         set_config('lock_timeout', '{}', true), set_config('plan_cache_mode', '{plan}', true){erasing}",
        ms(options.statement_timeout),
        ms(options.lock_timeout),
    )
}

/// Begins a transaction and makes its settings, in one round trip.
///
/// It runs in a task of its own, to its end: the driver forgets a transaction whose `BEGIN` is dropped before it is
/// answered, and the connection would come back to the pool within it, of no use to anybody.
pub(crate) async fn begin(
    pool: &PgPool,
    counter: &Counter,
    options: &PostgresOptions,
    tenant: Uuid,
    purpose: Purpose,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mode = match purpose {
        Purpose::Read => "REPEATABLE READ, READ ONLY",
        Purpose::Write | Purpose::Erase => "READ COMMITTED, READ WRITE",
    };
    counter.add();
    let text = format!("BEGIN ISOLATION LEVEL {mode}; {}", settings(options, tenant, purpose));
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(text)).await });
    // A task that nobody waits for any more rolls back when it is done.
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// A connection on which statements are counted.
pub(crate) struct Session<'a> {
    connection: &'a mut PgConnection,
    counter: &'a Counter,
    names: &'a Names,
}

impl<'a> Session<'a> {
    /// A session on a connection.
    pub(crate) fn new(connection: &'a mut PgConnection, counter: &'a Counter, names: &'a Names) -> Self {
        Self { connection, counter, names }
    }

    /// The names of tables.
    pub(crate) fn names(&self) -> &'a Names {
        self.names
    }

    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(&mut self, sql: Sql) -> Result<Vec<PgRow>, sqlx::Error> {
        self.counter.add();
        sql.query()?.fetch_all(&mut *self.connection).await
    }

    /// Runs a statement that is not worth keeping prepared.
    pub(crate) async fn rows_once(&mut self, sql: Sql) -> Result<Vec<PgRow>, sqlx::Error> {
        self.counter.add();
        sql.query()?.persistent(false).fetch_all(&mut *self.connection).await
    }

    /// Runs a statement that has no values.
    pub(crate) async fn plain(&mut self, text: String) -> Result<(), sqlx::Error> {
        self.counter.add();
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *self.connection).await.map(|_| ())
    }
}

/// Logs a call that took long, when it ends.
pub(crate) struct Watch {
    call: &'static str,
    since: Instant,
    limit: Duration,
}

impl Watch {
    /// Watches a call that begins now.
    pub(crate) fn new(call: &'static str, limit: Duration) -> Self {
        Self { call, since: Instant::now(), limit }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let took = self.since.elapsed();
        if took >= self.limit {
            let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(call = self.call, ms, "a call of the PostgreSQL store was slow");
        }
    }
}
