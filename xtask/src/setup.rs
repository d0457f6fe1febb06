//! What the machine must have.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::proc;

/// Installs those of the Debian `packages` that are not there yet, and says so. Costs one
/// `dpkg-query` when nothing lacks.
pub(crate) fn ensure(packages: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if proc::capture(Command::new("apt-get").arg("--version")).is_err() {
        bail!("this machine lacks {list} and has no apt-get; install the equivalents by hand");
    }
    eprintln!("setup: installing {list} with apt-get");
    proc::run(apt().args(["update", "-q"])).context("apt-get update")?;
    proc::run(apt().args(["install", "-y", "-q", "--no-install-recommends"]).args(&missing))
        .with_context(|| format!("cannot install {list}"))
}

/// Whether Debian's package database has the package installed and configured.
fn installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Abbrev}", package]);
    proc::capture(&mut query).is_ok_and(|status| status.starts_with("ii"))
}

/// `apt-get`, through sudo when we are not root, patient when another apt holds the lock.
fn apt() -> Command {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if !root {
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}
