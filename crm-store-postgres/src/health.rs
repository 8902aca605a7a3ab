//! A server that goes away or does not answer: connections that may be dead are tried before they are used, and no call
//! waits for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crm_core::store::StoreError;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPoolOptions};

/// How long a connection may have been idle before it is tried.
const IDLE: Duration = Duration::from_secs(30);
/// How long after a loss connections are tried when they are given back, and how long such a try may take.
const CAREFUL: Duration = Duration::from_mins(1);
const TRY: Duration = Duration::from_secs(5);

/// When a connection was last found dead, or a call given up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<Option<Instant>>>);

impl Health {
    /// A connection was lost, or did not answer: the idle ones may be dead too.
    pub(crate) fn lost(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn since_loss(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Whether a connection that has been idle for so long has been so since before the last loss, or for long.
    fn doubts(&self, idle_for: Duration) -> bool {
        idle_for > IDLE || self.since_loss().is_some_and(|since| idle_for >= since)
    }

    /// Makes a pool try connections that may be dead, and only those: a connection that was just used is worth no round
    /// trip.
    pub(crate) fn watch(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let (before, after) = (self.clone(), self.clone());
        pool.test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let doubtful = before.doubts(meta.idle_for);
                Box::pin(async move {
                    if doubtful {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            // The pool itself tries each connection that is given back, but waits for ever.
            .after_release(move |connection, _| {
                let doubtful = after.since_loss().is_some_and(|since| since < CAREFUL);
                Box::pin(async move { if doubtful { answers(connection).await } else { Ok(true) } })
            })
    }

    /// Gives a call up that takes longer than this.
    pub(crate) async fn within<T, E: From<StoreError>>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut call = std::pin::pin!(call);
        if let Ok(answer) = tokio::time::timeout(limit, call.as_mut()).await {
            return answer;
        }
        // Before the call is dropped, so that its connection is looked at when it is given back.
        self.lost();
        Err(StoreError::Timeout { what: what.to_owned() }.into())
    }
}

/// Ends whatever is left of a transaction; outside of one the server merely remarks that there is none.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(TRY, sqlx::raw_sql("ROLLBACK").execute(connection)).await {
        Ok(answer) => answer.map(|_| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_idle_since_before_a_loss_are_doubted() {
        let health = Health::default();
        assert!(!health.doubts(Duration::from_secs(1)));
        assert!(health.doubts(Duration::from_secs(31)));
        health.lost();
        assert!(health.doubts(Duration::from_secs(1)));
        std::thread::sleep(Duration::from_millis(2));
        assert!(!health.doubts(Duration::ZERO));
    }
}
