//! What the finished components were made from, so that a second run costs nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::plugins::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Whatever can change a component: manifests, lock file, sources of guests, SDK and WIT, and the
/// way they are built.
const INPUTS: [&str; 5] = ["Cargo.toml", "Cargo.lock", "plugin-sdk", "plugins", "xtask/src/plugins"];

/// A digest of everything that the components of the workspace depend on.
pub(super) struct Stamp(String);

impl Stamp {
    pub(super) fn of(workspace: &Workspace, toolchain: &Toolchain) -> anyhow::Result<Self> {
        let mut digest = Sha256::new();
        digest.update(toolchain.identity());
        let mut files = Vec::new();
        for input in INPUTS {
            collect(&workspace.root.join(input), &mut files)?;
        }
        files.sort();
        for file in files {
            let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            digest.update(file.strip_prefix(&workspace.root).unwrap_or(&file).as_os_str().as_encoded_bytes());
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(&bytes);
        }
        Ok(Self(hex(&digest.finalize())))
    }

    /// Whether `components` are there, unharmed, and made from just this.
    pub(super) fn holds(&self, workspace: &Workspace, components: &[PathBuf]) -> bool {
        let saved = std::fs::read_to_string(path(workspace));
        saved.is_ok_and(|saved| self.text(components).is_ok_and(|text| text == saved))
    }

    pub(super) fn save(&self, workspace: &Workspace, components: &[PathBuf]) -> anyhow::Result<()> {
        let path = path(workspace);
        let text = self.text(components)?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The stamp's file: the inputs' digest, then each component with its own.
    fn text(&self, components: &[PathBuf]) -> anyhow::Result<String> {
        let mut text = format!("{}\n", self.0);
        for component in components {
            let bytes = std::fs::read(component)?;
            writeln!(text, "{} {}", hex(&Sha256::digest(bytes)), component.display())?;
        }
        Ok(text)
    }
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.guest_target.join("plugins.stamp")
}

/// Every file at or below `path`; build output and hidden files aside.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
