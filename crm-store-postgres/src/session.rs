//! Connections, transactions, and what is measured of them.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crm_core::store::StoreError;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use sqlx::postgres::{PgConnection, PgPool, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Transaction};
use uuid::Uuid;

use crate::error::Stop;
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

/// The statement that names the tenant and the limits of a transaction: they end with it. A connection that is `limited`
/// carries what a read needs of them already.
pub(crate) fn settings(options: &PostgresOptions, limited: bool, tenant: Uuid, purpose: Purpose) -> String {
    let ms =
        |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i32::MAX as u64).to_string();
    let mut settings = vec![("app.tenant", tenant.to_string())];
    if !limited {
        settings.push(("statement_timeout", ms(options.statement_timeout)));
        settings.push(("lock_timeout", ms(options.lock_timeout)));
    }
    // The plan of a find depends on the values of its criteria: one made without them was seen to take ten times as
    // long. What a commit does is planned once.
    match purpose {
        Purpose::Read if limited => {}
        Purpose::Read => settings.push(("plan_cache_mode", CUSTOM_PLAN.to_owned())),
        Purpose::Write | Purpose::Erase => settings.push(("plan_cache_mode", "auto".to_owned())),
    }
    if purpose == Purpose::Erase {
        settings.push(("app.erasing", "on".to_owned()));
    }
    let calls: Vec<String> =
        settings.iter().map(|(name, value)| format!("set_config('{name}', '{value}', true)")).collect();
    format!("SELECT {}", calls.join(", "))
}

/// A future that is run to its end even when it is dropped before.
struct ToItsEnd<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let answer = std::task::ready!(future.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        if let (Some(future), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}

/// Begins a transaction and makes its settings, in one round trip.
///
/// It runs to its end even when nobody waits for it any more, and is rolled back then: the driver forgets a transaction
/// whose `BEGIN` is dropped before it is answered, and the connection would come back to the pool within it, of no use to
/// anybody.
pub(crate) async fn begin(
    pool: &PgPool,
    counter: &Counter,
    settings: &str,
    purpose: Purpose,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mode = match purpose {
        Purpose::Read => "REPEATABLE READ, READ ONLY",
        Purpose::Write | Purpose::Erase => "READ COMMITTED, READ WRITE",
    };
    counter.add();
    let text = format!("BEGIN ISOLATION LEVEL {mode}; {settings}");
    let pool = pool.clone();
    ToItsEnd(Some(async move { pool.begin_with(AssertSqlSafe(text)).await }.boxed())).await
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

    /// Runs a statement and reads each row as it comes: none is kept.
    pub(crate) async fn read<T>(
        &mut self,
        sql: Sql,
        read: impl Fn(&PgRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, Stop> {
        self.counter.add();
        let mut rows = sql.query()?.fetch(&mut *self.connection);
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(read(&row)?);
        }
        Ok(all)
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
