//! The streams that a store holds, from footers alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_record::{RecordId, Stream};

use crate::store::segment::StoreSnapshot;

/// One stream and what the footers tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpan {
    /// Topic and labels.
    pub stream: Arc<Stream>,
    /// Its records, where it has every segment that it is in for itself: footers do not count by stream.
    pub records: Option<u64>,
    /// Their payload bytes, likewise.
    pub payload_bytes: Option<u64>,
    /// No record of it has a lower id: the lowest of the segments that it is in.
    pub low: RecordId,
    /// No record of it has a higher id.
    pub high: RecordId,
}

impl StoreSnapshot {
    /// All streams, sorted. Streams of origins that damage has touched may be among them.
    pub fn streams(&self) -> Vec<StreamSpan> {
        let mut spans: BTreeMap<&Stream, StreamSpan> = BTreeMap::new();
        for segment in &self.segments {
            let footer = segment.file.footer();
            let (low, high) = footer.id_range();
            let alone = segment.file.streams().len() == 1 && segment.served.has_all();
            let own = |count| alone.then_some(count);
            for stream in segment.file.streams() {
                let span = spans.entry(stream).or_insert_with(|| StreamSpan {
                    stream: Arc::clone(stream),
                    records: Some(0),
                    payload_bytes: Some(0),
                    low,
                    high,
                });
                let add = |sum: Option<u64>, count| Some(sum? + own(count)?);
                span.records = add(span.records, footer.records());
                span.payload_bytes = add(span.payload_bytes, footer.payload_bytes());
                span.low = span.low.min(low);
                span.high = span.high.max(high);
            }
        }
        spans.into_values().collect()
    }
}
