//! Times of single requests, and what most of them stay below.

use std::time::Duration;

/// The times of all requests of one kind.
#[derive(Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The time that this many of a hundred did not exceed; 0 where nothing was measured.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The same in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        milliseconds(self.percentile(percent))
    }
}

/// A time as figures show it.
pub(super) fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        for (count, percent, expected) in
            [(0, 50, 0.0), (1, 99, 1.0), (2, 50, 1.0), (200, 50, 100.0), (200, 99, 198.0), (200, 100, 200.0)]
        {
            let mut latencies = Latencies::default();
            (1..=count).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
            let found = latencies.percentile_ms(percent);
            assert!((found - expected).abs() < 1e-9, "p{percent} of {count}: {found}");
        }
    }
}
