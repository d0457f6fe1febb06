//! Holds a [tree](crate::config::tree) against the [schema](crate::config::schema): every key known, every
//! value understood, every default filled in. Tells all that is wrong, not only the first.

use std::fmt::Write as _;

use weir_record::Stream;
use weir_record::limits::NAME_BYTES_MAX;

use crate::config::kind::{Bases, Simple, expectation, text_of, understand};
use crate::config::place::{Gravity, Place, Problems, did_you_mean, join_path};
use crate::config::read::read_flag_value;
use crate::config::schema::{KEYS, Key, Kind, Support, Unset, children_of};
use crate::config::tree::{Entry, Node, Value};

/// A setting that was checked.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) value: Checked,
}

/// What a setting turned out to be.
#[derive(Debug)]
pub(crate) enum Checked {
    Simple(Simple),
    List(Vec<Item>),
    Table(Table),
    /// The plugin's own settings, as written.
    Free(Node),
    /// Wrong or missing; that has been told.
    Invalid,
}

/// Settings by name, in the order of the schema where it names them, else sorted.
#[derive(Debug, Default)]
pub(crate) struct Table(pub(crate) Vec<Named>);

/// One setting of a table.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) item: Item,
}

impl Table {
    /// The setting of this name, if it was written or has a default.
    pub(crate) fn get(&self, name: &str) -> Option<&Item> {
        self.0.iter().find(|named| named.name == name).map(|named| &named.item)
    }

    /// The table of this name; none when it is absent or invalid.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        match &self.get(name)?.value {
            Checked::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The entries of a table of free names.
    pub(crate) fn names(&self, name: &str) -> &[Named] {
        self.table(name).map_or(&[], |table| &table.0)
    }

    /// The simple setting of this name.
    pub(crate) fn simple(&self, name: &str) -> Option<&Simple> {
        match &self.get(name)?.value {
            Checked::Simple(simple) => Some(simple),
            _ => None,
        }
    }

    /// The valid elements of a list.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = (&Place, &Simple)> {
        let items = match self.get(name).map(|item| &item.value) {
            Some(Checked::List(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(|item| match &item.value {
            Checked::Simple(simple) => Some((&item.place, simple)),
            _ => None,
        })
    }
}

/// Checks a whole configuration.
pub(crate) fn check(root: Node, bases: Bases<'_>, problems: &mut Problems) -> Table {
    check_with(KEYS, root, bases, problems)
}

/// Checks what is made of other settings.
pub(crate) fn check_with(
    keys: &'static [Key],
    root: Node,
    bases: Bases<'_>,
    problems: &mut Problems,
) -> Table {
    let place = root.place.clone();
    let entries = match root.value {
        Value::Table(entries) => entries,
        _ => Vec::new(),
    };
    Checker { keys, bases, problems }.table("", "", &place, entries)
}

struct Checker<'a> {
    keys: &'static [Key],
    bases: Bases<'a>,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    /// A table with the fixed names below `pattern`. `place` is where its own name stands.
    fn table(&mut self, pattern: &str, path: &str, place: &Place, mut entries: Vec<Entry>) -> Table {
        let mut table = Table::default();
        for (name, key) in children_of(self.keys, pattern) {
            let path = join_path(path, name);
            let plain = take(&mut entries, name);
            let from_file = match key.kind {
                Kind::Secret(_) => take(&mut entries, &format!("{name}_file")),
                _ => None,
            };
            let named = match (plain, from_file) {
                (Some(entry), None) => Some(self.entry(&key.kind, key, &path, entry)),
                (None, Some(entry)) => Some(self.entry(&Kind::Path, key, &path, entry)),
                (None, None) if !matches!(key.support, Support::Refused(_)) => self.unset(key, &path, place),
                (None, None) => None,
                (Some(first), Some(second)) => {
                    let text = format!("expected either {name} or {name}_file, got both");
                    self.problems.error(&first.key_place.max(second.key_place), &path, text);
                    None
                }
            };
            table.0.extend(named);
        }
        for entry in &entries {
            self.unknown(pattern, path, entry);
        }
        table
    }

    fn entry(&mut self, kind: &Kind, key: &Key, path: &str, entry: Entry) -> Named {
        let place = entry.node.place.clone();
        let value = self.value(kind, key.path, path, &entry.key_place, entry.node);
        if let Support::Refused(text) = key.support {
            self.problems.add(Gravity::Refused, &entry.key_place, path, text.to_owned());
        }
        Named { name: last(key.path).to_owned(), name_place: entry.key_place, item: Item { place, value } }
    }

    /// What counts for a setting that is not written. `place` is where its table stands.
    fn unset(&mut self, key: &Key, path: &str, place: &Place) -> Option<Named> {
        let value = match (&key.unset, &key.kind) {
            (Unset::Default(text), kind) => {
                let node = read_flag_value(&Place::Default, path, text, &|_| None, self.problems);
                self.value(kind, key.path, path, &Place::Default, node)
            }
            (Unset::Required, kind) => {
                self.problems.error(place, path, format!("expected {}, got nothing", expectation(kind)));
                Checked::Invalid
            }
            (Unset::Absent, Kind::Table) => {
                Checked::Table(self.table(key.path, path, &Place::Default, Vec::new()))
            }
            (Unset::Absent, _) => return None,
        };
        let item = Item { place: Place::Default, value };
        Some(Named { name: last(key.path).to_owned(), name_place: Place::Default, item })
    }

    fn value(&mut self, kind: &Kind, pattern: &str, path: &str, key_place: &Place, node: Node) -> Checked {
        match (kind, node.value) {
            (_, Value::Broken) => Checked::Invalid,
            (Kind::Table, Value::Table(entries)) => {
                Checked::Table(self.table(pattern, path, key_place, entries))
            }
            (Kind::Names(of), Value::Table(entries)) => self.names(of, pattern, path, entries),
            (Kind::Labels, Value::Table(entries)) => self.labels(path, entries),
            (Kind::List(inner), Value::List(items)) => {
                Checked::List(self.list(items, path, |checker, path, place, item| {
                    checker.value(inner, pattern, path, place, item)
                }))
            }
            (Kind::Tables, Value::List(items)) => {
                let pattern = format!("{pattern}.[]");
                Checked::List(self.list(items, path, |checker, path, place, item| {
                    checker.value(&Kind::Table, &pattern, path, place, item)
                }))
            }
            (Kind::Free, Value::Table(entries)) => {
                let node = Node { value: Value::Table(entries), ..node };
                self.numbers_fit_json(path, &node);
                Checked::Free(node)
            }
            (kind, value) => self.simple(kind, path, &Node { value, ..node }),
        }
    }

    fn simple(&mut self, kind: &Kind, path: &str, node: &Node) -> Checked {
        if let Some(simple) = understand(kind, node, self.bases) {
            return Checked::Simple(simple);
        }
        let got = match (kind, &node.value) {
            (Kind::Secret(_), Value::Text(_)) => "a text (hidden)".to_owned(),
            // The secret of a token, where its hash belongs.
            (_, Value::Text(text)) if text.trim_start().starts_with("weir_") => "a text (hidden)".to_owned(),
            _ => node.describe(),
        };
        let mut text = format!("expected {}, got {got}", expectation(kind));
        if let (Kind::Choice(words), Some(typed)) = (kind, text_of(node))
            && let Some(near) = did_you_mean(typed, words.iter().copied())
        {
            let _ = write!(text, "; did you mean `{near}`?");
        }
        self.problems.error(&node.place, path, text);
        Checked::Invalid
    }

    fn list(
        &mut self,
        items: Vec<Node>,
        path: &str,
        mut check: impl FnMut(&mut Self, &str, &Place, Node) -> Checked,
    ) -> Vec<Item> {
        let check_one = |(i, node): (usize, Node)| {
            let place = node.place.clone();
            let value = check(self, &format!("{path}[{i}]"), &place, node);
            Item { place, value }
        };
        items.into_iter().enumerate().map(check_one).collect()
    }

    fn names(&mut self, of: &str, pattern: &str, path: &str, entries: Vec<Entry>) -> Checked {
        let pattern = format!("{pattern}.*");
        let mut table = Table::default();
        for Entry { key, key_place, node } in entries {
            let path = join_path(path, &key);
            if !is_name(&key) {
                let text = format!(
                    "expected a {of} name of 1 to {NAME_BYTES_MAX} of a-z, 0-9, _ and -, got {key:?}"
                );
                self.problems.error(&key_place, &path, text);
            }
            let place = node.place.clone();
            let value = self.value(&Kind::Table, &pattern, &path, &key_place, node);
            table.0.push(Named { name: key, name_place: key_place, item: Item { place, value } });
        }
        Checked::Table(table)
    }

    fn labels(&mut self, path: &str, entries: Vec<Entry>) -> Checked {
        let mut table = Table::default();
        for Entry { key, key_place, node } in entries {
            let path = join_path(path, &key);
            let place = node.place.clone();
            let value = match text_of(&node) {
                Some(value) => match Stream::new("topic", [(key.as_str(), value)]) {
                    Ok(_) => Checked::Simple(Simple::Text(value.to_owned())),
                    Err(error) => {
                        self.problems.error(&key_place, &path, error.to_string());
                        Checked::Invalid
                    }
                },
                None => self.simple(&Kind::Text("a text in quotes"), &path, &node),
            };
            table.0.push(Named { name: key, name_place: key_place, item: Item { place, value } });
        }
        Checked::Table(table)
    }

    /// A plugin gets its settings as JSON, which has neither `inf` nor `nan`.
    fn numbers_fit_json(&mut self, path: &str, node: &Node) {
        match &node.value {
            Value::Float(number) if !number.is_finite() => {
                let text = format!("expected a finite number, got {number}");
                self.problems.error(&node.place, path, text);
            }
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.numbers_fit_json(&format!("{path}[{i}]"), item);
                }
            }
            Value::Table(entries) => {
                for entry in entries {
                    self.numbers_fit_json(&join_path(path, &entry.key), &entry.node);
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, pattern: &str, path: &str, entry: &Entry) {
        let known: Vec<&str> = children_of(self.keys, pattern).map(|(name, _)| name).collect();
        let mut text = format!("expected one of {}, got an unknown key", known.join(", "));
        let elsewhere =
            || self.keys.iter().find(|key| !key.path.contains(['*', '[']) && last(key.path) == entry.key);
        if let Some(near) = did_you_mean(&entry.key, known) {
            let _ = write!(text, "; did you mean `{near}`?");
        } else if let Some(key) = elsewhere() {
            let _ = write!(text, "; did you mean `{}`?", key.path);
        }
        self.problems.error(&entry.key_place, &join_path(path, &entry.key), text);
    }
}

fn take(entries: &mut Vec<Entry>, name: &str) -> Option<Entry> {
    let at = entries.iter().position(|entry| entry.key == name)?;
    Some(entries.remove(at))
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-'))
}
