//! `| stats duration_ms by path every 5m`: how the numbers of a field lie, by other fields and by time.

mod sketch;

use weir_plugin_sdk::cursor::{CursorError, Reader, Writer};
use weir_plugin_sdk::group::{By, Row, State, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate, time};

use sketch::Sketch;

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["field"],
    "properties": {
        "field": {
            "type": "string", "minLength": 1,
            "description": "a field with numbers, or with durations such as 28ms, which count in seconds"
        },
        "by": {
            "type": "array", "items": { "type": "string", "minLength": 1 }, "default": [],
            "description": "fields of the payload, labels, or topic"
        },
        "every": {
            "type": "string",
            "description": "one row for each stretch of time of this length, such as 5m"
        }
    },
    "x-args": { "positional": ["field"], "keywords": ["by", "every"] }
}"#;

/// Sums are kept in billionths, and this is as far as they go.
const BILLIONTHS: f64 = 1e9;
/// Numbers beyond are not counted: a sum of all that a query may see would not be exact.
const NUMBER_MAX: f64 = 1e18;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    field: String,
    #[serde(default)]
    by: Vec<String>,
    every: Option<String>,
}

/// The aggregate.
#[derive(Debug)]
pub struct Stats {
    field: String,
    by: By,
    every_ns: Option<u64>,
    /// The last stretch of time that was written, and how.
    stretch: (u64, String),
    text: Vec<u8>,
    key: Vec<u8>,
    table: Table<Numbers>,
}

impl Aggregate for Stats {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { field, by, every }: Params) -> Result<Stats, Failure> {
        let every_ns = every.map(|every| match time::seconds(every.as_bytes()) {
            Some(seconds) if (1.0..=1e9).contains(&seconds) && seconds.fract() == 0.0 => {
                Ok(seconds as u64 * 1_000_000_000)
            }
            _ => {
                let message = format_args!("every {every}: it takes whole seconds, such as 30s, 5m or 1h");
                Err(Failure::bad_config("stats.every", message))
            }
        });
        let every_ns = every_ns.transpose()?;
        let (stretch, table) = ((u64::MAX, String::new()), Table::new());
        Ok(Stats { field, by: By::new(by), every_ns, stretch, text: Vec::new(), key: Vec::new(), table })
    }

    fn hints(&self) -> Hints {
        Hints { streams: true, times: self.every_ns.is_some(), ..Hints::default() }
    }

    fn update(&mut self, record: Record<'_>) -> Result<(), Failure> {
        let Some(number) = self.number(&record) else { return Ok(()) };
        self.by.key(&record, &mut self.key);
        if let Some(every_ns) = self.every_ns {
            let from = record.time_unix_ns - record.time_unix_ns % every_ns;
            if self.stretch.0 != from {
                self.stretch = (from, format!(r#""time":"{}""#, time::text(from)));
            }
            let comma = if self.by.is_empty() { "" } else { "," };
            self.key.splice(..0, self.stretch.1.bytes().chain(comma.bytes()));
        }
        self.table.change(&self.key, |numbers| numbers.add(number))
    }

    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.table.partial())
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        self.table.merge(partial)
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        let mut groups = self.table.take();
        let is_timed = self.every_ns.is_some();
        // Times are of one length at the beginning of a key, so keys are in their order.
        groups.sort_unstable_by(|(a_key, a), (b_key, b)| {
            let by_count = b.count.cmp(&a.count).then_with(|| a_key.cmp(b_key));
            if is_timed { a_key.cmp(b_key) } else { by_count }
        });
        let mut answer = Answer::new();
        for (key, numbers) in groups {
            numbers.columns(Row::of(&key)).end(0, &mut answer)?;
        }
        Ok(answer)
    }
}

impl Stats {
    fn number(&mut self, record: &Record<'_>) -> Option<f64> {
        let value = record.value(&self.field)?;
        self.text.clear();
        value.write_text(&mut self.text);
        let number = match value.number() {
            Some(_) => std::str::from_utf8(&self.text).ok()?.parse().ok()?,
            None => time::seconds(&self.text)?,
        };
        // There are two zeros, and which one is the least would depend on the order.
        (-NUMBER_MAX..=NUMBER_MAX).contains(&number).then_some(number + 0.0)
    }
}

/// What is remembered of the numbers of a group. Sums of floats depend on their order; this one doesn't.
#[derive(Debug, Default)]
struct Numbers {
    count: u64,
    sum_billionths: i128,
    sketch: Sketch,
    // Without a meaning while there is none.
    min: f64,
    max: f64,
}

impl Numbers {
    fn add(&mut self, number: f64) {
        self.widen(number, number);
        self.count += 1;
        self.sum_billionths += (number * BILLIONTHS).round() as i128;
        self.sketch.add(number, 1);
    }

    fn widen(&mut self, min: f64, max: f64) {
        self.min = if self.count == 0 { min } else { self.min.min(min) };
        self.max = if self.count == 0 { max } else { self.max.max(max) };
    }

    fn columns(&self, row: Row) -> Row {
        let avg = self.sum_billionths as f64 / BILLIONTHS / self.count as f64;
        let row =
            row.count("count", self.count).number("min", self.min).number("max", self.max).number("avg", avg);
        [("p50", 50), ("p95", 95), ("p99", 99)].into_iter().fold(row, |row, (name, percent)| {
            let rank = (self.count * percent).div_ceil(100);
            row.number(name, four_digits(self.sketch.at_rank(rank)).clamp(self.min, self.max))
        })
    }
}

/// More digits of a percentile would say nothing.
fn four_digits(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

impl State for Numbers {
    fn merge(&mut self, other: Numbers) {
        self.widen(other.min, other.max);
        self.count += other.count;
        self.sum_billionths += other.sum_billionths;
        other.sketch.buckets().for_each(|(bucket, count)| self.sketch.add_to(bucket, count));
    }

    fn write(&self, to: Writer) -> Writer {
        let sum = self.sum_billionths as u128;
        let to = to.varint(self.count).u64(self.min.to_bits()).u64(self.max.to_bits());
        let to = to.u64(sum as u64).u64((sum >> 64) as u64).varint(self.sketch.buckets().count() as u64);
        self.sketch.buckets().fold(to, |to, (bucket, count)| to.u32(bucket as u32).varint(count))
    }

    fn read(from: &mut Reader<'_>) -> Result<Numbers, CursorError> {
        let (count, min, max) = (from.varint()?, f64::from_bits(from.u64()?), f64::from_bits(from.u64()?));
        if count == 0 || min.is_nan() || max.is_nan() || min > max {
            return Err(CursorError::Damaged(0));
        }
        let (low, high) = (u128::from(from.u64()?), u128::from(from.u64()?));
        let mut numbers = Numbers {
            count,
            min,
            max,
            sum_billionths: (high << 64 | low) as i128,
            sketch: Sketch::default(),
        };
        for _ in 0..from.varint()? {
            let bucket = from.u32()? as i32;
            numbers.sketch.add_to(bucket, from.varint()?);
        }
        Ok(numbers)
    }

    fn bytes(&self) -> usize {
        self.sketch.bytes()
    }
}

export_aggregate!(Stats);

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_sdk::testing::aggregate;

    #[test]
    fn numbers_are_summed_up_by_key() {
        let lines =
            ["p=/a ms=1", "p=/a ms=3.5", r#"{"p":"/b","ms":"-2"}"#, "p=/a ms=x", "p=/b", "ms=0.1 p=/b"];
        let stats = |params: &str| aggregate::<Stats>(params, &lines).unwrap();
        assert_eq!(
            stats(r#"{"field":"ms"}"#),
            [r#"{"count":4,"min":-2,"max":3.5,"avg":0.65,"p50":0.1001,"p95":3.5,"p99":3.5}"#]
        );
        let by = stats(r#"{"field":"ms","by":["p"]}"#);
        assert!(by[0].starts_with(r#"{"p":"/a","count":2,"min":1,"max":3.5,"avg":2.25,"#), "{by:?}");
        assert!(by[1].starts_with(r#"{"p":"/b","count":2,"min":-2,"max":0.1,"avg":-0.95,"#), "{by:?}");
        assert_eq!(stats(r#"{"field":"none"}"#), [""; 0]);
        let durations = aggregate::<Stats>(r#"{"field":"took"}"#, &["took=28ms", "took=1m2s"]).unwrap();
        assert!(
            durations[0].starts_with(r#"{"count":2,"min":0.028,"max":62,"avg":31.014,"#),
            "{durations:?}"
        );
    }

    #[test]
    fn stretches_of_time_have_rows_of_their_own_in_their_order() {
        let params = Params { field: "n".into(), by: vec!["p".into()], every: Some("5m".into()) };
        let mut stats = Stats::open(params).unwrap();
        for (minute, payload) in [(7, "n=1 p=a"), (1, "n=2 p=b"), (4, "n=4 p=b"), (12, "n=3"), (1, "n=9 p=a")]
        {
            let time_unix_ns = minute * 60_000_000_000;
            let record = Record { payload: payload.as_bytes(), time_unix_ns, ..Record::default() };
            stats.update(record).unwrap();
        }
        let answer = stats.finish().unwrap();
        let rows: Vec<String> = answer.rows().map(|row| String::from_utf8_lossy(row).into()).collect();
        for (row, begins) in rows.iter().zip([
            r#"{"time":"1970-01-01T00:00:00Z","p":"a","count":1,"#,
            r#"{"time":"1970-01-01T00:00:00Z","p":"b","count":2,"min":2,"max":4,"avg":3,"#,
            r#"{"time":"1970-01-01T00:05:00Z","p":"a","count":1,"#,
            r#"{"time":"1970-01-01T00:10:00Z","p":null,"count":1,"#,
        ]) {
            assert!(row.starts_with(begins), "{row}");
        }
        assert_eq!(rows.len(), 4);
        for every in ["5", "0s", "1.5s", "", "x"] {
            assert!(aggregate::<Stats>(&format!(r#"{{"field":"n","every":"{every}"}}"#), &[]).is_err());
        }
    }
}
