//! How fast something may go that can wait.

/// Lets bytes pass at a rate: after so many of them there is a pause, as long as they take at that rate. What is taken at
/// once may be more than the pause before it stood for.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: Option<u64>,
    /// Nothing is taken sooner.
    next_ms: u64,
}

impl Pace {
    /// `None`: as fast as it goes.
    pub(crate) fn new(bytes_per_s: Option<u64>) -> Pace {
        Pace { bytes_per_s, next_ms: 0 }
    }

    /// Whether something may be taken now.
    pub(crate) fn allows(&self, now_ms: u64) -> bool {
        self.next_ms <= now_ms
    }

    /// When something may be taken again, if not now.
    pub(crate) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        (!self.allows(now_ms)).then_some(self.next_ms)
    }

    /// So much was taken.
    pub(crate) fn took(&mut self, bytes: u64, now_ms: u64) {
        let Some(bytes_per_s) = self.bytes_per_s.filter(|_| bytes > 0) else { return };
        let pause_ms = u128::from(bytes) * 1000 / u128::from(bytes_per_s.max(1));
        let from_ms = self.next_ms.max(now_ms);
        self.next_ms = from_ms.saturating_add(u64::try_from(pause_ms).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_followed_by_as_long_as_it_takes() {
        let mut pace = Pace::new(Some(1000));
        assert!(pace.allows(5));
        pace.took(2000, 5);
        assert_eq!((pace.allows(2004), pace.next_ms(2004), pace.allows(2005)), (false, Some(2005), true));
        pace.took(0, 9000);
        assert_eq!((pace.allows(2005), pace.next_ms(2005)), (true, None));
        pace.took(u64::MAX, 9000);
        assert!(!pace.allows(u64::MAX >> 20));
        let mut free = Pace::new(None);
        free.took(u64::MAX, 5);
        assert!(free.allows(5));
    }
}
