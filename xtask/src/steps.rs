//! Numbered steps with elapsed times, so that nobody wonders whether a long build still runs.

use std::time::{Duration, Instant};

/// The steps of one command. Their number is known before the first begins.
pub(crate) struct Steps {
    name: &'static str,
    total: usize,
    at: usize,
}

impl Steps {
    /// `name` stands before the number: steps of one command may run inside a step of another.
    pub(crate) fn new(name: &'static str, total: usize) -> Self {
        Self { name, total, at: 0 }
    }

    /// Says what begins, does it, says how long it took and whether it failed.
    pub(crate) fn run<T>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.at += 1;
        assert!(self.at <= self.total, "{} has more steps than it announced", self.name);
        let label = format!("{} [{}/{}]", self.name, self.at, self.total);
        eprintln!("{label} {what}");
        let started = Instant::now();
        let result = work();
        let end = if result.is_ok() { "done" } else { "failed" };
        eprintln!("{label} {end} after {}", seconds(started.elapsed()));
        result
    }
}

/// A duration for people: `0.2 s`, `34 s`, `5 min 10 s`.
pub(crate) fn seconds(elapsed: Duration) -> String {
    let whole = elapsed.as_secs();
    match whole {
        0..10 => format!("{:.1} s", elapsed.as_secs_f64()),
        10..120 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        for (millis, expected) in
            [(0, "0.0 s"), (240, "0.2 s"), (9_990, "10.0 s"), (34_900, "34 s"), (310_000, "5 min 10 s")]
        {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
