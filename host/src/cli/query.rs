//! `weir query`: asks a node, prints what comes as it comes.

pub(crate) mod answer;
mod explain;
mod filters;
mod stats;

use std::io::{IsTerminal as _, Write};

use clap::{Args, ValueEnum};
use weir_api::client::{Context, Order, QueryParams};
use weir_api::format::Format;

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, Wrote, wrote};
use crate::cli::query::answer::{finish, leave_on_interrupt, point_at};
use crate::cli::terminal::{Color, Escaping};
use crate::cli::wanted::WantedArgs;

const EXAMPLES: &str = "\
The query: words, \"bytes\", /regex/, ~word in any case, NOT or -, OR, parentheses;
topic:NAME, topic:shop-* for all that begin so, label.NAME:VALUE;
level>=warn (error, warn, info, debug, none);
fields of JSON and logfmt by : != > >= < <=, as status>=500, user.id:42, path:\"/a b\":
numbers by value, texts whole; field.NAME is never a label.
Pipes to filters, run beside the data: error | sample 0.1 | count by path; weir plugin list.
Times: RFC3339, Unix time, ULID, now, 5m, now-1h, 2h30m, 1d, 1w.

Examples:
  weir query payment declined
  weir query '\"GET /health\" -status' --from 15m --limit 20 --newest
  weir query 'topic:orders status>=500 -user.id:42'
  weir query --regex 'timeout after \\d+ms' --topic orders --label env=prod
  weir query --from 0 --format ndjson --stats
  weir query --from 2026-03-01T10:00:00Z --to 2026-03-01T11:00:00Z 'error OR warn'
  weir query 'status>=500 | count by path, host'
  weir query -C 3 --newest --limit 10 level:error
  weir query --explain 'order \"rder faile\" /timeout after \\d+ms/'

A query that begins with - goes behind --: weir query -- -healthz
Exit code 3: what was printed is right, but records are known to be missing; standard
error says which.";

/// Ask for records
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Query {
    #[command(flatten)]
    wanted: WantedArgs,
    /// Older end of the time range; 0: everything
    #[arg(long, value_name = "TIME", default_value = "1h", allow_hyphen_values = true)]
    from: String,
    /// Newer end of the time range; without it there is none
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    newest: bool,
    /// Newer records of the stream after each hit
    #[arg(short = 'A', value_name = "N")]
    after: Option<usize>,
    /// Older records of the stream before each hit
    #[arg(short = 'B', value_name = "N")]
    before: Option<usize>,
    /// Records of the stream on either side of each hit; -- stands between groups
    #[arg(short = 'C', value_name = "N")]
    context: Option<usize>,
    /// A filter to send the records through, behind those of the query: --filter 'count=by path' is | count by path.
    /// A file such as ./mine.wasm is sent to the node, for this query
    #[arg(long, value_name = "NAME|FILE.wasm[=ARGS]")]
    filter: Vec<String>,
    /// Shape of the output
    #[arg(long, value_enum, default_value = "text")]
    format: Shape,
    /// Say on standard error what was read and skipped, and where the time went
    #[arg(long)]
    stats: bool,
    /// In place of the records say how the query is understood, which words spare reading, and what it cost
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// The records, byte for byte; on a terminal with control characters escaped
    Text,
    /// A JSON object a line; the last one has the statistics
    Ndjson,
    /// ULID, space, record
    Oklog,
}

pub(crate) fn run(args: &Query, color: Color) -> Result<Exit, Failure> {
    if args.explain && args.format == Shape::Oklog {
        return Err(Failure::usage(
            "--explain: expected --format text or ndjson, got oklog; leave --format out",
        ));
    }
    let client = args.node.client()?;
    let mut out = Output::standard();
    block_on(async {
        leave_on_interrupt();
        let filters = filters::send(&client, &args.filter).await?;
        let params = params(args, &filters)?;
        if args.explain && args.format == Shape::Text {
            return explain::run(&client, params, &out, color).await;
        }
        let mut answer =
            client.query(&params).await.map_err(|error| point_at(failure(&error), &params.q, &error))?;
        loop {
            match answer.next().await {
                Ok(Some(bytes)) => match wrote(out.write(&bytes))? {
                    Wrote::All => {}
                    // Dropping the answer cancels the query at the node.
                    Wrote::ReaderGone => return Ok(Exit::Ok),
                },
                Ok(None) => return finish(answer.end(), args.stats, color),
                Err(error) => return finish(Err(error), args.stats, color),
            }
        }
    })
}

fn params(args: &Query, filters: &[String]) -> Result<QueryParams, Failure> {
    Ok(QueryParams {
        q: filters
            .iter()
            .fold(args.wanted.query()?, |query, filter| format!("{query} | {filter}").trim().to_owned()),
        from: Some(args.from.clone()),
        to: args.to.clone(),
        limit: args.limit,
        order: if args.newest { Order::Desc } else { Order::Asc },
        format: match args.format {
            Shape::Text => Format::Text,
            Shape::Ndjson => Format::Ndjson,
            Shape::Oklog => Format::Oklog,
        },
        context: Context {
            before: args.before.or(args.context).unwrap_or(0),
            after: args.after.or(args.context).unwrap_or(0),
        },
        explain: args.explain,
    })
}

/// Standard output: raw into pipes and files, escaped on a terminal. Every chunk is out when `write` returns,
/// so that an interrupt loses nothing that was delivered.
pub(crate) enum Output {
    Raw(std::io::Stdout),
    Escaped(Escaping<std::io::Stdout>),
}

impl Output {
    pub(crate) fn standard() -> Output {
        let stdout = std::io::stdout();
        if stdout.is_terminal() { Output::Escaped(Escaping::new(stdout)) } else { Output::Raw(stdout) }
    }

    /// Whether a person reads it.
    fn is_terminal(&self) -> bool {
        matches!(self, Output::Escaped(_))
    }

    /// Writes a text of ours, whose colours are meant.
    fn write_own(bytes: &[u8]) -> std::io::Result<()> {
        let mut stdout = std::io::stdout();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let out: &mut dyn Write = match self {
            Output::Raw(stdout) => stdout,
            Output::Escaped(escaping) => escaping,
        };
        out.write_all(bytes)?;
        out.flush()
    }
}
