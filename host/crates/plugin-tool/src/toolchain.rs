//! Which compiler builds for wasm: the one in use where it has std for that, else Debian's where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::ToolError;

/// What plugins are compiled for: std for it imports nothing.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// `memchr` and friends run twice as fast with it, and every runtime has it.
const RUSTFLAGS: &str = "-Ctarget-feature=+simd128";

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Of the package `rust-web-llvm`; `rust-web-src` has brought the sources of std then, too.
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";

/// What is set for a cargo from outside and says how to reach a registry and where to build: kept.
const KEPT: [&str; 9] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// A compiler that can build plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one in use.
    InUse,
    /// Debian's, which compiles std along.
    Debian,
}

impl Toolchain {
    /// Finds one. Installs nothing: what lacks is told.
    pub(crate) fn find() -> Result<Toolchain, ToolError> {
        if has_std() {
            Ok(Toolchain::InUse)
        } else if Path::new(DEBIAN_LINKER).exists() && Path::new(DEBIAN_CARGO).exists() {
            Ok(Toolchain::Debian)
        } else {
            Err(ToolError::Toolchain(lacking(sysroot().is_some())))
        }
    }

    /// Its cargo, with an environment in which nothing is left that would reach into the build.
    pub(crate) fn cargo(self) -> Command {
        let mut cargo = Command::new(match self {
            Toolchain::InUse => "cargo",
            Toolchain::Debian => DEBIAN_CARGO,
        });
        clean(&mut cargo);
        if self == Toolchain::Debian {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let dirs = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(dirs) {
                cargo.env("PATH", path);
            }
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
        }
        // The encoded form goes before every other place flags may come from, config files included.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("RUSTC_WRAPPER", "");
        cargo
    }

    /// Arguments that compile std along, where it does not come ready-made.
    pub(crate) fn build_std(self) -> &'static [&'static str] {
        match self {
            Toolchain::InUse => &[],
            Toolchain::Debian => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// What to do where no compiler can build for wasm.
fn lacking(has_rust: bool) -> String {
    let debian = "on Debian: apt install rustc-web cargo-web rust-web-src rust-web-llvm";
    if has_rust {
        format!(
            "the Rust in use has no std for {TARGET}; say `rustup target add {TARGET}`, or, without rustup, {debian}"
        )
    } else {
        format!(
            "there is no Rust here: install it from https://rustup.rs and say `rustup target add {TARGET}`; or {debian}"
        )
    }
}

fn has_std() -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Takes away what a cargo that runs this program has set, and what flags a host build is given.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let cargo = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
        let flags = name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS") || name.starts_with("RUSTDOC");
        if cargo || flags {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_told_with_what_to_do() {
        for (has_rust, words) in [(true, "rustup target add wasm32-unknown-unknown"), (false, "rustup.rs")] {
            let told = lacking(has_rust);
            assert!(told.contains(words) && told.contains("apt install rustc-web"), "{told}");
        }
    }
}
