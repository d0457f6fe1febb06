//! Settings from the command line, laid over those of the file.

use crate::config::place::{Place, Problems, join_path};
use crate::config::read::{read_flag_value, split_key};
use crate::config::schema::children;
use crate::config::tree::{Entry, Node, Value};
use crate::config::vars::Env;

/// One setting from a flag.
#[derive(Debug, Clone)]
pub struct Overlay {
    place: Place,
    path: Vec<String>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// TOML, or text where it is no TOML, as `--set` takes it.
    Spelled(String),
    /// Exactly this.
    Exact(serde_json::Value),
}

impl Overlay {
    /// `--set key=value`: the key dotted as in TOML, the value in TOML or, where it is none, as text. The error
    /// says what is wrong with the argument.
    pub fn parse(flag: &str, argument: &str) -> Result<Overlay, String> {
        let (key, value) = argument.split_once('=').ok_or_else(|| {
            format!("expected key=value such as listen.api=127.0.0.1:7650, got {argument:?}")
        })?;
        let path = split_key(key.trim())
            .ok_or_else(|| format!("expected a dotted key such as listen.api in front of =, got {key:?}"))?;
        Ok(Overlay {
            place: Place::Flag(flag.into()),
            path,
            content: Content::Spelled(value.trim().to_owned()),
        })
    }

    /// What a flag of its own (`--data-dir`) says of one setting. Variables are not replaced in it.
    pub fn exact(flag: &str, path: &[&str], value: serde_json::Value) -> Overlay {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        Overlay { place: Place::Flag(flag.into()), path, content: Content::Exact(value) }
    }

    /// A setting that begins with a key of a source (`grants`, `config`, …) as one of this source, any other as
    /// it is: what `weir forward --set` takes.
    #[must_use]
    pub fn within_source(mut self, source: &str) -> Overlay {
        let first = self.path.first().map(String::as_str);
        if children("sources.*").any(|(key, _)| Some(key) == first) {
            self.path.splice(..0, ["sources".to_owned(), source.to_owned()]);
        }
        self
    }

    /// Puts the setting into the tree; tables on the way are made. A value that stands where a table would have
    /// to be is a problem.
    pub(crate) fn apply(&self, root: &mut Node, env: Env<'_>, problems: &mut Problems) {
        let mut path = String::new();
        let mut node = root;
        for (i, key) in self.path.iter().enumerate() {
            if !matches!(node.value, Value::Table(_)) {
                let text = format!("expected a table to set {key} in, got {}", node.describe());
                problems.error(&self.place, &path, text);
                return;
            }
            let Value::Table(entries) = &mut node.value else { return };
            path = join_path(&path, key);
            if i + 1 == self.path.len() {
                entries.retain(|entry| entry.key != *key);
                entries.push(self.entry(key, self.node(&path, env, problems)));
                return;
            }
            let at = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
                entries.push(self.entry(key, Node::new(self.place.clone(), Value::Table(Vec::new()))));
                entries.len() - 1
            });
            node = &mut entries[at].node;
        }
    }

    fn node(&self, path: &str, env: Env<'_>, problems: &mut Problems) -> Node {
        match &self.content {
            Content::Spelled(text) => read_flag_value(&self.place, path, text, env, problems),
            Content::Exact(json) => Node::from_json(&self.place, json.clone()),
        }
    }

    fn entry(&self, key: &str, node: Node) -> Entry {
        Entry { key: key.to_owned(), key_place: self.place.clone(), node }
    }
}
