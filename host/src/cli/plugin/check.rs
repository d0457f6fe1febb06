//! `weir plugin check`: would a node take it, and are its answers a matter of the records alone.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use weir_plugin_tool::{Check as Checked, Verdict};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::plugin::component::{Component, Params, records};
use crate::cli::terminal::{Color, paint, plain};

const EXAMPLES: &str = "\
Records are given to it twice, one by one, in other batches, in reverse and to several instances, and those that its
hints rule out are left out: the answer must be the same. Exit code 1 if something is wrong.

Examples:
  weir plugin check
  weir plugin check ./error_lines.wasm --params '{\"text\":\"error\"}' --input some.log
  weir plugin check grep --params '{\"patterns\":[\"error\"]}'";

/// Check a component: imports, world, size, needs, and whether the same records always give the same answer
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    #[command(flatten)]
    component: Component,
    #[command(flatten)]
    params: Params,
    /// Lines to try it on instead of those that are built in
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Check, color: Color) -> Result<Exit, Failure> {
    let records = records(args.input.as_deref())?;
    let trial = args.component.load()?;
    let params = args.params.if_given(&trial)?;
    let checked = weir_plugin_tool::check(&trial, params.as_ref(), &records);
    let text = if args.json {
        json(&checked)
    } else {
        text(&checked, color.applies_to(std::io::stdout().is_terminal()))
    };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(if checked.is_passed() { Exit::Ok } else { Exit::Failed })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "ok",
        Verdict::Doubtful => "doubtful",
        Verdict::Wrong => "wrong",
        Verdict::NotTried => "not tried",
    }
}

fn text(checked: &Checked, colored: bool) -> String {
    let lines = checked.points.iter().map(|point| {
        let style = match point.verdict {
            Verdict::Right => "32",
            Verdict::Doubtful | Verdict::NotTried => "33",
            Verdict::Wrong => "1;31",
        };
        let told: Vec<String> = point.told.lines().map(plain).collect();
        let word = paint(&format!("{:<9}", word(point.verdict)), style, colored);
        format!("{word}  {:<9}  {}\n", point.name, told.join("\n                      "))
    });
    lines.collect()
}

fn json(checked: &Checked) -> String {
    let points = checked.points.iter().map(
        |point| serde_json::json!({ "name": point.name, "verdict": word(point.verdict), "told": point.told }),
    );
    let points: Vec<_> = points.collect();
    format!("{}\n", serde_json::json!({ "passed": checked.is_passed(), "points": points }))
}
