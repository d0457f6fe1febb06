//! `| dedup` shows lines that differ in numbers and ids alone as one: the first of them, how many there are, and when.

use weir_plugin_sdk::cursor::{CursorError, Reader, Writer};
use weir_plugin_sdk::group::{By, Row, State, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate, mask, time};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "by": {
            "type": "array", "items": { "type": "string", "minLength": 1 }, "default": [],
            "description": "fields, labels, or topic that must be equal, too"
        }
    },
    "x-args": { "keywords": ["by"] }
}"#;

/// What is compared of a line, and what is shown of it.
const LINE_BYTES_MAX: usize = 1024;
/// Between the values of `by` and the masked line; JSON has no such byte.
const END_OF_BY: u8 = 0;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    #[serde(default)]
    by: Vec<String>,
}

/// The aggregate.
#[derive(Debug)]
pub struct Dedup {
    by: By,
    key: Vec<u8>,
    table: Table<Lines>,
}

impl Aggregate for Dedup {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { by }: Params) -> Result<Dedup, Failure> {
        Ok(Dedup { by: By::new(by), key: Vec::new(), table: Table::new() })
    }

    fn hints(&self) -> Hints {
        Hints { times: true, streams: !self.by.is_empty(), ..Hints::default() }
    }

    fn update(&mut self, record: Record<'_>) -> Result<(), Failure> {
        let line = &record.payload[..record.payload.len().min(LINE_BYTES_MAX)];
        self.by.key(&record, &mut self.key);
        self.key.push(END_OF_BY);
        let by_bytes = self.key.len();
        mask::append(line, &mut self.key);
        self.key.truncate(by_bytes + LINE_BYTES_MAX);
        let time_ns = record.time_unix_ns;
        self.table.change(&self.key, |lines| lines.add(1, line, time_ns, time_ns))
    }

    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.table.partial())
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        self.table.merge(partial)
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        let mut groups = self.table.take();
        groups.sort_unstable_by(|(a_key, a), (b_key, b)| (a.first_ns, a_key).cmp(&(b.first_ns, b_key)));
        let mut answer = Answer::new();
        for (key, lines) in groups {
            let by = key.split(|byte| *byte == END_OF_BY).next().unwrap_or_default();
            Row::of(by)
                .count("count", lines.count)
                .text("first", time::text(lines.first_ns).as_bytes())
                .text("last", time::text(lines.last_ns).as_bytes())
                .text("line", &lines.line)
                .end(lines.first_ns, &mut answer)?;
        }
        Ok(answer)
    }
}

/// Lines that are near-equal.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    first_ns: u64,
    last_ns: u64,
    /// The first; of several at one time the one whose bytes come first, which is the same in every order.
    line: Vec<u8>,
}

impl Lines {
    fn add(&mut self, count: u64, line: &[u8], first_ns: u64, last_ns: u64) {
        if self.count == 0 || (first_ns, line) < (self.first_ns, &self.line) {
            self.first_ns = first_ns;
            self.line.clear();
            self.line.extend_from_slice(line);
        }
        self.last_ns = self.last_ns.max(last_ns);
        self.count += count;
    }
}

impl State for Lines {
    fn merge(&mut self, other: Lines) {
        self.add(other.count, &other.line, other.first_ns, other.last_ns);
    }

    fn write(&self, to: Writer) -> Writer {
        to.varint(self.count).u64(self.first_ns).u64(self.last_ns).bytes(&self.line)
    }

    fn read(from: &mut Reader<'_>) -> Result<Lines, CursorError> {
        let (count, first_ns, last_ns) = (from.varint()?, from.u64()?, from.u64()?);
        Ok(Lines { count, first_ns, last_ns, line: from.bytes()?.to_vec() })
    }

    fn bytes(&self) -> usize {
        self.line.len()
    }
}

export_aggregate!(Dedup);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::aggregate;

    #[test]
    fn near_equal_lines_are_one() {
        let lines = ["took 28ms p=/a", "took 3ms p=/a", "took long", "took 3ms p=/b", "took long"];
        let dedup = |params: &str| aggregate::<Dedup>(params, &lines).unwrap();
        let times = r#""first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z""#;
        assert_eq!(
            dedup("{}"),
            [
                format!(r#"{{"count":2,{times},"line":"took 28ms p=/a"}}"#),
                format!(r#"{{"count":1,{times},"line":"took 3ms p=/b"}}"#),
                format!(r#"{{"count":2,{times},"line":"took long"}}"#),
            ]
        );
        assert!(dedup(r#"{"by":["p"]}"#)[0].starts_with(r#"{"p":"/a","count":2,"#));
    }

    #[test]
    fn the_first_line_is_that_of_the_first_time() {
        let mut parts = Vec::new();
        for (seconds, payload) in [(7, "n=1"), (3, "n=2"), (9, "n=3"), (3, "n=20"), (5, "other")] {
            let mut dedup = Dedup::open(Params { by: Vec::new() }).unwrap();
            let record = Record {
                payload: payload.as_bytes(),
                time_unix_ns: seconds * 1_000_000_000,
                ..Record::default()
            };
            dedup.update(record).unwrap();
            parts.push(dedup.partial().unwrap());
        }
        for is_reversed in [false, true] {
            if is_reversed {
                parts.reverse();
            }
            let mut dedup = Dedup::open(Params { by: Vec::new() }).unwrap();
            for part in &parts {
                dedup.merge(part).unwrap();
            }
            let answer = dedup.finish().unwrap();
            let rows: Vec<String> = answer.rows().map(|row| String::from_utf8_lossy(row).into()).collect();
            assert_eq!(
                rows,
                [
                    r#"{"count":4,"first":"1970-01-01T00:00:03Z","last":"1970-01-01T00:00:09Z","line":"n=2"}"#,
                    r#"{"count":1,"first":"1970-01-01T00:00:05Z","last":"1970-01-01T00:00:05Z","line":"other"}"#,
                ]
            );
        }
    }
}
