//! The search engine: what it takes to take a corpus, what becomes of it on disk, and how soon questions are
//! answered; beside ripgrep on the plain file, and VictoriaLogs as it was measured with a corpus of the same kind.
//!
//! Every answer is compared with what the file holds: a wrong one ends the figure.

mod ask;
mod details;
mod grep;
mod large;
mod memory;
mod pattern;
mod peers;
mod pieces;
mod questions;
mod reply;
mod subject;
mod timing;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use self::details::Detail;
use self::pattern::Pattern;
use self::questions::{QUESTIONS, Question, Target, Wanted};
use self::subject::{Subject, Taken};
use self::timing::{Timed, timed};
use crate::bench::corpus::{self, Corpus};
use crate::bench::disk::megabytes;
use crate::bench::latency::milliseconds;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, usage};
use crate::setup;

pub(super) use self::large::SearchLarge;

pub(super) struct Search;

impl Figure for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        setup::ensure(&grep::PACKAGES)?;
        let folder = bench.folder(self.name())?;
        let file = folder.join("corpus.log");
        let bytes = bench.corpus_bytes(1);
        let corpus = Corpus::new(corpus::SEED, bytes)?;
        corpus.write(&mut File::create(&file).context("create the corpus")?).context("write the corpus")?;

        let mut subject = Subject::start(bench, &folder)?;
        let (rate, mut rows) = ingest(&mut subject, &file)?;
        let mut measured =
            Measured { file, segments: subject.segments()?, rows: Vec::new(), details: Vec::new() };
        for question in &QUESTIONS {
            measured.ask(&mut subject, question).with_context(|| question.name)?;
        }
        measured.export(&mut subject)?;
        let anonymous = subject.memory.peak_bytes();
        measured.rows.push(memory_row("peak memory of questions (RssAnon), MiB", anonymous));
        eprintln!("search: with pages of files at most {} MiB (VmHWM)", subject.rss_bytes_peak()? >> 20);
        let (_, slice_lines) = subject.newest_twelfth()?;
        let (bytes, lines) = (subject.bytes(), subject.lines());
        // Before the peers: they are not to share the machine with it.
        subject.stop()?;
        let Measured { file, details, .. } = &measured;
        let weir = peers::Weir { file, bytes, lines, slice_lines, rate, details };
        measured.rows.extend(peers::measure(&bench.peers, &weir)?);
        rows.append(&mut measured.rows);
        println!("{}", details::print(&measured.details));
        Ok(rows)
    }
}

fn row(what: &'static str, value: f64, against: &'static str, peer: f64, goal: Goal) -> Row {
    Row { figure: "search", what, value, against, peer, goal }
}

fn memory_row(what: &'static str, bytes: u64) -> Row {
    row(what, bytes as f64 / f64::from(1 << 20), "256 MiB", 256.0, Goal::AtMost(1.0))
}

/// Processor time of VictoriaLogs for a gigabyte, and that of `zstd -1` for the same on the same machine.
const VICTORIALOGS_CPU_PER_GB: f64 = 22.0;
const ZSTD_CPU_PER_GB_THEN: f64 = 3.08;
/// What VictoriaLogs needed on disk, as a share of the lines.
const VICTORIALOGS_SHARE: f64 = 0.2666;

/// Sends the file and waits until the node has settled. Returns the MB/s of it as well.
fn ingest(subject: &mut Subject, file: &Path) -> anyhow::Result<(f64, Vec<Row>)> {
    let begun = subject.begin()?;
    let lines = File::open(file).context("open the corpus")?;
    pieces::each(lines, |lines| subject.post(lines))?;
    let Taken { seconds, cpu_seconds, settling_seconds } = subject.settle(&begun)?;
    let anonymous = subject.memory.peak_bytes();
    let bytes = subject.bytes();
    let gigabytes = megabytes(bytes) / 1e3;
    let share = subject.disk_bytes()? as f64 / bytes as f64;
    eprintln!(
        "search: {} lines, {bytes} bytes; {seconds:.1} s until stored, {settling_seconds:.1} s more to settle; \
         {} segments",
        subject.lines(),
        subject.segments()?.len(),
    );
    let (fast_bytes, fast_seconds) = grep::packed(file, 1)?;
    let (usual_bytes, _) = grep::packed(file, 3)?;
    let victorialogs = VICTORIALOGS_CPU_PER_GB * fast_seconds / gigabytes / ZSTD_CPU_PER_GB_THEN;
    let (rate, cpu) = (megabytes(bytes) / seconds, cpu_seconds / gigabytes);
    let at_most = Goal::AtMost(1.0);
    let rows = vec![
        row("ingest, MB/s", rate, "120 MB/s", 120.0, Goal::AtLeast(1.0)),
        row("ingest until settled, CPU s per GB", cpu, "9 s", 9.0, at_most),
        row("ingest until settled, CPU s per GB", cpu, "zstd -1", fast_seconds / gigabytes, Goal::Shown),
        row(
            "ingest until settled, CPU s per GB",
            cpu,
            "VictoriaLogs, by zstd -1 in both",
            victorialogs,
            at_most,
        ),
        row("bytes on disk of raw", share, "0.245", 0.245, at_most),
        row("bytes on disk of raw", share, "VictoriaLogs", VICTORIALOGS_SHARE, at_most),
        row("bytes on disk of raw", share, "zstd -1", fast_bytes as f64 / bytes as f64, Goal::Shown),
        row("bytes on disk of raw", share, "zstd -3", usual_bytes as f64 / bytes as f64, Goal::Shown),
        memory_row("peak memory of ingest (RssAnon), MiB", anonymous),
    ];
    Ok((rate, rows))
}

/// What has been asked so far.
struct Measured {
    file: PathBuf,
    segments: Vec<PathBuf>,
    rows: Vec<Row>,
    details: Vec<Detail>,
}

impl Measured {
    /// Puts one question to the peers, then to weir.
    fn ask(&mut self, subject: &mut Subject, question: &'static Question) -> anyhow::Result<()> {
        let (slice, slice_lines) = subject.newest_twelfth()?;
        let slice = slice.to_owned();
        let mut newest = None;
        let (lines, rg) = match question.wanted {
            Wanted::Newest(limit) => {
                let (text, rg) = grep::newest(question, &self.file)?;
                newest = Some(text);
                (u64::from(limit), Some(rg))
            }
            Wanted::CountOfSlice => {
                let (lines, rg) = grep::count_newest(question.pattern, &self.file, slice_lines)?;
                (lines, Some(rg))
            }
            // Nobody has to search for that.
            _ if question.pattern == Pattern::All => (subject.lines(), None),
            _ => {
                let (lines, rg) = grep::count(question.pattern, &self.file)?;
                (lines, Some(rg))
            }
        };
        if let Some(known) = question.lines {
            ensure!(lines == known, "the corpus has {lines} lines, not {known}");
        }
        let decoded = if question.is_decoded {
            let (found, decoded) = grep::count_decoded(question.pattern, &self.segments)?;
            ensure!(found == lines, "the segments have {found} of {lines} lines");
            Some(decoded)
        } else {
            None
        };

        subject.reconnect()?;
        let node = subject.node_id();
        let weir = timed(
            || usage::cpu(node),
            || {
                let reply = ask::ask(&mut subject.client, question, &slice)?;
                ensure!(reply.lines == lines, "{} lines are found, there are {lines}", reply.lines);
                Ok(Some(reply.server))
            },
        )?;
        if let Some(newest) = newest {
            let mut found = ask::ask(&mut subject.client, question, &slice)?.text;
            found.truncate(found.trim_end().len());
            let is_same = found.lines().eq(newest.lines()) || found.lines().rev().eq(newest.lines());
            ensure!(is_same, "the newest lines are others");
        }
        self.rows.extend(held_against(question, weir, rg));
        let victorialogs_ms = question.victorialogs_here(rg);
        self.details.push(Detail { question: question.name, lines, weir, rg, decoded, victorialogs_ms });
        Ok(())
    }

    /// Everything as text.
    fn export(&mut self, subject: &mut Subject) -> anyhow::Result<()> {
        subject.reconnect()?;
        ask::export_is(&mut subject.client, &self.file).context("export")?;
        let (node, bytes) = (subject.node_id(), subject.bytes());
        let weir = timed(|| usage::cpu(node), || Ok(Some(ask::export(&mut subject.client, bytes)?)))?;
        let decode = grep::decode(&self.segments)?;
        let rate = |timed: Timed| megabytes(bytes) / timed.wall.as_secs_f64();
        let name = "export of everything, MB/s";
        self.rows.push(row(name, rate(weir), "700 MB/s", 700.0, Goal::AtLeast(1.0)));
        self.rows.push(row(name, rate(weir), "zstdcat, MB/s", rate(decode), Goal::Shown));
        let question = "export of everything (beside zstdcat alone)";
        self.details.push(Detail {
            question,
            lines: subject.lines(),
            weir,
            rg: None,
            decoded: Some(decode),
            victorialogs_ms: None,
        });
        Ok(())
    }
}

/// The rows of one question. What is held against the goals is the time in the client, which has the server's in
/// it.
fn held_against(question: &Question, weir: Timed, rg: Option<Timed>) -> Vec<Row> {
    let rows = question.targets.iter().filter_map(|target| {
        let (against, peer, goal) = match *target {
            Target::Ms(text, ms) => (text, ms, 1.0),
            Target::OfRg(share) => ("rg on the file, ms", milliseconds(rg?.wall), share),
            Target::OfVictoriaLogs(share) => {
                ("VictoriaLogs, by rg in both, ms", question.victorialogs_here(rg)?, share)
            }
        };
        Some(row(question.name, milliseconds(weir.wall), against, peer, Goal::AtMost(goal)))
    });
    rows.collect()
}
