//! The file source of a real node under a real `logrotate`, and thousands of files at once.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use weir_cluster_tests::process::{Node, config_head, encode, get, quoted, until};

/// Rotations of a usual run, and of `WEIR_LONG`.
const ROTATIONS: usize = 12;
const ROTATIONS_LONG: usize = 300;
/// Files that grow at once, and lines of each.
const FILES: usize = 2_000;
const ROUNDS: usize = 5;
/// Descriptors of a node that follows them: those of the source are at most 640.
const DESCRIPTORS_MAX: usize = 900;

struct World {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl World {
    fn new(settings: &str) -> Result<World> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("logs"))?;
        let config = dir.path().join("weir.toml");
        let pattern = dir.path().join("logs/*.log*");
        let text = format!(
            "{}[sources.app]\nplugin = \"file-source\"\ntopic = \"file\"\n{settings}\
             grants.files.logs = {{ include = [{}] }}\n",
            config_head(dir.path()),
            quoted(&pattern),
        );
        std::fs::write(&config, text)?;
        Ok(World { dir, config })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    /// Rotates once.
    fn rotate(&self, how: &str) -> Result<()> {
        let config = self.dir.path().join("logrotate.conf");
        let text = format!("{} {{\nrotate 10000\nmissingok\n{how}\n}}\n", quoted(&self.log("app.log")));
        std::fs::write(&config, text)?;
        let state = self.dir.path().join("logrotate.state");
        let mut command = Command::new("logrotate");
        let status = command.arg("--force").arg("--state").arg(state).arg(config).status();
        ensure!(status.context("start logrotate")?.success(), "logrotate failed");
        Ok(())
    }
}

fn line(number: u64) -> String {
    format!("line {number} {}\n", "x".repeat(1 + (number % 61) as usize))
}

/// How often each line is found.
fn found(node: &Node) -> Result<BTreeMap<String, usize>> {
    let (status, body) = get(&node.url("/api/v1/query?format=text&q=topic:file"))?;
    ensure!(status == 200, "status {status}");
    let mut lines = BTreeMap::new();
    String::from_utf8(body)?.lines().for_each(|line| *lines.entry(line.to_owned()).or_default() += 1);
    Ok(lines)
}

/// Writes numbered lines until it is told to end: how many. `open` says for each handful where to.
fn write(over: &AtomicBool, mut open: impl FnMut() -> Result<File>) -> Result<u64> {
    let mut next = 0;
    while !over.load(Ordering::Acquire) {
        let text: String = (next..next + 20).map(line).collect();
        open()?.write_all(text.as_bytes())?;
        next += 20;
        std::thread::yield_now();
        // A pace that leaves the rotation something to do, and the machine to the others.
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    Ok(next)
}

/// Rotates under a writer and kills the node now and then; the number of lines written, and the node at the end.
fn under_load(world: &World, how: &[&str], open: impl FnMut() -> Result<File> + Send) -> Result<(u64, Node)> {
    let rotations = if std::env::var_os("WEIR_LONG").is_some() { ROTATIONS_LONG } else { ROTATIONS };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&over, open));
        let rotate = || -> Result<Node> {
            let mut node = Node::start(&world.config)?;
            for round in 0..rotations {
                // Some of what is in the file is read before it is rotated, some is not.
                let before = found(&node)?.len();
                until("the source reads on", || Ok(found(&node)?.len()), |now| *now > before)?;
                world.rotate(how[round % how.len()])?;
                if round % 4 == 3 {
                    node.kill()?;
                    node = Node::start(&world.config)?;
                }
            }
            Ok(node)
        };
        let rotated = rotate();
        over.store(true, Ordering::Release);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        Ok((written, rotated?))
    })
}

fn appending(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(path)?)
}

#[test]
fn logrotate_that_renames_and_compresses_loses_nothing_and_doubles_nothing() -> Result<()> {
    let world = World::new("config = { rotate_wait_ms = 1000 }\n")?;
    let log = world.log("app.log");
    // Compressed a rotation later, when nobody writes to it any more.
    let how = ["create", "create\ncompress\ndelaycompress"];
    let (written, node) = under_load(&world, &how, || appending(&log))?;
    let lines = until("all lines", || found(&node), |lines| lines.len() as u64 >= written)?;
    for number in 0..written {
        let count = lines.get(line(number).trim_end()).copied().unwrap_or_default();
        ensure!(count == 1, "line {number} of {written} was found {count} times");
    }
    ensure!(lines.len() as u64 == written, "lines that nobody wrote");
    Ok(())
}

#[test]
fn logrotate_that_copies_and_truncates_loses_only_what_is_in_no_file() -> Result<()> {
    let world = World::new("")?;
    let log = world.log("app.log");
    let held = appending(&log)?;
    let (written, node) = under_load(&world, &["copytruncate"], || Ok(held.try_clone()?))?;
    // What was written between copying and truncating is in no file, and may have been read or not.
    let mut kept = BTreeMap::new();
    for entry in std::fs::read_dir(world.dir.path().join("logs"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&path)?.split_inclusive('\n') {
            kept.insert(line.to_owned(), name.clone());
        }
    }
    // A copy that was made in the middle of a write ends in a line that goes on in the original, and may have been read
    // there: then what was found is longer.
    let is_in = |lines: &BTreeMap<String, usize>, line: &str| match line.strip_suffix('\n') {
        Some(whole) => lines.contains_key(whole),
        None => lines.range(line.to_owned()..).next().is_some_and(|(found, _)| found.starts_with(line)),
    };
    // How many of each file have not been found, and the first of them.
    let lacking = || -> Result<BTreeMap<&str, (usize, &str)>> {
        let lines = found(&node)?;
        let mut lacking = BTreeMap::new();
        for (line, file) in kept.iter().filter(|(line, _)| !is_in(&lines, line)) {
            lacking.entry(file.as_str()).or_insert((0, line.as_str())).0 += 1;
        }
        Ok(lacking)
    };
    until("all lines that are in files", lacking, BTreeMap::is_empty)?;
    let lines = found(&node)?;
    let twice: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).map(|(line, _)| line).collect();
    if let Some(first) = twice.first() {
        let (_, body) =
            get(&node.url(&format!("/api/v1/query?format=ndjson&q={}", encode(&format!("\"{first}\"")))))?;
        bail!("{} lines were found twice, the first as {}", twice.len(), String::from_utf8_lossy(&body));
    }
    let whole = (0..written).filter(|number| lines.contains_key(line(*number).trim_end())).count() as u64;
    eprintln!(
        "{written} lines written, {} in files, {whole} found, the rest was truncated unseen",
        kept.len()
    );
    Ok(())
}

#[test]
fn two_thousand_files_that_grow_at_once_are_read_whole_with_few_descriptors() -> Result<()> {
    let world = World::new("")?;
    let path = |file: usize| world.log(&format!("{file:04}.log"));
    let text = |file: usize, round: usize| format!("file {file} round {round}\n");
    let mut node = Node::start(&world.config)?;
    for round in 0..ROUNDS {
        for file in 0..FILES {
            appending(&path(file))?.write_all(text(file, round).as_bytes())?;
        }
        if round == ROUNDS / 2 {
            node.kill()?;
            node = Node::start(&world.config)?;
        }
    }
    let lines = until("all lines", || found(&node), |lines| lines.len() >= FILES * ROUNDS)?;
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", node.pid()))?.count();
    ensure!(descriptors < DESCRIPTORS_MAX, "{descriptors} descriptors");
    for (file, round) in (0..FILES).flat_map(|file| (0..ROUNDS).map(move |round| (file, round))) {
        let count = lines.get(text(file, round).trim_end()).copied().unwrap_or_default();
        ensure!(count == 1, "file {file}, round {round}: found {count} times");
    }
    Ok(())
}
