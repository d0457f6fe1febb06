//! What goes on being wrong is said at once, and then once a minute.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_record::limits::FORWARD_SAY_MS;

/// When something was last said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Unix milliseconds; 0 when it was not said, or is over.
    at_ms: AtomicU64,
}

impl Said {
    /// Whether it is time to say it, at `now_ms`. If so, it counts as said.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        let at_ms = self.at_ms.load(Ordering::Relaxed);
        let due = at_ms == 0 || now_ms.abs_diff(at_ms) >= FORWARD_SAY_MS;
        // Of several that come at once one says it.
        due && self.at_ms.compare_exchange(at_ms, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It is over: the next time is news again.
    pub(crate) fn is_over(&self) {
        self.at_ms.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_news_at_first_and_after_it_was_over_and_else_once_a_minute() {
        let said = Said::default();
        let due = [0, 1, 1_000, 61_000, 61_001, 200_000, 0].map(|now_ms| said.is_due(now_ms));
        assert_eq!(due, [true, false, false, true, false, true, true]);
        said.is_over();
        assert!(said.is_due(5));
    }
}
