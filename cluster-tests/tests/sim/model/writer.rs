//! Batches to be sent: minted, keyed, repeated.

use std::sync::Arc;

use weir_record::mint::{keyed_id, push_id};
use weir_record::{Batch, BatchFlags, RecordId, Stream};
use weir_storage::disk::sim::prng::Prng;

use super::lines::{Line, one_of};
use super::mutant::Mutant;
use super::oracle::Kind;
use super::{BUCKET_MS, START_MS, Settings};

/// What a batch is made of; it may be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) stream: Arc<Stream>,
    pub(super) is_keyed: bool,
    pub(super) is_repeat: bool,
    pub(super) records: Vec<(RecordId, Arc<Line>)>,
}

/// Makes batches, and remembers them.
#[derive(Debug)]
pub(super) struct Writer {
    streams: Vec<Arc<Stream>>,
    pub(super) lines: Vec<Arc<Line>>,
    drafts: Vec<Draft>,
    /// How far the clock has come.
    now_ms: u64,
}

impl Writer {
    pub(super) fn new() -> Writer {
        let stream = |topic: &str, labels: &[(&str, &str)]| {
            Stream::new(topic, labels.iter().copied()).unwrap_or_else(|error| panic!("{error}"))
        };
        let first = stream("web", &[("host", "web1")]);
        let streams = [
            first.marked("_part", "first"),
            first,
            stream("web", &[("host", "web 2"), ("zone", "a")]),
            stream("web", &[]),
            stream("app", &[("status", "500"), ("zone", "b")]),
            stream("debug", &[("host", "web1")]),
        ];
        let streams = streams.into_iter().map(Arc::new).collect();
        Writer { streams, lines: Vec::new(), drafts: Vec::new(), now_ms: START_MS }
    }

    /// The next batch.
    pub(super) fn draft(&mut self, settings: &Settings, prng: &mut Prng) -> Draft {
        let kind = prng.below(10);
        if kind == 0 && !self.drafts.is_empty() {
            let place = prng.below(self.drafts.len() as u64) as usize;
            return Draft { is_repeat: true, ..self.drafts[place].clone() };
        }
        let is_keyed = prng.once_in(settings.keyed_once_in);
        // One that is flagged need not have come before.
        let is_repeat = kind == 1;
        let stream = Arc::clone(&self.streams[prng.below(settings.streams) as usize]);
        self.now_ms += prng.below(settings.units * BUCKET_MS / 40);
        let mut at = self.now_ms;
        if prng.once_in(6) {
            at = START_MS + prng.below(settings.units * BUCKET_MS);
        }
        let at = at.min(START_MS + settings.units * BUCKET_MS - 100);
        let entropy = u128::from(prng.next_u64());
        let step_ms = one_of(prng, &[0, 0, 1, 10]);
        let mut records = Vec::new();
        for place in 0..prng.between(1, 8) {
            // Few of those that are keyed, so that some are the same.
            let known = self.lines.get(prng.below(4) as usize).filter(|_| is_keyed && prng.once_in(2));
            let line = known.cloned().unwrap_or_else(|| self.line(settings, prng));
            let id = match (is_keyed, prng.once_in(3)) {
                (false, _) => RecordId::from_parts(at + place * step_ms, entropy + u128::from(place)),
                // And those that are made by others, who need not keep to the rule that equal ids have equal bytes.
                (true, false) => keyed_id(START_MS + prng.below(3), b"key", place as u32 / 4, &line.bytes),
                (true, true) => RecordId::from_parts(START_MS + prng.below(9), u128::from(prng.below(3))),
            };
            records.push((id, line));
        }
        let draft = Draft { stream, is_keyed, is_repeat, records };
        self.drafts.push(draft.clone());
        draft
    }

    fn line(&mut self, settings: &Settings, prng: &mut Prng) -> Arc<Line> {
        if prng.once_in(6) && !self.lines.is_empty() {
            return Arc::clone(&self.lines[prng.below(self.lines.len() as u64) as usize]);
        }
        let line = Arc::new(Line::draw(prng, settings.filler_bytes));
        self.lines.push(Arc::clone(&line));
        line
    }
}

impl Draft {
    /// How its records are sealed.
    pub(super) fn kind(&self, mutant: Mutant) -> Kind {
        if self.is_keyed && mutant != Mutant::KeysNotFlagged {
            Kind::Keyed
        } else if self.is_repeat && mutant != Mutant::RepeatsNotFlagged {
            Kind::Repeat
        } else {
            Kind::Plain
        }
    }

    pub(super) fn batch(&self, mutant: Mutant) -> Batch {
        let (mut runs, mut ends, mut arena) = (Vec::new(), Vec::new(), Vec::new());
        for (id, line) in &self.records {
            push_id(&mut runs, *id);
            arena.extend_from_slice(&line.bytes);
            ends.push(arena.len() as u32);
        }
        let flag = |is_set: bool, flag| if is_set { flag } else { BatchFlags::NONE };
        let keyed = flag(self.is_keyed && mutant != Mutant::KeysNotFlagged, BatchFlags::KEYED);
        let repeated = self.is_repeat && mutant != Mutant::RepeatsNotFlagged;
        let flags = keyed.with(flag(repeated, BatchFlags::MAYBE_REPEATED));
        Batch::new(Stream::clone(&self.stream), flags, runs, ends, arena)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}
