//! Settings of the node's own log, resolved.

use weir_record::Stream;

use crate::config::check::Table;
use crate::config::kind::Simple;
use crate::config::place::Problems;
use crate::config::resolved::Roles;

/// What a process says of itself, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// The least level that is told. `None`: what fits the process.
    pub level: Option<&'static str>,
    /// The topic that keeps the lines, too.
    pub topic: Option<String>,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// `key=value`, a line each.
    Logfmt,
    /// A JSON object a line.
    Json,
}

/// `None` when a setting is invalid: then that has been told.
pub(super) fn log(settings: &Table, roles: Option<Roles>, problems: &mut Problems) -> Option<LogConfig> {
    let table = settings.table("log")?;
    let format = match table.simple("format")? {
        Simple::Choice("logfmt") => LogFormat::Logfmt,
        Simple::Choice("json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let level = match table.get("level") {
        None => None,
        Some(_) => match table.simple("level")? {
            Simple::Choice(level) => Some(*level),
            _ => return None,
        },
    };
    let topic = match table.get("topic") {
        None => None,
        Some(item) => {
            let Simple::Text(topic) = table.simple("topic")? else { return None };
            if let Err(error) = Stream::new(topic.as_str(), [("", ""); 0]) {
                problems.error(&item.place, "log.topic", error.to_string());
                return None;
            }
            if roles.is_some_and(|roles| !roles.ingest) {
                let text = "expected a node with the role ingest, got one without; have a file source read its log elsewhere";
                problems.error(&item.place, "log.topic", text);
                return None;
            }
            Some(topic.clone())
        }
    };
    Some(LogConfig { format, level, topic })
}
