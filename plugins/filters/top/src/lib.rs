//! `| top 10 path` and `| top 10 by path, host`: the most frequent values, each with its share of all records.
//!
//! It is exact: all values are counted until there are too many of them, and then the query fails. A sketch that forgets
//! rare values would answer always, but not the same whichever way the records were cut between nodes, and its errors
//! are largest where most values are rare.

use weir_plugin_sdk::group::{By, Row, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["by"],
    "properties": {
        "n": {
            "type": "integer", "minimum": 1, "maximum": 10000, "default": 10,
            "description": "how many values"
        },
        "by": {
            "type": "array", "items": { "type": "string", "minLength": 1 },
            "description": "fields of the payload, labels, or topic"
        }
    },
    "x-args": { "positional": ["n", "by"], "keywords": ["by"] }
}"#;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    #[serde(default = "ten")]
    n: usize,
    by: Vec<String>,
}

fn ten() -> usize {
    10
}

/// The aggregate.
#[derive(Debug)]
pub struct Top {
    n: usize,
    by: By,
    key: Vec<u8>,
    table: Table<u64>,
}

impl Aggregate for Top {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { n, by }: Params) -> Result<Top, Failure> {
        if by.is_empty() {
            return Err(Failure::bad_config("top.by", "there is no field: write top 10 path"));
        }
        Ok(Top { n, by: By::new(by), key: Vec::new(), table: Table::new() })
    }

    fn hints(&self) -> Hints {
        Hints { streams: true, ..Hints::default() }
    }

    fn update(&mut self, record: Record<'_>) -> Result<(), Failure> {
        self.by.key(&record, &mut self.key);
        self.table.change(&self.key, |count| *count += 1)
    }

    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.table.partial())
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        self.table.merge(partial)
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        let mut groups = self.table.take();
        let all: u64 = groups.iter().map(|(_, count)| count).sum();
        groups.sort_unstable_by(|(a_key, a), (b_key, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        let mut answer = Answer::new();
        for (key, count) in groups.into_iter().take(self.n) {
            let share_percent = (count as f64 / all as f64 * 10_000.0).round() / 100.0;
            Row::of(&key).count("count", count).number("share_percent", share_percent).end(0, &mut answer)?;
        }
        Ok(answer)
    }
}

export_aggregate!(Top);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::aggregate;

    #[test]
    fn the_most_frequent_values_come_first_and_with_their_share() {
        let lines = ["path=/b", "path=/a s=1", r#"{"path":"/b"}"#, "path=/a", "path=/b", "nothing"];
        let top = |params: &str| aggregate::<Top>(params, &lines).unwrap();
        assert_eq!(
            top(r#"{"n":2,"by":["path"]}"#),
            [
                r#"{"path":"/b","count":3,"share_percent":50}"#,
                r#"{"path":"/a","count":2,"share_percent":33.33}"#
            ]
        );
        assert_eq!(top(r#"{"by":["path","s"]}"#).len(), 4);
        assert_eq!(aggregate::<Top>(r#"{"by":["path"]}"#, &[]).unwrap(), [""; 0]);
        assert!(aggregate::<Top>(r#"{"by":[]}"#, &[]).is_err());
    }
}
