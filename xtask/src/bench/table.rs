//! The table of figures.

use std::fmt::Write as _;

/// One measured number beside what it is held against.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    /// With its unit.
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    /// The peer or limit, by name.
    pub(crate) against: &'static str,
    /// The peer's value in the same unit, measured in the same run where it is not a limit.
    pub(crate) peer: f64,
    /// What the ratio should be: at least, at most, or whatever it is.
    pub(crate) goal: Goal,
}

/// Which side of a ratio is the good one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Shown beside its peer because it explains another row.
    Shown,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.value / self.peer
    }

    fn met(&self) -> &'static str {
        let met = match self.goal {
            Goal::AtLeast(goal) => self.ratio() >= goal,
            Goal::AtMost(goal) => self.ratio() <= goal,
            Goal::Shown => return "-",
        };
        if met { "yes" } else { "no" }
    }
}

/// The rows as a markdown table, so that it can be pasted into a note as it is.
pub(super) fn print(rows: &[Row]) -> String {
    let head = ["figure", "what", "measured", "against", "its value", "ratio", "goal", "met"];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        let goal = match row.goal {
            Goal::AtLeast(goal) => format!(">= {}", share(goal)),
            Goal::AtMost(goal) => format!("<= {}", share(goal)),
            Goal::Shown => "-".to_owned(),
        };
        lines.push([
            row.figure.to_owned(),
            row.what.to_owned(),
            number(row.value),
            row.against.to_owned(),
            number(row.peer),
            format!("{:.2}", row.ratio()),
            goal,
            row.met().to_owned(),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// A goal with as many digits as it needs, three at most.
fn share(goal: f64) -> String {
    format!("{goal:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_as_long_as_it_needs_to_be() {
        for (goal, expected) in [(1.0, "1"), (10.0, "10"), (0.5, "0.5"), (1.0 / 30.0, "0.033")] {
            assert_eq!(share(goal), expected);
        }
    }

    #[test]
    fn a_row_says_its_ratio_and_whether_the_goal_is_met() {
        let row = |value, peer, goal| Row { figure: "f", what: "w", value, against: "a", peer, goal };
        for (row, ratio, met) in [
            (row(150.0, 300.0, Goal::AtLeast(0.5)), "0.50", "yes"),
            (row(149.0, 300.0, Goal::AtLeast(0.5)), "0.50", "no"),
            (row(10.0, 60.0, Goal::AtMost(1.0)), "0.17", "yes"),
            (row(61.0, 60.0, Goal::AtMost(1.0)), "1.02", "no"),
            (row(61.0, 60.0, Goal::Shown), "1.02", "-"),
        ] {
            let table = print(&[row]);
            let line = table.lines().last().unwrap();
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!((cells[6], cells[8]), (ratio, met), "{table}");
        }
    }
}
