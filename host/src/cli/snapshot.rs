//! `weir snapshot`: what a node keeps, as it was at one moment.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use weir_node::backup::{self, BackupError};

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, warn, wrote};
use crate::cli::terminal::Color;

const EXAMPLES: &str = "\
A running node makes it in the folder `snapshots` of its data directory, while it goes on; files
that never change are hard links there, so it takes little room and time. Copy it away, then
remove it: it keeps what retention would have deleted. With --data-dir it is made of a node that
is stopped, in any folder.
Everything that was acknowledged before is in it.

Examples:
  weir snapshot nightly
  weir snapshot nightly --node http://10.0.0.5:7650
  weir snapshot /backup/weir-2026-11-23 --data-dir /var/lib/weir
  weir snapshot verify /backup/weir-2026-11-23
  weir snapshot restore /backup/weir-2026-11-23 --data-dir /var/lib/weir-new";

const VERIFY_EXAMPLES: &str = "\
Reads every byte. Each problem is a line with the file; exit code 1 when there is one.

Examples:
  weir snapshot verify /var/lib/weir/snapshots/nightly";

const RESTORE_EXAMPLES: &str = "\
The snapshot is verified first, and left as it is. The directory becomes that of the same node,
by its id: never run both. In a cluster, see docs/OPERATIONS.md.

Examples:
  weir snapshot restore /backup/nightly --data-dir /var/lib/weir";

/// Make a snapshot of what a node keeps, verify it, restore it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    what: Option<What>,
    /// Its name; with --data-dir the folder to make
    #[arg(value_name = "DIR", required = true)]
    dir: Option<PathBuf>,
    /// Of a node that is stopped and has its data there
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(Verify),
    Restore(Restore),
}

/// Check every byte of a snapshot
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
struct Verify {
    /// The snapshot
    dir: PathBuf,
}

/// Make a data directory of a snapshot
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
struct Restore {
    /// The snapshot
    dir: PathBuf,
    /// The new data directory; empty, if it is there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

pub(crate) fn run(args: &Snapshot, color: Color) -> Result<Exit, Failure> {
    match (&args.what, &args.dir, &args.data_dir) {
        (Some(What::Verify(args)), _, _) => verify(&args.dir, color),
        (Some(What::Restore(args)), _, _) => restore(&args.dir, &args.data_dir),
        (None, Some(dir), Some(data_dir)) => of_stopped(data_dir, dir, color),
        (None, Some(dir), None) => of_running(args, dir, color),
        (None, None, _) => Err(Failure::usage("expected the name of a snapshot; see weir snapshot --help")),
    }
}

fn of_running(args: &Snapshot, name: &Path, color: Color) -> Result<Exit, Failure> {
    let name = name.to_str().filter(|name| !name.contains('/')).ok_or_else(|| {
        Failure::usage(format!(
            "{}: a running node makes snapshots in its own data directory: give a name such as nightly, or --data-dir with that of a stopped node",
            name.display()
        ))
    })?;
    let client = args.node.client()?;
    let made = block_on(async { client.snapshot(name).await.map_err(|error| failure(&error)) })?;
    told(
        &made.path,
        (made.linked, made.linked_bytes),
        (made.copied, made.copied_bytes),
        made.not_linked,
        color,
    )
}

fn of_stopped(data_dir: &Path, to: &Path, color: Color) -> Result<Exit, Failure> {
    let made = backup::of_stopped(data_dir, to, env!("CARGO_PKG_VERSION")).map_err(|error| of(&error))?;
    let path = to.display().to_string();
    told(&path, (made.linked, made.linked_bytes), (made.copied, made.copied_bytes), made.not_linked, color)
}

fn told(
    path: &str,
    (linked, linked_bytes): (u64, u64),
    (copied, copied_bytes): (u64, u64),
    not_linked: u64,
    color: Color,
) -> Result<Exit, Failure> {
    if not_linked > 0 {
        let text = format!("the file system gives no links to {not_linked} files: they were copied");
        warn(color, &text);
    }
    say(&format!(
        "{path}\n{linked} files linked ({linked_bytes} bytes), {copied} copied ({copied_bytes} bytes)\n"
    ))
}

fn verify(dir: &Path, color: Color) -> Result<Exit, Failure> {
    let verified = backup::verify(dir).map_err(|error| of(&error))?;
    for problem in &verified.problems {
        eprintln!("{}: {problem}", dir.display());
    }
    if verified.damaged_before > 0 {
        let count = verified.damaged_before;
        warn(
            color,
            &format!("{count} segments were damaged when the snapshot was made, and are as they were"),
        );
    }
    if !verified.problems.is_empty() {
        return Err(Failure::failed(format!(
            "snapshot {} is damaged, as listed above; take another one",
            dir.display()
        )));
    }
    let (node, version) = (verified.node, &verified.version);
    let (files, bytes) = (verified.files, verified.bytes);
    say(&format!("sound: node {node:016x}, made by weir {version}, {files} files, {bytes} bytes\n"))
}

fn restore(dir: &Path, data_dir: &Path) -> Result<Exit, Failure> {
    let restored = backup::restore(dir, data_dir).map_err(|error| of(&error))?;
    let (node, files, bytes) = (restored.node, restored.files, restored.bytes);
    say(&format!("{}\nnode {node:016x}, {files} files, {bytes} bytes\n", data_dir.display()))
}

fn of(error: &BackupError) -> Failure {
    match error {
        BackupError::Exists(_)
        | BackupError::NotEmpty(_)
        | BackupError::NoDataDir(_)
        | BackupError::Name(_) => Failure::usage(error.to_string()),
        other => Failure::failed(other.to_string()),
    }
}

fn say(text: &str) -> Result<Exit, Failure> {
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}
