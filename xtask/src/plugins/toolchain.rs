//! Which compiler builds for wasm.
//!
//! The toolchain in use where it has std for wasm, or rustup can fetch it. Else Debian's own
//! Rust packages, which bring the sources of std: it is then compiled along with the guests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::args::ToolchainName;
use crate::plugins::from_environment;
use crate::proc;
use crate::setup;
use crate::workspace::Workspace;

/// What guests are compiled for: std for it imports nothing.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// `memchr` and friends run twice as fast with it, and every runtime has it.
const RUSTFLAGS: &str = "-Ctarget-feature=+simd128";

/// A first download takes seconds; without a network rustup retries for minutes.
const RUSTUP_PATIENCE: Duration = Duration::from_mins(2);

const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// A link of `rust-web-llvm` into another package, whose number follows Debian's LLVM.
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";

/// Cargo's variables that say how to reach the registry, not what to build: kept.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_BUILD_JOBS",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// A toolchain that is ready to build for wasm.
#[derive(Debug)]
pub(super) struct Toolchain {
    name: ToolchainName,
    /// `rustc -vV`: another compiler makes other components.
    identity: String,
}

impl Toolchain {
    /// The toolchain that `choose` would return, if that takes no installing.
    pub(super) fn at_hand(
        workspace: &Workspace,
        forced: Option<ToolchainName>,
    ) -> anyhow::Result<Option<Self>> {
        let forced = forced.map_or_else(from_environment, |name| Ok(Some(name)))?;
        if forced != Some(ToolchainName::Debian) && has_std() {
            return Self::named(ToolchainName::Rustup).map(Some);
        }
        let settled = forced == Some(ToolchainName::Debian) || Refusal::of(workspace).known();
        if forced != Some(ToolchainName::Rustup) && settled && Path::new(DEBIAN_LINKER).exists() {
            return Self::named(ToolchainName::Debian).map(Some);
        }
        Ok(None)
    }

    /// Finds a toolchain, and installs what it lacks.
    pub(super) fn choose(workspace: &Workspace, forced: Option<ToolchainName>) -> anyhow::Result<Self> {
        let forced = forced.map_or_else(from_environment, |name| Ok(Some(name)))?;
        if forced != Some(ToolchainName::Debian) {
            if has_std() {
                return Self::named(ToolchainName::Rustup);
            }
            match add_with_rustup(workspace) {
                Ok(()) => return Self::named(ToolchainName::Rustup),
                Err(reason) if forced.is_some() => bail!("rustup cannot add {TARGET}: {reason}"),
                Err(reason) => {
                    eprintln!("plugins: no {TARGET} from rustup ({reason}); Debian's Rust instead");
                }
            }
        }
        install_debian()?;
        Self::named(ToolchainName::Debian)
    }

    fn named(name: ToolchainName) -> anyhow::Result<Self> {
        let mut rustc = match name {
            ToolchainName::Rustup => Command::new("rustc"),
            ToolchainName::Debian => debian(DEBIAN_RUSTC),
        };
        Ok(Self { name, identity: proc::capture(rustc.arg("-vV"))? })
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Cargo of this toolchain, with an environment in which nothing of the outer cargo is left
    /// that would reach into the build.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = match self.name {
            ToolchainName::Rustup => {
                let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                clean(&mut cargo);
                cargo
            }
            ToolchainName::Debian => debian(DEBIAN_CARGO),
        };
        // The encoded form goes before every other place flags may come from, config files included.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("RUSTC_WRAPPER", "");
        cargo
    }

    /// Arguments that compile std along with the guests, where it does not come ready-made.
    pub(super) fn build_std(&self) -> &'static [&'static str] {
        match self.name {
            ToolchainName::Rustup => &[],
            ToolchainName::Debian => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// Whether the toolchain in use brings std for wasm, whoever put it there.
fn has_std() -> bool {
    let sysroot = proc::capture(Command::new("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn add_with_rustup(workspace: &Workspace) -> Result<(), String> {
    let refusal = Refusal::of(workspace);
    if refusal.known() {
        return Err(format!("it failed before on this machine; remove {} to try again", refusal.0.display()));
    }
    eprintln!("plugins: rustup target add {TARGET}");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(&workspace.root).env_remove("RUST_BACKTRACE");
    match proc::within(&mut rustup, RUSTUP_PATIENCE) {
        Ok(()) if has_std() => Ok(()),
        Ok(()) => Err("it was added to another toolchain than the one in use".to_owned()),
        Err(reason) => {
            refusal.remember(&reason);
            Err(reason)
        }
    }
}

/// The remembered fact that rustup has no way to the target here.
struct Refusal(PathBuf);

impl Refusal {
    fn of(workspace: &Workspace) -> Self {
        Self(workspace.guest_target.join("rustup-target-add.failed"))
    }

    fn known(&self) -> bool {
        self.0.exists()
    }

    /// Not being able to remember costs the next run another try, no more.
    fn remember(&self, reason: &str) {
        if let Some(dir) = self.0.parent() {
            let _ = std::fs::create_dir_all(dir);
        }
        let _ = std::fs::write(&self.0, format!("rustup target add {TARGET}: {reason}\n"));
    }
}

fn install_debian() -> anyhow::Result<()> {
    let hint = || format!("no way to compile for {TARGET}: add it to your toolchain by hand");
    setup::ensure(&DEBIAN_PACKAGES).with_context(hint)?;
    let linker = std::fs::read_link(DEBIAN_LINKER)
        .with_context(|| format!("{DEBIAN_LINKER}: expected a link to the linker's package"))?;
    let package = linker.file_name().and_then(|name| name.to_str());
    setup::ensure(&[package.with_context(|| format!("{DEBIAN_LINKER} names no package"))?]).with_context(hint)
}

/// A program of Debian's Rust. It must find its own rustc and linker, not rustup's.
fn debian(program: &str) -> Command {
    let mut command = Command::new(program);
    clean(&mut command);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(dirs) {
        command.env("PATH", path);
    }
    command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
    command
}

/// Takes away what the cargo that runs this program has set, and what flags a host build is given.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let ours = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
        let flags = name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS") || name.starts_with("RUSTDOC");
        if ours || flags {
            command.env_remove(name);
        }
    }
}
