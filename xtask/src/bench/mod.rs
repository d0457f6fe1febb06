//! `cargo xtask bench`: each figure beside a peer or limit that is measured in the same run.
//!
//! Machines differ and are shared; ratios travel, absolute numbers do not.

mod amqp;
mod cluster;
mod connections;
pub(crate) mod corpus;
mod disk;
mod file_source;
mod http;
mod http_ingest;
mod idle;
mod latency;
mod replicated;
mod search;
mod seen;
mod sink;
mod spread;
mod store_killed;
mod table;
mod tcp_lines;
mod transfer;
mod usage;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::args;
use crate::build;
use crate::node::Scratch;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) use table::Row;

/// One thing to measure.
trait Figure {
    /// What `cargo xtask bench <name>` calls it.
    fn name(&self) -> &'static str;
    /// Whether it is measured when no figure is named.
    fn is_usual(&self) -> bool {
        true
    }
    /// Measures against a fresh node of its own.
    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>>;
}

/// Every figure, in the order of the table.
const FIGURES: [&dyn Figure; 13] = [
    &http_ingest::HttpIngest,
    &tcp_lines::TcpLines,
    &connections::Connections,
    &file_source::FileSource,
    &amqp::Amqp,
    &idle::Idle,
    &transfer::Transfer,
    &replicated::Replicated,
    &seen::Seen,
    &store_killed::StoreKilled,
    &spread::Spread,
    &search::Search,
    &search::SearchLarge,
];

/// What is left of an amount of data with `--quick`: one part in this many.
const QUICK_SHARE: usize = 16;

/// What every figure needs.
struct Bench<'a> {
    workspace: &'a Workspace,
    weir: PathBuf,
    scratch: Scratch,
    quick: bool,
    gib: Option<u64>,
    peers: args::Peers,
}

impl Bench<'_> {
    /// A new folder for one measurement, on the disk that the figures are about.
    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// How many bytes of log lines the figures of search are about, `usual_gib` of them unless another size was
    /// asked for.
    fn corpus_bytes(&self, usual_gib: u64) -> u64 {
        let bytes = self.gib.unwrap_or(usual_gib) << 30;
        if self.quick { bytes / QUICK_SHARE as u64 } else { bytes }
    }

    /// How much of an amount a figure takes: all of it, or a share of it in a quick run.
    fn amount(&self, whole: usize) -> usize {
        if self.quick { whole.div_ceil(QUICK_SHARE) } else { whole }
    }
}

/// Measures the figures named, or all, and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &args::Bench) -> anyhow::Result<()> {
    let figures = chosen(&options.only)?;
    let weir = match &options.weir {
        // Nodes are started in folders of their own.
        Some(weir) => weir.canonicalize().with_context(|| format!("find {}", weir.display()))?,
        None => build::release(workspace)?,
    };
    // Below the target folder, not in /tmp: that may be memory.
    let scratch = Scratch::below(&workspace.root.join("target"), "bench")?;
    let bench = Bench {
        workspace,
        weir,
        scratch,
        quick: options.quick,
        gib: options.gib,
        peers: options.peers.clone(),
    };
    if options.quick {
        eprintln!("bench: a share of the data; the figures show that they work, not what they are");
    }
    let mut steps = Steps::new("bench", figures.len());
    let mut rows = Vec::new();
    for figure in figures {
        rows.extend(steps.run(figure.name(), || figure.measure(&bench))?);
    }
    print!("{}", table::print(&rows));
    Ok(())
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static dyn Figure>> {
    for name in only {
        if !FIGURES.iter().any(|figure| figure.name() == name) {
            let names: Vec<_> = FIGURES.iter().map(|figure| figure.name()).collect();
            bail!("no figure `{name}`; there are: {}", names.join(", "));
        }
    }
    let wanted = |figure: &&dyn Figure| {
        if only.is_empty() { figure.is_usual() } else { only.iter().any(|name| name == figure.name()) }
    };
    Ok(FIGURES.into_iter().filter(wanted).collect())
}
