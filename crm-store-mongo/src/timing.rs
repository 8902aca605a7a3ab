//! Time limits, slow calls and rests.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use crm_core::store::StoreError;

use crate::MongoOptions;

/// Runs one call within the time limit and reports it when it was slow.
pub(crate) async fn timed<T, E: From<StoreError>>(
    name: &'static str,
    options: &MongoOptions,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let start = Instant::now();
    let answer = match tokio::time::timeout(options.max_time, call).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Timeout { what: name.to_owned() }.into()),
    };
    report(name, options, start.elapsed());
    answer
}

/// Reports a call that took longer than the embedder finds acceptable.
pub(crate) fn report(name: &'static str, options: &MongoOptions, took: Duration) {
    if took > options.slow_call {
        tracing::warn!(call = name, millis = took.as_millis() as u64, "slow call of the MongoDB store");
    }
}

/// A number that nobody can foresee, for slots and jitter.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Waits between half and all of 2 ms, 4 ms … 200 ms.
pub(crate) async fn rest(attempt: u32) {
    let longest = 2_000_u64.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(200_000);
    let micros = longest / 2 + random() % (longest / 2 + 1);
    tokio::time::sleep(Duration::from_micros(micros)).await;
}
