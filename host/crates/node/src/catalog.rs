//! The streams that this node holds records of.

use std::collections::BTreeMap;

use weir_api::backend::{StreamInfo, labels_of};
use weir_api::format::rfc3339_ms;
use weir_record::{RecordId, Stream};
use weir_segment::Footer;

use crate::snapshots::{HeldByIngest, Holder};

/// What is known of a stream.
struct Sums {
    /// Records and bytes, as far as they are known.
    sizes: Option<(u64, u64)>,
    low: RecordId,
    high: RecordId,
}

/// All of them, sorted.
pub(crate) fn streams(holder: &Holder) -> Vec<StreamInfo> {
    let mut all: BTreeMap<Stream, Sums> = BTreeMap::new();
    let mut add = |stream: &Stream, sizes: Option<(u64, u64)>, low: RecordId, high: RecordId| {
        let empty = Sums { sizes: Some((0, 0)), low: RecordId::MAX, high: RecordId::MIN };
        let sums = all.entry(stream.clone()).or_insert(empty);
        // A sum of which a part is not known is not known.
        sums.sizes = sums.sizes.zip(sizes).map(|(sum, part)| (sum.0 + part.0, sum.1 + part.1));
        sums.low = sums.low.min(low);
        sums.high = sums.high.max(high);
    };
    if let Some(HeldByIngest { log, backlog, .. }) = &holder.ingest {
        for piece in &log.snapshot().pieces {
            for of in piece.streams() {
                add(&of.stream, Some((of.records, of.payload_bytes)), of.low, of.high);
            }
        }
        for segment in backlog.snapshot() {
            of_segment(segment.footer(), &mut add);
        }
    }
    for segment in holder.store.iter().flat_map(|store| store.snapshot().segments) {
        of_segment(segment.file.footer(), &mut add);
    }
    all.into_iter().map(|(stream, sums)| told(&stream, &sums)).collect()
}

/// Footers name streams and sum over all of them: of one alone that says everything.
fn of_segment(footer: &Footer, add: &mut impl FnMut(&Stream, Option<(u64, u64)>, RecordId, RecordId)) {
    let (low, high) = footer.id_range();
    let sizes = match footer.streams() {
        [_] => Some((footer.records(), footer.payload_bytes())),
        _ => None,
    };
    footer.streams().iter().for_each(|stream| add(stream, sizes, low, high));
}

fn told(stream: &Stream, sums: &Sums) -> StreamInfo {
    StreamInfo {
        topic: stream.topic().to_owned(),
        labels: labels_of(stream),
        records: sums.sizes.map(|(records, _)| records),
        bytes: sums.sizes.map(|(_, bytes)| bytes),
        first: Some(rfc3339_ms(sums.low.time_ms())),
        last: Some(rfc3339_ms(sums.high.time_ms())),
    }
}
