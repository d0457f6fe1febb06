//! One run: a disk, some lives of a process on it, a crash at the end of each.

use std::path::Path;
use std::sync::{Arc, Mutex};

use weir_record::{Minter, RecordId};
use weir_storage::committer::{GroupCommit, Job, Stored};
use weir_storage::disk::sim::prng::Prng;
use weir_storage::disk::sim::{Counters, Faults, SimDisk};
use weir_storage::{CommitError, Disk, IngestLog, Recovery};

use super::mutant::{Mutant, MutantDisk};
use super::oracle::Oracle;
use super::sealing::Node;
use super::workload::{Settings, Writer, first_id, number_of};

/// Lives of the process in one run.
const LIVES: u64 = 6;

/// What became of an attempt.
type Answer = (usize, Result<Stored, CommitError>);

/// What happened in some runs. A path that was never taken was not tested.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) disk: Counters,
    pub(crate) acked_entries: u64,
    pub(crate) shared_commits: u64,
    pub(crate) torn_tails: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) unfinished_pieces: u64,
    pub(crate) completed_pieces: u64,
    pub(crate) complete_pieces: u64,
    pub(crate) full_answers: u64,
    pub(crate) held_answers: u64,
    pub(crate) poisoned: u64,
    pub(crate) restarts: u64,
    pub(crate) expired_pieces: u64,
    pub(crate) expired_cursors_kept: u64,
    pub(crate) sealed_pieces: u64,
    pub(crate) newest_released: u64,
    pub(crate) cuts_in_sealing: u64,
    pub(crate) seals_refused: u64,
    pub(crate) sealed_again: u64,
    pub(crate) unfinished_origins: u64,
    pub(crate) handed_over: u64,
    /// Hash over all operations of the disks.
    pub(crate) trace: u64,
}

impl Seen {
    /// Adds another run.
    pub(crate) fn add(&mut self, other: &Seen) {
        let Counters { torn_files, lost_names, full, errors, failed_syncs, cuts } = other.disk;
        self.disk.torn_files += torn_files;
        self.disk.lost_names += lost_names;
        self.disk.full += full;
        self.disk.errors += errors;
        self.disk.failed_syncs += failed_syncs;
        self.disk.cuts += cuts;
        self.acked_entries += other.acked_entries;
        self.shared_commits += other.shared_commits;
        self.torn_tails += other.torn_tails;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.unfinished_pieces += other.unfinished_pieces;
        self.completed_pieces += other.completed_pieces;
        self.complete_pieces += other.complete_pieces;
        self.full_answers += other.full_answers;
        self.held_answers += other.held_answers;
        self.poisoned += other.poisoned;
        self.restarts += other.restarts;
        self.expired_pieces += other.expired_pieces;
        self.expired_cursors_kept += other.expired_cursors_kept;
        self.sealed_pieces += other.sealed_pieces;
        self.newest_released += other.newest_released;
        self.cuts_in_sealing += other.cuts_in_sealing;
        self.seals_refused += other.seals_refused;
        self.sealed_again += other.sealed_again;
        self.unfinished_origins += other.unfinished_origins;
        self.handed_over += other.handed_over;
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

/// Runs one seed. The error says which promise was broken.
pub(crate) fn run(seed: u64, mutant: Mutant) -> Result<Seen, String> {
    let mut prng = Prng::new(seed);
    let settings = Settings::draw(&mut prng);
    let disk = SimDisk::new(prng.next_u64());
    let mut run = Run {
        writers: (0..settings.writers).map(Writer::new).collect(),
        prng,
        settings,
        mutant,
        disk,
        oracle: Oracle::default(),
        seen: Seen::default(),
        epoch: 0,
    };
    for life in 0..LIVES {
        run.life().map_err(|broken| format!("life {life} of seed {seed} ({settings:?}): {broken}"))?;
    }
    run.seen.disk = run.disk.counters();
    run.seen.trace = run.disk.trace_hash();
    Ok(run.seen)
}

pub(super) struct Run {
    pub(super) prng: Prng,
    pub(super) settings: Settings,
    pub(super) mutant: Mutant,
    pub(super) disk: SimDisk,
    writers: Vec<Writer>,
    pub(super) oracle: Oracle,
    pub(super) seen: Seen,
    epoch: u64,
}

impl Run {
    /// From one start of the process to its end.
    fn life(&mut self) -> Result<(), String> {
        self.set_faults();
        if let Some((node, recovery)) = self.open()? {
            self.after_recovery(&node, &recovery)?;
            self.work(node, &recovery)?;
        }
        // Without a cut it was only the process that ended: the page cache stays as it is.
        if self.disk.is_off() || !self.prng.once_in(6) {
            self.disk.power_cut(self.prng.next_u64());
        } else {
            self.seen.restarts += 1;
        }
        Ok(())
    }

    fn set_faults(&mut self) {
        let prng = &mut self.prng;
        // A third of the cuts come so early that they hit recovery.
        let soon = if prng.once_in(3) { 14 } else { 50 };
        let cut_at = (!prng.once_in(8)).then(|| prng.below(soon));
        let error_at = prng.once_in(4).then(|| prng.below(40));
        let capacity_bytes = prng.once_in(4).then(|| self.disk.used_bytes() + prng.below(4_000));
        self.disk.set_faults(Faults { cut_at, error_at, capacity_bytes });
    }

    /// Opens log and backlog; `None` when the power went meanwhile.
    fn open(&mut self) -> Result<Option<(Node, Recovery)>, String> {
        loop {
            self.epoch += 1;
            let options = self.settings.options(self.epoch, self.mutant);
            let disk: Arc<dyn Disk> = Arc::new(MutantDisk { disk: self.disk.clone(), mutant: self.mutant });
            let errors = self.disk.counters().errors;
            let opened = IngestLog::open(Arc::clone(&disk), Path::new(""), options);
            let opened = opened
                .map_err(|error| error.to_string())
                .and_then(|(log, recovery)| Ok((Node::of(log, disk, self.settings.seals)?, recovery)));
            match opened {
                Ok(opened) => return Ok(Some(opened)),
                Err(_) if self.disk.is_off() => {
                    self.seen.cuts_in_recovery += 1;
                    return Ok(None);
                }
                // An error of the disk comes once: the process is started again.
                Err(_) if self.disk.counters().errors > errors => {}
                Err(error) => return Err(format!("log or backlog do not open: {error}")),
            }
        }
    }

    fn after_recovery(&mut self, node: &Node, recovery: &Recovery) -> Result<(), String> {
        let seen = &mut self.seen;
        seen.torn_tails += u64::from(recovery.truncated_bytes > 0);
        seen.unfinished_pieces += recovery.unfinished;
        seen.completed_pieces += recovery.completed;
        seen.complete_pieces += recovery.pieces.saturating_sub(recovery.completed);
        seen.sealed_again += node.recovery.still_in_log;
        seen.unfinished_origins += node.recovery.unfinished;
        if self.disk.is_off() {
            return Ok(());
        }
        if let Some(moved) = node.recovery.quarantined.first() {
            return Err(format!("an origin of our own was moved aside: {moved}"));
        }
        self.oracle.check(recovery, &node.snapshot())?;
        if recovery.completed + recovery.scanned + recovery.unfinished > 0 {
            self.check_order()?;
        }
        for writer in &mut self.writers {
            writer.again.clear();
            if writer.is_source {
                let cursor = recovery.cursors.get(&writer.source());
                writer.next = cursor.and_then(|cursor| number_of(cursor)).unwrap_or(0) + 1;
            }
        }
        Ok(())
    }

    /// A log that was brought into order is in order: every file parses to its end.
    fn check_order(&mut self) -> Result<(), String> {
        let Some((_, again)) = self.open()? else { return Ok(()) };
        let full = self.disk.space(Path::new("")).is_ok_and(|space| space.total_bytes < 1 << 40);
        let mended = again.completed + again.scanned + again.unfinished + again.truncated_bytes;
        if (mended > 0 && !full) || !again.damaged.is_empty() {
            return Err(format!("not in order after recovery: {again:?}"));
        }
        Ok(())
    }

    fn work(&mut self, mut node: Node, recovery: &Recovery) -> Result<(), String> {
        let mut minter = Minter::new(recovery.highest_id);
        let mut group = GroupCommit::default();
        for _ in 0..self.prng.between(1, 40) {
            if self.disk.is_off() {
                return Ok(());
            }
            match self.prng.below(20) {
                0 => drop(node.log.complete_piece()),
                1 => self.expire(&mut node.log),
                2 => {
                    let room = self.prng.below(600);
                    let some = self.prng.once_in(3);
                    self.disk.set_capacity(some.then(|| self.disk.used_bytes() + room));
                }
                3..8 if self.settings.seals => self.seal(&mut node)?,
                8 if self.settings.seals => self.hand_over(&node)?,
                _ => self.commit(&mut node.log, &mut group, &mut minter)?,
            }
        }
        if self.prng.once_in(2) {
            drop(node.log.complete_piece());
        }
        Ok(())
    }

    fn expire(&mut self, log: &mut IngestLog) {
        let before = log.reader().snapshot();
        let bytes: u64 = before.pieces.iter().map(|piece| piece.committed_bytes()).sum();
        let keep_from = match before.pieces.first() {
            Some(oldest) if self.prng.once_in(2) => oldest.high().checked_add(1).unwrap_or(RecordId::MAX),
            _ => RecordId::MIN,
        };
        // Whatever the outcome, and also if the power goes: what is not shown any more may be gone.
        if let Ok(expired) = log.expire(keep_from, self.prng.between(0, bytes)) {
            self.seen.expired_pieces += expired.pieces;
            self.seen.expired_cursors_kept += u64::from(expired.pieces > 0 && !log.cursors().is_empty());
        }
        self.oracle.expired(&before, &log.reader().snapshot());
    }

    /// One turn of the committing thread.
    fn commit(
        &mut self,
        log: &mut IngestLog,
        group: &mut GroupCommit,
        minter: &mut Minter,
    ) -> Result<(), String> {
        let poisoned = log.poison().reason().is_some();
        let places = self.draw_entries(minter);
        let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
        let mut jobs = Vec::new();
        for &place in &places {
            let answers = Arc::clone(&answers);
            let entry = self.oracle.attempts[place].entry.clone();
            let done = move |answer| answers.lock().unwrap_or_else(|e| panic!("{e}")).push((place, answer));
            jobs.push(Job::new(entry, Box::new(done)));
            if self.mutant == Mutant::AckEarly && !poisoned {
                self.oracle.acked(place);
            }
        }
        let seen = &mut self.seen;
        let sums = group.run(log, jobs, &mut |committed| {
            seen.shared_commits += u64::from(committed.entries > 1);
        });
        let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(|e| panic!("{e}")));
        if answers.len() != places.len() {
            return Err(format!("{} answers to {} entries", answers.len(), places.len()));
        }
        if poisoned && sums.entries > 0 {
            return Err("acknowledged after a failed sync".to_owned());
        }
        self.take_answers(answers, group);
        let broke = !poisoned && log.poison().reason().is_some();
        self.seen.poisoned += u64::from(broke && !self.disk.is_off());
        Ok(())
    }

    /// The next entries of some writers, those to be repeated first.
    fn draw_entries(&mut self, minter: &mut Minter) -> Vec<usize> {
        let mut places = Vec::new();
        for _ in 0..self.prng.between(1, self.settings.group_entries_max) {
            let at = self.prng.below(self.writers.len() as u64) as usize;
            let writer = &mut self.writers[at];
            if writer.again.is_empty() {
                let (number, entry) = writer.entry(&self.settings, minter, &mut self.prng);
                debug_assert!(entry.checkpoint.is_some() || first_id(&entry).is_some());
                places.push(self.oracle.sent(at, number, entry));
            } else {
                places.push(writer.again.remove(0));
            }
        }
        places
    }

    fn take_answers(&mut self, answers: Vec<Answer>, group: &mut GroupCommit) {
        let mut failed: Vec<usize> = Vec::new();
        for (place, answer) in answers {
            match answer {
                Ok(_) => {
                    self.seen.acked_entries += 1;
                    self.oracle.acked(place);
                }
                Err(CommitError::DiskFull) => {
                    self.seen.full_answers += 1;
                    failed.push(place);
                }
                Err(CommitError::OutOfOrder(_)) => {
                    self.seen.held_answers += 1;
                    failed.push(place);
                }
                Err(_) => {}
            }
        }
        // A driver that has seen all answers: what failed is sent again before anything else.
        for place in failed.into_iter().rev() {
            let writer = &mut self.writers[self.oracle.attempts[place].writer];
            writer.again.insert(0, place);
            group.resume(&writer.source());
        }
    }
}
