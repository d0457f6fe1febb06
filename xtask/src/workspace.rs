//! Where things lie.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The paths of this repository that several commands share.
pub(crate) struct Workspace {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Where the host's own cargo builds to; follows `CARGO_TARGET_DIR`.
    pub(crate) host_target: PathBuf,
    /// Everything built for wasm, and what is remembered about this machine.
    pub(crate) guest_target: PathBuf,
    /// The finished components, `<name>.wasm` each. The host's build embeds what lies here.
    pub(crate) components: PathBuf,
}

/// A crate: of the workspace, or one that becomes a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    /// The package's name; a plugin is called the same.
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) dir: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Self {
        // Fixed when this program was built, which is in the tree it serves: right from any directory.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().unwrap_or(here).to_path_buf();
        let target = root.join("target");
        let host_target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => root.join(dir),
            _ => target.clone(),
        };
        Self { host_target, guest_target: target.join("guest"), components: target.join("plugins"), root }
    }

    /// The host binary of a cargo profile's folder, `release` or `debug`.
    pub(crate) fn weir(&self, profile: &str) -> PathBuf {
        self.host_target.join(profile).join("weir")
    }

    /// Every plugin of the workspace, by name.
    pub(crate) fn guests(&self) -> anyhow::Result<Vec<Crate>> {
        let guests = self.crates_in(&["plugins", "plugins/filters"])?;
        if guests.is_empty() {
            bail!("no plugin under {}: a crate is expected there", self.root.join("plugins").display());
        }
        Ok(guests)
    }

    /// The crates directly below the folders `parents`, those that exist.
    fn crates_in(&self, parents: &[&str]) -> anyhow::Result<Vec<Crate>> {
        let mut crates = Vec::new();
        for parent in parents {
            let parent = self.root.join(parent);
            if !parent.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(&parent).with_context(|| format!("list {}", parent.display()))? {
                let dir = entry?.path();
                if dir.join("Cargo.toml").is_file() {
                    crates.push(Crate::read(&dir)?);
                }
            }
        }
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(crates)
    }
}

impl Crate {
    /// Reads the package name out of the manifest in `dir`.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let manifest = dir.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .with_context(|| format!("read {}: a crate is expected there", manifest.display()))?;
        let name =
            package_name(&text).with_context(|| format!("{}: no `name` in [package]", manifest.display()))?;
        Ok(Self { name, dir: dir.to_path_buf() })
    }

    /// The file that cargo writes the core module to.
    pub(crate) fn module_file(&self) -> String {
        format!("{}.wasm", self.name.replace('-', "_"))
    }
}

/// `name` of the `[package]` table. A TOML parser would be most of what xtask compiles.
fn package_name(manifest: &str) -> Option<String> {
    let package = manifest.lines().map(str::trim).skip_while(|line| *line != "[package]").skip(1);
    let in_table = package.take_while(|line| !line.starts_with('['));
    let value = in_table.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "name")?.1;
    Some(value.trim().split(['"', '\'']).nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_name_is_found_only_in_its_table() {
        for (manifest, expected) in [
            ("[package]\nname = \"a-b\"\n", Some("a-b")),
            ("[lib]\nname = \"x\"\n[package]\nversion = \"1\"\nname='y' # why\n", Some("y")),
            ("[package]\nversion = \"1\"\n[lib]\nname = \"x\"\n", None),
            ("", None),
        ] {
            assert_eq!(package_name(manifest).as_deref(), expected, "{manifest}");
        }
    }

    #[test]
    fn the_workspace_has_its_guests() {
        let guests = Workspace::find().guests().unwrap();
        assert!(guests.iter().any(|guest| guest.name == "stdin-source"), "{guests:?}");
    }
}
