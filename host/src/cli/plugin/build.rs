//! `weir plugin build`: a crate becomes a component.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use weir_plugin_tool::Trial;

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::told;
use crate::cli::plugin::component::{compiled_beside, failure};

const EXAMPLES: &str = "\
What is built is loaded, too, as a node would: what a node would refuse is told here.

Examples:
  weir plugin build
  weir plugin build ../error-lines";

/// Build the plugin in a folder; prints where the component lies
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Build {
    /// The folder with its Cargo.toml
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Build) -> Result<Exit, Failure> {
    let component = weir_plugin_tool::build(&args.dir).map_err(|error| failure(&error))?;
    let bytes = std::fs::read(&component)
        .map_err(|error| Failure::failed(format!("read {}: {}", component.display(), told(&error))))?;
    let name = component.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy());
    Trial::load(&name, bytes, compiled_beside(&component)).map_err(|error| failure(&error))?;
    wrote(writeln!(std::io::stdout(), "{}", component.display()))?;
    Ok(Exit::Ok)
}
