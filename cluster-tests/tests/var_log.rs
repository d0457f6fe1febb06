//! The machine's own logs through the file source: every answer is exactly what `grep` finds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, encode, get, quoted, until};

/// A query, and the same for grep over the files.
const QUERIES: &[(&str, &[&str])] = &[
    (r#""install""#, &["-F", "install"]),
    (r#""status half""#, &["-F", "status half"]),
    (r#""nstal""#, &["-F", "nstal"]),
    (r#""%""#, &["-F", "%"]),
    (r#"" <none> ""#, &["-F", " <none> "]),
    (r#""no such bytes anywhere \x01""#, &["-F", "no such bytes anywhere \u{1}"]),
    (r#"~"SETTING UP""#, &["-i", "-F", "SETTING UP"]),
    ("configure", &["-P", r"(?<![0-9A-Za-z_\x80-\xff])configure(?![0-9A-Za-z_\x80-\xff])"]),
    (
        r"/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (install|upgrade) /",
        &["-P", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (install|upgrade) "],
    ),
    (r"/lib[a-z]+[0-9]*:amd64/", &["-E", "lib[a-z]+[0-9]*:amd64"]),
    (r"/[0-9]+\.[0-9]+\.[0-9]+-[0-9]+$/", &["-E", r"[0-9]+\.[0-9]+\.[0-9]+-[0-9]+$"]),
    (r#""install" -"status" "lib""#, &["-P", "^(?=.*install)(?=.*lib)(?!.*status)"]),
    (r#""unpacked" OR "half-configured""#, &["-E", "unpacked|half-configured"]),
    ("", &[""]),
];

#[test]
fn queries_over_var_log_find_what_grep_finds() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Copies, so that a log that grows meanwhile cannot make the two answers differ; read through the same
    // pattern, which the node gets for the real folder in the test below.
    let copy = dir.path().join("log");
    let copied = copy_logs(Path::new("/var/log"), &copy)?;
    ensure!(copied > 0, "this machine has no /var/log/**/*.log to test with");
    let node = node_over(dir.path(), &copy)?;
    let expected = grep(&copy, &[""])?.len();
    until("all lines are in", || ask(&node, ""), |found| found.len() >= expected)?;
    for (query, arguments) in QUERIES {
        let mut found = ask(&node, query)?;
        let mut wanted = grep(&copy, arguments)?;
        found.sort_unstable();
        wanted.sort_unstable();
        ensure!(found == wanted, "{query}: {} lines, grep finds {}", found.len(), wanted.len());
    }
    Ok(())
}

#[test]
fn the_machines_own_logs_are_read_where_they_lie() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node_over(dir.path(), Path::new("/var/log"))?;
    let wanted = grep(Path::new("/var/log"), &["-F", "install"])?;
    let query = r#""install""#;
    let found = until("all lines are in", || ask(&node, query), |found| found.len() >= wanted.len())?;
    for line in wanted {
        ensure!(found.contains(&line), "missing: {}", String::from_utf8_lossy(&line));
    }
    Ok(())
}

fn node_over(dir: &Path, logs: &Path) -> Result<Node> {
    let config = dir.join("weir.toml");
    let text = format!(
        "{}[sources.var-log]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{}] }}\n",
        config_head(dir),
        quoted(&logs.join("**/*.log")),
    );
    std::fs::write(&config, text)?;
    Node::start(&config)
}

fn copy_logs(from: &Path, to: &Path) -> Result<usize> {
    let mut copied = 0;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        if path.is_dir() {
            copied += copy_logs(&path, &to.join(name))?;
        } else if path.is_file() && path.extension().is_some_and(|extension| extension == "log") {
            std::fs::create_dir_all(to)?;
            std::fs::copy(&path, to.join(name))?;
            // A last line without newline is not a record while its file may grow.
            let mut bytes = std::fs::read(to.join(name))?;
            if bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
                std::fs::write(to.join(name), bytes)?;
            }
            copied += 1;
        }
    }
    Ok(copied)
}

fn ask(node: &Node, query: &str) -> Result<Vec<Vec<u8>>> {
    let (status, body) = get(&node.url(&format!("/api/v1/query?format=text&q={}", encode(query))))?;
    ensure!(status == 200, "{query}: {}", String::from_utf8_lossy(&body));
    Ok(split_lines(&body))
}

fn grep(folder: &Path, arguments: &[&str]) -> Result<Vec<Vec<u8>>> {
    let output = Command::new("grep")
        .env("LC_ALL", "C")
        .args(["-r", "-h", "-a", "--include=*.log"])
        .args(arguments)
        .arg(folder)
        .output()?;
    ensure!(output.stderr.is_empty(), "grep: {}", String::from_utf8_lossy(&output.stderr));
    Ok(split_lines(&output.stdout))
}

fn split_lines(body: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    lines
}
