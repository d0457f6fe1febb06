//! `weir healthcheck`: asks a node how it is, for images that have no other program.

use clap::Args;

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, wrote};

const EXAMPLES: &str = "\
Exit code 0: it is ready (or, with --live, it answers). 1: it is not, and standard error says why.

Examples:
  weir healthcheck
  weir healthcheck --live --node http://127.0.0.1:7650";

/// Ask a node whether it is ready
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Healthcheck {
    /// Whether it takes requests: the default
    #[arg(long)]
    ready: bool,
    /// Whether it answers at all, while it starts and while it stops as well
    #[arg(long, conflicts_with = "ready")]
    live: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Healthcheck) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let path = if args.live { "/-/healthy" } else { "/-/ready" };
    let said = block_on(async { client.probe(path).await.map_err(|error| failure(&error)) })?;
    wrote(std::io::Write::write_all(&mut std::io::stdout(), format!("{said}\n").as_bytes()))?;
    Ok(Exit::Ok)
}
