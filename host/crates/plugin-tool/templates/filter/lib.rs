//! `| {{name}} TEXT` keeps records that contain a text.

use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Filter, Hints, Info, Record, export_filter};

/// What a query may say behind the name. The node checks it, fills in defaults, and tells who asks what is wrong.
/// `x-args`: the first argument without a name is `text`.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["text"],
    "properties": {
        "text": { "type": "string", "minLength": 1, "description": "what a record must contain" }
    },
    "x-args": { "positional": ["text"] }
}"#;

/// The same as a type.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    text: String,
}

/// The filter, opened for one query.
#[derive(Debug)]
pub struct Plugin {
    text: Vec<u8>,
}

impl Filter for Plugin {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { text }: Params) -> Result<Plugin, Failure> {
        Ok(Plugin { text: text.into_bytes() })
    }

    /// A record without the text is never given to the filter: the store looks for it itself.
    fn hints(&self) -> Hints {
        Hints { literals: vec![vec![self.text.clone()]], ..Hints::default() }
    }

    /// A matter of the record alone: nobody knows which one comes next.
    fn keep(&mut self, record: Record<'_>) -> bool {
        record.payload.windows(self.text.len()).any(|part| part == self.text)
    }
}

export_filter!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::filter;

    #[test]
    fn records_with_the_text_are_kept() {
        let kept = filter::<Plugin>(r#"{ "text": "rr" }"#, &["error", "fine"]).unwrap();
        assert_eq!(kept, ["error"]);
    }
}
