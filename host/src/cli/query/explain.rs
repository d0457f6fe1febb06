//! `weir query --explain`: how the node understood the query, then what running it cost. Its records are not sent.

use weir_api::client::{Client, QueryParams};
use weir_api::format::Format;
use weir_api::wire::{ExplainLine, QueryExplained};

use super::answer::{finish, point_at};
use super::stats;
use crate::cli::ask::failure;
use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::query::Output;
use crate::cli::terminal::{Color, plain};

/// Longest answer: an explanation and statistics, no records.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Asks, and prints the explanation and the statistics as text.
pub(super) async fn run(
    client: &Client,
    params: QueryParams,
    out: &Output,
    color: Color,
) -> Result<Exit, Failure> {
    let params = QueryParams { explain: true, format: Format::Ndjson, ..params };
    let mut answer =
        client.query(&params).await.map_err(|error| point_at(failure(&error), &params.q, &error))?;
    let mut bytes = Vec::new();
    let ended = loop {
        match answer.next().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(Failure::failed("the explanation is longer than one can be".to_owned()));
            }
            Ok(None) => break answer.end(),
            Err(error) => break Err(error),
        }
    };
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // A node that knows no explanations has refused the parameter.
    let mut text = match serde_json::from_slice::<ExplainLine>(first) {
        Ok(line) => told(&line.explain),
        Err(_) => String::new(),
    };
    if let Some(stats) = ended.as_ref().ok().and_then(|end| end.stats.as_ref()) {
        text.push('\n');
        text.push_str(&stats::told(stats, color.applies_to(out.is_terminal())));
    }
    wrote(Output::write_own(text.as_bytes()))?;
    finish(ended, false, color)
}

/// The query as it was understood, and its terms below each other.
fn told(explained: &QueryExplained) -> String {
    let QueryExplained { query, filters, terms } = explained;
    let query = if query.is_empty() { "(everything)" } else { query };
    let filters = filters.as_deref().unwrap_or("no help: every block in the range is read");
    let mut text = format!("query:   {}\nfilters: {}\n\n", plain(query), plain(filters));
    for term in terms {
        let indent = "  ".repeat(term.depth.min(64));
        let name = if term.term.is_empty() { "(everything)" } else { &term.term };
        text.extend([&indent, &plain(name), "\n", &indent, "    ", &plain(&term.does), "\n"]);
        if let Some(hint) = &term.hint {
            text.extend([&indent, "    hint: ", &plain(hint), "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use weir_api::wire::TermExplained;

    use super::*;

    #[test]
    fn terms_stand_below_each_other_with_their_hints() {
        let term = |depth, term: &str, does: &str, hint: Option<&str>| TermExplained {
            depth,
            term: term.into(),
            does: does.into(),
            hint: hint.map(Into::into),
        };
        let explained = QueryExplained {
            query: "a OR \"b\u{7}\"".into(),
            filters: None,
            terms: vec![
                term(0, "OR", "one of:", None),
                term(1, "a", "this", None),
                term(1, "\"b\"", "that", Some("c")),
            ],
        };
        let expected = "\
query:   a OR \"b\u{fffd}\"
filters: no help: every block in the range is read

OR
    one of:
  a
      this
  \"b\"
      that
      hint: c
";
        assert_eq!(told(&explained), expected);
    }
}
