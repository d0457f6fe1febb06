//! No datagram is taken twice.
//!
//! Of every process that sends, the last counters are remembered. A process is forgotten when its last datagram is so
//! old that its clock alone keeps it out.

use alloc::collections::BTreeMap;

use weir_record::limits::{GOSSIP_BOOTS_MAX, GOSSIP_CLOCK_MS_MAX};

use crate::reject::Reason;

/// Counters that may come late.
const WINDOW: u64 = 128;

/// What has been taken.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    processes: BTreeMap<u128, Taken>,
}

#[derive(Debug)]
struct Taken {
    /// The highest counter.
    high: u64,
    /// Bit n: the counter n below it was taken.
    bits: u128,
    /// The latest time in a datagram.
    clock_ms: u64,
}

impl Replay {
    /// Takes a datagram that was opened, or says why not.
    pub(crate) fn take(
        &mut self,
        process: u128,
        counter: u64,
        clock_ms: u64,
        now_ms: u64,
    ) -> Result<(), Reason> {
        if clock_ms.abs_diff(now_ms) > GOSSIP_CLOCK_MS_MAX {
            return Err(Reason::Clock);
        }
        if let Some(taken) = self.processes.get_mut(&process) {
            taken.clock_ms = taken.clock_ms.max(clock_ms);
            return taken.take(counter);
        }
        if self.processes.len() >= GOSSIP_BOOTS_MAX {
            self.processes.retain(|_, taken| taken.clock_ms.abs_diff(now_ms) <= GOSSIP_CLOCK_MS_MAX);
        }
        if self.processes.len() >= GOSSIP_BOOTS_MAX {
            return Err(Reason::TooMany);
        }
        self.processes.insert(process, Taken { high: counter, bits: 1, clock_ms });
        Ok(())
    }
}

impl Taken {
    fn take(&mut self, counter: u64) -> Result<(), Reason> {
        if counter > self.high {
            let ahead = counter - self.high;
            self.bits = if ahead < WINDOW { self.bits << ahead | 1 } else { 1 };
            self.high = counter;
            return Ok(());
        }
        let behind = self.high - counter;
        if behind >= WINDOW || self.bits >> behind & 1 == 1 {
            return Err(Reason::Replayed);
        }
        self.bits |= 1 << behind;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn each_counter_is_taken_once_late_ones_too_and_very_late_ones_never() {
        let mut replay = Replay::default();
        let replayed = Err(Reason::Replayed);
        for (counter, expected) in [
            (5, Ok(())),
            (5, replayed),
            (3, Ok(())),
            (3, replayed),
            (6, Ok(())),
            (5, replayed),
            (133, Ok(())),
            (6, replayed),
            (8, Ok(())),
            (5, replayed),
            (7, Ok(())),
            (1000, Ok(())),
            (872, replayed),
            (873, Ok(())),
            (1000, replayed),
        ] {
            assert_eq!(replay.take(1, counter, NOW, NOW), expected, "{counter}");
        }
    }

    #[test]
    fn clocks_may_differ_by_a_minute_and_old_processes_are_forgotten() {
        let mut replay = Replay::default();
        for (clock_ms, expected) in [
            (NOW - GOSSIP_CLOCK_MS_MAX, Ok(())),
            (NOW - GOSSIP_CLOCK_MS_MAX - 1, Err(Reason::Clock)),
            (NOW + GOSSIP_CLOCK_MS_MAX, Ok(())),
            (NOW + GOSSIP_CLOCK_MS_MAX + 1, Err(Reason::Clock)),
            (0, Err(Reason::Clock)),
            (u64::MAX, Err(Reason::Clock)),
        ] {
            assert_eq!(replay.take(u128::from(clock_ms), 1, clock_ms, NOW), expected, "{clock_ms}");
        }
        for process in 0..GOSSIP_BOOTS_MAX as u128 {
            let _ = replay.take(process, 1, NOW, NOW);
        }
        assert_eq!(replay.take(u128::MAX, 1, NOW, NOW), Err(Reason::TooMany));
        let later = NOW + 3 * GOSSIP_CLOCK_MS_MAX;
        assert_eq!(replay.take(u128::MAX, 1, later, later), Ok(()));
        assert_eq!(replay.take(7, 1, NOW, later), Err(Reason::Clock));
    }
}
