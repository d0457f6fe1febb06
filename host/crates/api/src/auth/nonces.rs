//! Requests that were taken already.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use weir_record::limits::NODE_CLOCK_OFF_MS_MAX;

/// Remembers signed requests by time and nonce, at most so many. Only what bears a good signature is
/// remembered, so nobody outside the cluster can fill it.
#[derive(Debug)]
pub(crate) struct Nonces {
    seen: Mutex<Seen>,
    max: usize,
}

#[derive(Debug, Default)]
struct Seen {
    by_time: BTreeSet<(u64, u128)>,
    /// Nothing older is taken: whether it was here before has been forgotten.
    floor_ms: u64,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was here before.
    Replayed,
    /// It is as old as requests that have been forgotten.
    Forgotten,
}

impl Nonces {
    pub(crate) fn new(max: usize) -> Nonces {
        Nonces { seen: Mutex::default(), max }
    }

    /// Takes a request that was signed at a time, unless it was taken before.
    pub(crate) fn admit(&self, now_ms: u64, time_ms: u64, nonce: u128) -> Result<(), Refused> {
        let mut seen = self.seen.lock();
        if time_ms < seen.floor_ms {
            return Err(Refused::Forgotten);
        }
        if !seen.by_time.insert((time_ms, nonce)) {
            return Err(Refused::Replayed);
        }
        let window_start_ms = now_ms.saturating_sub(NODE_CLOCK_OFF_MS_MAX);
        while let Some(&(oldest_ms, _)) = seen.by_time.first() {
            if oldest_ms >= window_start_ms && seen.by_time.len() <= self.max {
                break;
            }
            seen.by_time.pop_first();
            // Raised for what the window has passed as well: the clock may be set back.
            seen.floor_ms = seen.floor_ms.max(oldest_ms + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once() {
        let nonces = Nonces::new(10);
        let now = 10_000_000;
        assert_eq!(nonces.admit(now, now, 1), Ok(()));
        assert_eq!(nonces.admit(now, now, 1), Err(Refused::Replayed));
        assert_eq!(nonces.admit(now, now, 2), Ok(()));
        assert_eq!(nonces.admit(now, now + 1, 1), Ok(()));
    }

    #[test]
    fn what_was_forgotten_is_not_taken_again() {
        let nonces = Nonces::new(3);
        let now = 10_000_000;
        for nonce in 0..10 {
            assert_eq!(nonces.admit(now, now + nonce, u128::from(nonce)), Ok(()));
        }
        assert_eq!(nonces.seen.lock().by_time.len(), 3);
        for nonce in 0..7 {
            assert_eq!(nonces.admit(now, now + nonce, u128::from(nonce)), Err(Refused::Forgotten));
        }
        assert_eq!(nonces.admit(now, now + 8, 8), Err(Refused::Replayed));
        // The window has passed, and then the clock is set back.
        let later = now + 2 * NODE_CLOCK_OFF_MS_MAX;
        assert_eq!(nonces.admit(later, later, 1), Ok(()));
        assert_eq!(nonces.seen.lock().by_time.len(), 1);
        assert_eq!(nonces.admit(now, now + 8, 8), Err(Refused::Forgotten));
    }
}
