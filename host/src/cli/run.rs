//! `weir run`: a node.

use clap::Args;
use weir_node::RunOptions;
use weir_node::config::Config;

use crate::cli::exit::{Exit, Failure};
use crate::cli::load::{ConfigArgs, judge, load};
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

/// Run a node
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: &Run, color: Color) -> Result<Exit, Failure> {
    let loaded = load(args.config.file(), &args.config.overlays()?)?;
    start(judge(loaded, color)?)
}

/// Runs what is configured to its end.
pub(crate) fn start(config: Config) -> Result<Exit, Failure> {
    let options =
        RunOptions { config, embedded: embedded::PLUGINS.to_vec(), version: env!("CARGO_PKG_VERSION") };
    weir_node::run(options).map(|()| Exit::Ok).map_err(|error| Failure::failed(error.to_string()))
}
