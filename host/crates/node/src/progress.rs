//! How far something that moves has come, and when it will be done if it goes on like this.

use std::collections::VecDeque;

use weir_api::backend::WorkInfo;
use weir_replication::Amount;

/// What counts as "of late".
const WINDOW_MS: u64 = 60_000;
/// Marks within that.
const MARKS_MAX: usize = 60;

/// Counts what is moved.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: Amount,
    /// When how many bytes were done, oldest first.
    marks: VecDeque<(u64, u64)>,
}

impl Progress {
    /// An origin was moved.
    pub(crate) fn moved(&mut self, moved: Amount) {
        self.done.origins += moved.origins;
        self.done.bytes += moved.bytes;
    }

    /// Nothing is to be moved: what comes next is counted anew.
    pub(crate) fn over(&mut self) {
        *self = Progress::default();
    }

    /// How it stands now, with so much left.
    pub(crate) fn look(&mut self, what: &str, left: Amount, now_ms: u64) -> WorkInfo {
        let is_due = |last: &(u64, u64)| last.0 + WINDOW_MS / MARKS_MAX as u64 <= now_ms;
        if self.marks.back().is_none_or(is_due) {
            self.marks.push_back((now_ms, self.done.bytes));
        }
        while self.marks.len() > 1 && self.marks.front().is_some_and(|first| first.0 + WINDOW_MS < now_ms) {
            self.marks.pop_front();
        }
        let (since_ms, before) = self.marks.front().copied().unwrap_or((now_ms, self.done.bytes));
        let bytes = self.done.bytes - before;
        let bytes_per_s =
            bytes.saturating_mul(1000).checked_div(now_ms.saturating_sub(since_ms)).unwrap_or(0);
        let eta_s = if left.origins == 0 { Some(0) } else { left.bytes.checked_div(bytes_per_s) };
        WorkInfo {
            what: what.to_owned(),
            origins_done: self.done.origins,
            origins_left: left.origins,
            bytes_done: self.done.bytes,
            bytes_left: left.bytes,
            bytes_per_s,
            eta_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minute_and_the_end_is_when_it_stays() {
        let mut progress = Progress::default();
        let left = |bytes| Amount { origins: 1, bytes };
        let told = |work: WorkInfo| (work.bytes_done, work.bytes_per_s, work.eta_s);
        assert_eq!(told(progress.look("drain", left(1000), 0)), (0, 0, None));
        progress.moved(Amount { origins: 2, bytes: 300 });
        assert_eq!(told(progress.look("drain", left(700), 3_000)), (300, 100, Some(7)));
        // An hour later it stands still.
        for minute in 1..4 {
            progress.look("drain", left(700), minute * 60_000);
        }
        assert_eq!(told(progress.look("drain", left(700), 240_000)), (300, 0, None));
        assert_eq!(progress.look("drain", Amount::default(), 240_000).eta_s, Some(0));
        progress.over();
        assert_eq!(told(progress.look("drain", left(700), 300_000)), (0, 0, None));
    }

    #[test]
    fn marks_are_bounded() {
        let mut progress = Progress::default();
        for now_ms in 0..1_000_000 {
            progress.look("fill", Amount::default(), now_ms);
        }
        assert!(progress.marks.len() <= MARKS_MAX + 1, "{}", progress.marks.len());
    }
}
