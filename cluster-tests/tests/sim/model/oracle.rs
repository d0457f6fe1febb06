//! What was acknowledged, where it should be, and what a question must therefore find.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_query::{Anchor, Fingerprint, Histogram, Order};
use weir_record::{RecordId, Stream};
use weir_replication::keyed_partition;
use weir_segment::{OriginName, Unit};

use super::lines::Line;
use super::naive::Naive;
use super::queries::Ask;
use super::{BUCKET_MS, class_of};

/// What origins keep apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Repeat,
    Keyed,
}

/// One acknowledged sending of a record.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: RecordId,
    pub(crate) stream: Arc<Stream>,
    pub(crate) line: Arc<Line>,
    pub(crate) kind: Kind,
    /// Epoch and number of the piece that took it.
    pub(crate) piece: (u64, u64),
    /// In the log or in the backlog.
    pub(crate) in_ingest: bool,
    /// Was deleted there; a power cut may bring it back.
    pub(crate) was_removed: bool,
    pub(crate) in_store: bool,
}

impl Sent {
    /// Whether it belongs to an origin.
    pub(crate) fn is_of(&self, name: OriginName, unit: &Unit) -> bool {
        let (partition, _) = unit.partition();
        (name.log_epoch(), name.piece) == self.piece
            && unit.holds(self.id)
            && unit.class() == class_of(self.stream.topic())
            && unit.is_keyed() == (self.kind == Kind::Keyed)
            && name.is_of_repeats() == (self.kind == Kind::Repeat)
            && (self.kind != Kind::Keyed || keyed_partition(self.id) == partition)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.in_ingest || self.in_store
    }

    fn unit_end_ms(&self) -> u64 {
        self.id.time_ms() / BUCKET_MS * BUCKET_MS + BUCKET_MS
    }
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) sent: Vec<Sent>,
}

/// A record as answers show it.
pub(crate) type Shown = (RecordId, Vec<u8>, Arc<Stream>);

/// A record that should be in an answer.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) id: RecordId,
    pub(crate) line: &'a Line,
    pub(crate) stream: &'a Arc<Stream>,
}

impl Found<'_> {
    fn shown(&self) -> Shown {
        (self.id, self.line.bytes.clone(), Arc::clone(self.stream))
    }
}

impl Oracle {
    /// What is there now, by places in the list.
    pub(crate) fn there(&self) -> Vec<usize> {
        (0..self.sent.len()).filter(|&place| self.sent[place].is_there()).collect()
    }

    pub(crate) fn of_origin(&mut self, name: OriginName, unit: &Unit) -> impl Iterator<Item = &mut Sent> {
        self.sent.iter_mut().filter(move |sent| sent.is_of(name, unit))
    }

    /// What the store has lost to its watermarks.
    pub(crate) fn expire(&mut self, watermark: impl Fn(&str) -> u64) -> bool {
        let mut any = false;
        for sent in self.sent.iter_mut().filter(|sent| sent.in_store) {
            if sent.unit_end_ms() <= watermark(class_of(sent.stream.topic())) {
                (sent.in_store, any) = (false, true);
            }
        }
        any
    }

    /// Compares with the pieces and origins that are there after a restart.
    pub(crate) fn reopened(
        &mut self,
        pieces: &BTreeSet<(u64, u64)>,
        origins: &[(OriginName, Unit)],
    ) -> Result<(), String> {
        for sent in &mut self.sent {
            let is_in_origin = || origins.iter().any(|(name, unit)| sent.is_of(*name, unit));
            let is_there = pieces.contains(&sent.piece) || is_in_origin();
            if sent.in_ingest && !is_there && !sent.was_removed {
                return Err(format!("lost in a restart: {sent:?}, found {pieces:?} {origins:?}"));
            }
            if is_there && !sent.in_ingest && !sent.was_removed {
                return Err(format!("came from nowhere: {}", sent.id));
            }
            sent.in_ingest = is_there;
        }
        Ok(())
    }

    /// The records among some that match, sorted, each once.
    fn select(
        &self,
        among: &[usize],
        order: Order,
        means: &dyn Fn(&Sent) -> bool,
        limit: Option<u64>,
    ) -> Vec<Found<'_>> {
        let sent = among.iter().map(|&place| &self.sent[place]).filter(|sent| means(sent));
        let mut found: Vec<Found<'_>> =
            sent.map(|sent| Found { id: sent.id, line: &sent.line, stream: &sent.stream }).collect();
        found.sort_by(|a, b| {
            let ids = match order {
                Order::Asc => a.id.cmp(&b.id),
                Order::Desc => b.id.cmp(&a.id),
            };
            ids.then_with(|| a.line.bytes.cmp(&b.line.bytes)).then_with(|| a.stream.cmp(b.stream))
        });
        found.dedup_by(|b, a| a.id == b.id && a.line.bytes == b.line.bytes);
        found.truncate(limit.unwrap_or(u64::MAX) as usize);
        found
    }

    /// Everything that a question means, in its order, whatever its limit.
    pub(crate) fn matching(&self, among: &[usize], ask: &Ask) -> Vec<Found<'_>> {
        let naive = Naive::new(&ask.expr);
        let in_range = |id: RecordId| id >= ask.from && (id < ask.to || ask.to == RecordId::MAX);
        self.select(
            among,
            ask.order,
            &|sent| in_range(sent.id) && naive.means(&sent.stream, &sent.line),
            None,
        )
    }

    /// What lies around a record, in no order.
    pub(crate) fn around(&self, among: &[usize], anchor: &Anchor, ask: &Ask) -> Vec<Shown> {
        let (before, after, reach_ms) = ask.context;
        let mut shown = Vec::new();
        for (is_before, order, count) in [(true, Order::Desc, before), (false, Order::Asc, after)] {
            let is_near = |sent: &Sent| {
                let (of, at) = (sent.id, anchor.id);
                let is_on_side = if is_before { of < at } else { of > at };
                is_on_side
                    && of.time_ms().abs_diff(at.time_ms()) <= reach_ms
                    && source(&sent.stream) == source(&anchor.stream)
            };
            shown.extend(self.select(among, order, &is_near, Some(count as u64)).iter().map(Found::shown));
        }
        shown.sort();
        shown
    }
}

/// A stream without weir's own labels.
fn source(stream: &Stream) -> (&str, Vec<(&str, &str)>) {
    (stream.topic(), stream.labels().filter(|(name, _)| !name.starts_with('_')).collect())
}

/// The rows of an answer.
pub(crate) fn rows_of(found: &[Found<'_>], limit: Option<u64>) -> Vec<Shown> {
    found.iter().take(limit.unwrap_or(u64::MAX) as usize).map(Found::shown).collect()
}

/// The records in each bucket, by level.
pub(crate) fn histogram_of(found: &[Found<'_>], ask: &Ask) -> Histogram {
    let mut histogram = Histogram::new(ask.buckets);
    let (from_ms, width_ms) = (ask.buckets.from_ms(), ask.buckets.width_ms());
    for found in found {
        let Some(since) = found.id.time_ms().checked_sub(from_ms) else { continue };
        if since / width_ms < ask.buckets.count() as u64 {
            histogram.add((since / width_ms) as usize, found.line.level as usize, 1);
        }
    }
    histogram
}

/// The fingerprints of an answer, sorted.
pub(crate) fn prints_of(found: &[Found<'_>]) -> Vec<(RecordId, Fingerprint)> {
    use sha2::{Digest as _, Sha256};
    let print = |line: &Line| {
        let digest = Sha256::digest(&line.bytes);
        let half = digest.as_slice()[..16].try_into().unwrap_or_else(|error| panic!("{error}"));
        Fingerprint::new(half, line.level as usize)
    };
    let mut prints: Vec<_> = found.iter().map(|found| (found.id, print(found.line))).collect();
    prints.sort_unstable();
    prints
}
