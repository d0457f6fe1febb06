//! Counts over time: those of the engine where this node holds all there is, else from merged rows.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, HistogramAnswer, HistogramRequest, QueryRequest};
use weir_query::{Buckets, Context, Order, Rows};
use weir_record::RecordId;
use weir_segment::level::{LEVELS, Level};

use crate::clock;
use crate::queries::Queries;

/// Counts what matches. Open ends of the range become those of what is held, from the oldest to the newest record.
pub(crate) async fn count(
    queries: &Arc<Queries>,
    held_ms: Option<(u64, u64)>,
    request: HistogramRequest,
) -> Result<HistogramAnswer, ApiError> {
    let (from_ms, to_ms) = range_of(&request, held_ms, clock::now_ms());
    let mut counts = Counts::new(from_ms, to_ms, request.buckets);
    // Ends the query when the client goes, and with it this future.
    let cancel: CancellationToken = request.cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    let to = request.to.min(RecordId::lowest_at(to_ms));
    let HistogramRequest { text, expr, from, .. } = request;
    let (order, context) = (Order::Asc, Context::default());
    let query = QueryRequest { text, expr, from, to, limit: None, order, context, cancel };
    // Buckets that would end after the end of time are filled from rows.
    let buckets = Buckets::new(from_ms, counts.width_ms, counts.buckets.len() as u64);
    if let Ok(buckets) = buckets
        && let Some(counted) = queries.counts(&query, buckets).await
    {
        let (histogram, stats) = counted?;
        let buckets = histogram.counts().to_vec();
        return Ok(HistogramAnswer { from_ms, width_ms: counts.width_ms, buckets, stats });
    }
    let mut answer = queries.start(query).await?;
    while let Some(rows) = answer.rows.recv().await {
        counts.add(&rows);
    }
    let ended = answer.done.await;
    let stats = ended.unwrap_or_else(|_| Err(ApiError::internal("the query ended without saying how")))?;
    Ok(HistogramAnswer { from_ms, width_ms: counts.width_ms, buckets: counts.buckets, stats })
}

/// The range in milliseconds, the end exclusive and after the beginning.
fn range_of(request: &HistogramRequest, held_ms: Option<(u64, u64)>, now_ms: u64) -> (u64, u64) {
    let (low_ms, high_ms) = held_ms.unwrap_or((now_ms, now_ms));
    let from_ms = match request.from {
        RecordId::MIN => low_ms,
        from => from.time_ms(),
    };
    let to_ms = match request.to {
        RecordId::MAX => high_ms.max(now_ms) + 1,
        // An id within a millisecond: some of its records belong to the range.
        to => to.time_ms() + u64::from(to.entropy() > 0),
    };
    (from_ms, to_ms.max(from_ms + 1))
}

/// Buckets that fill.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    from_ms: u64,
    width_ms: u64,
    buckets: Vec<[u64; LEVELS]>,
}

impl Counts {
    fn new(from_ms: u64, to_ms: u64, buckets_max: usize) -> Counts {
        let span_ms = to_ms - from_ms;
        let width_ms = span_ms.div_ceil(buckets_max.max(1) as u64);
        let count = span_ms.div_ceil(width_ms) as usize;
        Counts { from_ms, width_ms, buckets: vec![[0; LEVELS]; count] }
    }

    fn add(&mut self, rows: &Rows) {
        for row in rows.iter() {
            let at = row.id.time_ms().saturating_sub(self.from_ms) / self.width_ms;
            if let Some(bucket) = self.buckets.get_mut(at as usize) {
                bucket[Level::of(row.payload) as usize] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_query::parse;
    use weir_record::Stream;

    use super::*;

    #[test]
    fn buckets_cover_the_range_and_count_by_level() {
        for (from_ms, to_ms, buckets_max, width_ms, count) in
            [(0, 100, 10, 10, 10), (0, 101, 10, 11, 10), (5, 6, 10, 1, 1), (0, 7, 10, 1, 7), (0, 9, 4, 3, 3)]
        {
            let counts = Counts::new(from_ms, to_ms, buckets_max);
            assert_eq!((counts.width_ms, counts.buckets.len()), (width_ms, count));
        }
        let mut rows = Rows::new();
        let stream = rows.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
        for (time_ms, payload) in [(1_000, "ERROR a"), (1_009, "x"), (1_010, "y"), (1_019, "level=warn")] {
            rows.push(RecordId::lowest_at(time_ms), stream, payload.as_bytes());
        }
        let mut counts = Counts::new(1_000, 1_020, 2);
        counts.add(&rows);
        assert_eq!(counts.buckets, [[1, 0, 0, 0, 1], [0, 1, 0, 0, 1]]);
    }

    #[test]
    fn open_ends_are_those_of_what_is_there() {
        let (min, max) = (RecordId::MIN, RecordId::MAX);
        let at = RecordId::lowest_at;
        for (from, to, expected) in [
            (min, max, (50, 51)),
            (at(10), max, (10, 51)),
            (at(10), at(20), (10, 20)),
            (at(10), RecordId::from_parts(20, 1), (10, 21)),
            (at(10), at(10), (10, 11)),
            (at(90), max, (90, 91)),
        ] {
            let request = HistogramRequest {
                text: String::new(),
                expr: parse("").unwrap(),
                from,
                to,
                buckets: 10,
                cancel: CancellationToken::new(),
            };
            assert_eq!(range_of(&request, None, 50), expected);
        }
    }
}
