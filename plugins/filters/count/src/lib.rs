//! `| count` counts records; `| count by path, host` counts them by fields and labels, the most frequent first.

use weir_plugin_sdk::group::{By, Row, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate};

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

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    #[serde(default)]
    by: Vec<String>,
}

/// The aggregate.
#[derive(Debug)]
pub struct Count {
    by: By,
    key: Vec<u8>,
    table: Table<u64>,
}

impl Aggregate for Count {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { by }: Params) -> Result<Count, Failure> {
        Ok(Count { by: By::new(by), key: Vec::new(), table: Table::new() })
    }

    fn hints(&self) -> Hints {
        Hints { streams: !self.by.is_empty(), ..Hints::default() }
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
        if groups.is_empty() && self.by.is_empty() {
            // That there is none is an answer, too.
            groups.push((Vec::new(), 0));
        }
        groups.sort_unstable_by(|(a_key, a), (b_key, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        let mut answer = Answer::new();
        for (key, count) in groups {
            Row::of(&key).count("count", count).end(0, &mut answer)?;
        }
        Ok(answer)
    }
}

export_aggregate!(Count);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::aggregate;

    #[test]
    fn groups_come_with_the_most_frequent_first() {
        let lines = ["path=/a s=1", r#"{"path":"/b"}"#, "path=/a", "nothing"];
        let by = |by: &str| aggregate::<Count>(&format!(r#"{{"by":{by}}}"#), &lines).unwrap();
        assert_eq!(by("[]"), [r#"{"count":4}"#]);
        assert_eq!(
            by(r#"["path"]"#),
            [r#"{"path":"/a","count":2}"#, r#"{"path":"/b","count":1}"#, r#"{"path":null,"count":1}"#]
        );
        assert_eq!(by(r#"["path","s"]"#)[1], r#"{"path":"/a","s":null,"count":1}"#);
        assert_eq!(aggregate::<Count>("{}", &[]).unwrap(), [r#"{"count":0}"#]);
    }
}
