//! Ranges of time.

use alloc::vec::Vec;

/// Milliseconds of Unix time, both ends included. An open end is `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeRange {
    /// The first millisecond.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { from_ms: 0, to_ms: u64::MAX };

    /// From one millisecond to another, both included.
    pub const fn new(from_ms: u64, to_ms: u64) -> TimeRange {
        TimeRange { from_ms, to_ms }
    }

    /// Whether no millisecond lies in it.
    pub const fn is_empty(self) -> bool {
        self.from_ms > self.to_ms
    }

    /// Whether it shares a millisecond with another.
    pub const fn meets(self, other: TimeRange) -> bool {
        !self.within(other).is_empty()
    }

    /// Whether all of `other` lies in it.
    pub const fn covers(self, other: TimeRange) -> bool {
        other.is_empty() || (self.from_ms <= other.from_ms && other.to_ms <= self.to_ms)
    }

    /// What both have in common; empty when they have nothing.
    #[must_use]
    pub const fn within(self, other: TimeRange) -> TimeRange {
        let from_ms = if self.from_ms > other.from_ms { self.from_ms } else { other.from_ms };
        let to_ms = if self.to_ms < other.to_ms { self.to_ms } else { other.to_ms };
        TimeRange { from_ms, to_ms }
    }
}

/// The same milliseconds as ranges that are sorted, apart, and not empty.
pub fn joined(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable();
    let mut joined: Vec<TimeRange> = Vec::with_capacity(ranges.len().min(16));
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.from_ms <= last.to_ms.saturating_add(1) => {
                last.to_ms = last.to_ms.max(range.to_ms);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn ranges_are_joined_where_they_touch() {
        let r = TimeRange::new;
        for (given, expected) in [
            (vec![], vec![]),
            (vec![r(5, 4)], vec![]),
            (vec![r(5, 9), r(1, 4)], vec![r(1, 9)]),
            (vec![r(5, 9), r(1, 3)], vec![r(1, 3), r(5, 9)]),
            (vec![r(0, u64::MAX), r(3, 4), r(7, u64::MAX)], vec![TimeRange::ALL]),
        ] {
            assert_eq!(joined(given.clone()), expected, "{given:?}");
        }
    }
}
