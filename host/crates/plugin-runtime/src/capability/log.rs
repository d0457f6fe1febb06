//! Lines for the operator. Always given. Never blocks and never fails: what is too much is dropped and
//! counted, what is too long is cut, and control characters are escaped, so that a plugin can neither
//! fill the node's log nor write on the operator's terminal.

use std::time::Instant;

use wasmtime::component::{HasSelf, Linker};
use weir_record::limits::{
    PLUGIN_LOG_FIELDS_MAX, PLUGIN_LOG_LINE_BYTES_MAX, PLUGIN_LOG_LINES_BURST, PLUGIN_LOG_LINES_PER_S,
};

use crate::capability::{Capability, Context};
use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::observe::{Counters, Level, LogLine};
use crate::wit::v1::weir::plugin::log;

/// How panic hooks begin their line, so that it can stand for the trap that follows.
const PANIC: &str = "panicked at ";

pub(crate) struct Log {
    context: Context,
    started: Instant,
    bucket: Bucket,
    dropped: u64,
    last: Option<String>,
    panic: Option<String>,
}

impl Capability for Log {
    const NAME: &'static str = "log";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(_need: &Need, _grants: &Grants) -> Option<String> {
        None
    }

    fn prepare(_grants: &Grants, context: &Context) -> Result<Log, String> {
        Ok(Log {
            context: context.clone(),
            started: Instant::now(),
            bucket: Bucket::full(),
            dropped: 0,
            last: None,
            panic: None,
        })
    }
}

impl Log {
    /// A line of the host about the plugin, under the same limits.
    pub(crate) fn note(&mut self, level: Level, message: &str) {
        self.send(level, &clean(message, PLUGIN_LOG_LINE_BYTES_MAX), &[]);
    }

    /// Forgets the lines before a call, so that an error tells none of an earlier one.
    pub(crate) fn begin(&mut self) {
        self.panic = None;
    }

    /// The last line that the plugin wrote, whether it was let through or not.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The line of the panic hook, if there was one in this call.
    pub(crate) fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    fn write(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        let message = clean(message, PLUGIN_LOG_LINE_BYTES_MAX);
        if level == Level::Error && message.starts_with(PANIC) {
            self.panic = Some(message.clone());
        }
        let mut left = PLUGIN_LOG_LINE_BYTES_MAX - message.len();
        let mut kept = Vec::new();
        for (name, value) in fields.iter().take(PLUGIN_LOG_FIELDS_MAX) {
            let name = clean(name, left);
            let value = clean(value, left - name.len());
            left -= name.len() + value.len();
            kept.push((name, value));
        }
        self.send(level, &message, &kept);
        self.last = Some(message);
    }

    fn send(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        if !self.context.observer.enabled(level) {
            return;
        }
        let counters = &self.context.counters;
        if !self.bucket.take(self.started.elapsed().as_millis() as u64) {
            self.dropped += 1;
            Counters::add(&counters.log_lines_dropped, 1);
            return;
        }
        Counters::add(&counters.log_lines, 1);
        self.context.observer.log(&LogLine {
            plugin: &self.context.plugin,
            instance: &self.context.instance,
            level,
            message,
            fields,
            dropped: std::mem::take(&mut self.dropped),
        });
    }
}

impl log::Host for State {
    fn enabled(&mut self, at: log::Level) -> bool {
        self.log.context.observer.enabled(level(at))
    }

    fn write(&mut self, at: log::Level, message: String, fields: Vec<(String, String)>) {
        self.log.write(level(at), &message, &fields);
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

/// The text in at most `bytes_max` bytes, control characters escaped, cut with an ellipsis.
pub(crate) fn clean(text: &str, bytes_max: usize) -> String {
    const CUT: char = '…';
    if text.len() <= bytes_max && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut uncut = 0;
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > bytes_max {
            out.truncate(uncut);
            if uncut + CUT.len_utf8() <= bytes_max {
                out.push(CUT);
            }
            break;
        }
        if out.len() + CUT.len_utf8() <= bytes_max {
            uncut = out.len();
        }
    }
    out
}

/// A token bucket over milliseconds, in thousandths of a line, so that it counts exactly.
struct Bucket {
    level: u64,
    filled_at_ms: u64,
}

const LINE: u64 = 1000;
const FULL: u64 = PLUGIN_LOG_LINES_BURST as u64 * LINE;

impl Bucket {
    fn full() -> Bucket {
        Bucket { level: FULL, filled_at_ms: 0 }
    }

    fn take(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.filled_at_ms);
        let gained = passed.saturating_mul(u64::from(PLUGIN_LOG_LINES_PER_S) * LINE / 1000);
        self.level = self.level.saturating_add(gained).min(FULL);
        self.filled_at_ms = now_ms;
        let taken = self.level.checked_sub(LINE);
        self.level = taken.unwrap_or(self.level);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_a_burst_and_then_the_rate_through() {
        let mut bucket = Bucket::full();
        let mut passed = |now_ms, tries| (0..tries).filter(|_| bucket.take(now_ms)).count();
        assert_eq!(passed(0, 1000), 200);
        assert_eq!(passed(19, 10), 0);
        assert_eq!(passed(20, 10), 1);
        assert_eq!(passed(1020, 1000), 50);
        assert_eq!(passed(1_000_000, 1000), 200);
        assert_eq!(passed(5, 1000), 0, "a clock that steps back gives nothing");
    }

    #[test]
    fn lines_are_cut_and_escaped() {
        for (text, bytes_max, cleaned) in [
            ("plain", 5, "plain"),
            ("", 0, ""),
            ("a\nb\u{1b}[31m\0", 64, "a\\nb\\u{1b}[31m\\u{0}"),
            ("\u{9b}31m", 64, "\\u{9b}31m"),
            ("abcdefgh", 5, "ab…"),
            ("äöü", 5, "ä…"),
            ("abc", 2, ""),
            ("a\nbcdef", 6, "a\\n…"),
        ] {
            let result = clean(text, bytes_max);
            assert_eq!(result, cleaned, "{text:?}");
            assert!(result.len() <= bytes_max);
        }
    }
}
