//! The times that lines get where the sender says them: one line a millisecond, the last one now.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

/// Since a store may have lines of an earlier run, those of this one have a name.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// The value of the label `run`.
    pub(super) run: String,
    pub(super) lines: u64,
    pub(super) slice_lines: u64,
    /// Of the first line, since 1970.
    first_ms: u64,
}

impl Span {
    pub(super) fn ending_now(lines: u64, slice_lines: u64) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        Ok(Self::ending_at(now.as_millis() as u64, lines, slice_lines))
    }

    /// The last line is sent at that time.
    pub(super) fn ending_at(ms: u64, lines: u64, slice_lines: u64) -> Self {
        Self { run: format!("weir-{ms}"), lines, slice_lines, first_ms: (ms + 1).saturating_sub(lines) }
    }

    /// The time of a line, since 1970.
    pub(super) fn ms(&self, line: u64) -> u64 {
        self.first_ms + line
    }

    /// That of the last one.
    pub(super) fn last_ms(&self) -> u64 {
        self.ms(self.lines.saturating_sub(1))
    }

    /// That of the first one of the newest twelfth.
    pub(super) fn slice_ms(&self) -> u64 {
        self.ms(self.lines - self.slice_lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_time_given() {
        let span = Span::ending_at(10_000, 100, 10);
        assert_eq!((span.ms(0), span.last_ms(), span.slice_ms()), (9_901, 10_000, 9_991));
    }
}
