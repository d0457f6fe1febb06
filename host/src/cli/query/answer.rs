//! What is said about an answer, beside the answer: missing records, statistics, interruption.

use std::io::IsTerminal as _;

use weir_api::client::{ClientError, QueryEnd};
use weir_api::wire::MissingPart;

use crate::cli::exit::{Exit, Failure, warn};
use crate::cli::query::stats::told;
use crate::cli::terminal::{Color, plain};

/// Missing parts named one by one.
const PARTS_SHOWN_MAX: usize = 20;

/// Ctrl-C ends the process at once: what was delivered is printed already.
pub(crate) fn leave_on_interrupt() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("weir: interrupted; the answer above is not complete");
            std::process::exit(Exit::Interrupted as i32);
        }
    });
}

/// Tells how an answer ended. Whatever cut it short, the records before are right.
pub(crate) fn finish(
    end: Result<QueryEnd, ClientError>,
    stats_wanted: bool,
    color: Color,
) -> Result<Exit, Failure> {
    let incomplete = |message: String| Failure { exit: Exit::Incomplete, message };
    let end = end.map_err(|error| incomplete(format!("the answer is incomplete: {error}")))?;
    if let Some(stats) = end.stats.as_ref().filter(|_| stats_wanted) {
        eprint!("{}", told(stats, color.applies_to(std::io::stderr().is_terminal())));
    }
    if let Some(error) = end.error {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        return Err(incomplete(format!("the answer is incomplete: {}{hint}", error.message)));
    }
    if end.complete {
        return Ok(Exit::Ok);
    }
    let stats = end.stats.unwrap_or_default();
    for part in stats.missing.iter().take(PARTS_SHOWN_MAX) {
        warn(color, &missing(part));
    }
    let more = stats.missing.len().saturating_sub(PARTS_SHOWN_MAX) as u64 + stats.missing_more;
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    Err(incomplete(format!(
        "the answer is incomplete: the parts above{more} are missing; ask again when they are back"
    )))
}

/// One line for one missing part: which node, where, which time, why.
fn missing(part: &MissingPart) -> String {
    let node = if part.node.is_empty() { "this node" } else { part.node.as_str() };
    let from = part.from.as_deref().unwrap_or("the beginning");
    let to = part.to.as_deref().unwrap_or("now");
    plain(&format!("missing from {node}: {}, {from} to {to}: {}", part.place, part.why))
}

/// Adds the query with a mark under the column where it is wrong.
pub(crate) fn point_at(mut failure: Failure, query: &str, error: &ClientError) -> Failure {
    let ClientError::Refused { error, .. } = error else { return failure };
    let Some(column) = error.column else { return failure };
    let before = (column.saturating_sub(1) as usize).min(query.chars().count());
    failure.message.push_str(&["\n  ", &plain(query), "\n  ", &" ".repeat(before), "^"].concat());
    failure
}

#[cfg(test)]
mod tests {
    use weir_api::ErrorBody;
    use weir_api::wire::QueryStats;

    use super::*;

    fn end(complete: bool, missing: Vec<MissingPart>) -> QueryEnd {
        let stats = QueryStats { complete, missing, ..QueryStats::default() };
        QueryEnd { complete, stats: Some(stats), error: None }
    }

    #[test]
    fn anything_short_of_complete_is_exit_3() {
        let part = MissingPart {
            node: "n1".into(),
            place: "log".into(),
            why: "gone".into(),
            ..MissingPart::default()
        };
        assert_eq!(missing(&part), "missing from n1: log, the beginning to now: gone");
        assert_eq!(finish(Ok(end(true, vec![])), false, Color::Never), Ok(Exit::Ok));
        let failure = finish(Ok(end(false, vec![part])), true, Color::Never).unwrap_err();
        assert_eq!(failure.exit, Exit::Incomplete);
        let error = ErrorBody {
            code: "x".into(),
            message: "too large".into(),
            hint: Some("ask for less".into()),
            column: None,
        };
        let cut = QueryEnd { complete: false, stats: None, error: Some(error) };
        let failure = finish(Ok(cut), false, Color::Never).unwrap_err();
        assert_eq!(failure.message, "the answer is incomplete: too large; ask for less");
        let broken = ClientError::Broken { url: "http://a".into(), reason: "reset".into() };
        assert_eq!(finish(Err(broken), false, Color::Never).unwrap_err().exit, Exit::Incomplete);
    }

    #[test]
    fn a_query_that_is_wrong_is_shown_with_its_column() {
        let error = ErrorBody { code: "bad_query".into(), message: "no".into(), hint: None, column: Some(3) };
        let refused =
            ClientError::Refused { url: "http://a".into(), status: 400, error, retry_after_s: None };
        let failure = point_at(Failure::usage("no"), "a (b", &refused);
        assert_eq!(failure.message, "no\n  a (b\n    ^");
    }
}
