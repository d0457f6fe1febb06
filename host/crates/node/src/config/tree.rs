//! The configuration as the operator wrote it: a tree of values, each with its place.

use std::borrow::Cow;

use crate::config::place::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    pub(crate) spelling: Spelling,
}

/// Whether the operator's TOML syntax decided the type of a value. Where it did not, the schema may: `"${N}"`
/// can be a number, and `--set topic=7` a text.
#[derive(Debug, Clone)]
pub(crate) enum Spelling {
    /// Type as written.
    Exact,
    /// A string in which variables were replaced; this is the text before that.
    Substituted(String),
    /// The text of a `--set`.
    Flag(String),
}

/// A TOML value. Dates are kept as their text.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Could not be read; that has been told already.
    Broken,
}

/// One key of a table. Keys of a table are unique.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Node {
        Node { place, value, spelling: Spelling::Exact }
    }

    /// The value as an error message tells it, on one line and not too long.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Text(text) => quote(text),
            Value::Integer(number) => format!("{number} (an integer)"),
            Value::Float(number) => format!("{number} (a number)"),
            Value::Bool(yes) => format!("{yes} (a boolean)"),
            Value::Date(date) => format!("{date} (a date)"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Broken => "nothing".to_owned(),
        }
    }

    /// The value as JSON, for a plugin's own settings. `None` for numbers JSON cannot say (`inf`, `nan`).
    pub(crate) fn to_json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        Some(match &self.value {
            Value::Text(text) | Value::Date(text) => Json::String(text.clone()),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Json::Number(serde_json::Number::from_f64(*number)?),
            Value::Bool(yes) => Json::Bool(*yes),
            Value::Broken => Json::Null,
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect::<Option<_>>()?),
            Value::Table(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| Some((entry.key.clone(), entry.node.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }

    /// A tree from JSON, all of it at one place: how the command line's own flags enter the configuration.
    pub(crate) fn from_json(place: &Place, json: serde_json::Value) -> Node {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Broken,
            Json::Bool(yes) => Value::Bool(yes),
            Json::String(text) => Value::Text(text),
            Json::Number(number) => {
                number.as_i64().map_or(Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Integer)
            }
            Json::Array(items) => {
                Value::List(items.into_iter().map(|item| Node::from_json(place, item)).collect())
            }
            Json::Object(entries) => Value::Table(
                entries
                    .into_iter()
                    .map(|(key, json)| Entry {
                        key,
                        key_place: place.clone(),
                        node: Node::from_json(place, json),
                    })
                    .collect(),
            ),
        };
        Node::new(place.clone(), value)
    }
}

/// A text in quotes, escaped, passwords of URIs hidden, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    let shown = hide_password(text);
    match shown.char_indices().nth(80) {
        Some((cut, _)) => format!("{:?}…", &shown[..cut]),
        None => format!("{shown:?}"),
    }
}

/// `amqp://log:secret@mq1/prod` as `amqp://log:***@mq1/prod`; any other text as it is.
pub(crate) fn hide_password(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Cow::Borrowed(text) };
    // A password may hold a slash that should have been escaped: the last @ counts, wherever it stands.
    let Some((user_info, host)) = rest.rsplit_once('@') else { return Cow::Borrowed(text) };
    let Some((user, _)) = user_info.split_once(':') else { return Cow::Borrowed(text) };
    Cow::Owned(format!("{scheme}://{user}:***@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_uris_are_hidden() {
        for (text, want) in [
            ("amqp://log:pw@mq1/prod", "amqp://log:***@mq1/prod"),
            ("amqp://log:p/w@d@mq1/prod", "amqp://log:***@mq1/prod"),
            ("amqp://log@mq1/prod", "amqp://log@mq1/prod"),
            ("http://host:7650", "http://host:7650"),
            ("user:pw@host", "user:pw@host"),
        ] {
            assert_eq!(hide_password(text), want);
        }
    }

    #[test]
    fn long_and_strange_texts_stay_on_one_short_line() {
        assert_eq!(quote("a\nb"), r#""a\nb""#);
        assert_eq!(quote(&"ü".repeat(200)).chars().count(), 83);
    }
}
