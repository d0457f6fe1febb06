//! `weir run`: a node; and the same with roles said by the name of the command.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use weir_node::RunOptions;
use weir_node::config::Overlay;

use crate::cli::exit::{Exit, Failure};
use crate::cli::load::{ConfigArgs, SettingArgs, judge, load};
use crate::cli::terminal::Color;
use crate::embedded;

const EXAMPLES: &str = "\
Without a file: all roles, data in ./weir-data, API on 127.0.0.1:7650, lines over TCP
on 7651 (fast) and 7652 (durable).

Examples:
  weir run
  weir run -c /etc/weir/weir.toml
  weir run --data-dir /tmp/weir --set listen.api=127.0.0.1:8000
  weir run --set sources.log.plugin=file-source --set 'sources.log.grants.files.logs.include=[\"/var/log/*.log\"]'

Ctrl-C or SIGTERM stops it after its last commit; a second one at once.";

const INGEST_EXAMPLES: &str = "\
It takes records, keeps them safe and hands them to the stores.

Examples:
  weir ingest
  weir ingest -c /etc/weir/weir.toml --data-dir /var/lib/weir";

const STORE_EXAMPLES: &str = "\
It keeps records and searches them. [cluster] says where the ingest nodes are.

Examples:
  weir store -c /etc/weir/weir.toml
  weir store -c weir.toml --set listen.api=10.0.0.6:7650";

const INGESTSTORE_EXAMPLES: &str = "\
It takes records, keeps them and answers queries: what most nodes of a cluster do.

Examples:
  weir ingeststore
  weir ingeststore -c /etc/weir/weir.toml";

/// Run a node
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Run a node that takes records and hands them to stores
#[derive(Debug, Args)]
#[command(after_help = INGEST_EXAMPLES)]
pub(crate) struct Ingest {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Run a node that keeps records
#[derive(Debug, Args)]
#[command(after_help = STORE_EXAMPLES)]
pub(crate) struct Store {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Run a node that takes records, keeps them and answers queries
#[derive(Debug, Args)]
#[command(after_help = INGESTSTORE_EXAMPLES)]
pub(crate) struct Ingeststore {
    #[command(flatten)]
    settings: SettingArgs,
}

pub(crate) fn ingest(args: &Ingest, color: Color) -> Result<Exit, Failure> {
    run_as("weir ingest", &["ingest"], &args.settings, color)
}

pub(crate) fn store(args: &Store, color: Color) -> Result<Exit, Failure> {
    run_as("weir store", &["store"], &args.settings, color)
}

pub(crate) fn ingeststore(args: &Ingeststore, color: Color) -> Result<Exit, Failure> {
    run_as("weir ingeststore", &["ingest", "store", "query"], &args.settings, color)
}

/// `weir run` with the roles that a command stands for; they win over the file's.
fn run_as(command: &str, roles: &[&str], args: &SettingArgs, color: Color) -> Result<Exit, Failure> {
    let mut overlays = args.overlays()?;
    overlays.push(Overlay::exact(command, &["node", "roles"], json!(roles)));
    start(args.file(), overlays, color)
}

pub(crate) fn run(args: &Run, color: Color) -> Result<Exit, Failure> {
    start(args.config.file(), args.config.overlays()?, color)
}

/// Runs what a file and flags say to its end.
pub(crate) fn start(file: Option<&Path>, overlays: Vec<Overlay>, color: Color) -> Result<Exit, Failure> {
    let config = judge(load(file, &overlays)?, false, color)?;
    let path = file.map(Path::to_owned);
    let options = RunOptions {
        config,
        embedded: embedded::PLUGINS.to_vec(),
        version: env!("CARGO_PKG_VERSION"),
        reread: Arc::new(move || load(path.as_deref(), &overlays).map_err(|failure| failure.message)),
        // Without a file nothing can have changed that a signal would be sent for.
        hangup_reloads: file.is_some(),
    };
    weir_node::run(options).map(|()| Exit::Ok).map_err(|error| Failure::failed(error.to_string()))
}
