//! Which lines belong together.

mod traces;

use regex::bytes::Regex;
use weir_plugin_sdk::Failure;
use weir_plugin_sdk::serde::Deserialize;

pub(crate) use self::traces::{Language, Trace};

/// `multiline = { … }`.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields, default)]
pub(crate) struct Multiline {
    /// A line that matches begins a group, every other one goes on with it.
    start: Option<String>,
    /// A line that matches goes on with the group, every other one begins one.
    continuation: Option<String>,
    /// Languages whose stack traces are kept whole.
    rules: Vec<Language>,
}

/// What a line is in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of a group.
    Begins(Trace),
    /// One of the group before it, if there is one.
    GoesOn(Trace),
}

impl Verdict {
    pub(crate) fn trace(self) -> Trace {
        match self {
            Verdict::Begins(trace) | Verdict::GoesOn(trace) => trace,
        }
    }
}

/// Compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    start: Option<Regex>,
    continuation: Option<Regex>,
    languages: Vec<Language>,
}

impl Rules {
    /// `None` when each line stands for itself.
    pub(crate) fn new(multiline: &Multiline) -> Result<Option<Rules>, Failure> {
        let Multiline { start, continuation, rules } = multiline;
        if start.is_some() && (continuation.is_some() || !rules.is_empty()) {
            let words = "multiline: start says of every line what it is; leave out continuation and rules";
            return Err(Failure::bad_config("config.multiline", words));
        }
        if start.is_none() && continuation.is_none() && rules.is_empty() {
            return Ok(None);
        }
        let start = start.as_deref().map(|pattern| compile("multiline.start", pattern)).transpose()?;
        let continuation = continuation.as_deref();
        let continuation =
            continuation.map(|pattern| compile("multiline.continuation", pattern)).transpose()?;
        Ok(Some(Rules { start, continuation, languages: rules.clone() }))
    }

    /// What `line` is, after a line of which `trace` was made.
    pub(crate) fn judge(&self, trace: Trace, line: &[u8]) -> Verdict {
        if let Some(start) = &self.start {
            return if start.is_match(line) {
                Verdict::Begins(Trace::None)
            } else {
                Verdict::GoesOn(Trace::None)
            };
        }
        if self.continuation.as_ref().is_some_and(|pattern| pattern.is_match(line)) {
            return Verdict::GoesOn(trace);
        }
        traces::judge(&self.languages, trace, line)
    }
}

/// A pattern of the settings.
pub(crate) fn compile(key: &str, pattern: &str) -> Result<Regex, Failure> {
    Regex::new(pattern).map_err(|error| {
        // The last line says what is wrong, those before it draw where.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Failure::bad_config("config.pattern", format_args!("{key}: the pattern {pattern:?} is wrong: {why}"))
    })
}
