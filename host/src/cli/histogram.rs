//! `weir histogram`: counts over time as bars.

mod bars;

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, ValueEnum};
use weir_api::client::QueryEnd;

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::histogram::bars::{Look, draw};
use crate::cli::query::answer::{finish, point_at};
use crate::cli::terminal::Color;
use crate::cli::wanted::WantedArgs;

/// As wide as a chart is where there is no terminal to ask.
const WIDTH_DEFAULT: u16 = 80;

const EXAMPLES: &str = "\
A line is one stretch of time; on a terminal its bar has a colour per level, as far as
the records say one. Times are UTC.

Examples:
  weir histogram
  weir histogram error --from 1d --buckets 24
  weir histogram topic:shop --from 15m --format json

Exit code 3: what is counted is right, but records are known to be missing; standard
error says which.";

/// Count records over time
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Histogram {
    #[command(flatten)]
    wanted: WantedArgs,
    /// Older end of the time range; 0: everything
    #[arg(long, value_name = "TIME", default_value = "1h", allow_hyphen_values = true)]
    from: String,
    /// Newer end of the time range; without it now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// At most so many lines
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    buckets: u16,
    /// Shape of the output
    #[arg(long, value_enum, default_value = "text")]
    format: Shape,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// A bar chart
    Text,
    /// The answer as the node gives it
    Json,
}

pub(crate) fn run(args: &Histogram, color: Color) -> Result<Exit, Failure> {
    let q = args.wanted.query()?;
    let client = args.node.client()?;
    // `0` is the beginning of time to people; a histogram from 1970 on would be one bar.
    let from = Some(args.from.as_str()).filter(|from| *from != "0");
    let body = block_on(async {
        let counted = client.histogram(&q, from, args.to.as_deref(), args.buckets.into()).await;
        counted.map_err(|error| point_at(failure(&error), &q, &error))
    })?;
    let out = match args.format {
        Shape::Json => {
            let json = serde_json::to_string(&body);
            json.map_err(|error| Failure::failed(format!("write JSON: {error}")))? + "\n"
        }
        Shape::Text => {
            let terminal = std::io::stdout().is_terminal();
            let width =
                terminal_size::terminal_size().filter(|_| terminal).map_or(WIDTH_DEFAULT, |size| size.0.0);
            draw(&body, Look { width: width.into(), colored: color.applies_to(terminal) })
        }
    };
    wrote(std::io::stdout().write_all(out.as_bytes()))?;
    finish(Ok(QueryEnd { complete: body.stats.complete, stats: Some(body.stats), error: None }), false, color)
}
