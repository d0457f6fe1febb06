//! The commands of `docs/DEMO.md`, copied from the page into a shell, with ports that are free.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use serde_json::Value;
use weir_cluster_tests::process::{get, until, weir_bin};

const PAGE: &str = include_str!("../../docs/DEMO.md");
/// What a shell says behind the output of a block, before the exit code.
const END: &str = "the block has ended with";
const LINES: usize = 3000;

/// The page's blocks, in order, for addresses of this run.
struct Demo {
    blocks: Vec<String>,
    /// Of the APIs.
    scraped: Vec<String>,
}

impl Demo {
    fn new() -> Result<Demo> {
        let address = Regex::new(r"127\.0\.0\.1:\d+")?;
        let written: BTreeSet<&str> = address.find_iter(PAGE).map(|found| found.as_str()).collect();
        // All at once, so that they differ.
        let taken: Vec<TcpListener> =
            written.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let free = taken.iter().map(|port| Ok(port.local_addr()?.to_string()));
        let free: BTreeMap<&str, String> =
            written.into_iter().zip(free.collect::<Result<Vec<_>>>()?).collect();
        let blocks = PAGE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let blocks = blocks.map(|block| {
            let ours = |found: &regex::Captures<'_>| free.get(&found[0]).cloned().unwrap_or_default();
            address.replace_all(block, ours).into_owned()
        });
        let scraped = ["10010", "10020", "10030", "20010", "20020", "20030", "30010", "40010"];
        let scraped =
            scraped.iter().filter_map(|port| free.get(format!("127.0.0.1:{port}").as_str()).cloned());
        Ok(Demo { blocks: blocks.collect(), scraped: scraped.collect() })
    }

    /// The block that holds this text.
    fn block(&self, text: &str) -> Result<&str> {
        let block = self.blocks.iter().find(|block| block.contains(text));
        block.map(String::as_str).with_context(|| format!("no block of the page has {text:?}"))
    }
}

/// A shell that is fed block by block, as somebody would who copies them.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    fn start(dir: &Path) -> Result<Shell> {
        let bin = weir_bin();
        let bin = bin.canonicalize().with_context(|| format!("find {}", bin.display()))?;
        let bin = bin.parent().context("weir lies in a folder")?;
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.current_dir(dir).env("PATH", path).env("NO_COLOR", "1").env_remove("RUST_LOG");
        // A group of its own: what the blocks start in the background ends with it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("start bash")?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Shell { child, stdin, stdout })
    }

    /// Runs a block to its end: what it prints, and its exit code.
    fn run(&mut self, block: &str) -> Result<(String, i32)> {
        // On a line of its own, although the answers of Prometheus do not end theirs.
        write!(self.stdin, "{block}\nprintf '\\n{END} %s\\n' $?\n")?;
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            ensure!(self.stdout.read_line(&mut line)? > 0, "the shell ended behind {printed}");
            if let Some(code) = line.trim_end().strip_prefix(END) {
                return Ok((printed, code.trim().parse()?));
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Already ended ones refuse it; nothing else can be done here.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

/// What `for node in …` of the page prints when all nodes but those at `gone` give the whole answer.
fn whole(printed: &str, gone: &[&str]) -> bool {
    let lines: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once(' ')).collect();
    let is_whole = |(node, count): &(&str, &str)| {
        let expected = if gone.contains(node) { 0 } else { LINES };
        count.trim().parse() == Ok(expected)
    };
    lines.len() == 7 && lines.iter().all(is_whole)
}

/// The value of each instance in Prometheus' answer.
fn values(answer: &str) -> Result<BTreeMap<String, String>> {
    let answer: Value = serde_json::from_str(answer).with_context(|| format!("no JSON: {answer}"))?;
    let results = answer["data"]["result"].as_array().context("a result")?.iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(results.map(|result| (text(&result["metric"]["instance"]), text(&result["value"][1]))).collect())
}

/// What is wrong with the names and the help of a node's metrics, in the words of `promtool`.
fn lint(address: &str) -> Result<String> {
    let (_, metrics) = get(&format!("http://{address}/metrics"))?;
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("promtool cannot be started; cargo xtask test installs it")?;
    child.stdin.take().context("stdin is piped")?.write_all(&metrics)?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() || !said.is_empty(), "promtool: {}", output.status);
    Ok(said)
}

#[test]
fn the_demo_of_the_page_runs_as_it_is_copied_and_any_node_gives_the_whole_answer() -> Result<()> {
    let demo = Demo::new()?;
    let dir = tempfile::tempdir()?;
    let mut shell = Shell::start(dir.path())?;
    shell.run(demo.block("weir ingest")?)?;
    let status = demo.block("cluster status")?;
    until(
        "all nodes are up",
        || shell.run(status),
        |(printed, code)| *code == 0 && printed.lines().filter(|line| line.contains("  up")).count() == 7,
    )?;
    shell.run(demo.block("weir forward")?)?;
    let ask = demo.block("for node in")?;
    until("every node gives the whole answer", || shell.run(ask), |(printed, _)| whole(printed, &[]))?;

    shell.run(demo.block("prometheus.yml")?)?;
    let mut curls = demo.block("query=up")?.lines();
    let (up, sum) = (curls.next().context("a question")?, curls.next().context("another one")?);
    let mut ask_up = || {
        // It takes a moment until it listens, and another one until it answers.
        Ok(values(&shell.run(up)?.0).unwrap_or_default())
    };
    let all: BTreeSet<&String> = demo.scraped.iter().collect();
    let is_up = |values: &BTreeMap<String, String>| {
        values.keys().collect::<BTreeSet<_>>() == all && values.values().all(|value| value == "1")
    };
    until("Prometheus finds every node up", &mut ask_up, is_up)?;
    let ask_sum = || Ok(values(&shell.run(sum)?.0)?.into_values().collect::<Vec<_>>());
    until("Prometheus counts the records", ask_sum, |sums| *sums == [LINES.to_string()])?;
    for address in &demo.scraped {
        let said = lint(address)?;
        ensure!(said.is_empty(), "the metrics of {address}: {said}");
    }

    shell.run(demo.block("kill -9")?)?;
    let gone = demo.scraped[4].as_str();
    until("the others give it without a store", || shell.run(ask), |(printed, _)| whole(printed, &[gone]))?;
    let mut ask_up = || values(&shell.run(up)?.0);
    until("Prometheus misses it", &mut ask_up, |values| {
        values.iter().all(|(address, value)| (value == "0") == (address == gone))
    })?;
    Ok(())
}
