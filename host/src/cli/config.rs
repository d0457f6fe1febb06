//! `weir config`: what a configuration amounts to, without starting anything.

use std::io::Write as _;

use clap::{Args, Subcommand};
use weir_node::config::json_schema;

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::load::{ConfigArgs, judge, load};
use crate::cli::terminal::Color;

const CHECK_EXAMPLES: &str = "\
Every problem is one line, `file:line:col: path.to.key: expected …, got …`. Exit code 78
when there is one with which the node would not start.

Examples:
  weir config check -c weir.toml
  weir config check -c weir.toml --set listen.api=127.0.0.1:8000";

const SHOW_EXAMPLES: &str = "\
The output is TOML. Passwords and what is named like a secret are shown as ***.

Examples:
  weir config show
  weir config show -c weir.toml";

const SCHEMA_EXAMPLES: &str = "\
An editor that knows JSON Schema completes and checks weir.toml with it; for Taplo and
Even Better TOML, name the file in the first line: #:schema ./weir.schema.json

Examples:
  weir config schema > weir.schema.json";

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    Check(Check),
    Show(Show),
    Schema(Schema),
}

/// List everything that is wrong
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Show the effective settings and where each comes from
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct Show {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Print the JSON Schema of the configuration file, for editors
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(crate) struct Schema {}

pub(crate) fn run(args: &Config, color: Color) -> Result<Exit, Failure> {
    let (config, show) = match args {
        Config::Check(check) => (&check.config, false),
        Config::Show(show) => (&show.config, true),
        Config::Schema(Schema {}) => {
            wrote(std::io::stdout().write_all(format!("{:#}\n", json_schema()).as_bytes()))?;
            return Ok(Exit::Ok);
        }
    };
    let loaded = load(config.file(), &config.overlays()?)?;
    let name = config.file().map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
    let text = if show { loaded.shown.clone() } else { format!("{name}: ok\n") };
    let verdict = judge(loaded, true, color);
    if show || verdict.is_ok() {
        wrote(std::io::stdout().write_all(text.as_bytes()))?;
    }
    verdict.map(|_| Exit::Ok)
}
