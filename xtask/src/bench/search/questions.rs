//! What is asked, how many lines that finds, and how soon the answer should be there.

use crate::bench::corpus;
use crate::bench::latency::milliseconds;
use crate::bench::search::pattern::Pattern;
use crate::bench::search::timing::Timed;

/// One question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// As the table calls it, with the unit of its time.
    pub(super) name: &'static str,
    pub(super) pattern: Pattern,
    pub(super) wanted: Wanted,
    /// How many lines the answer is about, where the corpus says so; else ripgrep is asked.
    pub(super) lines: Option<u64>,
    pub(super) targets: &'static [Target],
    /// The times of VictoriaLogs and ripgrep for this question when they were measured side by side.
    pub(super) recorded: Option<Recorded>,
    /// Whether what is stored is searched with `zstdcat | rg` as well.
    pub(super) is_decoded: bool,
}

/// What is wanted of the lines with the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The lines.
    Lines,
    /// Their number.
    Count,
    /// The number of those in the newest twelfth of all: five of sixty minutes.
    CountOfSlice,
    /// Their number in each of so many equal spans of time.
    Histogram(u32),
    /// The newest so many.
    Newest(u32),
}

/// What a time is held against.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// So many milliseconds.
    Ms(&'static str, f64),
    /// This share of ripgrep's time on the file.
    OfRg(f64),
    /// This share of VictoriaLogs' time, as it would be on this machine.
    OfVictoriaLogs(f64),
}

/// Times in seconds, from one run on another machine of two cores with a corpus of the same kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    victorialogs: f64,
    rg: f64,
}

/// Part of VictoriaLogs' times is the start of its client, curl; ours is running already.
const CURL_SECONDS: f64 = 0.013;

impl Recorded {
    const fn new(victorialogs: f64, rg: f64) -> Self {
        Self { victorialogs, rg }
    }
}

impl Question {
    /// Whether no filter tells where the lines are not.
    pub(super) fn is_scan(&self) -> bool {
        !matches!(self.pattern, Pattern::Word(_))
    }

    /// What VictoriaLogs would take here, in milliseconds: as many times what ripgrep takes as it did there.
    /// Machines differ in speed, and ripgrep's answer to the same question in both runs says by how much.
    pub(super) fn victorialogs_here(&self, rg: Option<Timed>) -> Option<f64> {
        let recorded = self.recorded?;
        Some(milliseconds(rg?.wall) * (recorded.victorialogs - CURL_SECONDS) / recorded.rg)
    }
}

const MS_5: Target = Target::Ms("5 ms", 5.0);
const MS_20: Target = Target::Ms("20 ms", 20.0);
const MS_600: Target = Target::Ms("600 ms", 600.0);
const MS_650: Target = Target::Ms("650 ms", 650.0);
const NEEDLE: &[Target] = &[MS_5, Target::OfRg(1.0 / 30.0)];
const SCAN: &[Target] = &[MS_650, Target::OfVictoriaLogs(0.75)];

/// The number of all lines; and what most questions have in common.
pub(super) const COUNT: Question = Question {
    name: "",
    pattern: Pattern::All,
    wanted: Wanted::Count,
    lines: None,
    targets: &[],
    recorded: None,
    is_decoded: false,
};

pub(super) const QUESTIONS: [Question; 18] = [
    Question {
        name: "needle, a word in 7 lines, ms",
        pattern: Pattern::Word(corpus::NEEDLE),
        wanted: Wanted::Lines,
        lines: Some(corpus::NEEDLES),
        targets: NEEDLE,
        recorded: Some(Recorded::new(0.029, 0.19)),
        is_decoded: true,
    },
    Question {
        name: "absent word, ms",
        pattern: Pattern::Word(corpus::ABSENT),
        wanted: Wanted::Lines,
        lines: Some(0),
        targets: NEEDLE,
        recorded: Some(Recorded::new(0.019, 0.16)),
        ..COUNT
    },
    Question {
        name: "full trace id, a word in 1 line, ms",
        pattern: Pattern::Word(corpus::TRACE),
        wanted: Wanted::Lines,
        lines: Some(1),
        targets: NEEDLE,
        ..COUNT
    },
    Question {
        name: "needle with cut edges, ms",
        pattern: Pattern::Bytes("uasar7f3a9c21e5b8d04"),
        wanted: Wanted::Lines,
        lines: Some(corpus::NEEDLES),
        targets: SCAN,
        recorded: Some(Recorded::new(0.98, 0.19)),
        is_decoded: true,
    },
    Question {
        name: "absent with cut edges, ms",
        pattern: Pattern::Bytes("uasar000000000000000"),
        wanted: Wanted::Lines,
        lines: Some(0),
        targets: &[MS_650],
        ..COUNT
    },
    Question {
        name: "trace id with cut edges, ms",
        pattern: Pattern::Bytes("e0c5b9a41d7f8233b86d1f0a97c542"),
        wanted: Wanted::Lines,
        lines: Some(1),
        targets: &[MS_650],
        ..COUNT
    },
    Question {
        name: "count of a word in 1 %, ms",
        pattern: Pattern::Word("PaymentDeclined"),
        targets: &[MS_600, Target::OfVictoriaLogs(0.75)],
        recorded: Some(Recorded::new(0.78, 0.21)),
        is_decoded: true,
        ..COUNT
    },
    Question {
        name: "count of a word in 30 %, ms",
        pattern: Pattern::Word("checkout"),
        targets: SCAN,
        recorded: Some(Recorded::new(0.84, 0.32)),
        is_decoded: true,
        ..COUNT
    },
    Question {
        name: "count of a regex with a literal, ms",
        pattern: Pattern::Regex(r"PaymentDeclined.*amount=9\d\d\."),
        targets: &[MS_600, Target::OfVictoriaLogs(0.75)],
        recorded: Some(Recorded::new(0.87, 0.21)),
        ..COUNT
    },
    Question {
        name: "count of a regex with short literals, ms",
        pattern: Pattern::Regex(r"user=\d+7 .*latency=[89]\d\d"),
        targets: SCAN,
        recorded: Some(Recorded::new(1.19, 0.19)),
        ..COUNT
    },
    Question {
        name: "count of a regex without a literal, ms",
        pattern: Pattern::Regex("[a-f]{5}[0-9]{5}[a-f]{5}"),
        targets: &[Target::OfRg(0.75), Target::OfVictoriaLogs(0.2)],
        recorded: Some(Recorded::new(10.9, 2.57)),
        is_decoded: true,
        ..COUNT
    },
    Question {
        name: "count of a part of a word in 1 %, ms",
        pattern: Pattern::Bytes("aymentDecline"),
        targets: &[MS_650],
        ..COUNT
    },
    Question {
        name: "newest 100 with a word in 30 %, ms",
        pattern: Pattern::Word("checkout"),
        wanted: Wanted::Newest(100),
        lines: Some(100),
        targets: &[MS_5],
        ..COUNT
    },
    Question {
        name: "newest 100 with a word in 1 %, ms",
        pattern: Pattern::Word("PaymentDeclined"),
        wanted: Wanted::Newest(100),
        lines: Some(100),
        targets: &[MS_5],
        ..COUNT
    },
    Question {
        name: "count of the newest twelfth, ms",
        wanted: Wanted::CountOfSlice,
        targets: &[MS_5],
        ..COUNT
    },
    Question {
        name: "count of a word in 1 % of the newest twelfth, ms",
        pattern: Pattern::Word("PaymentDeclined"),
        wanted: Wanted::CountOfSlice,
        // In proportion: a twelfth of the count over all, and what any question may take.
        targets: &[Target::Ms("55 ms", 55.0)],
        ..COUNT
    },
    Question { name: "count of everything, ms", targets: &[Target::Ms("14 ms", 14.0)], ..COUNT },
    Question {
        name: "histogram of everything, 60 buckets, ms",
        wanted: Wanted::Histogram(60),
        targets: &[MS_20],
        ..COUNT
    },
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_victorialogs_took_is_carried_over_by_what_rg_takes() {
        let question = Question { recorded: Some(Recorded::new(0.78, 0.21)), ..COUNT };
        let here = question
            .victorialogs_here(Some(Timed { wall: Duration::from_millis(420), ..Timed::default() }))
            .unwrap();
        assert!((here - 2.0 * (780.0 - 13.0)).abs() < 1e-6, "{here}");
    }

    #[test]
    fn questions_can_be_told_apart() {
        for (index, question) in QUESTIONS.iter().enumerate() {
            assert!(QUESTIONS[..index].iter().all(|other| other.name != question.name), "{}", question.name);
            let needs_rg = question.targets.iter().any(|target| matches!(target, Target::OfVictoriaLogs(_)));
            assert!(!needs_rg || question.recorded.is_some(), "{}", question.name);
        }
    }
}
