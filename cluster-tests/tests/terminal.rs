//! What a person sees at a terminal, and what the same command gives to a pipe.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, post, weir_bin};

/// What `weir` writes to a terminal, made by `script`, whose zone is two hours ahead.
fn at_terminal(args: &str) -> Result<String> {
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &format!("{} {args}", weir_bin().display()),
        "/dev/null",
    ]);
    script.env("TZ", "UTC-2").env_remove("NO_COLOR").stdin(std::process::Stdio::null());
    let output = script.output().context("start script")?;
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    ensure!(output.status.success(), "{args}: {}: {text}", output.status);
    Ok(text)
}

#[test]
fn records_are_coloured_marked_and_in_local_time_at_a_terminal_and_raw_in_a_pipe() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("weir.toml");
    std::fs::write(&config, config_head(dir.path()))?;
    let node = Node::start(&config)?;
    let lines = b"ERROR payment declined\nlevel=warn slow payment \x1b[2J\nnothing\n";
    let (status, _) = post(&node.url("/api/v1/ingest?topic=shop"), "text/plain", lines)?;
    ensure!(status == 200, "status {status}");
    let query = format!("query --node {} payment", node.url(""));

    let seen = at_terminal(&query)?;
    let rows: Vec<&str> = seen.lines().collect();
    ensure!(rows.len() == 2, "{seen}");
    let error = "\x1b[36mshop\x1b[0m  \x1b[31mERROR \x1b[0m\x1b[1;7mpayment\x1b[0m\x1b[31m declined\x1b[0m";
    ensure!(rows[0].ends_with(error), "{seen}");
    ensure!(rows[1].contains("\x1b[33mlevel=warn slow \x1b[0m") && rows[1].contains("\\x1b[2J"), "{seen}");
    // The zone is ahead of the times that programs get.
    let newest = |args: &str| at_terminal(&format!("{query} --color never --newest --limit 1 {args}"));
    let (local, told) = (newest("")?, newest("--format ndjson")?);
    let hour = |text: &str| text.parse::<u8>().with_context(|| format!("{local}{told}"));
    let local_hour = hour(local.get(11..13).unwrap_or_default())?;
    let told_hour = told.split("\"time\":\"").nth(1).and_then(|time| time.get(11..13)).unwrap_or_default();
    ensure!(local_hour == (hour(told_hour)? + 2) % 24, "{local}{told}");

    let piped = weir_cluster_tests::process::run(&["query", "--node", &node.url(""), "payment"])?;
    ensure!(piped.stdout == b"ERROR payment declined\nlevel=warn slow payment \x1b[2J\n");
    ensure!(node.terminate()? == 0);
    Ok(())
}
