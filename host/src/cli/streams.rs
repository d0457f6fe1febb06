//! `weir streams`: topics and labels of a node.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use weir_api::wire::StreamInfo;

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, warn, wrote};
use crate::cli::terminal::{Color, plain, table};

const EXAMPLES: &str = "\
A stream that several nodes hold has no counts: of copies nobody can tell here which are
the same. Exit code 3: some nodes did not answer; standard error says which.

Examples:
  weir streams
  weir streams --top 10
  weir streams --json --node http://10.0.0.5:7650";

/// List the streams of a node: topics and labels
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Streams {
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only the streams with the most bytes, the largest first
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Streams, color: Color) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let mut answer = block_on(async { client.streams().await.map_err(|error| failure(&error)) })?;
    if let Some(count) = args.top {
        keep_largest(&mut answer.streams, count);
    }
    let text = if args.json {
        format!("{}\n", serde_json::json!(answer))
    } else {
        let rows: Vec<Vec<String>> = answer.streams.iter().map(row).collect();
        let colored = color.applies_to(std::io::stdout().is_terminal());
        table(&["TOPIC", "RECORDS", "BYTES", "FIRST", "LAST", "LABELS"], &rows, colored)
    };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    for why in &answer.missing {
        warn(color, &format!("streams may be missing: {}", plain(why)));
    }
    Ok(if answer.missing.is_empty() { Exit::Ok } else { Exit::Incomplete })
}

/// Keeps so many streams, the largest first. Those of which the size is not known come last, in their order.
fn keep_largest(streams: &mut Vec<StreamInfo>, count: usize) {
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.bytes));
    streams.truncate(count);
}

fn row(stream: &StreamInfo) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let time = |time: &Option<String>| time.as_deref().map_or("-".to_owned(), plain);
    let labels: Vec<String> =
        stream.labels.iter().map(|(name, value)| plain(&format!("{name}={value}"))).collect();
    vec![
        plain(&stream.topic),
        number(stream.records),
        number(stream.bytes),
        time(&stream.first),
        time(&stream.last),
        labels.join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_the_unknown_last() {
        let stream = |topic: &str, bytes| StreamInfo { topic: topic.into(), bytes, ..StreamInfo::default() };
        let mut streams =
            vec![stream("a", None), stream("b", Some(5)), stream("c", Some(9)), stream("d", None)];
        keep_largest(&mut streams, 3);
        let topics: Vec<&str> = streams.iter().map(|stream| stream.topic.as_str()).collect();
        assert_eq!(topics, ["c", "b", "a"]);
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_labels_come_last() {
        let stream = StreamInfo {
            topic: "a\nb".into(),
            labels: [("x".into(), "1".into()), ("y".into(), "2".into())].into(),
            records: Some(7),
            ..StreamInfo::default()
        };
        assert_eq!(row(&stream), ["a\u{fffd}b", "7", "-", "-", "-", "x=1 y=2"]);
    }
}
