//! `cargo xtask bench`: each figure beside a peer or limit that is measured in the same run.
//!
//! Machines differ and are shared; ratios travel, absolute numbers do not.

mod disk;
mod file_source;
mod http;
mod http_ingest;
mod idle;
mod table;
mod tcp_lines;
mod usage;

use std::path::PathBuf;

use anyhow::bail;

use crate::build;
use crate::node::Scratch;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) use table::Row;

/// One thing to measure.
trait Figure {
    /// What `cargo xtask bench <name>` calls it.
    fn name(&self) -> &'static str;
    /// Measures against a fresh node of its own.
    fn measure(&self, bench: &Bench) -> anyhow::Result<Vec<Row>>;
}

/// Every figure, in the order of the table.
const FIGURES: [&dyn Figure; 4] =
    [&http_ingest::HttpIngest, &tcp_lines::TcpLines, &file_source::FileSource, &idle::Idle];

/// What every figure needs.
struct Bench {
    weir: PathBuf,
    scratch: Scratch,
}

impl Bench {
    /// A new folder for one measurement, on the disk that the figures are about.
    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }
}

/// Measures the figures named, or all, and prints the table.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> anyhow::Result<()> {
    let figures = chosen(only)?;
    let weir = build::release(workspace)?;
    // Below the target folder, not in /tmp: that may be memory.
    let scratch = Scratch::below(&workspace.root.join("target"), "bench")?;
    let bench = Bench { weir, scratch };
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
    let wanted = |figure: &&dyn Figure| only.is_empty() || only.iter().any(|name| name == figure.name());
    Ok(FIGURES.into_iter().filter(wanted).collect())
}
