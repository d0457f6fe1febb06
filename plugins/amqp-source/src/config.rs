//! Settings, and what they come to.

use std::collections::BTreeMap;

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::serde::Deserialize;

/// Text in front of every record.
pub(crate) const PREFIX_BYTES_MAX: usize = 128;

pub(crate) const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "format": {
            "type": "string", "enum": ["bytes", "text", "json"], "default": "bytes",
            "description": "what a body must be: anything, UTF-8, or JSON. Bytes are stored as they came in any case"
        },
        "strict": {
            "type": "boolean", "default": false,
            "description": "a body that is not what format says goes to the grant's dead_letter; otherwise it is stored with the label decode_error"
        },
        "split": {
            "type": "string", "enum": ["message", "lines"], "default": "message",
            "description": "one record per message, or per line of it"
        },
        "prefix": {
            "type": "string", "default": "",
            "description": "words to put in front of every record, at most 128 bytes"
        },
        "prefix_style": {
            "type": "string", "enum": ["plain", "bracketed"], "default": "plain",
            "description": "plain: `WORDS body`; bracketed: `[WORDS ] body`"
        },
        "labels": {
            "type": "object", "additionalProperties": { "type": "string" },
            "default": { "exchange": "exchange", "routing_key": "routing_key" },
            "description": "labels, each from exchange, routing_key, header.NAME or property.NAME; what is not there or empty gives none"
        },
        "event_time": {
            "type": "boolean", "default": true,
            "description": "a record has the time of its message's timestamp, and with a message-id it is the same record however often it comes; false: the time of arrival, and nothing is recognized"
        }
    }
}"#;

/// What a body must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum Format {
    Bytes,
    Text,
    Json,
}

/// How a message becomes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum Split {
    Message,
    Lines,
}

/// How the prefix stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum PrefixStyle {
    Plain,
    Bracketed,
}

/// Settings as written.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Config {
    format: Format,
    strict: bool,
    split: Split,
    prefix: String,
    prefix_style: PrefixStyle,
    labels: BTreeMap<String, String>,
    event_time: bool,
}

/// Where the value of a label comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    Exchange,
    RoutingKey,
    Header(String),
    Property(String),
}

/// Settings understood.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) format: Format,
    pub(crate) strict: bool,
    pub(crate) split: Split,
    /// As it stands in front of every record.
    pub(crate) prefix: Vec<u8>,
    pub(crate) labels: Vec<(String, From)>,
    pub(crate) event_time: bool,
}

impl Config {
    /// Checks what the schema cannot say.
    pub(crate) fn understood(self) -> Result<Rules, Failure> {
        if self.prefix.len() > PREFIX_BYTES_MAX || self.prefix.contains('\n') {
            let message = format!("prefix: expected at most {PREFIX_BYTES_MAX} bytes without a newline");
            return Err(Failure::bad_config("config.prefix", message));
        }
        let prefix = match (self.prefix.as_str(), self.prefix_style) {
            ("", _) => String::new(),
            (words, PrefixStyle::Plain) => format!("{words} "),
            (words, PrefixStyle::Bracketed) => format!("[{words} ] "),
        };
        let labels = self.labels.into_iter().map(|(name, from)| Ok((name.clone(), source(&name, &from)?)));
        Ok(Rules {
            format: self.format,
            strict: self.strict && self.format != Format::Bytes,
            split: self.split,
            prefix: prefix.into_bytes(),
            labels: labels.collect::<Result<_, Failure>>()?,
            event_time: self.event_time,
        })
    }
}

fn source(label: &str, from: &str) -> Result<From, Failure> {
    match (from, from.split_once('.')) {
        ("exchange", _) => Ok(From::Exchange),
        ("routing_key", _) => Ok(From::RoutingKey),
        (_, Some(("header", name))) if !name.is_empty() => Ok(From::Header(name.into())),
        (_, Some(("property", name))) if !name.is_empty() => Ok(From::Property(name.into())),
        _ => {
            let message = format!(
                "labels.{label}: expected exchange, routing_key, header.NAME or property.NAME, got {from:?}"
            );
            Err(Failure::bad_config("config.labels", message))
        }
    }
}
