//! DuckDB for the tests of exports: a Python package, in an environment of its own below `target/`.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::proc;
use crate::setup;
use crate::workspace::Workspace;

/// What the tests were written against.
const VERSION: &str = "2.0.0";

/// Installs it if need be. Costs the start of that Python when nothing lacks.
pub(crate) fn ensure(workspace: &Workspace) -> anyhow::Result<()> {
    let dir = workspace.root.join("target/duckdb");
    let python = dir.join("bin/python3");
    let says = proc::capture(Command::new(&python).args(["-c", "import duckdb; print(duckdb.__version__)"]));
    if says.is_ok_and(|version| version == VERSION) {
        return Ok(());
    }
    eprintln!("setup: installing DuckDB {VERSION} with pip below target/duckdb");
    if make(&dir).is_err() {
        // Debian's Python comes without what makes environments.
        setup::ensure(&["python3", "python3-venv"])?;
        make(&dir).context("make a Python environment")?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    proc::run(pip.arg(format!("duckdb=={VERSION}"))).context("install DuckDB")
}

/// An empty environment, whatever was there before.
fn make(dir: &Path) -> anyhow::Result<()> {
    proc::capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir)).map(drop)
}
