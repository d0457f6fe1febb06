//! `| {{name}} TEXT with=MARK` replaces a text in records by a mark.

use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Info, Record, Rewrite, export_rewrite};

/// What a query may say behind the name. The node checks it, fills in defaults, and tells who asks what is wrong.
/// `x-args`: the first argument without a name is `text`, the second `with`.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["text"],
    "properties": {
        "text": { "type": "string", "minLength": 1, "description": "what is replaced" },
        "with": { "type": "string", "default": "***", "description": "what stands there instead" }
    },
    "x-args": { "positional": ["text", "with"] }
}"#;

/// The same as a type.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    text: String,
    with: String,
}

/// The rewrite, opened for one query.
#[derive(Debug)]
pub struct Plugin {
    text: Vec<u8>,
    with: Vec<u8>,
}

impl Rewrite for Plugin {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { text, with }: Params) -> Result<Plugin, Failure> {
        Ok(Plugin { text: text.into_bytes(), with: with.into_bytes() })
    }

    /// Appends what becomes of the record, or answers `false` to drop it. It keeps its time, stream and id.
    fn rewrite(&mut self, record: Record<'_>, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let mut rest = record.payload;
        while let Some(first) = rest.first() {
            if let Some(after) = rest.strip_prefix(self.text.as_slice()) {
                out.extend_from_slice(&self.with);
                rest = after;
            } else {
                out.push(*first);
                rest = &rest[1..];
            }
        }
        // A mark may be longer than the text, and a record has its bounds.
        out.truncate(before + RECORD_BYTES_MAX);
        true
    }
}

export_rewrite!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::rewrite;

    #[test]
    fn the_text_is_replaced() {
        let made = rewrite::<Plugin>(r#"{ "text": "ab", "with": "-" }"#, &["abcab", "ba"]).unwrap();
        assert_eq!(made, ["-c-", "ba"]);
    }
}
