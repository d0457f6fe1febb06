//! Counts over time.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, HistogramAnswer, HistogramRequest, QueryRequest};
use weir_query::histogram::BucketsError;
use weir_query::{Buckets, Context, Order};
use weir_record::RecordId;
use weir_record::id::TIME_MS_MAX;

use crate::clock;
use crate::queries::Queries;

/// Counts what matches. Open ends of the range become those of what is held, from the oldest to the newest record.
pub(crate) async fn count(
    queries: &Arc<Queries>,
    request: HistogramRequest,
) -> Result<HistogramAnswer, ApiError> {
    let now_ms = clock::now_ms();
    // Ends the query when the client goes, and with it this future.
    let cancel: CancellationToken = request.cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    let HistogramRequest { text, expr, stages, from, to, buckets: count_max, .. } = request;
    let (order, context) = (Order::Asc, Context::default());
    let query = QueryRequest { text, expr, stages, from, to, limit: None, order, context, cancel };
    let buckets = |held: Option<(RecordId, RecordId)>| {
        let held_ms = held.map(|(low, high)| (low.time_ms(), high.time_ms()));
        let (from_ms, to_ms) = range_of(from, to, held_ms, now_ms);
        let buckets = buckets_of(from_ms, to_ms, count_max);
        buckets.map_err(|error| ApiError::bad_request("bad_buckets", error.to_string()))
    };
    let (histogram, stats) = queries.counts(query, &buckets).await?;
    let (from_ms, width_ms) = (histogram.buckets().from_ms(), histogram.buckets().width_ms());
    Ok(HistogramAnswer { from_ms, width_ms, buckets: histogram.counts().to_vec(), stats })
}

/// The range in milliseconds, the end exclusive and after the beginning.
fn range_of(from: RecordId, to: RecordId, held_ms: Option<(u64, u64)>, now_ms: u64) -> (u64, u64) {
    let (low_ms, high_ms) = held_ms.unwrap_or((now_ms, now_ms));
    let from_ms = match from {
        RecordId::MIN => low_ms,
        from => from.time_ms(),
    };
    let to_ms = match to {
        RecordId::MAX => high_ms.max(now_ms) + 1,
        // An id within a millisecond: some of its records belong to the range.
        to => to.time_ms() + u64::from(to.entropy() > 0),
    };
    (from_ms, to_ms.max(from_ms + 1))
}

/// So many buckets at most. They begin earlier when they would end after the end of time.
fn buckets_of(from_ms: u64, to_ms: u64, count_max: usize) -> Result<Buckets, BucketsError> {
    let span_ms = to_ms - from_ms;
    let width_ms = span_ms.div_ceil(count_max.max(1) as u64);
    let count = span_ms.div_ceil(width_ms);
    let last_from_ms = (TIME_MS_MAX + 1).saturating_sub(width_ms * count);
    Buckets::new(from_ms.min(last_from_ms), width_ms, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_the_range() {
        let end = TIME_MS_MAX + 1;
        for (from_ms, to_ms, count_max, expected) in [
            (0, 100, 10, (0, 10, 10)),
            (0, 101, 10, (0, 11, 10)),
            (5, 6, 10, (5, 1, 1)),
            (0, 7, 10, (0, 1, 7)),
            (0, 9, 4, (0, 3, 3)),
            (end - 10, end, 3, (end - 12, 4, 3)),
        ] {
            let buckets = buckets_of(from_ms, to_ms, count_max).unwrap();
            assert_eq!((buckets.from_ms(), buckets.width_ms(), buckets.count()), expected);
        }
    }

    #[test]
    fn open_ends_are_those_of_what_is_there() {
        let (min, max) = (RecordId::MIN, RecordId::MAX);
        let at = RecordId::lowest_at;
        for (from, to, held, expected) in [
            (min, max, None, (50, 51)),
            (min, max, Some((7, 40)), (7, 51)),
            (min, max, Some((7, 60)), (7, 61)),
            (at(10), max, None, (10, 51)),
            (at(10), at(20), None, (10, 20)),
            (at(10), RecordId::from_parts(20, 1), None, (10, 21)),
            (at(10), at(10), None, (10, 11)),
            (at(90), max, None, (90, 91)),
        ] {
            assert_eq!(range_of(from, to, held, 50), expected);
        }
    }
}
