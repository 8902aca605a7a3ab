//! Times, taken in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The times of one thing, done again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The median; zero for none.
    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The sum.
    pub(crate) fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

/// Times one call.
pub(crate) fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(call());
    started.elapsed()
}

/// The medians of several things, done in turns: A B C A B C.
pub(crate) fn in_turns<const N: usize>(rounds: usize, mut things: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut times: [Times; N] = std::array::from_fn(|_| Times::default());
    for _ in 0..rounds {
        for (thing, times) in things.iter_mut().zip(&mut times) {
            times.push(time(|| thing()));
        }
    }
    times.map(|times| times.median())
}

/// How many times as long the first took as the second.
pub(crate) fn ratio(first: Duration, second: Duration) -> f64 {
    first.as_secs_f64() / second.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// A time in a unit that suits it.
pub(crate) fn show(time: Duration) -> String {
    let ns = time.as_secs_f64() * 1e9;
    match ns {
        ..1e3 => format!("{ns:.1} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        ..1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

/// A time divided by a number of things.
pub(crate) fn each(time: Duration, things: usize) -> Duration {
    Duration::from_secs_f64(time.as_secs_f64() / things.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ratios_and_units() {
        let times = Times([5, 1, 9].map(Duration::from_micros).to_vec());
        assert_eq!(times.median(), Duration::from_micros(5));
        assert_eq!(times.total(), Duration::from_micros(15));
        assert!((ratio(Duration::from_secs(1), Duration::from_secs(4)) - 0.25).abs() < 1e-9);
        assert_eq!(show(Duration::from_nanos(1_500)), "1.5 µs");
        assert_eq!(each(Duration::from_micros(10), 5), Duration::from_micros(2));
    }
}
