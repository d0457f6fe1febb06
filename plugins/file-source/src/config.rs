//! The settings, `config = { … }` of the source's table.

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::serde::Deserialize;

use crate::frame::{Encoding, Envelope, Framing, Multiline, Rules};
use crate::naming::Naming;
use crate::time::Times;

/// As the host checks them. A key that is not here is an error.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// Where to begin in files that nothing is known of at the very first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub enum StartAt {
    /// All that is in them.
    Beginning,
    /// What is written from now on, and the line that is being written.
    End,
}

/// Settings of the source, as the operator writes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields, default)]
pub struct Config {
    /// See [`StartAt`].
    pub(crate) start_at: StartAt,
    /// Where a long line is cut, 1 to 1 MiB.
    pub(crate) max_line_bytes: usize,
    /// How long a file that was renamed or deleted is read on after it stopped growing.
    pub(crate) rotate_wait_ms: u64,
    /// Read to the end and finish.
    pub(crate) once: bool,
    pub(crate) encoding: Encoding,
    pub(crate) format: Envelope,
    pub(crate) multiline: Multiline,
    /// How long a group may wait for its next line.
    pub(crate) flush_ms: u64,
    /// How long a line may wait for its end, 0 for ever.
    pub(crate) flush_tail_ms: u64,
    /// Formats of event times.
    pub(crate) time: Vec<String>,
    /// Where event times are that do not say.
    pub(crate) time_zone: String,
    /// A pattern for paths whose named groups are labels.
    pub(crate) path_labels: Option<String>,
}

/// What the schema says; the host fills it in, other callers may not.
impl Default for Config {
    fn default() -> Config {
        Config {
            start_at: StartAt::Beginning,
            max_line_bytes: RECORD_BYTES_MAX,
            rotate_wait_ms: 30_000,
            once: false,
            encoding: Encoding::Bytes,
            format: Envelope::None,
            multiline: Multiline::default(),
            flush_ms: 2_000,
            flush_tail_ms: 0,
            time: Vec::new(),
            time_zone: "Z".into(),
            path_labels: None,
        }
    }
}

/// The settings, ready to be used.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) start_at: StartAt,
    pub(crate) rotate_wait_ms: u64,
    pub(crate) once: bool,
    pub(crate) flush_ms: u64,
    pub(crate) flush_tail_ms: u64,
    pub(crate) framing: Framing,
    pub(crate) naming: Naming,
}

impl Settings {
    /// Compiles what is to be compiled.
    pub(crate) fn new(config: &Config) -> Result<Settings, Failure> {
        if config.format != Envelope::None && config.encoding != Encoding::Bytes {
            let words = "format: container runtimes write utf-8; leave out encoding";
            return Err(Failure::bad_config("config.encoding", words));
        }
        Ok(Settings {
            start_at: config.start_at,
            rotate_wait_ms: config.rotate_wait_ms,
            once: config.once,
            flush_ms: config.flush_ms,
            flush_tail_ms: config.flush_tail_ms,
            framing: Framing {
                record_bytes_max: config.max_line_bytes.clamp(1, RECORD_BYTES_MAX),
                encoding: config.encoding,
                envelope: config.format,
                rules: Rules::new(&config.multiline)?,
                times: Times::new(&config.time, &config.time_zone)?,
            },
            naming: Naming::new(config.path_labels.as_deref())?,
        })
    }
}
