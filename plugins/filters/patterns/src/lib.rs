//! `| patterns`: which kinds of line there are, how many of each, and one example.
//!
//! Two lines are of one kind when they are the same once what may vary is masked, as `kind` says. So a kind depends on its
//! line alone, and neither the cut of the records between nodes nor their order changes an answer. Words that look as if
//! they did not vary and do, names for instance, are found at the end, when all kinds are known.

mod kind;
mod words;

use weir_plugin_sdk::cursor::{CursorError, Reader, Writer};
use weir_plugin_sdk::group::{Row, State, Table};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Aggregate, Answer, Failure, Hints, Info, Record, export_aggregate, mask};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "n": {
            "type": "integer", "minimum": 1, "maximum": 1000, "default": 100,
            "description": "how many kinds, the most frequent first"
        }
    },
    "x-args": { "positional": ["n"] }
}"#;

/// Kinds that are told apart. With more, lines are compared by their beginnings alone.
const KINDS_MAX: usize = 4096;
/// What tells the kind of a line, and what is shown of it.
const LINE_BYTES_MAX: usize = 1024;
/// How many words of a line count, the more kinds there are the fewer. With none all lines are of one kind.
const WORDS: [usize; 11] = [usize::MAX, 32, 24, 16, 12, 8, 6, 4, 2, 1, 0];

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    #[serde(default = "hundred")]
    n: usize,
}

fn hundred() -> usize {
    100
}

/// The aggregate.
#[derive(Debug)]
pub struct Patterns {
    n: usize,
    /// Index into [`WORDS`]. It grows only when there would be too many kinds whatever the order, so it is the same for
    /// the same records.
    level: usize,
    kind: Vec<u8>,
    table: Table<Lines>,
}

impl Aggregate for Patterns {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { n }: Params) -> Result<Patterns, Failure> {
        Ok(Patterns { n, level: 0, kind: Vec::new(), table: Table::new() })
    }

    fn hints(&self) -> Hints {
        Hints::default()
    }

    fn update(&mut self, record: Record<'_>) -> Result<(), Failure> {
        let line = &record.payload[..record.payload.len().min(LINE_BYTES_MAX)];
        kind::write(line, &mut self.kind);
        self.kind.truncate(LINE_BYTES_MAX);
        coarsen(&mut self.kind, WORDS[self.level]);
        self.table.change(&self.kind, |lines| lines.add(1, line))?;
        self.keep_to_bounds()
    }

    fn partial(&mut self) -> Result<Vec<u8>, Failure> {
        let level = std::mem::take(&mut self.level);
        Ok([&[level as u8], self.table.partial().as_slice()].concat())
    }

    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure> {
        let (level, partial) = partial.split_first().unwrap_or((&u8::MAX, &[]));
        let level = usize::from(*level);
        if level >= WORDS.len() {
            return Err(Failure::fatal("patterns.partial", "this is no state of patterns"));
        }
        let mut other = Table::new();
        other.merge(partial)?;
        if level > self.level {
            self.coarsen_to(level)?;
        }
        for (kind, lines) in other.take() {
            self.add(kind, lines)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Answer, Failure> {
        let mut kinds = words::masked(self.table.take());
        let all: u64 = kinds.iter().map(|(_, lines)| lines.count).sum();
        kinds.sort_unstable_by(|(a_kind, a), (b_kind, b)| {
            b.count.cmp(&a.count).then_with(|| a_kind.cmp(b_kind))
        });
        let mut answer = Answer::new();
        for (kind, Lines { count, example }) in kinds.into_iter().take(self.n) {
            let share_percent = (count as f64 / all as f64 * 10_000.0).round() / 100.0;
            let row = Row::of(b"").text("pattern", &kind).count("count", count);
            row.number("share_percent", share_percent).text("example", &example).end(0, &mut answer)?;
        }
        Ok(answer)
    }
}

impl Patterns {
    fn add(&mut self, mut kind: Vec<u8>, lines: Lines) -> Result<(), Failure> {
        coarsen(&mut kind, WORDS[self.level]);
        self.table.change(&kind, |known| known.merge(lines))?;
        self.keep_to_bounds()
    }

    fn keep_to_bounds(&mut self) -> Result<(), Failure> {
        if self.table.len() > KINDS_MAX { self.coarsen_to(self.level + 1) } else { Ok(()) }
    }

    fn coarsen_to(&mut self, level: usize) -> Result<(), Failure> {
        self.level = level;
        self.table.take().into_iter().try_for_each(|(kind, lines)| self.add(kind, lines))
    }
}

/// Leaves so many words, which blanks and commas end, and a mark for the others. Doing it with fewer and fewer comes to the
/// same as doing it with the fewest.
fn coarsen(kind: &mut Vec<u8>, words: usize) {
    if words == usize::MAX {
        return;
    }
    let mut ends =
        kind.iter().enumerate().filter(|(_, byte)| matches!(byte, b' ' | b',')).map(|(at, _)| at + 1);
    let end = if words == 0 { Some(0) } else { ends.nth(words - 1) };
    if let Some(end) = end {
        kind.truncate(end);
        kind.extend_from_slice(mask::MARK);
    }
}

/// The lines of a kind.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    /// The first by its bytes, which is the same in every order.
    example: Vec<u8>,
}

impl Lines {
    fn add(&mut self, count: u64, line: &[u8]) {
        if self.count == 0 || line < self.example.as_slice() {
            self.example.clear();
            self.example.extend_from_slice(line);
        }
        self.count += count;
    }
}

impl State for Lines {
    fn merge(&mut self, other: Lines) {
        self.add(other.count, &other.example);
    }

    fn write(&self, to: Writer) -> Writer {
        to.varint(self.count).bytes(&self.example)
    }

    fn read(from: &mut Reader<'_>) -> Result<Lines, CursorError> {
        Ok(Lines { count: from.varint()?, example: from.bytes()?.to_vec() })
    }

    fn bytes(&self) -> usize {
        self.example.len()
    }
}

export_aggregate!(Patterns);

#[cfg(test)]
mod tests;
