//! Counts over time.

use alloc::vec;
use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::id::{ENTROPY_MAX, TIME_MS_MAX};
use weir_record::limits::HISTOGRAM_BUCKETS_MAX;

pub use weir_record::level::LEVELS;

/// Which stretches of time are counted: `count` of them, `width_ms` each, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    from_ms: u64,
    width_ms: u64,
    count: u32,
}

/// Buckets that there cannot be. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BucketsError {
    /// None, or more than [`HISTOGRAM_BUCKETS_MAX`].
    #[error(
        "a histogram has 1 to {HISTOGRAM_BUCKETS_MAX} buckets, not {0}; make them wider or the range shorter"
    )]
    Count(u64),
    /// A width of nothing.
    #[error("a bucket is at least 1 ms wide")]
    Width,
    /// They end after the last time that an id can have.
    #[error("the buckets end after the end of time; ask for an earlier range")]
    End,
}

impl Buckets {
    /// Buckets from `from_ms` (Unix time) on.
    pub fn new(from_ms: u64, width_ms: u64, count: u64) -> Result<Buckets, BucketsError> {
        if width_ms == 0 {
            return Err(BucketsError::Width);
        }
        if !(1..=HISTOGRAM_BUCKETS_MAX as u64).contains(&count) {
            return Err(BucketsError::Count(count));
        }
        let end = width_ms.checked_mul(count).and_then(|length| length.checked_add(from_ms));
        if end.is_none_or(|end| end > TIME_MS_MAX + 1) {
            return Err(BucketsError::End);
        }
        Ok(Buckets { from_ms, width_ms, count: count as u32 })
    }

    /// Where the first one begins.
    pub fn from_ms(&self) -> u64 {
        self.from_ms
    }

    /// How long each is.
    pub fn width_ms(&self) -> u64 {
        self.width_ms
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The first time behind the last one.
    pub fn end_ms(&self) -> u64 {
        self.from_ms + self.width_ms * u64::from(self.count)
    }

    /// The range of ids that they cover, both inclusive.
    pub fn id_range(&self) -> (RecordId, RecordId) {
        (RecordId::lowest_at(self.from_ms), RecordId::from_parts(self.end_ms() - 1, ENTROPY_MAX))
    }

    /// The bucket of a record; `None` outside of all.
    pub fn of(&self, id: RecordId) -> Option<usize> {
        let since = id.time_ms().checked_sub(self.from_ms)?;
        let bucket = since / self.width_ms;
        (bucket < u64::from(self.count)).then_some(bucket as usize)
    }
}

/// Records per bucket and level. Histograms over the same buckets add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Buckets,
    counts: Vec<[u64; LEVELS]>,
}

impl Histogram {
    /// A histogram without records.
    pub fn new(buckets: Buckets) -> Histogram {
        Histogram { buckets, counts: vec![[0; LEVELS]; buckets.count()] }
    }

    /// What is counted.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Per bucket the records of each level.
    pub fn counts(&self) -> &[[u64; LEVELS]] {
        &self.counts
    }

    /// All records.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Counts records of one bucket and level.
    ///
    /// # Panics
    /// When there is no such bucket or level: a programming error.
    pub fn add(&mut self, bucket: usize, level: usize, records: u64) {
        self.counts[bucket][level] += records;
    }

    /// Adds counts of as many buckets; `false`, and nothing is added, when these are more or fewer.
    #[must_use]
    pub fn add_counts(&mut self, counts: &[[u64; LEVELS]]) -> bool {
        if counts.len() != self.counts.len() {
            return false;
        }
        let sums = self.counts.iter_mut().flatten().zip(counts.iter().flatten());
        sums.for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        true
    }

    /// Adds what was counted elsewhere, and says whether its buckets are the same; others are left out.
    #[must_use]
    pub fn merge(&mut self, other: &Histogram) -> bool {
        if self.buckets != other.buckets {
            return false;
        }
        let sums = self.counts.iter_mut().flatten().zip(other.counts.iter().flatten());
        sums.for_each(|(sum, count)| *sum += count);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fall_into_the_bucket_of_their_time() {
        let buckets = Buckets::new(1_000, 10, 3).unwrap();
        for (time_ms, expected) in [
            (0, None),
            (999, None),
            (1_000, Some(0)),
            (1_009, Some(0)),
            (1_010, Some(1)),
            (1_029, Some(2)),
            (1_030, None),
        ] {
            assert_eq!(buckets.of(RecordId::lowest_at(time_ms)), expected, "{time_ms}");
            assert_eq!(buckets.of(RecordId::from_parts(time_ms, ENTROPY_MAX)), expected, "{time_ms}");
        }
        assert_eq!(
            buckets.id_range(),
            (RecordId::lowest_at(1_000), RecordId::from_parts(1_029, ENTROPY_MAX))
        );
    }

    #[test]
    fn what_is_no_range_of_buckets_is_refused() {
        for (from, width, count, error) in [
            (0, 0, 1, BucketsError::Width),
            (0, 1, 0, BucketsError::Count(0)),
            (0, 1, HISTOGRAM_BUCKETS_MAX as u64 + 1, BucketsError::Count(HISTOGRAM_BUCKETS_MAX as u64 + 1)),
            (u64::MAX, 1, 1, BucketsError::End),
            (TIME_MS_MAX, 2, 1, BucketsError::End),
            (0, u64::MAX, 2, BucketsError::End),
        ] {
            assert_eq!(Buckets::new(from, width, count), Err(error));
        }
        assert!(Buckets::new(TIME_MS_MAX, 1, 1).is_ok());
    }

    #[test]
    fn histograms_over_the_same_buckets_add_up() {
        let buckets = Buckets::new(0, 10, 2).unwrap();
        let (mut one, mut other) = (Histogram::new(buckets), Histogram::new(buckets));
        one.add(0, 1, 5);
        other.add(0, 1, 2);
        other.add(1, 4, 7);
        assert!(one.merge(&other));
        assert_eq!((one.counts(), one.total()), (&[[0, 7, 0, 0, 0], [0, 0, 0, 0, 7]][..], 14));
        let elsewhere = Histogram::new(Buckets::new(10, 10, 2).unwrap());
        assert!(!one.merge(&elsewhere));
    }
}
