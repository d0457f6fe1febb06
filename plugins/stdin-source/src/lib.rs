//! A source that reads lines from standard input, `./myservice | weir forward …`.
//!
//! Input that was read is gone, so there is no cursor: what is in flight when the node dies is lost with
//! the pipe. A line longer than `max_line_bytes` becomes parts that carry the label `_part`; what stands
//! behind the last newline at the end of input is a record.

use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use weir_plugin_sdk::lines::Splitter;
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Budget, Failure, Info, Polled, Source, Taken, export_source, stdin};

/// One read. So small that what is held at any time, cut as finely as it may be and with a prefix in front of
/// every line, fits one batch: `close` has one batch only.
const READ_BYTES: usize = 32 << 10;
/// Text in front of every line.
const PREFIX_BYTES_MAX: usize = 128;
const _: () = assert!(READ_BYTES < BATCH_RECORDS_MAX);
const _: () = assert!(READ_BYTES * (1 + PREFIX_BYTES_MAX) + RECORD_BYTES_MAX < BATCH_BYTES_MAX);

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "max_line_bytes": {
            "type": "integer", "minimum": 1, "maximum": 1048576, "default": 1048576,
            "description": "a longer line is split into parts of this many bytes"
        },
        "prefix": {
            "type": "string", "default": "",
            "description": "text to put in front of every line, as it is; at most 128 bytes, without a newline"
        }
    }
}"#;

/// Settings.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Where a long line is cut.
    #[serde(default = "max_line_bytes")]
    max_line_bytes: usize,
    /// What every line begins with.
    #[serde(default)]
    prefix: String,
}

fn max_line_bytes() -> usize {
    RECORD_BYTES_MAX
}

/// The source: everything it knows is the line at hand.
#[derive(Debug)]
pub struct StdinSource {
    splitter: Splitter,
    prefix: Prefix,
}

/// Puts a text in front of every line of a stream of chunks.
#[derive(Debug)]
struct Prefix {
    text: Vec<u8>,
    /// The next byte begins a line.
    at_start: bool,
}

impl Prefix {
    /// The chunk with the text in front of each line that begins in it.
    fn put(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        if self.text.is_empty() {
            return chunk;
        }
        let mut out = Vec::with_capacity(chunk.len() + self.text.len());
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            if self.at_start {
                out.extend_from_slice(&self.text);
            }
            out.extend_from_slice(line);
            self.at_start = line.ends_with(b"\n");
        }
        out
    }
}

impl Source for StdinSource {
    type Config = Config;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
            .needs("stdin", "", "reads lines from it")
    }

    fn open(config: Config, _cursor: Option<&[u8]>) -> Result<StdinSource, Failure> {
        let text = config.prefix.into_bytes();
        if text.len() > PREFIX_BYTES_MAX || text.contains(&b'\n') {
            let message = format!("prefix: expected at most {PREFIX_BYTES_MAX} bytes without a newline");
            return Err(Failure::bad_config("bad_prefix", message));
        }
        let prefix = Prefix { text, at_start: true };
        Ok(StdinSource { splitter: Splitter::new(config.max_line_bytes), prefix })
    }

    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
        let mut batch = Builder::new(budget);
        let more = loop {
            if self.splitter.take(&mut batch, &[])? {
                break true;
            }
            if self.splitter.is_done() {
                break false;
            }
            // Only a poll that has nothing yet waits: lines that are there do not wait for more.
            let wait_ms = if batch.is_empty() { budget.wait_ms } else { 0 };
            match stdin::read(READ_BYTES, wait_ms) {
                Ok(None) => self.splitter.end(),
                Ok(Some(chunk)) if chunk.is_empty() => break false,
                Ok(Some(chunk)) => self.splitter.feed(self.prefix.put(chunk)),
                Err(failure) if batch.is_empty() => return Err(failure),
                Err(_) => break true,
            }
        };
        if !batch.is_empty() {
            return Ok(Polled::Records(Taken { batch: batch.finish(), more, ..Taken::default() }));
        }
        Ok(if self.splitter.is_done() { Polled::Finished } else { Polled::Idle { wait_ms: 0 } })
    }

    /// Hands over what was read, the start of a line too: it cannot be read again.
    fn close(&mut self) -> Option<Taken> {
        let mut batch =
            Builder::new(Budget { records: BATCH_RECORDS_MAX, bytes: BATCH_BYTES_MAX, wait_ms: 0 });
        self.splitter.end();
        self.splitter.take(&mut batch, &[]).ok()?;
        (!batch.is_empty()).then(|| Taken { batch: batch.finish(), ..Taken::default() })
    }
}

export_source!(StdinSource);

#[cfg(test)]
mod tests;
