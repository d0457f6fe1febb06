//! Where a setting was written, and what was wrong with it.

use std::fmt;
use std::sync::Arc;

/// Where a key or value comes from. Ordered as an operator reads: the file from top to bottom, then the flags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A position in a configuration file.
    File {
        /// The file as the operator named it.
        name: Arc<str>,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
    },
    /// A command-line flag, by its name (`--set`).
    Flag(Arc<str>),
    /// Nowhere: the schema's default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Place::Flag(name) => f.write_str(name),
            Place::Default => f.write_str("default"),
        }
    }
}

/// How much a problem hinders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// The configuration is wrong. The node does not start.
    Error,
    /// The configuration is right, but this version does not do what it asks for, and ignoring it would be
    /// unsafe. The node does not start.
    Refused,
    /// The configuration is right, but this version does not act on it yet. The node starts and says so.
    NotYet,
}

/// One thing to tell the operator. Displays as `file:line:col: path.to.key: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The setting, dotted; empty when the text is no TOML at all.
    pub path: String,
    /// What is wrong and what would be right, without the trailing full stop.
    pub text: String,
    /// Whether the node can start all the same.
    pub gravity: Gravity,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// Collects problems, so that all of them are told at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn error(&mut self, place: &Place, path: &str, text: impl Into<String>) {
        self.add(Gravity::Error, place, path, text.into());
    }

    pub(crate) fn add(&mut self, gravity: Gravity, place: &Place, path: &str, text: String) {
        self.0.push(Problem { place: place.clone(), path: path.to_owned(), text, gravity });
    }

    pub(crate) fn hinder(&self) -> bool {
        self.0.iter().any(|problem| problem.gravity != Gravity::NotYet)
    }

    /// All of them, in reading order.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
        self.0
    }
}

/// Appends one key to a dotted path, quoted where TOML would need it.
pub(crate) fn join_path(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// The candidate that `typed` was probably meant to be: at most a third of its letters differ.
pub(crate) fn did_you_mean<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let distance_max = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= distance_max && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["roles", "data_dir", "api"];
        for (typed, want) in [
            ("rolles", Some("roles")),
            ("datadir", Some("data_dir")),
            ("data-dir", Some("data_dir")),
            ("ap", Some("api")),
            ("x", None),
            ("retention", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(typed, known), want, "{typed}");
        }
    }

    #[test]
    fn paths_quote_what_toml_would_quote() {
        assert_eq!(join_path("", "node"), "node");
        assert_eq!(join_path("sources.a.labels", "k8s.pod"), r#"sources.a.labels."k8s.pod""#);
    }
}
