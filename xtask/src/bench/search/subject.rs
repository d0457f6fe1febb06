//! The node that is measured, and the records in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::bench::http::{Client, metric};
use crate::bench::search::memory::Memory;
use crate::bench::search::reply;
use crate::bench::{Bench, usage};
use crate::node::{self, Node, free_port};

/// How long the node may take to settle after the last record.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two looks at it; each costs it some processor time, and that is counted.
const LOOK: Duration = Duration::from_millis(500);
/// For how long nothing may happen before it counts as idle: longer than it pauses between two looks for something
/// to merge.
const IDLE: Duration = Duration::from_secs(7);
/// What it may use of a processor while it is idle, looks at it included.
const IDLE_SHARE: f64 = 0.03;

/// One node with all roles.
pub(super) struct Subject {
    pub(super) client: Client,
    pub(super) memory: Memory,
    node: Node,
    data: PathBuf,
    /// The id of the first record of each batch, and how many lines came before it.
    batches: Vec<(String, u64)>,
    lines: u64,
    bytes: u64,
}

/// What it took to take everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// From the first byte sent until the last record is stored.
    pub(super) seconds: f64,
    /// Processor time until the node is idle again.
    pub(super) cpu_seconds: f64,
    /// From the last record stored until then, the time of watching it be idle included.
    pub(super) settling_seconds: f64,
}

/// When and with what use it began.
pub(super) struct Begun {
    at: Instant,
    cpu: Duration,
}

impl Subject {
    pub(super) fn start(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<Self> {
        let node = Node::start(&bench.weir, folder, free_port(7650)?, "")?;
        Ok(Self {
            client: Client::connect(node.address)?,
            memory: Memory::watch(node.process.id()),
            data: folder.join("data"),
            node,
            batches: Vec::new(),
            lines: 0,
            bytes: 0,
        })
    }

    /// Connects anew: the node hangs up on a client that says nothing while its peers are measured.
    pub(super) fn reconnect(&mut self) -> anyhow::Result<()> {
        self.client = Client::connect(self.node.address)?;
        Ok(())
    }

    pub(super) fn begin(&self) -> anyhow::Result<Begun> {
        Ok(Begun { cpu: self.cpu()?, at: Instant::now() })
    }

    /// Sends whole lines and waits until they are stored.
    pub(super) fn post(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        let answer = self.client.post("/api/v1/ingest?topic=bench&durability=stored", lines)?;
        let records = reply::number(&answer, "records").context("the node does not say what it stored")?;
        let first =
            reply::text(&answer, "first").context("the node does not say what it called the first")?;
        self.batches.push((first.to_owned(), self.lines));
        self.lines += records;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Waits until the store has everything and nothing is left to merge.
    pub(super) fn settle(&mut self, begun: &Begun) -> anyhow::Result<Taken> {
        let stored = Instant::now();
        let mut at_rest: Option<(Instant, Duration, f64)> = None;
        loop {
            if let Some(status) = self.node.process.ended() {
                bail!("the node ended ({status}):\n{}", self.node.last_words());
            }
            if stored.elapsed() > PATIENCE {
                bail!("the node is not idle after {PATIENCE:?}:\n{}", self.node.last_words());
            }
            let (_, metrics) = node::get(self.node.address, "/metrics")?;
            let waiting = ["weir_ingest_log_records", "weir_backlog_origins", "weir_commit_queue_entries"];
            let is_handed_over = waiting.iter().all(|name| metric(&metrics, name, &[]) == 0.0);
            let merged = metric(&metrics, "weir_store_compacted_bytes", &[]);
            let cpu = self.cpu()?;
            match at_rest {
                Some((since, before, had_merged))
                    if is_handed_over
                        && (merged - had_merged).abs() < 1.0
                        && cpu.saturating_sub(before).as_secs_f64() <= IDLE_SHARE * IDLE.as_secs_f64() =>
                {
                    if since.elapsed() >= IDLE {
                        break;
                    }
                }
                _ => at_rest = is_handed_over.then_some((Instant::now(), cpu, merged)),
            }
            std::thread::sleep(LOOK);
        }
        Ok(Taken {
            seconds: stored.duration_since(begun.at).as_secs_f64(),
            cpu_seconds: self.cpu()?.saturating_sub(begun.cpu).as_secs_f64(),
            settling_seconds: stored.elapsed().as_secs_f64(),
        })
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Bytes that were sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of its process.
    pub(super) fn node_id(&self) -> u32 {
        self.node.process.id()
    }

    /// Processor time that the node has used so far.
    fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(self.node.process.id())
    }

    /// The most that it has held in memory so far, pages of files included.
    pub(super) fn rss_bytes_peak(&self) -> anyhow::Result<u64> {
        usage::rss_bytes_peak(self.node.process.id())
    }

    /// The first record of the newest twelfth, and how many lines begin with it. In a batch all records have the
    /// same time: it begins with one.
    pub(super) fn newest_twelfth(&self) -> anyhow::Result<(&str, u64)> {
        let begin = self.lines * 11 / 12;
        let (first, before) =
            self.batches.iter().find(|(_, before)| *before >= begin).context("too few batches")?;
        Ok((first, self.lines - before))
    }

    /// Everything in the data folder, as the disk counts it.
    pub(super) fn disk_bytes(&self) -> anyhow::Result<u64> {
        disk_bytes(&self.data)
    }

    /// The files that hold the records.
    pub(super) fn segments(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(self.data.join("store")).context("list the segments")? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "zst") {
                segments.push(path);
            }
        }
        ensure!(!segments.is_empty(), "the node has stored no segment");
        segments.sort();
        Ok(segments)
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.node.process.stop()
    }
}

fn disk_bytes(path: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    /// Of what the system calls a block, whatever the blocks of the disk are.
    const BLOCK_BYTES: u64 = 512;
    let metadata = path.symlink_metadata().with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.blocks() * BLOCK_BYTES);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))?;
    entries.map(|entry| disk_bytes(&entry?.path())).sum()
}
