//! Data directories that older versions have left: `cluster-tests/fixtures/data-<version>/<what>/`, with `expected` beside
//! them, the lines of the topic `kept` in order. A new version adds its own; none is ever changed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, post, query};

fn fixtures() -> Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found = Vec::new();
    for version in std::fs::read_dir(dir)? {
        for what in std::fs::read_dir(version?.path())? {
            found.push(what?.path());
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::write(to, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn lines(node: &Node) -> Result<Vec<String>> {
    let answer = query(node, "q=topic:kept&limit=10000")?;
    ensure!(answer.stats["complete"] == true, "{}", answer.stats);
    answer.rows.iter().map(|row| Ok(row["payload"].as_str().context("text")?.to_owned())).collect()
}

#[test]
fn data_directories_of_older_versions_are_opened_with_every_record() -> Result<()> {
    let fixtures = fixtures()?;
    ensure!(fixtures.len() >= 2, "{fixtures:?}");
    for fixture in fixtures {
        let dir = tempfile::tempdir()?;
        copy(&fixture.join("data"), &dir.path().join("data"))?;
        let config = dir.path().join("weir.toml");
        // The records are as old as the version.
        std::fs::write(&config, config_head(dir.path()) + "[retention]\nage = \"unlimited\"\n")?;
        let expected = std::fs::read_to_string(fixture.join("expected"))?;
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        let node = Node::start(&config)?;
        ensure!(lines(&node)? == expected, "{}: {:?}", fixture.display(), lines(&node)?);
        // It goes on, and what it writes is found beside what was there.
        ensure!(post(&node.url("/api/v1/ingest?topic=kept"), "text/plain", b"new")?.0 == 200);
        ensure!(node.terminate()? == 0);
        let node = Node::start(&config)?;
        ensure!(lines(&node)?.len() == expected.len() + 1, "{}", fixture.display());
    }
    Ok(())
}
