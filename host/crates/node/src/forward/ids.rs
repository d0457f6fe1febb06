//! Ids by the time of the ingest nodes.

use weir_record::limits::EVENT_TIME_AHEAD_MS_MAX;
use weir_record::{Minter, RecordId};

/// The minter of a forwarder. Ids strictly increase, unless the clock turns out to have been wrong: then a new
/// writer begins, for ids that go on from a wrong time would be refused by the nodes until that time has come.
#[derive(Debug)]
pub(crate) struct Ids {
    minter: Minter,
}

impl Ids {
    /// Ids above `floor`, the highest one that was made before.
    pub(crate) fn above(floor: RecordId) -> Ids {
        Ids { minter: Minter::new(floor) }
    }

    /// The minter to be used at a time, mended as far as the clocks of the nodes are known.
    pub(crate) fn minter(&mut self, now_ms: u64) -> &mut Minter {
        if self.minter.last().time_ms() > now_ms.saturating_add(EVENT_TIME_AHEAD_MS_MAX) {
            self.minter = Minter::new(RecordId::MIN);
        }
        &mut self.minter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_counted_through_and_large_ones_begin_anew() {
        const NOW_MS: u64 = 1_000_000_000;
        for (now_ms, goes_on) in [
            (NOW_MS, true),
            (NOW_MS - EVENT_TIME_AHEAD_MS_MAX, true),
            (NOW_MS - EVENT_TIME_AHEAD_MS_MAX - 1, false),
        ] {
            let mut ids = Ids::above(RecordId::lowest_at(NOW_MS));
            let first = ids.minter(now_ms).mint(now_ms, 5, 1).first;
            assert_eq!(first > RecordId::lowest_at(NOW_MS), goes_on, "{now_ms}");
            assert!(goes_on || first.time_ms() == now_ms);
        }
    }
}
