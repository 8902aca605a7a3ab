//! Where time, ids and random bytes come from. The rules never ask the machine for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::value::{Instant, truncate};

/// The port for everything that differs between two runs of the same command.
pub trait Env: Send + Sync {
    /// The current instant; callers truncate it to milliseconds.
    fn now(&self) -> Instant;
    /// A new, never repeated id.
    fn new_id(&self) -> Uuid;
    /// Sixteen unpredictable bytes.
    fn salt(&self) -> [u8; 16];
    /// A clock that only moves forward, for deadlines; its zero is arbitrary.
    fn ticks(&self) -> Duration;
}

/// The machine's own clock and randomness. Ids are UUID version 7, which sort by creation time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
impl Env for SystemEnv {
    fn now(&self) -> Instant {
        truncate(chrono::Utc::now())
    }
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
    fn salt(&self) -> [u8; 16] {
        *Uuid::new_v4().as_bytes()
    }
    fn ticks(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// A clock that stands still until it is moved, with ids and salts that repeat from run to run: for tests.
///
/// ```
/// use crm_core::{Env, FixedEnv};
/// let env = FixedEnv::at("2024-02-29T12:00:00Z".parse().unwrap());
/// env.advance(chrono::Duration::days(1));
/// assert_eq!(env.now().to_string(), "2024-03-01 12:00:00 UTC");
/// ```
#[derive(Debug)]
pub struct FixedEnv {
    start: Instant,
    moved_ms: AtomicU64,
    drawn: AtomicU64,
    seed: u64,
}

impl FixedEnv {
    /// A clock that shows `now`.
    pub fn at(now: Instant) -> Self {
        Self::seeded(now, 0)
    }

    /// As [`at`](Self::at), with ids and salts of their own for each seed.
    pub fn seeded(now: Instant, seed: u64) -> Self {
        Self { start: truncate(now), moved_ms: AtomicU64::new(0), drawn: AtomicU64::new(0), seed }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: chrono::Duration) {
        self.moved_ms.fetch_add(u64::try_from(by.num_milliseconds()).unwrap_or(0), Ordering::SeqCst);
    }

    fn draw(&self, purpose: u8) -> [u8; 16] {
        let n = self.drawn.fetch_add(1, Ordering::SeqCst);
        let digest = Sha256::new()
            .chain_update([purpose])
            .chain_update(self.seed.to_be_bytes())
            .chain_update(n.to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes
    }
}

impl Env for FixedEnv {
    fn now(&self) -> Instant {
        let moved = i64::try_from(self.moved_ms.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        self.start + chrono::Duration::milliseconds(moved)
    }
    fn new_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.draw(1)).into_uuid()
    }
    fn salt(&self) -> [u8; 16] {
        self.draw(2)
    }
    fn ticks(&self) -> Duration {
        SystemEnv.ticks()
    }
}
