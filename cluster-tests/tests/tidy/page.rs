//! The page as it is committed: built from its sources, and small.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::tree::Tree;

const DIR: &str = "host/ui";
/// What the page is built by, beside its sources.
const TOOLS: [&str; 4] = ["build.mjs", "package-lock.json", "package.json", "tsconfig.json"];
/// Of all its files together, packed.
const PACKED_BYTES_MAX: usize = 150_000;
/// Says what `dist/` was built from, and what came of it.
const NOTE: &str = "built-from.txt";

/// Ways in which `dist/` is not what the sources give.
pub(crate) fn out_of_step(tree: &Tree) -> Result<Vec<String>> {
    let dir = tree.root.join(DIR);
    let note =
        std::fs::read_to_string(dir.join("dist").join(NOTE)).context("read what the page was built from")?;
    let tools = TOOLS.iter().map(|name| dir.join(name));
    let sources = digest(&dir, tools.chain(below(&dir.join("src"))?).collect())?;
    let built = digest(&dir, built(&dir)?)?;
    let mut problems = Vec::new();
    let mut check = |what: &str, digest: &str, why: &str| {
        if !note.lines().any(|line| line == format!("{what} {digest}")) {
            problems.push(format!(
                "{DIR}/dist/{NOTE}:1: {why}.\n  The binary shows dist, and nobody reviews it: it must be what the \
                 sources give.\n  Run cargo xtask ui, and commit what it changes."
            ));
        }
    };
    check("sources", &sources, "the sources of the page are not those that dist was built from");
    check("built", &built, "a file of dist is not what was built");
    Ok(problems)
}

/// What of the page is too large.
pub(crate) fn too_large(tree: &Tree) -> Result<Vec<String>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for file in built(&tree.root.join(DIR))? {
        packed.write_all(&std::fs::read(file)?)?;
    }
    let bytes = packed.finish()?.len();
    let is_large = bytes > PACKED_BYTES_MAX;
    let problem = format!(
        "{DIR}/dist: {bytes} bytes packed, the limit is {PACKED_BYTES_MAX}.\n  The page is part of every binary, and \
         is read over bad lines.\n  Leave out what it was enlarged by."
    );
    Ok(if is_large { vec![problem] } else { Vec::new() })
}

/// SHA-256 over the names and bytes of files, as `host/ui/build.mjs` makes it.
fn digest(dir: &Path, mut files: Vec<PathBuf>) -> Result<String> {
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(dir)?.to_string_lossy().replace('\\', "/");
        hash.update(format!("{name} {}\n", bytes.len()));
        hash.update(&bytes);
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}")?;
    }
    Ok(hex)
}

/// What the build has made.
fn built(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = below(&dir.join("dist"))?;
    files.retain(|file| !file.ends_with(NOTE));
    Ok(files)
}

fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
