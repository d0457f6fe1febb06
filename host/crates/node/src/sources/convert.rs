//! From the flat batch of a plugin to batches of one stream each, with ids.
//!
//! Ids follow the order in which the plugin gave the records, whatever stream they belong to: the parts of a
//! split line have consecutive ids, and what two files interleaved stays interleaved.

use std::collections::BTreeMap;

use weir_plugin_runtime::{PluginBatch, PluginBatchError, StreamRecords};
use weir_record::lines::Payloads;
use weir_record::mint::{TimeBounds, keyed_id, push_id};
use weir_record::stream::{REPEAT_LABEL, TIME_LABEL};
use weir_record::{Batch, BatchError, BatchFlags, IdRun, Minter, RecordId, Stream};

/// What a conversion takes besides the batch.
pub(crate) struct Arrival<'a> {
    /// The configured stream of the source; its labels win over the plugin's.
    pub(crate) base: &'a Stream,
    /// The node's clock.
    pub(crate) now_ms: u64,
    /// Drawn for this batch.
    pub(crate) entropy: u128,
    /// Which event times are taken.
    pub(crate) bounds: TimeBounds,
    /// The records may have been handed over before.
    pub(crate) repeated: bool,
}

/// A plugin's batch that cannot become records. Nothing was taken from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    /// Labels that are no stream together with the configured ones.
    #[error(transparent)]
    Plugin(#[from] PluginBatchError),
    /// Parts that do not fit each other.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// How the id of a record comes about; records of one stream and kind make one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// No time of its own: the time of arrival.
    Arrived,
    /// An event time out of bounds gave way to the time of arrival, and the record says so.
    OutOfBounds,
    /// Its event time.
    Timed,
    /// Its event time and its key.
    Keyed,
}

/// The batches of a plugin's batch. Within a stream the order of records is kept.
pub(crate) fn convert(
    batch: PluginBatch,
    arrival: &Arrival<'_>,
    minter: &mut Minter,
) -> Result<Vec<Batch>, ConvertError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    // One run for the whole batch; record `i` has id `first + i` unless it brings a time.
    let run = minter.mint(arrival.now_ms, arrival.entropy, batch.count() as u32);
    let mut out = Vec::new();
    for records in batch.into_streams(arrival.base)? {
        if records.times.is_empty() {
            out.push(arrived(records, run, arrival.repeated)?);
        } else {
            timed(&records, run, arrival, &mut out)?;
        }
    }
    Ok(out)
}

/// The common case: no event times. The arena moves, nothing is copied.
fn arrived(records: StreamRecords, run: IdRun, repeated: bool) -> Result<Batch, BatchError> {
    let runs = if records.indices.is_empty() {
        vec![run]
    } else {
        let mut runs = Vec::new();
        records.indices.iter().for_each(|index| push_id(&mut runs, nth(run, *index)));
        runs
    };
    let stream = if repeated { records.stream.marked(REPEAT_LABEL, "maybe") } else { records.stream };
    Batch::new(stream, BatchFlags::NONE, runs, records.ends, records.arena)
}

fn nth(run: IdRun, index: u32) -> RecordId {
    RecordId::from_u128(run.first.to_u128().wrapping_add(u128::from(index)))
}

fn timed(
    records: &StreamRecords,
    run: IdRun,
    arrival: &Arrival<'_>,
    out: &mut Vec<Batch>,
) -> Result<(), BatchError> {
    let mut groups: BTreeMap<Kind, (Payloads, Vec<IdRun>)> = BTreeMap::new();
    let mut from = 0;
    for (at, &end) in records.ends.iter().enumerate() {
        let payload = records.arena.get(from..end as usize).unwrap_or_default();
        from = end as usize;
        let minted = nth(run, records.indices.get(at).copied().unwrap_or(at as u32));
        let time_ms = records.times.get(at).filter(|ns| **ns != 0).map(|ns| ns / 1_000_000);
        let key = records.keys.get(at).filter(|key| !key.is_empty());
        let (kind, id) = match (time_ms, key) {
            (None, _) => (Kind::Arrived, minted),
            (Some(time_ms), _) if !arrival.bounds.accept(time_ms) => (Kind::OutOfBounds, minted),
            // The plugin's key tells records of one message apart, so the index is always 0 here.
            (Some(time_ms), Some(key)) => (Kind::Keyed, keyed_id(time_ms, key, 0, payload)),
            (Some(time_ms), None) => (Kind::Timed, RecordId::from_parts(time_ms, minted.entropy())),
        };
        let (payloads, runs) = groups.entry(kind).or_default();
        payloads.push(payload);
        push_id(runs, id);
    }
    for (kind, (payloads, runs)) in groups {
        let flags = if kind == Kind::Keyed { BatchFlags::KEYED } else { BatchFlags::NONE };
        let stream = match kind {
            Kind::OutOfBounds => records.stream.marked(TIME_LABEL, "arrival"),
            _ => records.stream.clone(),
        };
        // A keyed record has the id it had before: it is the same one, not a second.
        let marks = arrival.repeated && kind != Kind::Keyed;
        let stream = if marks { stream.marked(REPEAT_LABEL, "maybe") } else { stream };
        out.push(Batch::new(stream, flags, runs, payloads.ends, payloads.arena)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_plugin_runtime::{BatchLimits, RawBatch};

    const NOW_MS: u64 = 10_000_000_000;

    fn check(raw: RawBatch) -> Vec<Batch> {
        check_repeated(raw, false)
    }

    fn check_repeated(raw: RawBatch, repeated: bool) -> Vec<Batch> {
        let base = Stream::new("t", [("env", "prod")]).unwrap();
        let arrival = Arrival {
            base: &base,
            now_ms: NOW_MS,
            entropy: 7,
            bounds: TimeBounds::at(NOW_MS, 1_000_000),
            repeated,
        };
        let batch = PluginBatch::new(raw, BatchLimits::MAX).unwrap();
        convert(batch, &arrival, &mut Minter::new(RecordId::MIN)).unwrap()
    }

    fn plain(payloads: &[&str]) -> RawBatch {
        let mut batch = RawBatch::default();
        for payload in payloads {
            batch.arena.extend_from_slice(payload.as_bytes());
            batch.ends.push(batch.arena.len() as u32);
        }
        batch
    }

    fn texts(batch: &Batch) -> Vec<String> {
        batch.records().map(|(_, payload)| String::from_utf8_lossy(payload).into_owned()).collect()
    }

    #[test]
    fn an_empty_batch_becomes_none() {
        assert!(check(RawBatch::default()).is_empty());
    }

    #[test]
    fn one_stream_becomes_one_batch_with_one_run() {
        let batches = check(plain(&["a", "", "b"]));
        assert_eq!(batches.len(), 1);
        assert_eq!(texts(&batches[0]), ["a", "", "b"]);
        assert_eq!(batches[0].runs().len(), 1);
        assert_eq!(batches[0].stream().label("env"), Some("prod"));
    }

    #[test]
    fn streams_split_a_batch_and_ids_keep_the_order_of_all_its_records() {
        let set = |path: &str| vec![("path".into(), path.into()), ("env".into(), "theirs".into())];
        let mut batch = plain(&["a", "b", "c", "d"]);
        batch.streams = vec![set("/1"), set("/2")];
        batch.stream_of = vec![0, 1, 1, 0];
        let batches = check(batch);
        assert_eq!(batches[1].stream().label("path"), Some("/2"));
        assert_eq!(batches[1].stream().label("env"), Some("prod"), "the operator's label wins");
        let mut all: Vec<_> =
            batches.iter().flat_map(|b| b.ids().zip(texts(b)).collect::<Vec<_>>()).collect();
        all.sort();
        assert_eq!(all.into_iter().map(|(_, text)| text).collect::<String>(), "abcd");
    }

    #[test]
    fn event_times_within_bounds_are_the_records_times() {
        let mut batch = plain(&["old", "good", "future", "none"]);
        let times_ms = [NOW_MS - 1_000_001, NOW_MS - 5, NOW_MS + 600_001, 0];
        batch.times = times_ms.iter().map(|ms| ms * 1_000_000).collect();
        let batches = check(batch);
        let seen: Vec<_> = batches
            .iter()
            .map(|b| (texts(b).join(" "), b.stream().label(TIME_LABEL), b.id_range().0.time_ms()))
            .collect();
        assert_eq!(
            seen,
            [
                ("none".to_owned(), None, NOW_MS),
                ("old future".to_owned(), Some("arrival"), NOW_MS),
                ("good".to_owned(), None, NOW_MS - 5)
            ]
        );
    }

    #[test]
    fn what_may_be_repeated_is_marked_unless_its_key_tells() {
        let marks = |raw| -> Vec<_> {
            let batches = check_repeated(raw, true);
            batches.iter().map(|b| (texts(b).join(" "), b.stream().label(REPEAT_LABEL).is_some())).collect()
        };
        assert_eq!(marks(plain(&["a", "b"])), [("a b".to_owned(), true)]);
        let mut raw = plain(&["none", "keyed", "far"]);
        raw.times = vec![0, NOW_MS * 1_000_000, u64::MAX];
        raw.keys = vec![vec![], b"k".to_vec(), b"k".to_vec()];
        let expected = [("none".to_owned(), true), ("far".to_owned(), true), ("keyed".to_owned(), false)];
        assert_eq!(marks(raw), expected);
    }

    #[test]
    fn keys_with_times_give_the_same_ids_again() {
        let keyed = || {
            let mut batch = plain(&["a", "b"]);
            batch.times = vec![NOW_MS * 1_000_000; 2];
            batch.keys = vec![b"k1".to_vec(), b"k2".to_vec()];
            check(batch)
        };
        let (one, two) = (keyed(), keyed());
        assert_eq!(one, two);
        assert!(one[0].flags().has(BatchFlags::KEYED));
    }
}
