//! `cargo xtask test`: everything that must hold, with one line at the end.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::build;
use crate::count::{Count, Runner};
use crate::duckdb;
use crate::fuzz;
use crate::plugins;
use crate::proc;
use crate::setup;
use crate::steps::{self, Steps};
use crate::workspace::Workspace;

/// Runs every step whatever the ones before said: one run shows everything that is wrong.
pub(crate) fn run(workspace: &Workspace, long: bool) -> ExitCode {
    let started = Instant::now();
    let fuzzes = long && fuzz::is_possible(workspace);
    let steps = Steps::new("test", if fuzzes { 7 } else { 6 });
    let mut tests = Tests { workspace, long, count: Count::default(), steps };

    tests.step("plugins", |workspace| plugins::all(workspace, None).map(drop));
    tests.step("format", |workspace| proc::run(build::cargo(workspace).args(["fmt", "--all", "--check"])));
    tests.step("lints; some minutes the first time", |workspace| {
        let mut clippy = build::cargo(workspace);
        clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
        proc::run(&mut clippy)?;
        // Alone, so without what `weir` asks of it: the export that has no Parquet.
        let mut without = build::cargo(workspace);
        without.args(["clippy", "--package", "weir-export", "--all-targets", "--", "--deny", "warnings"]);
        proc::run(&mut without)
    });
    // All targets of all packages: the same selection as the runners below, so that cargo chooses the same
    // features for every dependency and compiles each once.
    tests.step("weir and its tests; some minutes the first time", |workspace| {
        proc::run(build::cargo(workspace).args(["build", "--workspace", "--all-targets"]))
    });
    for lacking in [ensure_tools().err(), duckdb::ensure(workspace).err()].into_iter().flatten() {
        // The tests that need them fail, and say what is missing.
        eprintln!("test: {lacking:#}");
    }
    tests.runner("tests", test_runner);
    tests.runner("examples in the documentation", doc_runner);
    if fuzzes {
        tests.step("fuzzers; five minutes each", fuzz::all);
    } else if long {
        eprintln!(
            "test: cargo-fuzz or a nightly toolchain is not here; the fuzz targets had mutations alone, a hundred \
             times as many as usual"
        );
    }

    let Count { passed, failed, flaky } = tests.count;
    eprintln!("test: took {}", steps::seconds(started.elapsed()));
    if flaky > 0 {
        eprintln!(
            "test: {flaky} of those that passed did so at the second try only: FLAKY above names the bugs"
        );
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A command that runs tests, and who it is.
type Found = (Runner, Command);

struct Tests<'a> {
    workspace: &'a Workspace,
    long: bool,
    count: Count,
    steps: Steps,
}

impl Tests<'_> {
    /// A step that counts as one test.
    fn step(&mut self, what: &str, work: impl FnOnce(&Workspace) -> anyhow::Result<()>) {
        let result = self.steps.run(what, || work(self.workspace));
        if let Err(error) = &result {
            eprintln!("test: {error:#}");
        }
        self.count.add(Count::one(result.is_ok()));
    }

    /// A step that counts as many tests as it runs, and as one failure when it fails without
    /// any: its tests did not compile, say.
    fn runner(&mut self, what: &str, find: fn(&Workspace) -> Found) {
        let mut count = Count::default();
        let result = self.steps.run(what, || {
            let (runner, mut command) = find(self.workspace);
            command.env("WEIR_BIN", self.workspace.weir("debug"));
            command.env("WEIR_XTASK", std::env::current_exe()?);
            if self.long {
                command.env("WEIR_LONG", "1");
            }
            let passed = proc::watch(&mut command, &mut |line| count.read(runner, line))?;
            anyhow::ensure!(passed, "`{}` failed", proc::line_of(&command));
            Ok(())
        });
        if let Err(error) = result {
            eprintln!("test: {error:#}");
            count.failed = count.failed.max(1);
        }
        self.count.add(count);
    }
}

/// What tests call that is not ours, as package and command: strace injects faults into the system calls of a node,
/// zstd and ripgrep read its segments, RabbitMQ has messages for it and openssl certificates, ip and nft make networks
/// that lose packets, Prometheus scrapes it, the page on the demo asks with curl, logrotate rotates what it follows, and
/// Chromium shows its page.
const TOOLS: [(&str, &str); 12] = [
    ("strace", "strace"),
    ("zstd", "zstdcat"),
    ("ripgrep", "rg"),
    ("iproute2", "ss"),
    ("nftables", "nft"),
    ("prometheus", "prometheus"),
    ("curl", "curl"),
    // Asking one of its own commands would leave a port mapper behind.
    ("rabbitmq-server", "epmd"),
    ("openssl", "openssl"),
    ("logrotate", "logrotate"),
    ("chromium", "chromium"),
    ("chromium-driver", "chromedriver"),
];

/// Installs the tools that cannot be started.
fn ensure_tools() -> anyhow::Result<()> {
    let lacks = |command: &str| proc::capture(Command::new(command).arg("--version")).is_err();
    let mut missing: Vec<&str> =
        TOOLS.iter().filter(|(_, command)| lacks(command)).map(|(package, _)| *package).collect();
    // Reads the manifests of Kubernetes; no command of its own.
    if proc::capture(Command::new("python3").args(["-c", "import yaml"])).is_err() {
        missing.push("python3-yaml");
    }
    if missing.is_empty() { Ok(()) } else { setup::ensure(&missing) }
}

/// nextest where it is installed: a process per test, and slow tests side by side.
fn test_runner(workspace: &Workspace) -> Found {
    let nextest = proc::capture(build::cargo(workspace).args(["nextest", "--version"])).is_ok();
    let mut cargo = build::cargo(workspace);
    if nextest {
        cargo.args(["nextest", "run", "--workspace", "--profile", "xtask"]);
        (Runner::Nextest, cargo)
    } else {
        cargo.args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
        (Runner::Cargo, cargo)
    }
}

fn doc_runner(workspace: &Workspace) -> Found {
    let mut cargo = build::cargo(workspace);
    cargo.args(["test", "--doc", "--workspace", "--no-fail-fast"]);
    (Runner::Cargo, cargo)
}
