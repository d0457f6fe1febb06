//! What one scan finds: rows or counts, what it cost, and what could not be read.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use weir_query::histogram::LEVELS;
use weir_query::{Buckets, Fingerprint, Histogram, Missing, Order, Stats};
use weir_record::{RecordId, Stream};
use weir_segment::Level;

use crate::collector::{Bounds, Collected, Collector, TooLarge};
use crate::damaged::Damaged;
use crate::stages::{StageFailure, Staged, Stages};
use crate::suspects::SharedSuspects;

/// What is kept of the records that match.
#[derive(Debug, Clone)]
pub(crate) enum Keep {
    /// The records.
    Rows,
    /// Their fingerprints in place of their payloads.
    Prints,
    /// Their number, without the suspects that were counted before; and their number per bucket and level.
    Count(SharedSuspects, Option<Buckets>),
}

/// Counts of the buckets that a scan can find records of.
#[derive(Debug)]
pub(crate) struct Tally {
    buckets: Buckets,
    // The bucket of the first counts.
    first: usize,
    counts: Vec<[u64; LEVELS]>,
}

/// Something that could not be read, once per place of a searchable.
#[derive(Debug)]
pub(crate) struct Note {
    /// Tells places of a searchable apart.
    pub(crate) place: usize,
    /// What an answer lacks because of it.
    pub(crate) missing: Option<Missing>,
    /// What a segment has lost.
    pub(crate) damaged: Option<Damaged>,
}

/// Why a scan came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Rows with one id do not fit the memory.
    TooLarge,
    /// A stage failed.
    Stage(StageFailure),
}

impl From<TooLarge> for Halt {
    fn from(_: TooLarge) -> Halt {
        Halt::TooLarge
    }
}

impl From<StageFailure> for Halt {
    fn from(failure: StageFailure) -> Halt {
        Halt::Stage(failure)
    }
}

#[derive(Debug)]
pub(crate) struct Findings {
    // The first and the last key that was asked for, whatever the collector has room for.
    first: u128,
    last: u128,
    order: Order,
    collector: Collector,
    keep: Keep,
    tally: Option<Tally>,
    // Records that match and wait for the stages, if there are any.
    staged: Option<Staged>,
    // Suspects among the ids of what is being read.
    among: Range<usize>,
    /// Sums over what was read. `records_matched` are those that were counted.
    pub(crate) stats: Stats,
    pub(crate) notes: Vec<Note>,
    /// Whether any record was looked at.
    pub(crate) touched: bool,
    /// Where the time of the scan went, as far as it is not spent on matching.
    pub(crate) spent: Spent,
}

/// Parts of the time of a scan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// On what may spare the reading of a block.
    pub(crate) filtering: Duration,
    /// On reading and decoding.
    pub(crate) decoding: Duration,
}

impl Findings {
    /// Of a scan over records with ids from `low` to `high` at most.
    pub(crate) fn new(
        first: u128,
        bounds: Bounds,
        keep: Keep,
        (low, high): (RecordId, RecordId),
        stages: Option<Arc<dyn Stages>>,
    ) -> Findings {
        let tally = match &keep {
            Keep::Count(_, Some(buckets)) => Some(Tally::new(*buckets, low, high)),
            Keep::Count(_, None) | Keep::Rows | Keep::Prints => None,
        };
        Findings {
            first,
            last: bounds.last,
            order: bounds.order,
            collector: Collector::new(bounds),
            keep,
            tally,
            staged: stages.map(Staged::new),
            among: 0..0,
            stats: Stats::default(),
            notes: Vec::new(),
            touched: false,
            spent: Spent::default(),
        }
    }

    /// See [`Collector::expect`].
    pub(crate) fn expect(&mut self, records: usize, payload_bytes: usize) {
        if matches!(self.keep, Keep::Rows) && self.staged.is_none() {
            self.collector.expect(records, payload_bytes);
        }
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// The lowest and the highest id asked for.
    pub(crate) fn ids(&self) -> (RecordId, RecordId) {
        let (a, b) = (self.order.id(self.first), self.order.id(self.last));
        (a.min(b), a.max(b))
    }

    /// Whether records with ids from `low` to `high` can be among those asked for.
    pub(crate) fn is_asked_for(&self, low: RecordId, high: RecordId) -> bool {
        let (first, last) = self.order.keys(low, high);
        first <= self.last && last >= self.first
    }

    /// Whether records with ids from `low` to `high` can still be of interest.
    pub(crate) fn is_of_interest(&self, low: RecordId, high: RecordId) -> bool {
        self.order.keys(low, high).0 <= self.collector.last()
    }

    pub(crate) fn has_no_limit(&self) -> bool {
        self.collector.has_no_limit()
    }

    pub(crate) fn is_counting(&self) -> bool {
        matches!(self.keep, Keep::Count(..))
    }

    /// Whether records may be counted without a look at their payloads.
    pub(crate) fn may_count_unseen(&self) -> bool {
        self.is_counting() && self.staged.is_none()
    }

    /// Prepares for records with ids from `low` to `high`: whether suspects are among them.
    pub(crate) fn look_at(&mut self, low: RecordId, high: RecordId) -> bool {
        if let Keep::Count(suspects, _) = &self.keep {
            self.among = suspects.between(low, high);
        }
        !self.among.is_empty()
    }

    /// Takes a record that matches; what was not asked for is passed over. An error spoils the findings.
    pub(crate) fn take(
        &mut self,
        id: RecordId,
        (number, stream): (u32, &Arc<Stream>),
        payload: &[u8],
    ) -> Result<(), Halt> {
        let key = self.order.key(id);
        // Most rows of a large answer to a small limit end here: nothing is made of those.
        if key < self.first || key > self.last || key > self.collector.last() {
            return Ok(());
        }
        if let Keep::Count(suspects, _) = &self.keep
            && !self.among.is_empty()
            && suspects.have(&self.among, id, payload)
        {
            return Ok(());
        }
        let Some(staged) = &mut self.staged else {
            return Ok(self.keep_one(id, (number, stream), payload, payload)?);
        };
        staged.push(id, number, stream, payload);
        if staged.is_full() { self.run_stages() } else { Ok(()) }
    }

    /// Sends what waits through the stages.
    fn run_stages(&mut self) -> Result<(), Halt> {
        let Some(mut staged) = self.staged.take_if(|staged| !staged.is_empty()) else { return Ok(()) };
        let mut outcome = Ok(());
        let Staged { stages, rows, numbers, .. } = &staged;
        let ran = stages.run(rows, &mut |row, payload| {
            let Some(found) = rows.get(row).filter(|_| outcome.is_ok()) else { return };
            outcome = self.keep_one(found.id, (numbers[row], found.stream), found.payload, payload);
        });
        staged.clear();
        self.staged = Some(staged);
        ran?;
        Ok(outcome?)
    }

    /// Keeps of a record what is to be kept: `found` is what it was when it was found, `payload` what it is now. Copies
    /// are told by what was found, and so are levels.
    fn keep_one(
        &mut self,
        id: RecordId,
        (number, stream): (u32, &Arc<Stream>),
        found: &[u8],
        payload: &[u8],
    ) -> Result<(), TooLarge> {
        match &self.keep {
            Keep::Rows => self.collector.push(id, number, stream, payload),
            Keep::Prints => self.collector.push(id, number, stream, fingerprint(found).as_bytes()),
            Keep::Count(..) => {
                self.stats.records_matched += 1;
                if let Some(tally) = &mut self.tally {
                    tally.add(id, Level::of(found) as usize, 1);
                }
                Ok(())
            }
        }
    }

    /// Counts records with ids from `low` to `high` that all match, none of them a suspect, without looking at
    /// them. `levels` are theirs, if they are known. `false` when that does not tell enough.
    pub(crate) fn count_unseen(
        &mut self,
        low: RecordId,
        high: RecordId,
        records: u64,
        levels: Option<[u64; LEVELS]>,
    ) -> bool {
        if let Some(tally) = &mut self.tally {
            let Some(levels) = levels.filter(|_| tally.buckets.of(low) == tally.buckets.of(high)) else {
                return false;
            };
            levels.iter().enumerate().for_each(|(level, &count)| tally.add(low, level, count));
        }
        self.stats.records_matched += records;
        true
    }

    /// Counts records that all match, none of them a suspect, of which the levels are known.
    pub(crate) fn count_each(&mut self, records: impl Iterator<Item = (RecordId, u8)>) {
        for (id, level) in records {
            self.stats.records_matched += 1;
            if let Some(tally) = &mut self.tally {
                tally.add(id, usize::from(level), 1);
            }
        }
    }

    /// Counts a batch or a block that was passed over.
    pub(crate) fn skip(&mut self, payload_bytes: u32) {
        self.stats.batches_skipped += 1;
        self.stats.bytes_skipped += u64::from(payload_bytes);
    }

    /// Counts a block that a filter excluded.
    pub(crate) fn prune(&mut self, payload_bytes: u32) {
        self.skip(payload_bytes);
        self.stats.batches_pruned += 1;
        self.stats.bytes_pruned += u64::from(payload_bytes);
    }

    /// Counts leaves of a block that filters excluded, while others were read.
    pub(crate) fn prune_leaves(&mut self, payload_bytes: u64) {
        self.stats.bytes_skipped += payload_bytes;
        self.stats.bytes_pruned += payload_bytes;
    }

    /// After a part of the scan: nothing waits for the stages any more, and the last row of interest is found; see
    /// [`Collector::tighten`].
    pub(crate) fn settle(&mut self) -> Result<(), Halt> {
        self.run_stages()?;
        Ok(self.collector.tighten()?)
    }

    /// The rows in order, and the tally.
    pub(crate) fn finish(self) -> Result<(Collected, Option<Tally>), TooLarge> {
        Ok((self.collector.finish()?, self.tally))
    }
}

impl Tally {
    fn new(buckets: Buckets, low: RecordId, high: RecordId) -> Tally {
        let (from, to) = buckets.id_range();
        let first = buckets.of(low.clamp(from, to)).unwrap_or(0);
        let last = buckets.of(high.clamp(from, to)).unwrap_or(first);
        Tally { buckets, first, counts: vec![[0; LEVELS]; last - first + 1] }
    }

    /// Adds what was counted to the whole.
    pub(crate) fn add_to(&self, histogram: &mut Histogram) {
        for (bucket, counts) in (self.first..).zip(&self.counts) {
            counts.iter().enumerate().for_each(|(level, &records)| histogram.add(bucket, level, records));
        }
    }

    fn add(&mut self, id: RecordId, level: usize, records: u64) {
        let bucket = self.buckets.of(id).and_then(|bucket| bucket.checked_sub(self.first));
        if let Some(counts) = bucket.and_then(|bucket| self.counts.get_mut(bucket)) {
            counts[level] += records;
        }
    }
}

/// See [`Fingerprint`].
pub fn fingerprint(payload: &[u8]) -> Fingerprint {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(payload).as_slice()[..16]);
    Fingerprint::new(digest, Level::of(payload) as usize)
}
