//! What must be found after a crash, and what must not.

use std::collections::{BTreeMap, BTreeSet};

use weir_record::{BatchView, RecordId, codec};
use weir_storage::{Entry, IngestSnapshot, Recovery, Snapshot};

use super::origins::Origins;
use super::workload::number_of;

/// One attempt to store an entry.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) writer: usize,
    pub(crate) number: u64,
    pub(crate) entry: Entry,
    pub(crate) acked: bool,
    /// Taken away by retention: it need not be found any more.
    pub(crate) expired: bool,
}

/// Everything that was ever sent, and what was promised about it.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) attempts: Vec<Attempt>,
    /// First id of each batch: its attempt, and its place in the entry.
    pub(super) batches: BTreeMap<RecordId, (usize, usize)>,
    /// Per source the highest number that was acknowledged.
    acked: BTreeMap<String, u64>,
    highest_acked: Option<RecordId>,
    /// Batches found in the last check, by attempt.
    pub(super) found: Vec<usize>,
    pub(super) origins: Origins,
    buf: Vec<u8>,
}

impl Oracle {
    /// Notes an attempt before it is made.
    pub(crate) fn sent(&mut self, writer: usize, number: u64, entry: Entry) -> usize {
        let place = self.attempts.len();
        for (index, batch) in entry.batches.iter().enumerate() {
            self.batches.insert(batch.runs()[0].first, (place, index));
        }
        self.attempts.push(Attempt { writer, number, entry, acked: false, expired: false });
        place
    }

    /// Notes an acknowledgement.
    pub(crate) fn acked(&mut self, place: usize) {
        let attempt = &mut self.attempts[place];
        attempt.acked = true;
        if let Some(checkpoint) = &attempt.entry.checkpoint {
            let highest = self.acked.entry(checkpoint.source.clone()).or_default();
            *highest = attempt.number.max(*highest);
        }
        let highest = attempt.entry.batches.iter().map(|batch| batch.id_range().1).max();
        self.highest_acked = self.highest_acked.max(highest);
    }

    /// What retention took: everything that was there before and is not now.
    pub(crate) fn expired(&mut self, before: &Snapshot, after: &Snapshot) {
        let kept: BTreeSet<u64> = after.pieces.iter().map(|piece| piece.number()).collect();
        for piece in before.pieces.iter().filter(|piece| !kept.contains(&piece.number())) {
            for batch in piece.batches() {
                if let Some(&(place, _)) = self.batches.get(&batch.low) {
                    self.attempts[place].expired = true;
                }
            }
        }
    }

    /// Checks a log and a backlog that were opened against what was promised.
    pub(crate) fn check(&mut self, recovery: &Recovery, snapshot: &IngestSnapshot) -> Result<(), String> {
        if let Some(damaged) = recovery.damaged.first() {
            return Err(format!("damage in a log that was only cut: {damaged:?}"));
        }
        if let Some(moved) = recovery.quarantined.first() {
            return Err(format!("a file of our own was moved aside: {moved}"));
        }
        self.find(recovery.highest_id, &snapshot.log)?;
        self.find_in_origins(recovery.highest_id, &snapshot.origins)?;
        if self.highest_acked > Some(recovery.highest_id) {
            return Err(format!("the highest id went back to {}", recovery.highest_id));
        }
        for (place, attempt) in self.attempts.iter().enumerate() {
            let (found, all) = (self.found[place], attempt.entry.batches.len());
            if attempt.acked && !attempt.expired && found < all {
                return Err(format!("lost: {found} of {all} batches of {}", describe(attempt)));
            }
            if found > 0 && found < all {
                return Err(format!("half an entry: {found} of {all} batches of {}", describe(attempt)));
            }
        }
        self.check_cursors(&recovery.cursors)
    }

    /// A cursor stands at an acknowledged entry or behind it, and everything up to it is there once.
    fn check_cursors(&self, cursors: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        for (source, acked) in &self.acked {
            let at = cursors.get(source).and_then(|cursor| number_of(cursor)).unwrap_or(0);
            if at < *acked {
                return Err(format!("the cursor of {source} went back to {at}, {acked} was acknowledged"));
            }
        }
        // Per source and number: how often it is there, and whether it is there or need not be.
        let mut stored: BTreeMap<(&str, u64), (u32, bool)> = BTreeMap::new();
        for (place, attempt) in self.attempts.iter().enumerate() {
            let Some(checkpoint) = &attempt.entry.checkpoint else { continue };
            let source = checkpoint.source.as_str();
            let there = self.found[place] > 0;
            // Without records there is nothing to be found: such an entry is its cursor.
            let settled = there || attempt.expired || attempt.entry.batches.is_empty();
            let (times, is_settled) = stored.entry((source, attempt.number)).or_default();
            *times += u32::from(there);
            *is_settled |= settled;
            if *times > 1 {
                return Err(format!("read twice: {}", describe(attempt)));
            }
            let at = cursors.get(source).and_then(|cursor| number_of(cursor)).unwrap_or(0);
            if there && attempt.number > at {
                return Err(format!("the cursor stands at {at}, before the stored {}", describe(attempt)));
            }
        }
        for ((source, number), (_, settled)) in stored {
            let at = cursors.get(source).and_then(|cursor| number_of(cursor)).unwrap_or(0);
            if number <= at && !settled {
                return Err(format!("the cursor of {source} stands at {at}, but {number} is not there"));
            }
        }
        Ok(())
    }

    /// Reads everything and compares it byte by byte.
    fn find(&mut self, highest: RecordId, snapshot: &Snapshot) -> Result<(), String> {
        self.found.clear();
        self.found.resize(self.attempts.len(), 0);
        let mut buf = std::mem::take(&mut self.buf);
        for piece in &snapshot.pieces {
            for view in piece.read_all(&mut buf) {
                let (_, view) = view.map_err(|damage| damage.to_string())?;
                let place = self.find_batch(&view)?;
                self.found[place] += 1;
                if self.found[place] > self.attempts[place].entry.batches.len() {
                    return Err(format!("stored twice: {}", describe(&self.attempts[place])));
                }
                if view.id_range().1 > highest {
                    return Err(format!("the highest id is {highest}, {} is stored", view.id_range().1));
                }
            }
        }
        self.buf = buf;
        Ok(())
    }

    fn find_batch(&self, view: &BatchView<'_>) -> Result<usize, String> {
        let first = view.runs.first().ok_or("a batch without ids")?.first;
        let &(place, index) = self.batches.get(&first).ok_or(format!("invented: a batch of id {first}"))?;
        let sent = &self.attempts[place].entry.batches[index];
        let mut stream = Vec::new();
        codec::encode_stream(&mut stream, sent.stream());
        let same = view.arena == sent.arena()
            && view.ends == sent.ends()
            && view.runs == sent.runs()
            && view.flags == sent.flags()
            && view.stream == stream;
        if same { Ok(place) } else { Err(format!("altered: {}", describe(&self.attempts[place]))) }
    }
}

pub(super) fn describe(attempt: &Attempt) -> String {
    let kind = if attempt.entry.checkpoint.is_some() { "source" } else { "client" };
    format!("entry {} of {kind} {}, acknowledged: {}", attempt.number, attempt.writer, attempt.acked)
}
