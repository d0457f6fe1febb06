//! A random life of files against what was written to them: nothing is lost, nothing comes twice, order is
//! kept within a file, whatever happens between two polls and wherever the source is opened again.

use std::collections::BTreeMap;

use fastrand::Rng;
use weir_plugin_sdk::Budget;
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::testing::{Record, Run};

use crate::FileSource;
use crate::tests::Bench;

const CONFIG: &str = r#"{"max_line_bytes": 64, "rotate_wait_ms": 0}"#;

/// What the node has stored, as it was with each cursor.
#[derive(Clone, Default)]
struct Stored {
    cursor: Option<Vec<u8>>,
    /// Finished lines, in order of arrival, and the line whose parts are arriving of each path.
    lines: Vec<Vec<u8>>,
    parts: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    fn add(&mut self, record: &Record) {
        let path = record.label("path").unwrap().to_string();
        match record.part() {
            None => self.lines.push(record.payload.clone()),
            Some("first") => assert!(self.parts.insert(path, record.payload.clone()).is_none()),
            Some(part) => {
                // A file that was renamed has another label when the source is opened again.
                let log = path.split_inclusive(".log").next().unwrap();
                let other = || self.parts.keys().find(|other| other.starts_with(log)).cloned();
                let begun = if self.parts.contains_key(&path) { Some(path.clone()) } else { other() };
                let mut line =
                    begun.and_then(|path| self.parts.remove(&path)).expect("a part without its first");
                line.extend_from_slice(&record.payload);
                if part == "last" {
                    self.lines.push(line);
                } else {
                    self.parts.insert(path, line);
                }
            }
        }
    }
}

struct Life {
    bench: Bench,
    random: Rng,
    run: Option<Run<FileSource>>,
    stored: Vec<Stored>,
    /// Every line ever ended, by the log it was written to.
    written: Vec<Vec<Vec<u8>>>,
    /// The line that is being written, by log.
    unfinished: Vec<Vec<u8>>,
    rotations: usize,
}

impl Life {
    fn new(seed: u64) -> Life {
        let bench = Bench::new();
        let random = Rng::with_seed(seed);
        Life {
            bench,
            random,
            run: None,
            stored: vec![Stored::default()],
            written: vec![Vec::new(); 3],
            unfinished: vec![Vec::new(); 3],
            rotations: 0,
        }
    }

    fn step(&mut self) {
        let log = self.random.usize(..3);
        let path = format!("/l/{log}.log");
        match self.random.u32(..100) {
            0..45 => self.write(log, &path),
            45..52 => {
                // The file keeps matching, so that it can be found after a restart too.
                self.rotations += 1;
                if !self.bench.logs.read(&path).is_empty() {
                    self.end_line(log, &path);
                    self.bench.logs.rename(&path, &format!("{path}.{}", self.rotations));
                }
            }
            52..56 => self.truncate(log, &path),
            56..62 => self.bench.world.advance_ms(self.random.u32(..7000)),
            62..93 => self.poll(),
            93..97 => self.run = None,
            _ => {
                // The node dies before the last batches were stored.
                let lost = self.random.usize(..self.stored.len().min(4));
                self.stored.truncate(self.stored.len() - lost);
                self.run = None;
            }
        }
    }

    fn write(&mut self, log: usize, path: &str) {
        for _ in 0..self.random.usize(..20) {
            let number = self.written[log].len();
            let filler =
                ["x", "\0", "\u{fffd}é", "\r", ""][self.random.usize(..5)].repeat(self.random.usize(..60));
            let text = format!("{log} {number} {filler}");
            self.append(log, path, text.as_bytes());
            self.end_line(log, path);
        }
        if self.random.bool() {
            let half = format!("{log} half {}", "y".repeat(self.random.usize(..200)));
            self.append(log, path, half.as_bytes());
        }
    }

    fn append(&mut self, log: usize, path: &str, bytes: &[u8]) {
        self.bench.logs.append(path, bytes);
        self.unfinished[log].extend_from_slice(bytes);
    }

    fn end_line(&mut self, log: usize, path: &str) {
        self.bench.logs.append(path, b"\n");
        self.written[log].push(std::mem::take(&mut self.unfinished[log]));
    }

    /// As a careful rotation does: when all was read. What is written between reading and truncating is lost
    /// with every reader there can be.
    fn truncate(&mut self, log: usize, path: &str) {
        if !self.bench.logs.read(path).is_empty() {
            self.end_line(log, path);
            self.drain();
            // Stored for good: a cursor from before would point at what is no more.
            self.stored.drain(..self.stored.len() - 1);
            self.bench.logs.truncate(path, 0);
        }
    }

    fn opened(&mut self) -> Run<FileSource> {
        let cursor = self.stored.last().unwrap().cursor.clone();
        let run = self.run.take();
        run.unwrap_or_else(|| self.bench.open(CONFIG, cursor))
    }

    fn poll(&mut self) {
        let mut run = self.opened();
        let records = if self.random.u32(..10) == 0 { 1 + self.random.usize(..5) } else { 1000 };
        run.set_budget(Budget { records, bytes: RECORD_BYTES_MAX, wait_ms: self.random.u32(..1000) });
        let records = run.step().unwrap();
        self.store(&records, run.cursor());
        self.run = Some(run);
    }

    fn store(&mut self, records: &[Record], cursor: Option<Vec<u8>>) {
        let mut next = self.stored.last().unwrap().clone();
        for record in records {
            next.add(record);
        }
        next.cursor = cursor;
        self.stored.push(next);
        if self.stored.len() > 16 {
            self.stored.remove(0);
        }
    }

    fn drain(&mut self) {
        let mut run = self.opened();
        for _ in 0..3 {
            self.bench.world.advance_ms(crate::SCAN_MS as u32);
            let records = run.drain().unwrap();
            self.store(&records, run.cursor());
        }
        self.run = Some(run);
    }

    fn check(&mut self, seed: u64) {
        for log in 0..3 {
            self.end_line(log, &format!("/l/{log}.log"));
        }
        self.drain();
        let stored = self.stored.last().unwrap();
        let mut lines = stored.lines.clone();
        let mut written = self.written.concat();
        lines.sort();
        written.sort();
        let show = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
        for (got, expected) in lines.iter().zip(&written) {
            assert_eq!(show(got), show(expected), "seed {seed}: first difference");
        }
        assert_eq!(lines.len(), written.len(), "seed {seed}");
        assert!(stored.parts.is_empty(), "seed {seed}: a line without its last part");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_in_a_random_life() {
    for seed in 0..400 {
        let mut life = Life::new(seed);
        for _ in 0..200 {
            life.step();
        }
        life.check(seed);
    }
}
