//! What aggregates that group records need: keys of several names, and a bounded table of states by key.
//!
//! A key is the beginning of the row that its group becomes, `"path":"/x","host":"web1"`, so that equal keys are equal
//! rows and an answer is written by adding to it.

use std::collections::HashMap;

use crate::cursor::{CursorError, Reader, Writer};
use crate::failure::Failure;
use crate::stage::{Answer, Record};

/// Keys of a table with what it remembers of each: the partial that goes to other nodes fits 16 MiB.
const TABLE_BYTES_MAX: usize = 12 << 20;
/// What is reckoned for a group beside its key.
const GROUP_BYTES: usize = 48;
/// Of a value as part of a key; the rest is cut.
const VALUE_BYTES_MAX: usize = 1024;
/// Version of [`Table::partial`].
const VERSION: u8 = 1;

/// The names that records are grouped by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    names: Vec<String>,
    value: Vec<u8>,
}

impl By {
    /// Names as [`Record::value`] takes them.
    pub fn new(names: Vec<String>) -> By {
        By { names, value: Vec::new() }
    }

    /// Whether there is none: then all records are one group.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Writes the key of a record. A name that it has no value of is `null`.
    pub fn key(&mut self, record: &Record<'_>, key: &mut Vec<u8>) {
        key.clear();
        let By { names, value: text } = self;
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                key.push(b',');
            }
            push_text(key, name.as_bytes());
            key.push(b':');
            match record.value(name) {
                Some(value) => {
                    text.clear();
                    value.write_text(text);
                    text.truncate(VALUE_BYTES_MAX);
                    push_text(key, text);
                }
                None => key.extend_from_slice(b"null"),
            }
        }
    }
}

/// What is remembered of a group.
pub trait State: Default {
    /// Takes what another instance remembers of the same group.
    fn merge(&mut self, other: Self);
    /// Appends it to a partial.
    fn write(&self, to: Writer) -> Writer;
    /// Reads what [`State::write`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    fn read(from: &mut Reader<'_>) -> Result<Self, CursorError>;
    /// Bytes that it takes beyond its own size.
    fn bytes(&self) -> usize {
        0
    }
}

impl State for u64 {
    fn merge(&mut self, other: u64) {
        *self += other;
    }

    fn write(&self, to: Writer) -> Writer {
        to.varint(*self)
    }

    fn read(from: &mut Reader<'_>) -> Result<u64, CursorError> {
        from.varint()
    }
}

/// States by key.
#[derive(Debug, Default)]
pub struct Table<T> {
    groups: HashMap<Vec<u8>, T>,
    bytes: usize,
}

impl<T: State> Table<T> {
    /// A table without groups.
    pub fn new() -> Table<T> {
        Table { groups: HashMap::new(), bytes: 0 }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Changes the state of a group, which is made where there is none.
    ///
    /// # Errors
    /// When there are too many groups: some 12 MiB of keys and states.
    pub fn change(&mut self, key: &[u8], change: impl FnOnce(&mut T)) -> Result<(), Failure> {
        if let Some(state) = self.groups.get_mut(key) {
            let before = state.bytes();
            change(state);
            self.bytes = self.bytes + state.bytes() - before;
        } else {
            let mut state = T::default();
            change(&mut state);
            self.bytes += key.len() + GROUP_BYTES + size_of::<T>() + state.bytes();
            self.groups.insert(key.to_vec(), state);
        }
        if self.bytes <= TABLE_BYTES_MAX {
            return Ok(());
        }
        Err(Failure::fatal(
            "group.too-many",
            format_args!(
                "more than {} groups, {TABLE_BYTES_MAX} bytes of them: group by something that has fewer values, or ask \
                 for a narrower time range",
                self.groups.len()
            ),
        ))
    }

    /// All groups, which are forgotten here.
    pub fn take(&mut self) -> Vec<(Vec<u8>, T)> {
        self.bytes = 0;
        std::mem::take(&mut self.groups).into_iter().collect()
    }

    /// The groups for another instance, which are forgotten here.
    pub fn partial(&mut self) -> Vec<u8> {
        let groups = self.take();
        let mut writer = Writer::new(VERSION).varint(groups.len() as u64);
        for (key, state) in groups {
            writer = state.write(writer.bytes(&key));
        }
        writer.finish()
    }

    /// Takes the groups of another instance.
    ///
    /// # Errors
    /// When they are none, or too many together with those that are here.
    pub fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        let broken = |error: CursorError| Failure::fatal("group.partial", error);
        let (_, mut reader) = Reader::open(partial, VERSION).map_err(broken)?;
        for _ in 0..reader.varint().map_err(broken)? {
            let key = reader.bytes().map_err(broken)?;
            let other = T::read(&mut reader).map_err(broken)?;
            self.change(key, |state| state.merge(other))?;
        }
        reader.end().map_err(broken)
    }
}

/// A row of an answer as it is written: a JSON object.
#[derive(Debug, Default)]
pub struct Row(Vec<u8>);

impl Row {
    /// A row that begins with a key.
    pub fn of(key: &[u8]) -> Row {
        let mut row = vec![b'{'];
        row.extend_from_slice(key);
        Row(row)
    }

    /// With a text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &[u8]) -> Row {
        self.name(name);
        push_text(&mut self.0, value);
        self
    }

    /// With a number; `null` for one that is not finite.
    #[must_use]
    pub fn number(mut self, name: &str, value: f64) -> Row {
        self.name(name);
        let text = if value.is_finite() { value.to_string() } else { "null".to_owned() };
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// With a number of things.
    #[must_use]
    pub fn count(mut self, name: &str, value: u64) -> Row {
        self.name(name);
        self.0.extend_from_slice(value.to_string().as_bytes());
        self
    }

    /// Ends the row and adds it to an answer.
    ///
    /// # Errors
    /// As [`Answer::push_at`].
    pub fn end(mut self, time_unix_ns: u64, answer: &mut Answer) -> Result<(), Failure> {
        self.0.push(b'}');
        answer.push_at(time_unix_ns, &self.0)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        push_text(&mut self.0, name.as_bytes());
        self.0.push(b':');
    }
}

/// Appends a text as JSON. Bytes that are not UTF-8 become U+FFFD.
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        let mut plain = 0;
        let valid = chunk.valid().as_bytes();
        for (at, &byte) in valid.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            out.extend_from_slice(&valid[plain..at]);
            plain = at + 1;
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            }
        }
        out.extend_from_slice(&valid[plain..]);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_beginning_of_rows() {
        let mut by = By::new(vec!["a".into(), "b.c".into(), "host".into(), "topic".into()]);
        let labels = [("_topic".to_owned(), "t\"".to_owned()), ("host".to_owned(), "w".to_owned())];
        let record =
            Record { payload: b"a=1, {\"b\":{\"c\":\"x\\ny\"}}", labels: &labels, ..Record::default() };
        let mut key = Vec::new();
        by.key(&record, &mut key);
        assert_eq!(key, br#""a":"1","b.c":"x\ny","host":"w","topic":"t\"""#);
        by.key(&Record::default(), &mut key);
        assert_eq!(key, br#""a":null,"b.c":null,"host":null,"topic":null"#);
        let mut answer = Answer::new();
        let row = Row::of(&key).number("n", 0.5).number("inf", f64::INFINITY).count("c", 3);
        row.text("t", b"\xff\x01").end(7, &mut answer).unwrap();
        let row = std::str::from_utf8(answer.rows().next().unwrap()).unwrap().to_owned();
        let json: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!(
            (&json["n"], &json["inf"], &json["c"]),
            (&0.5.into(), &serde_json::Value::Null, &3.into())
        );
        assert_eq!(json["t"], "\u{fffd}\u{1}");
    }

    #[test]
    fn tables_merge_and_have_an_end() {
        let (mut a, mut b) = (Table::<u64>::new(), Table::<u64>::new());
        for key in ["x", "y", "x"] {
            a.change(key.as_bytes(), |count| *count += 1).unwrap();
        }
        b.change(b"x", |count| *count += 5).unwrap();
        b.merge(&a.partial()).unwrap();
        assert!(a.is_empty());
        let mut groups = b.take();
        groups.sort_unstable();
        assert_eq!(groups, [(b"x".to_vec(), 7), (b"y".to_vec(), 1)]);
        for broken in [&b""[..], b"\x01", b"\x01\x05", b"\x02\x00", b"\x01\x00\x00"] {
            assert!(b.merge(broken).is_err(), "{broken:?}");
        }
        let long = "k".repeat(1 << 20);
        let full = (0..20).try_for_each(|n| b.change(format!("{n}{long}").as_bytes(), |count| *count += 1));
        assert_eq!(full.unwrap_err().code, "group.too-many");
    }
}
