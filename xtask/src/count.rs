//! Reads the tallies that test runners print.

/// Who prints the tallies. nextest shows the output of failed tests, in which the other's tally
/// stands: each must be asked for its own only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `test result: FAILED. 3 passed; 1 failed; …`, one per binary.
    Cargo,
    /// `Summary [ 0.1s] 4 tests run: 3 passed (1 slow), 1 failed, 0 skipped`, one at the end.
    Nextest,
}

impl Runner {
    /// The part of a line that counts, if it is a tally.
    fn tally(self, line: &str) -> Option<&str> {
        match self {
            Self::Cargo => line.strip_prefix("test result: "),
            Self::Nextest => line.trim_start().strip_prefix("Summary [")?.split_once("run:").map(|(_, t)| t),
        }
    }
}

/// Tests that passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// How many of those that passed did so at the second try only.
    pub(crate) flaky: u64,
}

impl Count {
    /// One test, or a step that counts as one.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), flaky: 0 }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.flaky += other.flaky;
    }

    /// Takes in one line of a runner's output; lines that are no tally change nothing.
    pub(crate) fn read(&mut self, runner: Runner, line: &str) {
        let Some(tally) = runner.tally(line) else { return };
        let words: Vec<&str> = tally.split([' ', ',', ';', '(', ')']).filter(|w| !w.is_empty()).collect();
        for (number, after) in words.iter().zip(words.iter().skip(1)) {
            let Ok(number) = number.parse::<u64>() else { continue };
            match *after {
                "passed" => self.passed += number,
                // nextest: ended by its time limit; could not be started.
                "flaky" => self.flaky += number,
                "failed" | "timed" | "exec" => self.failed += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_of_both_runners_are_read_and_other_lines_are_not() {
        use Runner::{Cargo, Nextest};
        for (runner, line, passed, failed, flaky) in [
            (Cargo, "test result: ok. 3 passed; 0 failed; 0 ignored; 2 filtered out", 3, 0, 0),
            (Cargo, "test result: FAILED. 10 passed; 2 failed; finished in 0.00s", 10, 2, 0),
            (Nextest, "     Summary [   0.008s] 3 tests run: 3 passed, 0 skipped", 3, 0, 0),
            (
                Nextest,
                "     Summary [  61s] 5/9 tests run: 2 passed (1 slow, 1 flaky), 3 failed, 4 skipped",
                2,
                3,
                1,
            ),
            (
                Nextest,
                "     Summary [   1.0s] 4 tests run: 1 passed, 1 failed, 2 timed out, 0 skipped",
                1,
                3,
                0,
            ),
            (Nextest, "     Summary [   1.0s] 0 tests run: 0 passed, 7 skipped", 0, 0, 0),
            (Nextest, "    test result: FAILED. 0 passed; 1 failed; 0 ignored", 0, 0, 0),
            (Cargo, "a log line that says 5 passed and 4 failed", 0, 0, 0),
            (Nextest, "", 0, 0, 0),
        ] {
            let mut count = Count::default();
            count.read(runner, line);
            assert_eq!(count, Count { passed, failed, flaky }, "{line}");
        }
    }
}
