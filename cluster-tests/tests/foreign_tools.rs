//! Segments of a store in the hands of tools that know nothing of weir.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, get, post, run, until};

/// The segments below a directory.
fn segments(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(segments(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "zst") {
            found.push(path);
        }
    }
    Ok(found)
}

fn output(program: &str, args: &[&str]) -> Result<Output> {
    let why = || format!("{program} cannot be started; cargo xtask test installs it");
    Command::new(program).args(args).output().with_context(why)
}

#[test]
fn zstdcat_and_ripgrep_print_the_lines_of_a_fresh_segment() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("weir.toml");
    std::fs::write(&config, config_head(dir.path()) + "[storage]\nseal = { age = \"100ms\" }\n")?;
    let node = Node::start(&config)?;
    let lines: Vec<String> = (0..5_000).map(|number| format!("line {number} of many")).collect();
    let lines = lines.join("\n") + "\n";
    let (status, _) = post(&node.url("/api/v1/ingest?topic=t"), "text/plain", lines.as_bytes())?;
    ensure!(status == 200, "status {status}");
    let metrics = || Ok(String::from_utf8(get(&node.url("/metrics"))?.1)?);
    until("the store has it", metrics, |text| text.contains("weir_store_segments 1\n"))?;

    let found = segments(&dir.path().join("data/store"))?;
    let [segment] = found.as_slice() else { anyhow::bail!("one segment, not {found:?}") };
    let path = segment.display().to_string();
    let cat = output("zstdcat", &[&path])?;
    ensure!(cat.status.success() && cat.stdout == lines.as_bytes(), "zstdcat: {cat:?}");
    let searched = output("rg", &["-z", "--no-filename", "line 4711 of", &path])?;
    ensure!(searched.stdout == b"line 4711 of many\n", "rg -z: {searched:?}");
    // The same with our own, while the node runs.
    ensure!(run(&["segment", "cat", &path])?.stdout == lines.as_bytes(), "weir segment cat");
    ensure!(run(&["segment", "verify", &path])?.status.success(), "weir segment verify");
    Ok(())
}
