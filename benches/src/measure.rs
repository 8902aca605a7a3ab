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

    /// The median in seconds; zero for none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default().as_secs_f64()
    }

    /// The sum in seconds.
    pub(crate) fn total(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64()
    }
}

/// Times one call.
pub(crate) fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(call());
    started.elapsed()
}

/// The medians of several things in seconds, done in turns: A B C A B C.
pub(crate) fn in_turns<const N: usize>(rounds: usize, mut things: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times: [Times; N] = std::array::from_fn(|_| Times::default());
    for _ in 0..rounds {
        for (thing, times) in things.iter_mut().zip(&mut times) {
            times.push(time(&mut **thing));
        }
    }
    times.map(|times| times.median())
}

/// How many times as large the first is as the second.
pub(crate) fn ratio(first: f64, second: f64) -> f64 {
    first / second.max(f64::MIN_POSITIVE)
}

/// Seconds in a unit that suits them.
pub(crate) fn show(seconds: f64) -> String {
    let ns = seconds * 1e9;
    match ns {
        ..1e3 => format!("{ns:.1} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        ..1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{seconds:.2} s"),
    }
}

/// A time divided by a number of things.
pub(crate) fn each(seconds: f64, things: usize) -> f64 {
    seconds / things.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ratios_and_units() {
        let times = Times([5, 1, 9].map(Duration::from_secs).to_vec());
        assert_eq!([times.median(), times.total()].map(show), ["5.00 s", "15.00 s"]);
        assert_eq!(show(ratio(1e-9, 4.0)), "0.2 ns");
        assert_eq!(show(each(3e-6, 2)), "1.5 µs");
    }
}
