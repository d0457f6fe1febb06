//! Sealing and handing over in a run.

use std::path::Path;
use std::sync::Arc;

use weir_segment::WriterOptions;
use weir_storage::{
    Backlog, BacklogRecovery, Disk, IngestLog, IngestSnapshot, Leaving, LogError, Moment, OriginsDir,
    Released, SealError, Sealer, SealerError, UnitRules,
};

use super::mutant::Mutant;
use super::run::Run;
use super::workload::{BUCKET_MS, class_of};

/// What one life of the process has open.
pub(super) struct Node {
    pub(super) log: IngestLog,
    pub(super) recovery: BacklogRecovery,
    disk: Arc<dyn Disk>,
    sealing: Option<(Arc<Backlog>, Sealer)>,
    /// The log knows nothing of the piece that a mutant has deleted: no more is sealed in this life.
    forgotten: bool,
}

impl Node {
    /// Opens the backlog of a log, if it is to be sealed.
    pub(super) fn of(log: IngestLog, disk: Arc<dyn Disk>, seals: bool) -> Result<Node, String> {
        if !seals {
            return Ok(Node {
                log,
                recovery: BacklogRecovery::default(),
                disk,
                sealing: None,
                forgotten: false,
            });
        }
        let data_dir = Path::new("");
        let opened = Backlog::open(Arc::clone(&disk), data_dir, &log.reader());
        let (backlog, recovery) = opened.map_err(|error| error.to_string())?;
        let backlog = Arc::new(backlog);
        let rules = UnitRules::new(BUCKET_MS, [("debug", class_of("debug"))]);
        let rules = rules.map_err(|error| error.to_string())?;
        let into = OriginsDir::new(Arc::clone(&disk), data_dir, log.poison());
        let options = WriterOptions { block_bytes: 1 << 10, ..WriterOptions::default() };
        let sealer = Sealer::new(log.reader(), Arc::clone(&backlog), into, rules, options);
        Ok(Node { log, recovery, disk, sealing: Some((backlog, sealer)), forgotten: false })
    }

    /// Everything there is, each record once.
    pub(super) fn snapshot(&self) -> IngestSnapshot {
        match &self.sealing {
            Some((backlog, _)) => IngestSnapshot::take(&self.log.reader(), backlog),
            None => {
                IngestSnapshot { log: self.log.reader().snapshot(), origins: Vec::new(), leaving: Vec::new() }
            }
        }
    }
}

impl Run {
    /// One step of the sealer, now and then after completing a piece for its age.
    pub(super) fn seal(&mut self, node: &mut Node) -> Result<(), String> {
        let Node { log, sealing, disk, forgotten, .. } = node;
        let Some((_, sealer)) = sealing.as_mut().filter(|_| !*forgotten) else { return Ok(()) };
        if self.prng.once_in(3) {
            drop(log.complete_filled_piece());
        }
        // What may differ when a piece is sealed again does.
        let now_ms = if self.prng.once_in(2) { 0 } else { u64::MAX };
        let moment = Moment { now_ms, partitions: 1 << self.prng.below(5) };
        let newest = log.reader().complete().last().map(|piece| piece.number());
        let poisoned = log.poison().reason().is_some();
        let mutant = self.mutant;
        let outcome = sealer.step(moment, |pieces| match mutant {
            Mutant::CarriedLost => {
                *forgotten = true;
                Ok(delete(&**disk, &pieces))
            }
            _ => log.release(&pieces),
        });
        let off = self.disk.is_off();
        self.seen.cuts_in_sealing += u64::from(off);
        match outcome {
            Ok(Some(_)) if poisoned && !off => return Err("sealed after a failed sync".to_owned()),
            Ok(Some(sealed)) => {
                if sealed.lost_records > 0 || sealed.spoilt.is_some() {
                    return Err(format!("damage in a log that was only cut: {:?}", sealed.spoilt));
                }
                self.seen.sealed_pieces += 1;
                self.seen.newest_released += u64::from(newest == Some(sealed.piece.number));
            }
            Err(SealerError::Seal(SealError::DiskFull) | SealerError::Release(LogError::DiskFull)) => {
                self.seen.seals_refused += 1;
            }
            Err(SealerError::Seal(error @ SealError::Write { .. })) => return Err(error.to_string()),
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// A store takes a copy of an origin; now and then it was the last that had to.
    pub(super) fn hand_over(&mut self, node: &Node) -> Result<(), String> {
        let Some((backlog, _)) = &node.sealing else { return Ok(()) };
        let origins = match self.mutant {
            Mutant::HandedOverEarly => backlog.snapshot(),
            _ => backlog.settled(),
        };
        if origins.is_empty() {
            return Ok(());
        }
        let origin = &origins[self.prng.below(origins.len() as u64) as usize];
        self.oracle.handed_over(origin)?;
        self.seen.handed_over += 1;
        if self.prng.once_in(2) {
            let name = origin.footer().lineage()[0].name;
            drop(backlog.remove(name, origin.footer().unit()));
        }
        Ok(())
    }
}

/// Lets go of pieces as a log would that forgets what the newest one carries.
fn delete(disk: &dyn Disk, pieces: &[Leaving]) -> Released {
    for Leaving { piece, .. } in pieces {
        let name = format!("log/{:016x}-{:08}.log", piece.epoch, piece.number);
        drop(disk.remove(Path::new(&name)));
    }
    drop(disk.sync_dir(Path::new("log")));
    Released::default()
}
