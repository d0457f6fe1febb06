//! The repository's text files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Folders that hold nothing of ours: build output, data of nodes, packages.
const STRANGE: [&str; 4] = ["target", "node_modules", "weir-data", "dist"];

/// Every file below the root that is UTF-8.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<SourceFile>,
}

/// One text file.
pub(crate) struct SourceFile {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    pub(crate) fn read() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let mut files = Vec::new();
        collect(&root, &root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, files })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files whose name ends with one of `extensions`.
    pub(crate) fn with(&self, extensions: &[&str]) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(move |file| extensions.contains(&file.extension()))
    }
}

impl SourceFile {
    pub(crate) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Lines with their number, from 1, and whether they are code of tests.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let tests_from = if self.is_tests() { 0 } else { self.shipped().lines().count() };
        self.text.lines().enumerate().map(move |(index, line)| (index + 1, line, index >= tests_from))
    }

    /// What goes into a binary: everything before the tests at the end of the file.
    pub(crate) fn shipped(&self) -> &str {
        let mut from = 0;
        while let Some(at) = self.text[from..].find("#[cfg(test)]\n") {
            let after = self.text[from + at..].split_once('\n').map_or("", |(_, after)| after);
            let item = after.lines().find(|line| !line.trim_start().starts_with("#[")).unwrap_or_default();
            if item.starts_with("mod ") && item.ends_with('{') {
                return &self.text[..from + at];
            }
            from += at + 1;
        }
        &self.text
    }

    fn is_tests(&self) -> bool {
        self.path.starts_with("cluster-tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // A link may lead out of the repository, or in circles.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if name != ".git" && !STRANGE.contains(&name.as_ref()) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && name != "Cargo.lock" {
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
                files.push(SourceFile { path, text });
            }
        }
    }
    Ok(())
}

#[test]
fn tests_at_the_end_of_a_file_are_not_shipped() {
    let of = |text: &str| SourceFile { path: "host/src/x.rs".into(), text: text.into() };
    for (text, shipped) in [
        ("fn a() {}\n", "fn a() {}\n"),
        ("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n", "fn a() {}\n"),
        ("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}\n", "a\n"),
        ("a\n#[cfg(test)]\nmod tests;\nfn b() {}\n", "a\n#[cfg(test)]\nmod tests;\nfn b() {}\n"),
        ("#[cfg(test)]\nuse x;\na\n#[cfg(test)]\nmod t {\n}\n", "#[cfg(test)]\nuse x;\na\n"),
    ] {
        assert_eq!(of(text).shipped(), shipped);
    }
}
