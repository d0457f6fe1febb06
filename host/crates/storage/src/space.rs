//! Watermarks: writes are refused before the disk is full, and accepted again by themselves.

use crate::disk::Space;

/// Refuses above a mark and accepts again below a lower one, so that it does not flutter between them.
#[derive(Debug, Clone)]
pub struct SpaceGuard {
    full_at_percent: u64,
    resume_at_percent: u64,
    reserve_bytes: u64,
    full: bool,
}

impl SpaceGuard {
    /// A guard that refuses when more than `full_at_percent` of the file system are used or less than
    /// `reserve_bytes` are free, and accepts again at `resume_at_percent` and a quarter more than the
    /// reserve. A percentage of 100 and no reserve never refuse.
    pub fn new(full_at_percent: u64, resume_at_percent: u64, reserve_bytes: u64) -> SpaceGuard {
        SpaceGuard { full_at_percent, resume_at_percent, reserve_bytes, full: false }
    }

    /// Whether `incoming_bytes` more are refused.
    pub fn refuses(&mut self, space: Space, incoming_bytes: u64) -> bool {
        let after = Space { free_bytes: space.free_bytes.saturating_sub(incoming_bytes), ..space };
        let (percent, reserve) = if self.full {
            let margin = self.reserve_bytes / 4;
            (self.resume_at_percent, self.reserve_bytes.saturating_add(margin))
        } else {
            (self.full_at_percent, self.reserve_bytes)
        };
        let full = after.free_bytes < reserve || (percent < 100 && after.used_percent() > percent);
        if full != self.full {
            let (used_percent, free_bytes) = (space.used_percent(), space.free_bytes);
            if full {
                tracing::warn!(used_percent, free_bytes, "disk full: new records are refused");
            } else {
                tracing::info!(used_percent, free_bytes, "disk has room again: new records are accepted");
            }
        }
        self.full = full;
        full
    }

    /// What the last question was answered with.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refuses_above_the_mark_and_accepts_again_below_the_lower_one() {
        let mut guard = SpaceGuard::new(95, 93, 0);
        let free = |free_bytes| Space { total_bytes: 1000, free_bytes };
        for (free_bytes, refused) in
            [(60, false), (50, false), (49, true), (60, true), (69, true), (70, false), (60, false)]
        {
            assert_eq!(guard.refuses(free(free_bytes), 0), refused, "{free_bytes}");
        }
        assert!(guard.refuses(free(60), 20), "what comes in is counted");
    }

    #[test]
    fn the_reserve_counts_whatever_the_percentage_says() {
        let mut guard = SpaceGuard::new(100, 100, 100);
        let free = |free_bytes| Space { total_bytes: 1 << 40, free_bytes };
        for (free_bytes, refused) in [(100, false), (99, true), (124, true), (125, false)] {
            assert_eq!(guard.refuses(free(free_bytes), 0), refused, "{free_bytes}");
        }
        let mut never = SpaceGuard::new(100, 100, 0);
        assert!(!never.refuses(Space { total_bytes: 10, free_bytes: 0 }, 5));
    }
}
