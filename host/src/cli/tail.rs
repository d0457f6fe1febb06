//! `weir tail`: live records, for as long as nobody stops it.

use std::time::Duration;

use clap::Args;
use weir_api::client::{Client, ClientError, TailBody, TailItem};
use weir_api::wire::{GapBody, RecordLine};

use crate::cli::ask::{NodesArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, Wrote, warn, wrote};
use crate::cli::query::answer::point_at;
use crate::cli::query::pretty::Pretty;
use crate::cli::query::{Output, Shape};
use crate::cli::terminal::{Color, plain};
use crate::cli::wanted::WantedArgs;

/// Pause after all nodes failed: the first, and the longest after doubling.
const PAUSE_MS_MIN: u64 = 200;
const PAUSE_MS_MAX: u64 = 5_000;

const EXAMPLES: &str = "\
Records come in the order of their arrival. When a node is lost the tail goes on at the
next --node, or at the same one when it is back, behind the last record that came;
standard error says what will not come. Ctrl-C ends it.

Examples:
  weir tail
  weir tail 'payment -healthz' --topic shop
  weir tail --node http://10.0.0.5:7650 --node http://10.0.0.6:7650 'error OR warn'
  weir stream --format ndjson topic:shop

A query that begins with - goes behind --: weir tail -- -healthz";

/// Print records as they arrive
#[derive(Debug, Args)]
#[command(visible_alias = "stream", after_help = EXAMPLES)]
pub(crate) struct Tail {
    #[command(flatten)]
    wanted: WantedArgs,
    /// Shape of the output; without it pretty on a terminal, text elsewhere
    #[arg(long, value_enum)]
    format: Option<Shape>,
    #[command(flatten)]
    nodes: NodesArgs,
}

pub(crate) fn run(args: &Tail, color: Color) -> Result<Exit, Failure> {
    let q = args.wanted.query()?;
    let clients = args.nodes.clients()?;
    block_on(async {
        leave_on_interrupt();
        let out = Output::standard();
        let shape = Shape::or_fitting(args.format, out.is_terminal());
        let pretty = Pretty::new(&q, out.colored(color));
        let mut tailing = Tailing { q, color, shape, pretty, out, place: None };
        tailing.follow(&clients).await
    })
}

/// Ctrl-C is how a tail is meant to end. At once, even while standard output takes nothing.
fn leave_on_interrupt() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(Exit::Ok as i32);
        }
    });
}

/// A tail, over all its connections.
struct Tailing {
    q: String,
    color: Color,
    shape: Shape,
    pretty: Pretty,
    out: Output,
    /// The token behind what was printed.
    place: Option<String>,
}

/// How one connection ended.
enum Ended {
    /// Whoever read the output has gone.
    ReaderGone,
    /// The node has gone, or says to come again.
    Lost(String),
}

impl Tailing {
    /// Goes on for ever, at one node after the other. Before the first connection a round without success is an
    /// error: the URL is more likely wrong than every node down.
    async fn follow(&mut self, clients: &[Client]) -> Result<Exit, Failure> {
        let mut at = 0;
        let mut connected = false;
        let mut failures: usize = 0;
        loop {
            let client = &clients[at % clients.len()];
            match client.tail(&self.q, self.place.as_deref()).await {
                Ok(body) => {
                    if connected {
                        let unknown = if self.place.is_none() { "; records may be missing" } else { "" };
                        warn(self.color, &format!("going on at {}{unknown}", client.url()));
                    }
                    (connected, failures) = (true, 0);
                    match self.print(body).await? {
                        Ended::ReaderGone => return Ok(Exit::Ok),
                        Ended::Lost(why) => warn(self.color, &why),
                    }
                }
                Err(error) if is_bad_token(&error) && self.place.is_some() => {
                    warn(
                        self.color,
                        &format!("{} does not know where the tail was: records may be missing", client.url()),
                    );
                    self.place = None;
                    continue;
                }
                Err(error) if !error.is_retryable() => {
                    return Err(point_at(failure(&error), &self.q, &error));
                }
                Err(error) => {
                    failures += 1;
                    if !connected && failures >= clients.len() {
                        return Err(failure(&error));
                    }
                    // Said once per node and loss.
                    if failures <= clients.len() {
                        warn(self.color, &format!("{error}; trying again"));
                    }
                }
            }
            at += 1;
            tokio::time::sleep(pause(failures, clients.len())).await;
        }
    }

    async fn print(&mut self, mut body: TailBody) -> Result<Ended, Failure> {
        loop {
            match body.next().await {
                Ok(Some(TailItem::Records { lines, resume })) => {
                    let written = if self.shape == Shape::Pretty {
                        Output::write_own(self.pretty.chunk(&lines).as_bytes())
                    } else {
                        self.out.write(&shaped(lines, self.shape)?)
                    };
                    if wrote(written)? == Wrote::ReaderGone {
                        return Ok(Ended::ReaderGone);
                    }
                    self.place = Some(resume);
                }
                Ok(Some(TailItem::Gap { gap, resume })) => {
                    warn(self.color, &told(&gap));
                    self.place = Some(resume);
                }
                Ok(Some(TailItem::Idle { resume })) => self.place = Some(resume),
                Ok(None) => return Ok(Ended::Lost("the node ended the tail".to_owned())),
                Err(error) => return Ok(Ended::Lost(error.to_string())),
            }
        }
    }
}

fn is_bad_token(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { error, .. } if error.code == "bad_resume_token")
}

/// How long to wait after so many failures in a row: doubled with each round over all nodes.
fn pause(failures: usize, nodes: usize) -> Duration {
    let rounds = (failures / nodes).min(10) as u32;
    Duration::from_millis((PAUSE_MS_MIN << rounds).min(PAUSE_MS_MAX))
}

fn told(gap: &GapBody) -> String {
    let count = match gap.records {
        Some(1) => "1 record was passed over".to_owned(),
        Some(records) => format!("{records} records were passed over"),
        None => "records may be missing".to_owned(),
    };
    plain(&format!("gap: {count}: {}; ask for them with weir query", gap.why))
}

/// Lines of JSON in the shape that was asked for.
fn shaped(lines: Vec<u8>, shape: Shape) -> Result<Vec<u8>, Failure> {
    if shape == Shape::Ndjson {
        return Ok(lines);
    }
    let mut out = Vec::with_capacity(lines.len());
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let record = RecordLine::parse(line).and_then(|record| Some((record.payload()?, record)));
        let (payload, record) = record.ok_or_else(|| {
            Failure::failed("the node sent a line that is no record; is it a newer version than this?")
        })?;
        if shape == Shape::Oklog {
            out.extend_from_slice(record.id.as_bytes());
            out.push(b' ');
            for byte in payload {
                // A reader would take a newline for the end of the record.
                if byte == b'\n' { out.extend_from_slice(b"\\n") } else { out.push(byte) }
            }
        } else {
            out.extend_from_slice(&payload);
        }
        out.push(b'\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "{\"id\":\"01HF7YAT1A0000000000000000\",\"time\":\"t\",\"topic\":\"a\",\"labels\":{},\"payload\":\"x\\ny\"}\n\
                         {\"id\":\"01HF7YAT1A0000000000000001\",\"time\":\"t\",\"topic\":\"a\",\"labels\":{},\"payload_base64\":\"/wA=\"}\n";

    #[test]
    fn records_are_shaped_as_a_query_shapes_them() {
        for (shape, expected) in [
            (Shape::Text, &b"x\ny\n\xff\0\n"[..]),
            (Shape::Oklog, b"01HF7YAT1A0000000000000000 x\\ny\n01HF7YAT1A0000000000000001 \xff\0\n"),
            (Shape::Ndjson, LINES.as_bytes()),
        ] {
            assert_eq!(shaped(LINES.into(), shape).unwrap(), expected, "{shape:?}");
        }
        assert!(shaped(b"{\"id\":1}\n".to_vec(), Shape::Text).is_err());
    }

    #[test]
    fn pauses_grow_with_the_rounds_and_have_an_end() {
        for (failures, nodes, ms) in
            [(0, 1, 200), (1, 1, 400), (1, 2, 200), (2, 2, 400), (9, 1, 5_000), (usize::MAX, 1, 5_000)]
        {
            assert_eq!(pause(failures, nodes), Duration::from_millis(ms));
        }
    }
}
