//! The streams that this node and those it asks hold records of.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use weir_api::backend::peer::Role;
use weir_api::backend::{ApiError, StreamInfo, StreamsAnswer, labels_of};

use weir_api::format::rfc3339_ms;
use weir_engine::Searchable;
use weir_record::Stream;
use weir_record::limits::PLAN_TIMEOUT_MS;
use weir_storage::StreamSum;

use crate::peers::{Peer, Peers};
use crate::snapshots::Holder;

/// The streams of a node and of its peers.
pub(crate) struct Catalog {
    pub(crate) holder: Holder,
    /// Whom to ask besides.
    pub(crate) peers: Arc<Peers>,
}

impl Catalog {
    /// All streams, sorted. How many records a stream has is known only while a single node has it: of copies
    /// nobody can tell here which are the same.
    pub(crate) async fn streams(&self) -> Result<StreamsAnswer, ApiError> {
        let others: Vec<Arc<Peer>> = self.peers.others();
        let (own, others) = tokio::join!(own(self.holder.clone()), join_all(others.iter().map(ask)));
        let mut all = BTreeMap::new();
        let mut missing = Vec::new();
        merge(&mut all, own?);
        for answer in others {
            match answer {
                Ok(streams) => merge(&mut all, streams),
                Err(why) => missing.push(why),
            }
        }
        Ok(StreamsAnswer { streams: all.into_values().collect(), missing })
    }
}

/// What a peer holds; without asking nothing, when it is known to hold none.
async fn ask(peer: &Arc<Peer>) -> Result<Vec<StreamInfo>, String> {
    if peer.info().is_some_and(|info| !info.is(Role::Ingest) && !info.is(Role::Store)) {
        return Ok(Vec::new());
    }
    match timeout(Duration::from_millis(PLAN_TIMEOUT_MS), peer.client.streams()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{} does not answer in time", peer.url)),
    }
}

fn merge(all: &mut BTreeMap<(String, BTreeMap<String, String>), StreamInfo>, streams: Vec<StreamInfo>) {
    for stream in streams {
        match all.entry((stream.topic.clone(), stream.labels.clone())) {
            Entry::Vacant(place) => drop(place.insert(stream)),
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // Times of one form: they compare as text. What one of them does not know is not known.
                let both = |ours: Option<String>, theirs: Option<String>| ours.zip(theirs);
                known.first = both(known.first.take(), stream.first).map(|(a, b)| a.min(b));
                known.last = both(known.last.take(), stream.last).map(|(a, b)| a.max(b));
                (known.records, known.bytes) = (None, None);
            }
        }
    }
}

/// What this node holds itself.
pub(crate) async fn own(holder: Holder) -> Result<Vec<StreamInfo>, ApiError> {
    let streams = tokio::task::spawn_blocking(move || streams(&holder)).await;
    streams.map_err(|_| ApiError::internal("listing the streams has panicked"))
}

/// All of them, sorted, each record counted once. Reads what has not been read of segments before: blocks. Of a
/// segment whose columns cannot be read, streams are told without sums.
fn streams(holder: &Holder) -> Vec<StreamInfo> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_nodes_have_is_listed_once_and_has_no_sum() {
        let stream = |topic: &str, first: &str, records| StreamInfo {
            topic: topic.to_owned(),
            records: Some(records),
            bytes: Some(1),
            first: Some(first.to_owned()),
            last: Some(first.to_owned()),
            ..StreamInfo::default()
        };
        let mut all = BTreeMap::new();
        merge(&mut all, vec![stream("a", "2026-01-02T", 1), stream("b", "2026-01-01T", 2)]);
        merge(&mut all, vec![stream("b", "2026-01-03T", 2), stream("c", "2026-01-01T", 3)]);
        let told: Vec<_> =
            all.into_values().map(|info| (info.topic, info.records, info.first, info.last)).collect();
        let time = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("a".to_owned(), Some(1), time("2026-01-02T"), time("2026-01-02T")),
                ("b".to_owned(), None, time("2026-01-01T"), time("2026-01-03T")),
                ("c".to_owned(), Some(3), time("2026-01-01T"), time("2026-01-01T")),
            ]
        );
    }
}
