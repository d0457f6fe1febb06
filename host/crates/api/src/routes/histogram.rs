//! `GET /api/v1/histogram`: how many records came when.

use std::sync::Arc;

use http::StatusCode;
use tokio_util::sync::CancellationToken;
use weir_query::Piped;
use weir_record::{RecordId, limits};

use super::Request;
use super::query::{bound, check_range, piped, with_filters};
use crate::access::Caller;
use crate::backend::HistogramRequest;
use crate::error::ApiError;
use crate::params::Params;
use crate::server::{self, Response, Shared};
use crate::wire::{HistogramBody, QueryStats};

const KNOWN: &[&str] = &["q", "filter", "from", "to", "buckets"];

pub(super) async fn get(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let cancel = CancellationToken::new();
    let caller = request.caller.clone();
    let request = resolve(request.params()?, &caller, shared.backend.now_ms(), &cancel)?;
    // Dropped with this future, when the client goes.
    let _guard = cancel.drop_guard();
    let range = (request.from, request.to);
    let answer = shared.backend.histogram(request).await?;
    let stats = QueryStats::of(&answer.stats, range.0, range.1).for_caller(&caller);
    let status = if stats.complete { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    server::json(status, &HistogramBody::of(&answer, stats))
}

/// What the parameters ask for, at a time.
fn resolve(
    mut params: Params,
    caller: &Caller,
    now_ms: u64,
    cancel: &CancellationToken,
) -> Result<HistogramRequest, ApiError> {
    let text = with_filters(params.take("q")?.unwrap_or_default(), params.take("filter")?.as_deref());
    let from = bound(&mut params, "from", now_ms)?.unwrap_or(RecordId::MIN);
    let to = bound(&mut params, "to", now_ms)?.unwrap_or(RecordId::MAX);
    let buckets =
        params.take("buckets")?.map_or(Ok(limits::HISTOGRAM_BUCKETS_DEFAULT), |b| parse_buckets(&b))?;
    params.finish(KNOWN)?;
    check_range(from, to)?;
    let Piped { expr, stages } = piped(&text, caller)?;
    Ok(HistogramRequest { text, expr, stages, from, to, buckets, cancel: cancel.clone() })
}

fn parse_buckets(text: &str) -> Result<usize, ApiError> {
    let allowed = 1..=limits::HISTOGRAM_BUCKETS_MAX;
    text.parse().ok().filter(|buckets| allowed.contains(buckets)).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        let max = limits::HISTOGRAM_BUCKETS_MAX;
        ApiError::bad_request("bad_parameter", format!("buckets is a number from 1 to {max}, not {shown:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(params: &str) -> Result<HistogramRequest, ApiError> {
        resolve(Params::parse(params)?, &Caller::default(), 1_700_000_000_000, &CancellationToken::new())
    }

    #[test]
    fn parameters_say_what_is_counted() {
        let request = resolved("").unwrap();
        assert_eq!((request.from, request.to), (RecordId::MIN, RecordId::MAX));
        assert_eq!(request.buckets, limits::HISTOGRAM_BUCKETS_DEFAULT);
        let request = resolved("q=error&from=1h&to=now&buckets=24").unwrap();
        assert_eq!((request.text.as_str(), request.buckets), ("error", 24));
        assert_eq!(request.from, RecordId::lowest_at(1_700_000_000_000 - 3_600_000));
    }

    #[test]
    fn what_cannot_be_counted_is_refused_by_name() {
        for (params, code, part) in [
            ("buckets=0", "bad_parameter", "buckets"),
            ("buckets=10001", "bad_parameter", "10000"),
            ("buckets=-1", "bad_parameter", "buckets"),
            ("from=now&to=1h", "bad_range", "from"),
            ("q=a (b", "bad_query", "column 3"),
            ("limit=3", "unknown_parameter", "limit"),
        ] {
            let error = resolved(params).unwrap_err();
            assert_eq!(error.code(), code, "{params}: {error}");
            assert!(error.message().contains(part), "{params}: {error}");
        }
    }
}
