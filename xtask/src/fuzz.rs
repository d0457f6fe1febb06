//! The fuzz targets under libFuzzer, where the machine has what that takes.

use std::process::Command;

use crate::proc;
use crate::workspace::Workspace;

/// Those of `cluster-tests/fuzz`.
const TARGETS: [&str; 6] = ["segment", "footer", "block", "filter", "query", "fields"];
/// How long each is tried.
const SECONDS_EACH: u32 = 300;

/// Whether cargo-fuzz and a nightly toolchain are there.
pub(crate) fn is_possible(workspace: &Workspace) -> bool {
    proc::capture(fuzz(workspace).arg("--version")).is_ok()
}

/// Tries all targets, some minutes each. What breaks one stays in `cluster-tests/fuzz/artifacts`.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<()> {
    for target in TARGETS {
        let mut command = fuzz(workspace);
        command.args([
            "run",
            "--fuzz-dir",
            "cluster-tests/fuzz",
            "--target-dir",
            "target/fuzz",
            target,
            "--",
        ]);
        command.args([format!("-max_total_time={SECONDS_EACH}"), "-rss_limit_mb=1024".to_owned()]);
        proc::run(&mut command)?;
    }
    Ok(())
}

fn fuzz(workspace: &Workspace) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]).current_dir(&workspace.root);
    command
}
