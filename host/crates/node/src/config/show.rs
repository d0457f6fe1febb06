//! The effective settings as TOML an operator can read back, each with where it comes from.

use std::fmt::Write as _;

use crate::config::check::{Checked, Item, Table};
use crate::config::kind::Simple;
use crate::config::place::join_path;
use crate::config::tree::{Node, Spelling, Value, hide_password};
use crate::config::units::{format_bytes, format_duration_ms};

const HIDDEN: &str = "***";

/// Words in the names of a plugin's own settings whose values are not shown.
const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "api_key", "private_key"];

/// Renders everything that is valid.
pub(crate) fn show(settings: &Table) -> String {
    let mut out = String::new();
    section(&mut out, "", settings);
    out
}

fn section(out: &mut String, path: &str, table: &Table) {
    let mut lines = String::new();
    for named in &table.0 {
        if let Some(value) = inline(&named.item) {
            let key = join_path("", &named.name);
            let _ = writeln!(lines, "{key} = {value}  # {}", named.item.place);
        }
    }
    if !lines.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        let _ = write!(out, "{gap}[{path}]\n{lines}");
    }
    for named in &table.0 {
        if let Checked::Table(inner) = &named.item.value {
            section(out, &join_path(path, &named.name), inner);
        }
    }
}

/// The value on one line; none for a table of settings (a section of its own) and for what is invalid.
fn inline(item: &Item) -> Option<String> {
    match &item.value {
        Checked::Table(_) | Checked::Invalid => None,
        Checked::Simple(simple) => Some(simple_text(simple)),
        Checked::Free(node) => Some(free("", node).to_string()),
        Checked::List(items) => {
            let items: Vec<String> = items.iter().filter_map(element).collect();
            Some(format!("[{}]", items.join(", ")))
        }
    }
}

fn element(item: &Item) -> Option<String> {
    let Checked::Table(table) = &item.value else { return inline(item) };
    let settings: Vec<String> = table
        .0
        .iter()
        .filter_map(|named| Some(format!("{} = {}", join_path("", &named.name), inline(&named.item)?)))
        .collect();
    Some(format!("{{ {} }}", settings.join(", ")))
}

fn simple_text(simple: &Simple) -> String {
    let text = match simple {
        Simple::Bool(yes) => return yes.to_string(),
        Simple::Integer(number) => return number.to_string(),
        Simple::Text(text) | Simple::Url(text) | Simple::Glob(text) => hide_password(text).into_owned(),
        Simple::Secret(text) => hide_secret(text),
        Simple::Choice(word) => (*word).to_owned(),
        Simple::DurationMs(ms) => format_duration_ms(*ms),
        Simple::Bytes(bytes) => format_bytes(*bytes),
        Simple::Unlimited => "unlimited".to_owned(),
        Simple::Off => "off".to_owned(),
        Simple::Percent(percent) => format!("{percent}%"),
        Simple::Socket(address) => address.to_string(),
        Simple::Path(path) => path.display().to_string(),
        Simple::TimeMs(time_ms) => weir_api::format::rfc3339_ms(*time_ms),
        Simple::Digest(digest) => hex(digest),
        Simple::PublicKey(key) => key.to_string(),
    };
    toml::Value::String(text).to_string()
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A URI stays recognisable without its password; of any other secret nothing is shown.
fn hide_secret(text: &str) -> String {
    match text.split_once("://") {
        Some((_, rest)) if !rest.contains('@') => text.to_owned(),
        Some((_, rest)) if rest.split_once('@').is_some_and(|(user, _)| user.contains(':')) => {
            hide_password(text).into_owned()
        }
        _ => HIDDEN.to_owned(),
    }
}

/// A plugin's own settings. weir does not know which are secret: what a variable filled in is shown as the
/// variable, and what is called like a secret is hidden.
fn free(key: &str, node: &Node) -> toml::Value {
    let key = key.to_ascii_lowercase();
    if SECRET_WORDS.iter().any(|word| key.contains(word)) {
        return toml::Value::String(HIDDEN.to_owned());
    }
    match (&node.value, &node.spelling) {
        (_, Spelling::Substituted(written)) => toml::Value::String(written.clone()),
        (Value::Text(text) | Value::Date(text), _) => toml::Value::String(hide_password(text).into_owned()),
        (Value::Integer(number), _) => toml::Value::Integer(*number),
        (Value::Float(number), _) => toml::Value::Float(*number),
        (Value::Bool(yes), _) => toml::Value::Boolean(*yes),
        (Value::List(items), _) => items.iter().map(|item| free("", item)).collect::<Vec<_>>().into(),
        (Value::Table(entries), _) => toml::Value::Table(
            entries.iter().map(|entry| (entry.key.clone(), free(&entry.key, &entry.node))).collect(),
        ),
        (Value::Broken, _) => toml::Value::String(String::new()),
    }
}
