//! One gigabyte in a file, through the file source's wasm, until it is `stored`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::bench::http::metric;
use crate::bench::http_ingest::text;
use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, disk, usage};
use crate::node::{self, Node, free_port};

const FILE_CHUNKS: usize = 1 << 10;
const CHUNK_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks at the metrics; small against a run of several seconds.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct FileSource;

impl Figure for FileSource {
    fn name(&self) -> &'static str {
        "file-source"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let chunk = text(CHUNK_BYTES);
        let file = folder.join("big.log");
        let config = node::file_source("bench", &file);
        let port = free_port(7650)?;
        // The first start compiles the plugin; the figure is about what comes after.
        Node::start(&bench.weir, &folder, port, &config)?.process.stop()?;

        let chunks = bench.amount(FILE_CHUNKS);
        let records = fill(&file, &chunk, chunks)?;
        let peer = disk::synced_writes(&folder, &chunk, bench.amount(256))?;
        let started = Instant::now();
        let mut node = Node::start(&bench.weir, &folder, port, &config)?;
        let metrics = wait_for(&mut node, records)?;
        // Counted from the process's start: what the source read before ready counts as well.
        let rate = disk::megabytes((chunks * CHUNK_BYTES) as u64) / started.elapsed().as_secs_f64();
        let cpu = usage::cpu(node.process.id())?.as_secs_f64();
        let wasm = metric(&metrics, "weir_plugin_seconds_total", &[]);
        node.process.stop()?;
        let row = |what, value, against, peer, goal| Row {
            figure: "file-source",
            what,
            value,
            against,
            peer,
            goal,
        };
        Ok(vec![
            row("stored, MB/s", rate, "150 MB/s", 150.0, Goal::AtLeast(1.0)),
            row("stored, MB/s", rate, "write + fdatasync of 1 MiB", peer, Goal::AtLeast(0.5)),
            row("in plugin calls with copies, s", wasm, "CPU time of the node, s", cpu, Goal::AtMost(0.25)),
        ])
    }
}

/// Writes the file, makes sure that it is on disk, and counts its lines.
fn fill(path: &Path, chunk: &[u8], chunks: usize) -> anyhow::Result<u64> {
    let mut file = BufWriter::new(File::create(path).with_context(|| format!("create {}", path.display()))?);
    for _ in 0..chunks {
        file.write_all(chunk)?;
    }
    file.into_inner()?.sync_all()?;
    Ok((chunks * (chunk.split(|byte| *byte == b'\n').count() - 1)) as u64)
}

/// Waits until the node has stored `records`; returns the metrics of that moment.
pub(super) fn wait_for(node: &mut Node, records: u64) -> anyhow::Result<String> {
    let started = Instant::now();
    loop {
        let (_, metrics) = node::get(node.address, "/metrics")?;
        let stored = metric(&metrics, "weir_records_in_total", &[]);
        if stored >= records as f64 {
            return Ok(metrics);
        }
        if let Some(status) = node.process.ended() {
            bail!("the node ended ({status}):\n{}", node.last_words());
        }
        if started.elapsed() > PATIENCE {
            bail!("{stored} of {records} records after {PATIENCE:?}:\n{}", node.last_words());
        }
        std::thread::sleep(LOOK);
    }
}
