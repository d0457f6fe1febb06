//! `| {{name}} by NAME…` sums up the bytes of records, by fields and labels.

use weir_plugin_sdk::group::{By, Row, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate};

/// What a query may say behind the name. The node checks it, fills in defaults, and tells who asks what is wrong.
/// `x-args`: what follows the word `by` is the list of that name.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "by": {
            "type": "array", "items": { "type": "string", "minLength": 1 }, "default": [],
            "description": "fields of the payload, labels, or topic"
        }
    },
    "x-args": { "keywords": ["by"] }
}"#;

/// The same as a type.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    by: Vec<String>,
}

/// The state of one instance. Which records it was given is nobody's to know, so merging must not care.
#[derive(Debug)]
pub struct Plugin {
    by: By,
    key: Vec<u8>,
    table: Table<u64>,
}

impl Aggregate for Plugin {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { by }: Params) -> Result<Plugin, Failure> {
        Ok(Plugin { by: By::new(by), key: Vec::new(), table: Table::new() })
    }

    /// Labels are given to those who say that they read them.
    fn hints(&self) -> Hints {
        Hints { streams: true, ..Hints::default() }
    }

    fn update(&mut self, record: Record<'_>) -> Result<(), Failure> {
        self.by.key(&record, &mut self.key);
        self.table.change(&self.key, |bytes| *bytes += record.payload.len() as u64)
    }

    /// The state as bytes, on its way to the node that was asked.
    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.table.partial())
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        self.table.merge(partial)
    }

    /// The answer, the most first; equal ones in the order of their names, so that it is always the same.
    fn finish(mut self) -> Result<Answer, Failure> {
        let mut groups = self.table.take();
        groups.sort_unstable_by(|(a_key, a), (b_key, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        let mut answer = Answer::new();
        for (key, bytes) in groups {
            Row::of(&key).count("bytes", bytes).end(0, &mut answer)?;
        }
        Ok(answer)
    }
}

export_aggregate!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::aggregate;

    #[test]
    fn bytes_are_summed_up_by_group() {
        let rows = aggregate::<Plugin>(r#"{ "by": ["a"] }"#, &["a=1", "a=22", "a=1"]).unwrap();
        assert_eq!(rows, [r#"{"a":"1","bytes":6}"#, r#"{"a":"22","bytes":4}"#]);
    }
}
