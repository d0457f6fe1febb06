//! A random life of files against what was written to them: nothing is lost, nothing comes twice, order is
//! kept within a file, whatever happens between two polls and wherever the source is opened again.
//!
//! What a careless writer destroys before anybody could have read it may be missing; it never comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use fastrand::Rng;
use weir_plugin_sdk::Budget;
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::testing::{Record, Run};

use crate::FileSource;
use crate::tests::Bench;

/// Seeds of a usual run, and of `WEIR_LONG`.
const SEEDS: u64 = 900;
const SEEDS_LONG: u64 = 200_000;
/// Lives that were once told wrong.
const SEEDS_FOUND: [u64; 3] = [927, 3757, 3942];
/// Steps of one life.
const STEPS: usize = 150;
/// Logs that are written to.
const LOGS: usize = 3;

/// Those without parts come last.
const CONFIGS: [&str; 6] = [
    r#"{"max_line_bytes": 64, "rotate_wait_ms": 0}"#,
    r#"{"max_line_bytes": 64, "rotate_wait_ms": 3000, "multiline": {"start": "^\\d"}}"#,
    r#"{"max_line_bytes": 64, "rotate_wait_ms": 0, "multiline": {"continuation": "^\\d+ \\d*[13579] "}, "flush_ms": 50}"#,
    r#"{"max_line_bytes": 64, "rotate_wait_ms": 100, "flush_tail_ms": 500}"#,
    r#"{"rotate_wait_ms": 500}"#,
    r#"{"rotate_wait_ms": 0, "multiline": {"start": "^\\d"}, "flush_ms": 300}"#,
];
const CONFIGS_WITH_PARTS: usize = 4;

/// What the node has stored, as it was with each cursor.
#[derive(Clone, Default)]
struct Stored {
    cursor: Option<Vec<u8>>,
    /// Finished lines, in order of arrival, and the record whose parts are arriving of each path.
    lines: Vec<Vec<u8>>,
    parts: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Stored {
    fn add(&mut self, record: &Record) {
        let path = record.label("path").unwrap().to_string();
        match record.part() {
            None => self.end(&record.payload),
            // After a truncation in the middle of a line, what was begun may go on behind what the new
            // contents begin: the line whose rest comes is the one that was left.
            Some("first") => self.parts.entry(path).or_default().push(record.payload.clone()),
            Some(part) => {
                // A file that is known again by its contents alone has the label of its own name.
                let log = path.split_inclusive(".log").next().unwrap();
                let begun = |known: &&String| **known == path || known.starts_with(log);
                let mut known: Vec<String> = self.parts.keys().filter(begun).cloned().collect();
                known.sort_by_key(|known| *known != path);
                let Some(mut whole) = known.iter().find_map(|known| self.parts.get_mut(known)?.pop()) else {
                    panic!("a part of {path} without its first")
                };
                whole.extend_from_slice(&record.payload);
                if part == "last" {
                    self.end(&whole);
                } else {
                    self.parts.entry(path).or_default().push(whole);
                }
            }
        }
    }

    fn end(&mut self, record: &[u8]) {
        self.lines.extend(record.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
}

struct Life {
    bench: Bench,
    random: Rng,
    config: &'static str,
    run: Option<Run<FileSource>>,
    stored: Vec<Stored>,
    /// Every line ever ended, by the log it was written to.
    written: Vec<Vec<Vec<u8>>>,
    /// The line that is being written, by log.
    unfinished: Vec<Vec<u8>>,
    /// Rotated files, not compressed.
    rotated: Vec<String>,
    rotations: usize,
    /// Lines that nobody could be sure to read.
    perhaps: BTreeSet<Vec<u8>>,
    careless: bool,
    history: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Life {
        let bench = Bench::new();
        let mut random = Rng::with_seed(seed);
        if random.bool() {
            bench.logs.reuse_inodes();
        }
        if random.u32(..4) == 0 {
            bench.logs.silence();
        }
        Life {
            bench,
            config: CONFIGS[random.usize(..CONFIGS.len())],
            random,
            run: None,
            stored: vec![Stored::default()],
            written: vec![Vec::new(); LOGS],
            unfinished: vec![Vec::new(); LOGS],
            rotated: Vec::new(),
            rotations: 0,
            perhaps: BTreeSet::new(),
            careless: false,
            history: Vec::new(),
        }
    }

    fn step(&mut self) {
        let log = self.random.usize(..LOGS);
        let path = format!("/l/{log}.log");
        match self.random.u32(..100) {
            0..40 => self.write(log, &path),
            40..46 => self.rename(log, &path),
            46..49 => self.truncate_when_read(log, &path),
            49..53 => self.copy_and_truncate(log, &path),
            53..56 => self.compress(),
            56..57 => self.destroy(log, &path),
            57..63 => {
                let ms = self.random.u32(..7000);
                self.note(format!("wait {ms}"));
                self.bench.world.advance_ms(ms);
            }
            63..93 => self.poll(),
            93..95 => self.stop(),
            95..97 => {
                self.note("die".into());
                self.run = None;
            }
            _ => {
                // The node dies before the last batches were stored.
                let lost = self.random.usize(..self.stored.len().min(4));
                self.note(format!("die with {lost} batches"));
                self.stored.truncate(self.stored.len() - lost);
                self.run = None;
            }
        }
    }

    fn note(&mut self, what: String) {
        self.history.push(what);
    }

    fn write(&mut self, log: usize, path: &str) {
        self.note(format!("write {path}"));
        for _ in 0..self.random.usize(..20) {
            let number = self.written[log].len();
            let filler =
                ["x", "\0", "\u{fffd}é", "\r", ""][self.random.usize(..5)].repeat(self.random.usize(..60));
            let indent = if self.random.u32(..3) == 0 { " " } else { "" };
            let text = format!("{indent}{log} {number} {filler}");
            self.append(log, path, text.as_bytes());
            self.end_line(log, path);
        }
        if self.random.bool() {
            let number = self.written[log].len();
            let half = format!("{log} {number} half {}", "y".repeat(self.random.usize(..200)));
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

    /// A line of which a part was read, and that goes on behind what came after it, is not told apart here.
    fn has_parts(&self) -> bool {
        CONFIGS[..CONFIGS_WITH_PARTS].contains(&self.config)
    }

    fn next_name(&mut self, path: &str) -> String {
        self.rotations += 1;
        format!("{path}.{}", self.rotations)
    }

    fn rename(&mut self, log: usize, path: &str) {
        if self.bench.logs.read(path).is_empty() {
            return;
        }
        let to = self.next_name(path);
        self.note(format!("rename {path} {to}"));
        self.end_line(log, path);
        self.bench.logs.rename(path, &to);
        self.rotated.push(to);
    }

    /// As a careful rotation does.
    fn truncate_when_read(&mut self, log: usize, path: &str) {
        if !self.bench.logs.read(path).is_empty() {
            self.note(format!("truncate {path}"));
            self.end_line(log, path);
            self.drain();
            // Stored for good: a cursor from before would point at what is no more.
            self.stored.drain(..self.stored.len() - 1);
            self.bench.logs.truncate(path, 0);
        }
    }

    /// As logrotate does, with a poll in between now and then.
    fn copy_and_truncate(&mut self, log: usize, path: &str) {
        if self.bench.logs.read(path).is_empty() || self.has_parts() {
            return;
        }
        let to = self.next_name(path);
        self.note(format!("copy {path} {to}, truncate"));
        self.end_line(log, path);
        if self.random.bool() {
            // In two pieces, so that the copy is seen while it is made.
            let whole = self.bench.logs.read(path);
            let (one, two) = whole.split_at(self.random.usize(..=whole.len()));
            self.bench.logs.append(&to, one);
            self.pass(true);
            self.bench.logs.append(&to, two);
        } else {
            self.bench.logs.copy(path, &to);
        }
        if self.random.bool() {
            self.pass(false);
        }
        self.bench.logs.truncate(path, 0);
        self.rotated.push(to);
    }

    /// Some time goes by; in the middle of copying no more than a copy takes.
    fn pass(&mut self, quick: bool) {
        if !quick {
            self.bench.world.advance_ms(self.random.u32(..7000));
        }
        self.poll();
    }

    fn compress(&mut self) {
        if self.rotated.is_empty() || self.has_parts() {
            return;
        }
        let from = self.rotated.remove(self.random.usize(..self.rotated.len()));
        let bytes = self.bench.logs.read(&from);
        let (packed, to) = if self.random.bool() {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            (encoder.finish().unwrap(), format!("{from}.gz"))
        } else {
            (zstd::encode_all(&*bytes, 1).unwrap(), format!("{from}.zst"))
        };
        self.note(format!("compress {from} {to}"));
        let (one, two) = packed.split_at(self.random.usize(..=packed.len()));
        self.bench.logs.append(&to, one);
        if self.random.bool() {
            self.pass(true);
        }
        self.bench.logs.append(&to, two);
        if self.random.bool() {
            self.pass(false);
        }
        self.bench.logs.remove(&from);
    }

    /// Deletes or overwrites what may not have been read.
    fn destroy(&mut self, log: usize, path: &str) {
        let bytes = self.bench.logs.read(path);
        if bytes.is_empty() || self.has_parts() {
            return;
        }
        self.end_line(log, path);
        self.careless = true;
        let bytes = self.bench.logs.read(path);
        let safe: BTreeSet<&Vec<u8>> = self.stored[0].lines.iter().collect();
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        self.perhaps.extend(lines.filter(|line| !safe.contains(line)));
        if self.random.bool() {
            self.note(format!("delete {path}"));
            self.bench.logs.remove(path);
        } else {
            self.note(format!("overwrite {path}"));
            self.bench.logs.truncate(path, 0);
        }
    }

    fn opened(&mut self) -> Run<FileSource> {
        let cursor = self.stored.last().unwrap().cursor.clone();
        let run = self.run.take();
        run.unwrap_or_else(|| self.bench.open(self.config, cursor))
    }

    fn poll(&mut self) {
        let mut run = self.opened();
        let records = if self.random.u32(..10) == 0 { 1 + self.random.usize(..5) } else { 1000 };
        run.set_budget(Budget { records, bytes: RECORD_BYTES_MAX, wait_ms: self.random.u32(..1000) });
        let records = run.step().unwrap();
        self.note(format!("poll: {}", records.len()));
        self.store(&records, run.cursor());
        self.run = Some(run);
    }

    fn stop(&mut self) {
        self.note("stop".into());
        if let Some(run) = self.run.take() {
            let (records, cursor) = run.close();
            self.store(&records, cursor);
        }
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
        for _ in 0..6 {
            self.bench.world.advance_ms(crate::SCAN_MS as u32);
            let records = run.drain().unwrap();
            self.store(&records, run.cursor());
        }
        self.run = Some(run);
    }

    fn check(&mut self, seed: u64) {
        for log in 0..LOGS {
            self.end_line(log, &format!("/l/{log}.log"));
        }
        self.drain();
        let stored = self.stored.last().unwrap();
        let mut times: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
        self.written.iter().flatten().for_each(|line| times.entry(line).or_default().0 += 1);
        stored.lines.iter().for_each(|line| times.entry(line).or_default().1 += 1);
        for (line, (written, read)) in times {
            // Where the rest of one line was destroyed, that of another may have been taken for it.
            let is_begun = || stored.parts.values().flatten().any(|begun| line.starts_with(begun));
            let may_miss = self.perhaps.contains(line) || self.careless && (line.is_empty() || is_begun());
            let cut_off = self.careless && self.perhaps.iter().any(|whole| whole.starts_with(line));
            assert!(
                read == written || read < written && may_miss || written == 0 && cut_off || line.is_empty(),
                "seed {seed}: {:?} was written {written} times and read {read} times\n{}",
                String::from_utf8_lossy(line),
                self.history.join("\n")
            );
        }
        let left = stored.parts.values().flatten().count();
        assert!(left == 0 || self.careless, "seed {seed}: a line without its last part");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_in_a_random_life() {
    let seeds: Vec<u64> = match std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None if std::env::var_os("WEIR_LONG").is_some() => (0..SEEDS_LONG).collect(),
        None => (0..SEEDS).chain(SEEDS_FOUND).collect(),
    };
    for seed in seeds {
        let mut life = Life::new(seed);
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                life.step();
            }
            life.check(seed);
        }));
        if let Err(panic) = lived {
            eprintln!("seed {seed}; to see it alone: WEIR_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
