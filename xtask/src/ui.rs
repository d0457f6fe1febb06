//! `cargo xtask ui`: the page, from its sources into the files that are committed and go into the binary.

use std::process::Command;

use anyhow::Context as _;

use crate::proc;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Checks the types, bundles, and notes what was built from what. Nobody who does not change the page needs this: the
/// result is part of the repository, and a test tells when it is not that of the sources.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let dir = workspace.root.join("host/ui");
    let npm = |args: &[&str]| {
        let mut command = Command::new("npm");
        command.args(args).current_dir(&dir);
        command
    };
    let mut steps = Steps::new("ui", 3);
    steps.run("packages of npm", || {
        proc::run(&mut npm(&["ci", "--no-audit", "--no-fund", "--ignore-scripts"])).context(
            "npm cannot install what the page is built with; Debian has it in the packages nodejs and npm",
        )
    })?;
    steps.run("types", || proc::run(&mut npm(&["exec", "--offline", "--", "tsc"])))?;
    steps.run("bundle", || proc::run(Command::new("node").arg("build.mjs").current_dir(&dir)))
}
