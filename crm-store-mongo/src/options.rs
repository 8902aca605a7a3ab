//! What an embedder can set.

use std::time::Duration;

/// Settings of a [`MongoStore`](crate::MongoStore).
///
/// ```
/// use std::time::Duration;
/// use crm_store_mongo::MongoOptions;
/// let options = MongoOptions { max_time: Duration::from_secs(5), ..MongoOptions::default() };
/// assert_eq!(options.slow_call, Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoOptions {
    /// The longest one call may take, and the limit that each command tells the server. 30 s by default. Scans
    /// and migrations are not limited.
    pub max_time: Duration,
    /// A call that takes longer is reported with `tracing::warn!`: its name and time, never data. 1 s by default.
    pub slow_call: Duration,
}

impl Default for MongoOptions {
    fn default() -> Self {
        Self { max_time: Duration::from_secs(30), slow_call: Duration::from_secs(1) }
    }
}
