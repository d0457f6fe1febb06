//! The streams that this node holds records of.

use std::collections::BTreeMap;

use weir_api::backend::{StreamInfo, labels_of};
use weir_api::format::rfc3339_ms;
use weir_engine::Searchable;
use weir_record::Stream;
use weir_storage::StreamSum;

use crate::snapshots::Holder;

/// All of them, sorted, each record counted once. Reads what has not been read of segments before: blocks. Of a
/// segment whose columns cannot be read, streams are told without sums.
pub(crate) fn streams(holder: &Holder) -> Vec<StreamInfo> {
    let mut all: BTreeMap<Stream, Option<StreamSum>> = BTreeMap::new();
    for searchable in holder.pin().all(holder.node) {
        match searchable {
            Searchable::Log(piece) => {
                for batch in (0..piece.batch_count()).map(|place| piece.batch(place)) {
                    let sum = StreamSum {
                        records: u64::from(batch.records),
                        payload_bytes: u64::from(batch.payload_bytes),
                        low: batch.low,
                        high: batch.high,
                    };
                    add(&mut all, piece.stream(batch.stream as usize), Some(sum));
                }
            }
            Searchable::Segment(piece) => {
                let file = piece.file();
                let sums = file.stream_sums().inspect_err(|error| {
                    tracing::warn!(%error, "what a segment has of its streams cannot be read");
                });
                for (number, stream) in file.streams().iter().enumerate() {
                    add(&mut all, stream, sums.as_ref().ok().map(|sums| sums[number]));
                }
            }
        }
    }
    all.iter().map(|(stream, sum)| told(stream, sum.as_ref())).collect()
}

/// A sum of which a part is not known is not known.
fn add(all: &mut BTreeMap<Stream, Option<StreamSum>>, stream: &Stream, part: Option<StreamSum>) {
    let Some(sum) = all.get_mut(stream) else {
        all.insert(stream.clone(), part);
        return;
    };
    *sum = sum.zip(part).map(|(sum, part)| StreamSum {
        records: sum.records + part.records,
        payload_bytes: sum.payload_bytes + part.payload_bytes,
        low: sum.low.min(part.low),
        high: sum.high.max(part.high),
    });
}

fn told(stream: &Stream, sum: Option<&StreamSum>) -> StreamInfo {
    StreamInfo {
        topic: stream.topic().to_owned(),
        labels: labels_of(stream),
        records: sum.map(|sum| sum.records),
        bytes: sum.map(|sum| sum.payload_bytes),
        first: sum.map(|sum| rfc3339_ms(sum.low.time_ms())),
        last: sum.map(|sum| rfc3339_ms(sum.high.time_ms())),
    }
}
