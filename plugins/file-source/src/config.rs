//! The settings, `config = { … }` of the source's table.

use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::serde::Deserialize;

/// As the host checks them. A key that is not here is an error.
pub(crate) const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "start_at": {
            "type": "string", "enum": ["beginning", "end"], "default": "beginning",
            "description": "where to begin in files that are there at the very first start; later ones are read whole"
        },
        "max_line_bytes": {
            "type": "integer", "minimum": 1, "maximum": 1048576, "default": 1048576,
            "description": "a longer line is split into parts of this many bytes"
        },
        "rotate_wait_ms": {
            "type": "integer", "minimum": 0, "maximum": 86400000, "default": 30000,
            "description": "how long a file that was renamed or deleted is read on after it stopped growing"
        }
    }
}"#;

/// Where to begin in files that nothing is known of at the very first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub enum StartAt {
    /// All that is in them.
    Beginning,
    /// What is written from now on, and the line that is being written.
    End,
}

/// Settings of the source.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields, default)]
pub struct Config {
    /// See [`StartAt`].
    pub start_at: StartAt,
    /// Where a long line is cut, 1 to 1 MiB.
    pub max_line_bytes: usize,
    /// How long a file that was renamed or deleted is read on after it stopped growing.
    pub rotate_wait_ms: u64,
}

/// What the schema says; the host fills it in, other callers may not.
impl Default for Config {
    fn default() -> Config {
        Config { start_at: StartAt::Beginning, max_line_bytes: RECORD_BYTES_MAX, rotate_wait_ms: 30_000 }
    }
}
