//! `cargo xtask demo`: a node with logs in it, and where to look.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::args;
use crate::build;
use crate::node::{self, Node, Process, Scratch};
use crate::proc;
use crate::signals::Ending;
use crate::workspace::Workspace;

/// Log lines a second: enough to see them come, few enough to run all day.
const RATE: &str = "200";
/// A word that stands in every line of the generator: the id it is given.
const WORD: &str = "demo";
/// How long the first lines may take from the generator through the plugin into an answer.
const LINES_PATIENCE: Duration = Duration::from_secs(20);
/// How often the children are looked at while the demo runs.
const WATCH: Duration = Duration::from_millis(200);

/// Runs until Ctrl-C or for the given time. The children end with it, the data goes away.
pub(crate) fn run(workspace: &Workspace, options: &args::Demo) -> anyhow::Result<()> {
    let weir = build::release(workspace)?;
    // From here on there is something to clean up: a signal must not end us half way.
    let ending = Ending::watch()?;
    let scratch = Scratch::below(&std::env::temp_dir(), "weir-demo")?;
    let logs = scratch.path().join("logs");
    std::fs::create_dir(&logs)?;
    let mut generator = generate(&weir, &logs.join("shop.log"))?;
    let port = node::free_port(options.port)?;
    let mut node = Node::start(&weir, scratch.path(), port, &node::file_source("shop", &logs.join("*.log")))?;

    let mut query = Command::new(&weir);
    query.args(["query", WORD, "--from", "5m", "--limit", "5", "--node", &node.url()]);
    let lines = first_lines(&mut query)?;
    eprintln!(
        "\nready after {} ms, with a file source on {}\n",
        node.ready_after.as_millis(),
        logs.display()
    );
    println!("page:   {}/ui/", node.url());
    println!("query:  {}", proc::line_of(&query));
    for line in lines.lines() {
        println!("        {line}");
    }
    match options.exit_after {
        Some(after) => eprintln!("\nends by itself after {} s", after.as_secs()),
        None => eprintln!("\nCtrl-C ends it"),
    }

    let started = Instant::now();
    let died = loop {
        if ending.within(WATCH) || options.exit_after.is_some_and(|after| started.elapsed() >= after) {
            break None;
        }
        if let Some(status) = node.process.ended() {
            break Some(format!("the node ended by itself ({status}):\n{}", node.last_words()));
        }
        if let Some(status) = generator.ended() {
            break Some(format!("the log generator ended by itself ({status})"));
        }
    };
    // In a terminal Ctrl-C reaches the children as well, and they may be quicker than we are.
    let died = died.filter(|_| !ending.within(WATCH));
    eprintln!("\ndemo: stopping");
    generator.stop()?;
    node.process.stop()?;
    died.map_or(Ok(()), |what| Err(anyhow::anyhow!(what)))
}

/// Starts the generator, as a service that appends to its own log file.
fn generate(weir: &Path, file: &Path) -> anyhow::Result<Process> {
    let log = OpenOptions::new().create(true).append(true).open(file);
    let log = log.with_context(|| format!("create {}", file.display()))?;
    let mut command = Command::new(weir);
    command.args(["testsvc", "--rate", RATE, "--id", WORD]).stdout(log);
    Process::start(&mut command)
}

/// Asks until there is an answer: the first lines are on their way.
fn first_lines(query: &mut Command) -> anyhow::Result<String> {
    let started = Instant::now();
    loop {
        let lines = proc::capture(query)?;
        if !lines.is_empty() {
            return Ok(lines);
        }
        if started.elapsed() > LINES_PATIENCE {
            bail!("`{}` found nothing within {LINES_PATIENCE:?}", proc::line_of(query));
        }
        std::thread::sleep(node::POLL);
    }
}
