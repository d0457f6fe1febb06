//! One event of the log as a line for programs. The keys `time`, `level`, `message` and `target` are always there and
//! first, in this order; the fields of the event follow. A field with one of these names gets a `_` behind it.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};
use weir_api::format::rfc3339_ms;

use crate::config::LogFormat;

/// An event on one line, without the newline.
pub(super) fn line(event: &Event<'_>, format: LogFormat, now_ms: u64) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let meta = event.metadata();
    let level = meta.level().as_str().to_ascii_lowercase();
    let head = [
        ("time", rfc3339_ms(now_ms)),
        ("level", level),
        ("message", fields.message),
        ("target", meta.target().to_owned()),
    ];
    let head = head.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value)));
    let all = head.chain(fields.others);
    match format {
        LogFormat::Json => json(all),
        LogFormat::Text | LogFormat::Logfmt => logfmt(all),
    }
}

/// In the order given, which a map would not keep.
fn json(fields: impl Iterator<Item = (String, Value)>) -> String {
    let mut line = String::from("{");
    for (key, value) in fields {
        let gap = if line.len() > 1 { "," } else { "" };
        let _ = write!(line, "{gap}{}:{value}", Value::String(key));
    }
    line.push('}');
    line
}

fn logfmt(fields: impl Iterator<Item = (String, Value)>) -> String {
    let mut line = String::new();
    for (key, value) in fields {
        let gap = if line.is_empty() { "" } else { " " };
        let _ = match &value {
            Value::String(text) if is_bare(text) => write!(line, "{gap}{key}={text}"),
            value => write!(line, "{gap}{key}={value}"),
        };
    }
    line
}

/// Whether a value needs no quotes.
fn is_bare(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    !text.is_empty() && text.chars().all(plain)
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if name == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            return;
        }
        let taken = matches!(name, "time" | "level" | "target");
        self.others.push((if taken { format!("{name}_") } else { name.to_owned() }, value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}
