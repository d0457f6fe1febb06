//! Settings of the node's own log.

use super::{Key, Kind, is, optional, table};

/// In the order of the documentation.
pub(super) const KEYS: &[Key] = &[
    table("log", "What this process says of itself, on standard error."),
    is(
        "log.format",
        Kind::Choice(&["text", "logfmt", "json"]),
        r#""text""#,
        "How its lines look: for people, or with the keys time, level, message, target and those of the line.",
    ),
    optional(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "The least level that is told: info for a node, warn for a process that only forwards. The variable WEIR_LOG wins, and may name modules: `WEIR_LOG=info,weir_node::pulling=debug`.",
    ),
    optional(
        "log.topic",
        Kind::Text("a topic"),
        "Keeps lines of level info and above as records of this topic, too, as logfmt or (with log.format) JSON. For a node with the role ingest. It never waits: what does not fit the queue is dropped and counted.",
    ),
];
