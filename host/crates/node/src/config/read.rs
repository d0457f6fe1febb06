//! From text to a [tree](crate::config::tree): TOML files and `--set` flags, with the place of every key and
//! value, and variables replaced.

use std::borrow::Cow;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use weir_record::limits::CONFIG_FILE_BYTES_MAX;

use crate::config::place::{Place, Problems, join_path};
use crate::config::tree::{Entry, Node, Spelling, Value};
use crate::config::vars::{Env, substitute};

/// Syntax errors told of one file; what follows is mostly the echo of the first ones.
const SYNTAX_ERRORS_MAX: usize = 20;

/// Reads a whole file. `None` when it is no TOML: then the problems say why.
pub(crate) fn read_file(name: &str, bytes: &[u8], env: Env<'_>, problems: &mut Problems) -> Option<Node> {
    let name: Arc<str> = name.into();
    if bytes.len() > CONFIG_FILE_BYTES_MAX {
        let text = format!("expected at most {CONFIG_FILE_BYTES_MAX} bytes, got {}", bytes.len());
        problems.error(&Place::File { name, line: 1, column: 1 }, "", text);
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            let place = Lines::of(name, valid).place(valid.len());
            problems.error(&place, "", "expected UTF-8 text, got a byte that is none");
            return None;
        }
    };
    let lines = Lines::of(name, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            let place = lines.place(error.span().map_or(0, |span| span.start));
            problems.error(&place, "", error.message().replace('\n', ", "));
        }
        return None;
    }
    let mut reader = Reader { locate: &|at| lines.place(at), env, problems };
    let at = table.span().start;
    Some(Node::new(lines.place(at), reader.table("", table.into_inner())))
}

/// Reads `value` of `--set key=value`: as TOML, or as text where it is no TOML.
pub(crate) fn read_flag_value(
    place: &Place,
    path: &str,
    value: &str,
    env: Env<'_>,
    problems: &mut Problems,
) -> Node {
    let mut reader = Reader { locate: &|_| place.clone(), env, problems };
    let mut node = match DeValue::parse(value) {
        Ok(parsed) => reader.node(path, parsed),
        Err(_) => reader.node(path, Spanned::new(0..0, DeValue::String(Cow::Borrowed(value)))),
    };
    if matches!(node.value, Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_)) {
        node.spelling = Spelling::Flag(value.to_owned());
    }
    node
}

/// Splits the key of `--set key=value` at its dots, as TOML does (`grants.files."a.b"`).
pub(crate) fn split_key(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r', '#']) {
        return None;
    }
    let text = format!("{key}=0");
    let mut table = DeTable::parse(&text).ok()?.into_inner();
    let mut path = Vec::new();
    loop {
        let (name, value) = table.into_iter().next()?;
        path.push(name.into_inner().into_owned());
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

struct Reader<'a> {
    locate: &'a dyn Fn(usize) -> Place,
    env: Env<'a>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn table(&mut self, path: &str, table: DeTable<'_>) -> Value {
        let entries = table.into_iter().map(|(key, value)| {
            let key_place = (self.locate)(key.span().start);
            let key = key.into_inner().into_owned();
            let node = self.node(&join_path(path, &key), value);
            Entry { key, key_place, node }
        });
        Value::Table(entries.collect())
    }

    fn node(&mut self, path: &str, value: Spanned<DeValue<'_>>) -> Node {
        let place = (self.locate)(value.span().start);
        let value = match value.into_inner() {
            DeValue::String(text) => return self.text(path, place, &text),
            DeValue::Integer(integer) => self.integer(path, &place, &integer),
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(yes) => Value::Bool(yes),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(items) => {
                let items = items.into_iter().enumerate();
                Value::List(items.map(|(i, item)| self.node(&format!("{path}[{i}]"), item)).collect())
            }
            DeValue::Table(table) => self.table(path, table),
        };
        Node::new(place, value)
    }

    fn text(&mut self, path: &str, place: Place, text: &str) -> Node {
        match substitute(text, self.env) {
            Ok(Cow::Borrowed(same)) => Node::new(place, Value::Text(same.to_owned())),
            Ok(Cow::Owned(replaced)) => {
                Node { place, value: Value::Text(replaced), spelling: Spelling::Substituted(text.to_owned()) }
            }
            Err(message) => {
                self.problems.error(&place, path, message);
                Node::new(place, Value::Broken)
            }
        }
    }

    fn integer(&mut self, path: &str, place: &Place, integer: &DeInteger<'_>) -> Value {
        let Ok(number) = i64::from_str_radix(integer.as_str(), integer.radix()) else {
            self.problems.error(place, path, format!("expected an integer of 64 bits, got {integer}"));
            return Value::Broken;
        };
        Value::Integer(number)
    }
}

/// Finds line and column of a byte.
struct Lines<'t> {
    name: Arc<str>,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(name: Arc<str>, text: &'t str) -> Lines<'t> {
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { name, text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn place(&self, at: usize) -> Place {
        let at = at.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        let before = self.text.get(self.starts[line - 1]..at).unwrap_or_default();
        Place::File { name: self.name.clone(), line: line as u32, column: before.chars().count() as u32 + 1 }
    }
}
