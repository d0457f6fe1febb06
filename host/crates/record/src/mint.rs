//! Where ids come from: minted at arrival, or made from a key.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::batch::IdRun;
use crate::id::{ENTROPY_BITS, ENTROPY_MAX, RecordId};
use crate::limits::EVENT_TIME_AHEAD_MS_MAX;

/// Mints ids for one writer: strictly increasing, also when the clock steps back.
#[derive(Debug, Clone)]
pub struct Minter {
    last: RecordId,
}

impl Minter {
    /// A minter whose first id lies above `floor`, the highest id this writer is known to have made.
    pub fn new(floor: RecordId) -> Minter {
        Minter { last: floor }
    }

    /// Ids for `count` records that arrived now. `entropy` is drawn by the caller, once per batch.
    ///
    /// # Panics
    /// When `count` is 0, or when ids run out (year 10889).
    pub fn mint(&mut self, now_ms: u64, entropy: u128, count: u32) -> IdRun {
        assert!(count > 0, "a run has at least one id");
        // The top bit of the entropy stays clear: counting up never leaves the millisecond.
        let drawn = RecordId::from_parts(now_ms, entropy & (ENTROPY_MAX >> 1));
        let next = self.last.checked_add(1).filter(|next| *next > drawn).unwrap_or(drawn);
        let run = IdRun { first: next, count };
        let Some(last) = run.last() else { panic!("record ids are used up at {next}") };
        self.last = last;
        run
    }

    /// The highest id made by [`Minter::mint`].
    pub fn last(&self) -> RecordId {
        self.last
    }
}

/// Ids for records that bring their own time: entropy drawn once per batch, then counted up.
///
/// Neighbours with the same millisecond become one run.
pub fn mint_at(times_ms: impl IntoIterator<Item = u64>, entropy: u128) -> Vec<IdRun> {
    let mut runs: Vec<IdRun> = Vec::new();
    let entropy = entropy & (ENTROPY_MAX >> 1);
    for (index, time_ms) in times_ms.into_iter().enumerate() {
        push_id(&mut runs, RecordId::from_parts(time_ms, entropy + index as u128));
    }
    runs
}

/// Adds one id to runs, growing the last one where it continues it.
pub fn push_id(runs: &mut Vec<IdRun>, id: RecordId) {
    if let Some(run) = runs.last_mut()
        && run.last().and_then(|last| last.checked_add(1)) == Some(id)
    {
        run.count += 1;
        return;
    }
    runs.push(IdRun { first: id, count: 1 });
}

/// The id of a keyed record: the same key, time, payload and index give the same id everywhere.
///
/// The entropy is the first 80 bits of SHA-256 over the time (8 bytes, big-endian), the index (4 bytes),
/// the key's length (4 bytes), the key and the payload.
pub fn keyed_id(time_ms: u64, key: &[u8], index: u32, payload: &[u8]) -> RecordId {
    let mut hash = Sha256::new();
    hash.update(time_ms.to_be_bytes());
    hash.update(index.to_be_bytes());
    hash.update((key.len() as u32).to_be_bytes());
    hash.update(key);
    hash.update(payload);
    let digest = hash.finalize();
    let mut high = [0; 16];
    high.copy_from_slice(&digest[..16]);
    RecordId::from_parts(time_ms, u128::from_be_bytes(high) >> (128 - ENTROPY_BITS))
}

/// Which event times a node accepts.
#[derive(Debug, Clone, Copy)]
pub struct TimeBounds {
    /// Events before this are older than retention.
    pub oldest_ms: u64,
    /// Events after this come from a wrong clock.
    pub newest_ms: u64,
}

impl TimeBounds {
    /// The bounds at a time, for data kept `retention_ms` long.
    pub fn at(now_ms: u64, retention_ms: u64) -> TimeBounds {
        TimeBounds {
            oldest_ms: now_ms.saturating_sub(retention_ms),
            newest_ms: now_ms.saturating_add(EVENT_TIME_AHEAD_MS_MAX),
        }
    }

    /// Whether an event time lies within.
    pub fn accept(self, time_ms: u64) -> bool {
        (self.oldest_ms..=self.newest_ms).contains(&time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_increase_whatever_the_clock_does() {
        let mut minter = Minter::new(RecordId::MIN);
        let mut last = RecordId::MIN;
        for (now, entropy) in [(100, 5), (100, 4), (100, u128::MAX), (50, 9), (0, 0), (101, 0), (99, 1)] {
            let run = minter.mint(now, entropy, 3);
            assert!(run.first > last, "{now}");
            last = run.last().unwrap();
            assert_eq!(minter.last(), last);
        }
        assert_eq!(last.time_ms(), 101);
    }

    #[test]
    fn a_new_minter_goes_on_above_what_is_on_disk() {
        let floor = RecordId::from_parts(5_000, 77);
        assert!(Minter::new(floor).mint(4_000, 1, 1).first > floor);
    }

    #[test]
    fn event_times_become_the_times_of_ids() {
        let runs = mint_at([10, 10, 20, 5], 7);
        assert_eq!(
            runs.iter().map(|r| (r.first.time_ms(), r.count)).collect::<Vec<_>>(),
            [(10, 2), (20, 1), (5, 1)]
        );
    }

    #[test]
    fn keyed_ids_depend_on_all_they_are_made_of() {
        let id = keyed_id(1, b"key", 0, b"payload");
        assert_eq!(id, keyed_id(1, b"key", 0, b"payload"));
        assert_eq!(id.time_ms(), 1);
        for other in [
            keyed_id(2, b"key", 0, b"payload"),
            keyed_id(1, b"ke", 0, b"ypayload"),
            keyed_id(1, b"key", 1, b"payload"),
            keyed_id(1, b"key", 0, b"payloae"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let bounds = TimeBounds::at(10_000_000, 1_000_000);
        for (time, accepted) in
            [(8_999_999, false), (9_000_000, true), (10_600_000, true), (10_600_001, false)]
        {
            assert_eq!(bounds.accept(time), accepted, "{time}");
        }
    }
}
