//! Every time that was measured, beside the rows that have a goal.

use std::fmt::Write as _;

use crate::bench::latency::milliseconds;
use crate::bench::search::timing::Timed;

/// One question and its times.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    pub(super) question: &'static str,
    pub(super) lines: u64,
    pub(super) weir: Timed,
    pub(super) rg: Option<Timed>,
    pub(super) decoded: Option<Timed>,
    /// What VictoriaLogs would take here.
    pub(super) victorialogs_ms: Option<f64>,
}

/// As a table of markdown.
pub(super) fn print(details: &[Detail]) -> String {
    let mut out = "| question | lines | wall ms | server ms | CPU ms | rg, wall ms | rg, CPU ms \
                   | zstdcat \\| rg, wall ms | CPU ms | VictoriaLogs, by rg in both, ms |\n\
                   |---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for Detail { question, lines, weir, rg, decoded, victorialogs_ms } in details {
        let pair = |timed: &Option<Timed>| match timed {
            Some(timed) => format!("{:.0} | {:.0}", milliseconds(timed.wall), milliseconds(timed.cpu)),
            None => "- | -".to_owned(),
        };
        let victorialogs = victorialogs_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {lines} | {:.2} | {:.2} | {:.1} | {} | {} | {victorialogs} |",
            question.trim_end_matches(", ms"),
            milliseconds(weir.wall),
            milliseconds(weir.server),
            milliseconds(weir.cpu),
            pair(rg),
            pair(decoded),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_question_has_a_line() {
        let timed = |wall| {
            let [wall, server, cpu] = [wall, 1, 2].map(Duration::from_millis);
            Timed { wall, server, cpu }
        };
        let detail = Detail {
            question: "q, ms",
            lines: 7,
            weir: timed(3),
            rg: Some(timed(90)),
            decoded: None,
            victorialogs_ms: Some(40.2),
        };
        let table = print(&[detail]);
        assert_eq!(table.lines().last(), Some("| q | 7 | 3.00 | 1.00 | 2.0 | 90 | 2 | - | - | 40 |"));
    }
}
