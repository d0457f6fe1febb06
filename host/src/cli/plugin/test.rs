//! `weir plugin test`: the cases of a plugin.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use weir_plugin_tool::{Cases, Outcome, Tried};

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::plugin::component::{Component, failure};
use crate::cli::terminal::{Color, paint};

const EXAMPLES: &str = "\
A case is a folder: input.txt with a record per line, params.json, labels.json (what is not there is empty), and
expected.txt, or error.txt with words that the error must have. Exit code 1 if a case fails.

Examples:
  weir plugin test
  weir plugin test --bless
  weir plugin test ./mine.wasm --cases tests/cases";

/// Compare what a plugin answers with files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    #[command(flatten)]
    component: Component,
    /// The folder with a folder for each case
    #[arg(long, default_value = "cases", value_name = "DIR")]
    cases: PathBuf,
    /// Write what comes out as what is expected
    #[arg(long)]
    bless: bool,
}

pub(crate) fn run(args: &Test, color: Color) -> Result<Exit, Failure> {
    let cases = Cases::find(&args.cases).map_err(|error| failure(&error))?;
    let trial = args.component.load()?;
    let tried = cases.run(&trial, args.bless).map_err(|error| failure(&error))?;
    let text = text(&tried, color.applies_to(std::io::stdout().is_terminal()));
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    let is_failed = tried.iter().any(|case| matches!(case.outcome, Outcome::Failed(_)));
    Ok(if is_failed { Exit::Failed } else { Exit::Ok })
}

fn text(tried: &[Tried], colored: bool) -> String {
    let (mut text, mut failed) = (String::new(), 0);
    for case in tried {
        let (word, style, more) = match &case.outcome {
            Outcome::Passed => ("ok", "32", ""),
            Outcome::Blessed => ("blessed", "33", ""),
            Outcome::Failed(how) => ("failed", "1;31", how.as_str()),
        };
        failed += usize::from(word == "failed");
        let _ = write!(text, "{}  {}\n{more}", paint(&format!("{word:<7}"), style, colored), case.name);
    }
    let _ = writeln!(text, "{} passed, {failed} failed", tried.len() - failed);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_line_and_the_end_counts_them() {
        let case = |name: &str, outcome| Tried { name: name.into(), outcome };
        let tried = [
            case("a", Outcome::Passed),
            case("b", Outcome::Failed("  - x\n  + y\n".into())),
            case("c", Outcome::Blessed),
        ];
        assert_eq!(
            text(&tried, false),
            "ok       a\nfailed   b\n  - x\n  + y\nblessed  c\n2 passed, 1 failed\n"
        );
    }
}
