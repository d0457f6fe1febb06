//! Writers and what they write, decided by a seed.

use weir_record::{Batch, BatchFlags, IdRun, Minter, RecordId, Stream};
use weir_storage::disk::sim::prng::Prng;
use weir_storage::ingest_log::checksum::Checksum;
use weir_storage::{Checkpoint, Entry, LogOptions};

use super::mutant::Mutant;

/// Records of a batch.
pub(crate) const BATCH_RECORDS_MAX: u32 = 4;
/// Bucket of the units: some in the time of the workload.
pub(crate) const BUCKET_MS: u64 = 2_000;

/// How a run is set up. Limits are where bugs live, so most of them are tiny.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) writers: usize,
    pub(crate) piece_bytes: u64,
    pub(crate) group_entries_max: u64,
    pub(crate) payload_bytes_max: u64,
    pub(crate) cursor_bytes_max: u64,
    pub(crate) full_at_percent: u64,
    /// Whether pieces are sealed.
    pub(crate) seals: bool,
}

impl Settings {
    pub(crate) fn draw(prng: &mut Prng) -> Settings {
        let mut one_of = |choices: &[u64]| choices[prng.below(choices.len() as u64) as usize];
        Settings {
            writers: one_of(&[1, 2, 3, 5]) as usize,
            piece_bytes: one_of(&[1, 100, 500, 2_000, 1 << 20]),
            group_entries_max: one_of(&[1, 3, 8]),
            payload_bytes_max: one_of(&[0, 50, 600, 2_000]),
            cursor_bytes_max: one_of(&[8, 30, 700]),
            full_at_percent: one_of(&[100, 100, 90]),
            seals: one_of(&[0, 0, 1]) == 1,
        }
    }

    pub(crate) fn options(&self, epoch: u64, mutant: Mutant) -> LogOptions {
        let checksum = match mutant {
            Mutant::NoChecksum => Checksum::of(|_, _| 0),
            _ => Checksum::CRC32C,
        };
        LogOptions {
            piece_bytes: self.piece_bytes,
            full_at_percent: self.full_at_percent,
            resume_at_percent: self.full_at_percent.saturating_sub(2),
            reserve_bytes: 0,
            checksum,
            ..LogOptions::new(1, epoch << 1)
        }
    }
}

/// One writer. A source has a cursor, its entries are numbered from 1 and never skip one; a client has
/// none and goes on with something else when its answer is lost.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) number: usize,
    pub(crate) is_source: bool,
    /// The number of the next new entry.
    pub(crate) next: u64,
    /// Attempts to be sent again, in order: the disk was full.
    pub(crate) again: Vec<usize>,
}

impl Writer {
    pub(crate) fn new(number: usize) -> Writer {
        Writer { number, is_source: !number.is_multiple_of(3), next: 1, again: Vec::new() }
    }

    pub(crate) fn source(&self) -> String {
        format!("source-{}", self.number)
    }

    /// The next entry of this writer.
    pub(crate) fn entry(
        &mut self,
        settings: &Settings,
        minter: &mut Minter,
        prng: &mut Prng,
    ) -> (u64, Entry) {
        let number = self.next;
        self.next += 1;
        let checkpoint = self.is_source.then(|| {
            let mut cursor = number.to_le_bytes().to_vec();
            cursor.resize(prng.between(8, settings.cursor_bytes_max) as usize, 0xcc);
            Checkpoint { source: self.source(), cursor }
        });
        // A source now and then moves on without records, a client never sends nothing.
        let batches = prng.below(4).min(2).max(u64::from(!self.is_source));
        let batches = (0..batches).map(|_| self.batch(number, settings, minter, prng)).collect();
        (number, Entry { checkpoint, batches })
    }

    fn batch(&self, number: u64, settings: &Settings, minter: &mut Minter, prng: &mut Prng) -> Batch {
        let count = prng.between(1, BATCH_RECORDS_MAX.into()) as u32;
        // Clocks jump, also backwards.
        let now_ms = 1_000_000 + prng.below(5_000);
        let run = minter.mint(now_ms, u128::from(prng.next_u64()), count);
        let (mut ends, mut arena) = (Vec::new(), Vec::new());
        for index in 0..count {
            arena.extend_from_slice(format!("{} {number} {index} ", self.number).as_bytes());
            let from = arena.len();
            arena.resize(from + prng.between(0, settings.payload_bytes_max) as usize, 0);
            prng.fill(&mut arena[from..]);
            ends.push(arena.len() as u32);
        }
        let host = ["web1", "web2", "db"][prng.below(3) as usize];
        let topic = if prng.once_in(4) { "debug" } else { "sim" };
        let stream = Stream::new(topic, [("host", host)]).unwrap_or_else(|error| panic!("{error}"));
        let flags = [BatchFlags::NONE, BatchFlags::MAYBE_REPEATED, BatchFlags::KEYED];
        let flags = flags[prng.below(6).saturating_sub(3) as usize];
        Batch::new(stream, flags, vec![run], ends, arena).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The retention class of a topic.
pub(crate) fn class_of(topic: &str) -> &'static str {
    if topic == "debug" { "short" } else { "default" }
}

/// The number in a cursor.
pub(crate) fn number_of(cursor: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*cursor.first_chunk()?))
}

/// The first id of an entry, if it has records.
pub(crate) fn first_id(entry: &Entry) -> Option<RecordId> {
    entry.batches.first().and_then(|batch| batch.runs().first()).map(|run: &IdRun| run.first)
}
