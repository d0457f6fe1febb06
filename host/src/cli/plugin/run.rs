//! `weir plugin run`: lines in, what the plugin makes of them out.

use std::io::{BufWriter, Write as _};

use clap::Args;
use weir_plugin_tool::{Flow, ToolError};

use crate::cli::exit::{Exit, Failure, Wrote, wrote};
use crate::cli::plugin::component::{Component, Params, failure};
use crate::cli::terminal::Escaping;

const EXAMPLES: &str = "\
Reads a record per line from standard input. What the plugin logs goes to standard error.

Examples:
  weir plugin run --params '{\"text\":\"error\"}' < some.log
  weir plugin run count --params '{\"by\":[\"path\"]}' < access.log
  weir plugin run ./mine.wasm --label host=web1 --topic shop < some.log";

/// Send lines through a filter, rewrite or aggregate
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    component: Component,
    #[command(flatten)]
    params: Params,
    /// Topic of the records
    #[arg(long, default_value = "default", value_name = "TOPIC")]
    topic: String,
    /// A label of the records
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(args: &Run) -> Result<Exit, Failure> {
    let trial = args.component.load()?;
    let params = args.params.of(&trial)?;
    let labels = [("_topic".to_owned(), args.topic.clone())].into_iter().chain(args.label.iter().cloned());
    let flow = Flow::open(&trial, params, labels.collect()).map_err(|error| failure(&error))?;
    let out = BufWriter::new(std::io::stdout().lock());
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let mut out: Box<dyn std::io::Write> =
        if is_terminal { Box::new(Escaping::new(out)) } else { Box::new(out) };
    let mut failed = None;
    let ran = flow.run(std::io::stdin().lock(), |payload| {
        let result = out.write_all(payload).and_then(|()| out.write_all(b"\n"));
        match wrote(result) {
            Ok(wrote) => Ok::<bool, ToolError>(wrote == Wrote::All),
            Err(error) => {
                failed = Some(error);
                Ok(false)
            }
        }
    });
    // What was written before it failed is shown.
    let flushed = wrote(out.flush());
    ran.map_err(|error| failure(&error))?;
    failed.map_or(Ok(()), Err)?;
    flushed?;
    Ok(Exit::Ok)
}
