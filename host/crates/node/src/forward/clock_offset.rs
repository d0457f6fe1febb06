//! How far the clocks of the ingest nodes are off, and by which time a forwarder goes.

use weir_record::limits::FORWARD_CLOCK_TOLERANCE_MS;

/// What the clock of each node said, as far as it was heard: its time minus ours, in milliseconds.
///
/// A forwarder whose clock agrees with theirs goes by its own, which is finer; one whose clock is wrong goes by
/// what most of them say.
#[derive(Debug)]
pub(crate) struct ClockOffsets {
    heard_ms: Vec<Option<i64>>,
}

impl ClockOffsets {
    /// Nothing heard of so many nodes.
    pub(crate) fn new(nodes: usize) -> ClockOffsets {
        ClockOffsets { heard_ms: vec![None; nodes] }
    }

    /// A node said that it is `node_ms` when our clock said `now_ms`. The last word of a node counts.
    pub(crate) fn heard(&mut self, node: usize, node_ms: u64, now_ms: u64) {
        if let Some(heard) = self.heard_ms.get_mut(node) {
            let difference = i128::from(node_ms) - i128::from(now_ms);
            *heard = Some(difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64);
        }
    }

    /// What to add to our clock in a request to a node: 0 unless it is known to be off.
    pub(crate) fn of(&self, node: usize) -> i64 {
        self.heard_ms.get(node).copied().flatten().map_or(0, beyond_tolerance)
    }

    /// What to add to our clock for the ids of records: the median of all that were heard; of two in the
    /// middle the one nearer to our own clock.
    pub(crate) fn median(&self) -> i64 {
        let mut heard: Vec<i64> = self.heard_ms.iter().copied().flatten().collect();
        heard.sort_unstable();
        let middle = [heard.len().saturating_sub(1) / 2, heard.len() / 2];
        let nearest =
            middle.into_iter().filter_map(|place| heard.get(place)).min_by_key(|ms| ms.unsigned_abs());
        nearest.copied().map_or(0, beyond_tolerance)
    }
}

fn beyond_tolerance(ms: i64) -> i64 {
    if ms.unsigned_abs() > FORWARD_CLOCK_TOLERANCE_MS { ms } else { 0 }
}

/// A time moved by an offset; it stays within what a time can be.
pub(crate) fn moved(now_ms: u64, offset_ms: i64) -> u64 {
    now_ms.saturating_add_signed(offset_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_000_000_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn ids_go_by_the_median_of_the_clocks_that_were_heard() {
        for (heard, want) in [
            (vec![], 0),
            (vec![None, None], 0),
            (vec![Some(900)], 0),
            (vec![Some(-4_999)], 0),
            (vec![Some(HOUR)], HOUR),
            (vec![None, Some(-HOUR), None], -HOUR),
            (vec![Some(HOUR), Some(300), Some(-200)], 0),
            (vec![Some(HOUR), Some(HOUR + 500), Some(0)], HOUR),
            (vec![Some(HOUR), Some(0)], 0),
            (vec![Some(-HOUR), Some(2 * HOUR)], -HOUR),
            (vec![Some(HOUR), Some(HOUR), Some(0), Some(0)], 0),
        ] {
            let mut offsets = ClockOffsets::new(heard.len());
            for (node, ms) in heard.iter().enumerate() {
                if let Some(ms) = ms {
                    offsets.heard(node, moved(NOW_MS, *ms), NOW_MS);
                }
            }
            assert_eq!(offsets.median(), want, "{heard:?}");
        }
    }

    #[test]
    fn each_node_is_told_its_own_time_and_its_last_word_counts() {
        let mut offsets = ClockOffsets::new(2);
        offsets.heard(0, NOW_MS - 700_000, NOW_MS);
        assert_eq!((offsets.of(0), offsets.of(1), offsets.of(9)), (-700_000, 0, 0));
        offsets.heard(0, NOW_MS + 1_000, NOW_MS);
        assert_eq!(offsets.of(0), 0);
        offsets.heard(1, u64::MAX, 0);
        assert_eq!(offsets.of(1), i64::MAX);
        assert_eq!((moved(5, -10), moved(u64::MAX, 1)), (0, u64::MAX));
    }
}
