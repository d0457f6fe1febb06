//! `cargo xtask build`: one file with everything inside.

use std::path::PathBuf;
use std::process::Command;

use crate::plugins;
use crate::proc;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Builds plugins and host, optimised; returns the binary.
pub(crate) fn release(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let mut steps = Steps::new("build", 2);
    steps.run("plugins", || plugins::all(workspace, None))?;
    steps.run("weir, optimised; some minutes the first time", || {
        proc::run(cargo(workspace).args(["build", "--release", "--package", "weir"]))
    })?;
    Ok(workspace.weir("release"))
}

/// The host's cargo, in the repository, told where the plugins are.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set by the cargo that runs us, for us: they describe xtask, not what is built here.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo.current_dir(&workspace.root).env("WEIR_PLUGINS", &workspace.components);
    cargo
}
