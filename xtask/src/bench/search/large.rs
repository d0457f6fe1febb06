//! A needle in a corpus that is twenty times as large: its cost is to grow with the segments, not with the bytes.
//!
//! The lines are made as they are sent, hence with new ids throughout; there is no plain file beside them that a
//! peer could search.

use anyhow::{Context as _, ensure};

use crate::bench::corpus::{self, Corpus};
use crate::bench::disk::megabytes;
use crate::bench::latency::milliseconds;
use crate::bench::search::ask;
use crate::bench::search::questions::{QUESTIONS, Question, Wanted};
use crate::bench::search::subject::Subject;
use crate::bench::search::timing::{Timed, timed};
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, usage};

/// What the target is about.
const GIB: u64 = 20;
const TARGET_MS: f64 = 20.0;
/// What is asked first when this part of it is there.
const FIRST_PART: u64 = 10;
/// What a gigabyte of lines needs on disk while segments are merged.
const DISK_SHARE: f64 = 0.6;

pub(in crate::bench) struct SearchLarge;

impl Figure for SearchLarge {
    fn name(&self) -> &'static str {
        "search-large"
    }

    /// It takes long, and many gigabytes of disk.
    fn is_usual(&self) -> bool {
        false
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let bytes = bench.corpus_bytes(GIB);
        let folder = bench.folder(self.name())?;
        let needed = (bytes as f64 * DISK_SHARE) as u64;
        let disk = rustix::fs::statvfs(&folder).context("ask for the room on the disk")?;
        let free = disk.f_bavail * disk.f_frsize;
        ensure!(
            free > needed,
            "{:.0} MB needed, {:.0} MB free: take less with --gib",
            megabytes(needed),
            megabytes(free)
        );

        let mut corpus = Corpus::new(corpus::SEED, bytes)?;
        let mut subject = Subject::start(bench, &folder)?;
        let first = part(&mut subject, &mut corpus, bytes / FIRST_PART)?;
        let whole = part(&mut subject, &mut corpus, u64::MAX)?;
        let anonymous = subject.memory.peak_bytes();
        subject.stop()?;
        Ok(rows(&first, &whole, anonymous))
    }
}

/// What was measured when a part of the corpus was there.
struct Part {
    bytes: u64,
    segments: usize,
    /// The times of the questions for a word, in their order.
    times: Vec<(&'static Question, Timed)>,
}

/// The questions that are answered by filters alone.
fn questions() -> impl Iterator<Item = &'static Question> {
    QUESTIONS.iter().filter(|question| question.wanted == Wanted::Lines && !question.is_scan())
}

/// Sends lines until there are so many bytes or no more lines, waits until the node has settled, and asks.
fn part(subject: &mut Subject, corpus: &mut Corpus, until: u64) -> anyhow::Result<Part> {
    subject.reconnect()?;
    let begun = subject.begin()?;
    let mut piece = Vec::new();
    while subject.bytes() < until {
        corpus.next_piece(&mut piece);
        if piece.is_empty() {
            break;
        }
        subject.post(&piece)?;
    }
    let taken = subject.settle(&begun)?;
    let segments = subject.segments()?.len();
    eprintln!(
        "search-large: {:.0} MB in {segments} segments; {:.0} s until stored, {:.0} s more to settle",
        megabytes(subject.bytes()),
        taken.seconds,
        taken.settling_seconds,
    );
    let is_whole = until == u64::MAX;
    let mut times = Vec::new();
    for question in questions() {
        subject.reconnect()?;
        let node = subject.node_id();
        let took = timed(
            || usage::cpu(node),
            || {
                let reply = ask::ask(&mut subject.client, question, "")?;
                let expected = question.lines.unwrap_or_default();
                // How much of what is planted is in a part is left open.
                ensure!(
                    reply.lines == expected || (!is_whole && reply.lines < expected),
                    "{} lines are found, there are {expected}",
                    reply.lines
                );
                Ok(Some(reply.server))
            },
        )
        .context(question.name)?;
        eprintln!(
            "search-large: {}: {:.2} (server {:.2}, processor {:.2})",
            question.name,
            milliseconds(took.wall),
            milliseconds(took.server),
            milliseconds(took.cpu),
        );
        times.push((question, took));
    }
    Ok(Part { bytes: subject.bytes(), segments, times })
}

/// What is measured with less than the target is about is carried on: what grows with the corpus is what it costs
/// to see that a word is absent; the lines that are found cost the same in any.
fn rows(first: &Part, whole: &Part, anonymous: u64) -> Vec<Row> {
    let row =
        |what, value, against, peer, goal| Row { figure: "search-large", what, value, against, peer, goal };
    let (before, after) = (first.absent_ms(), whole.absent_ms());
    let ms_per_byte = (after - before).max(0.0) / whole.bytes.saturating_sub(first.bytes).max(1) as f64;
    let more_ms = (GIB << 30).saturating_sub(whole.bytes) as f64 * ms_per_byte;
    let mut rows = Vec::new();
    for (question, took) in &whole.times {
        let carried = milliseconds(took.wall) + more_ms;
        rows.push(row(question.name, carried, "20 ms for 20 GiB", TARGET_MS, Goal::AtMost(1.0)));
    }
    let by_segments = before * whole.segments as f64 / first.segments as f64;
    rows.push(row("absent word, ms", after, "the first tenth, by segments, ms", by_segments, Goal::Shown));
    let mib = anonymous as f64 / f64::from(1 << 20);
    rows.push(row("peak memory (RssAnon), MiB", mib, "256 MiB", 256.0, Goal::AtMost(1.0)));
    rows
}

impl Part {
    fn absent_ms(&self) -> f64 {
        let absent = self.times.iter().find(|(question, _)| question.lines == Some(0));
        absent.map_or(0.0, |(_, took)| milliseconds(took.wall))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A part in which an absent word takes this long, and what is found 10 ms more.
    fn part_of(gib: u64, segments: usize, ms: u64) -> Part {
        let took = |question: &Question| {
            let found = if question.lines == Some(0) { 0 } else { 10 };
            Timed { wall: Duration::from_millis(ms + found), ..Timed::default() }
        };
        let times = questions().map(|question| (question, took(question))).collect();
        Part { bytes: gib << 30, segments, times }
    }

    #[test]
    fn what_is_measured_with_less_is_carried_to_the_size_of_the_target() {
        for (gib, needle, absent) in [(2, 31.0, 21.0), (20, 13.0, 3.0), (40, 13.0, 3.0)] {
            let rows = rows(&part_of(gib / 2, 2, 2), &part_of(gib, 3, 3), 0);
            let values = [rows[0].value, rows[1].value, rows[3].value, rows[3].peer];
            assert!((values[0] - needle).abs() < 1e-6, "{gib} GiB: {values:?}");
            assert!((values[1] - absent).abs() < 1e-6, "{gib} GiB: {values:?}");
            assert!(
                (values[2] - 3.0).abs() < 1e-6 && (values[3] - 3.0).abs() < 1e-6,
                "{gib} GiB: {values:?}"
            );
        }
    }

    #[test]
    fn only_words_are_asked_for() {
        assert_eq!(questions().count(), 3);
    }
}
