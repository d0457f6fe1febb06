//! The ingest role: ids for what arrives, room in the commit queue, and the wait for durability.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use weir_record::limits::{COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_ENTRIES_MAX};
use weir_record::lines::{Group, Payloads};
use weir_record::mint::TimeBounds;
use weir_record::split::Part;
use weir_record::stream::PART_LABEL;
use weir_record::{Batch, BatchError, BatchFlags, Minter, RecordId, Stream};
use weir_storage::committer::{CommitterMetrics, Stored};
use weir_storage::{CommitError, Committer, Entry, Leaving, LogError, Piece, Released};

use crate::clock;
use crate::config::Durability;
use crate::handover::Handover;
use crate::metrics::Metrics;

/// Event times are bounded by this when retention keeps everything: ten years.
pub(crate) const RETENTION_UNBOUNDED_MS: u64 = 10 * 365 * 24 * 3600 * 1000;

/// Takes entries to the committer. One per node.
pub(crate) struct Ingest {
    /// Taken out at the end.
    committer: RwLock<Option<Committer>>,
    minter: Mutex<Minter>,
    /// One permit per KiB that may wait; entries are bounded by the least charge.
    room: Arc<Semaphore>,
    retention_ms: u64,
    /// Who tells when records lie on enough stores, and when nobody is to wait for that any more. Set before anybody
    /// sends.
    handover: OnceLock<(Arc<Handover>, CancellationToken)>,
    metrics: Arc<Metrics>,
}

/// Permits, in KiB. Half the commit queue: what is being committed counts there until the whole group is done,
/// but gives its permits back one by one, so the queue may hold as much again for a moment.
const ROOM_KIB: usize = COMMIT_QUEUE_BYTES_MAX >> 11;
/// The least an entry is charged, so that tiny entries cannot exceed the queue's number of places.
const ENTRY_KIB_MIN: usize = ROOM_KIB.div_ceil(COMMIT_QUEUE_ENTRIES_MAX / 2);

/// An entry that was not stored as was asked. Nothing of it is on disk, unless the variant says otherwise, or (after
/// [`CommitError::Poisoned`]) nobody can tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The committer refused or failed it.
    #[error(transparent)]
    Commit(CommitError),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
    /// The node is shutting down: the entry is stored here, and the stores take it when the node is back.
    #[error("the node is shutting down: stored, and not replicated yet")]
    NotReplicated,
}

impl Ingest {
    /// An ingest role over a committer, minting above `floor`.
    pub(crate) fn new(
        committer: Committer,
        floor: RecordId,
        retention_ms: Option<u64>,
        metrics: Arc<Metrics>,
    ) -> Arc<Ingest> {
        Arc::new(Ingest {
            committer: RwLock::new(Some(committer)),
            minter: Mutex::new(Minter::new(floor)),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            retention_ms: retention_ms.unwrap_or(RETENTION_UNBOUNDED_MS),
            handover: OnceLock::new(),
            metrics,
        })
    }

    /// Sets who tells when records lie on enough stores; from `stop` on nothing is sealed, and nobody waits for it.
    pub(crate) fn hand_over_to(&self, handover: Arc<Handover>, stop: CancellationToken) {
        // Set once, when the roles are put together.
        let _ = self.handover.set((handover, stop));
    }

    /// Which event times are taken now.
    pub(crate) fn bounds(&self) -> TimeBounds {
        TimeBounds::at(clock::now_ms(), self.retention_ms)
    }

    /// Gives the node's minter to `make`, with the time and fresh entropy.
    pub(crate) fn mint<T>(&self, make: impl FnOnce(&mut Minter, u64, u128) -> T) -> T {
        make(&mut self.minter.lock(), clock::now_ms(), clock::id_entropy())
    }

    /// A group of lines as a batch, with ids minted now.
    pub(crate) fn minted(&self, stream: &Stream, group: Group) -> Result<Batch, BatchError> {
        let count = group.payloads.count() as u32;
        let run = self.mint(|minter, now_ms, entropy| minter.mint(now_ms, entropy, count));
        let Payloads { ends, arena } = group.payloads;
        Batch::new(marked(stream, group.part), BatchFlags::NONE, vec![run], ends, arena)
    }

    /// Resolves when `entry` holds at `durability`. Waits for room first: that is the back-pressure.
    /// `from` is where it came in, for metrics; a checkpoint's source stands in for it.
    pub(crate) async fn store(
        &self,
        from: &str,
        entry: Entry,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let counts: Vec<(String, u64, u64)> = entry
            .batches
            .iter()
            .map(|b| (b.stream().topic().to_owned(), b.count() as u64, b.payload_bytes() as u64))
            .collect();
        let kib = entry.bytes().div_ceil(1 << 10).clamp(ENTRY_KIB_MIN, ROOM_KIB) as u32;
        let permit = self.room.clone().acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let source = entry.checkpoint.as_ref().map_or(from, |c| c.source.as_str()).to_owned();

        let (done, held) = oneshot::channel();
        let metrics = self.metrics.clone();
        let finished = Box::new(move |result: Result<Stored, CommitError>| {
            drop(permit);
            match &result {
                Ok(_) => counts.iter().for_each(|(topic, records, bytes)| {
                    metrics.count_in(&source, topic, *records, *bytes);
                }),
                Err(error) => {
                    metrics.rejected.with_label_values(&[reason(error)]).inc();
                    if durability == Durability::Received {
                        let lost = counts.iter().map(|(_, records, _)| records).sum();
                        metrics.received_lost.inc_by(lost);
                    }
                    if *error == CommitError::DiskFull {
                        metrics.disk_full.set(1);
                    }
                }
            }
            // Nobody waits when the client has gone, or asked for `received` only.
            let _ = done.send(result);
        });
        // The permits keep the queue from filling up, so a refusal means that it was closed.
        let refused = self.committer.read().as_ref().is_none_or(|open| open.submit(entry, finished).is_err());
        if refused {
            return Err(StoreError::Closed);
        }
        if durability == Durability::Received {
            return Ok(());
        }
        let stored = match held.await {
            Ok(result) => result.map_err(StoreError::Commit)?,
            Err(_) => return Err(StoreError::Closed),
        };
        if durability == Durability::Replicated
            && let (Some(piece), Some((handover, stop))) = (stored.piece, self.handover.get())
        {
            let replicated = handover.replicated(piece);
            return stop.run_until_cancelled(replicated).await.ok_or(StoreError::NotReplicated);
        }
        Ok(())
    }

    /// Completes the piece of the log that is being written, if it has records.
    pub(crate) async fn complete_piece(&self) -> Result<(), LogError> {
        let (done, completed) = oneshot::channel();
        let tell = Box::new(move |result| drop(done.send(result)));
        match self.committer.read().as_ref() {
            Some(committer) => committer.complete(tell),
            None => return Err(LogError::Closed),
        }
        completed.await.unwrap_or(Err(LogError::Closed)).map(drop)
    }

    /// The pieces of the log that are about to leave it.
    pub(crate) fn pieces(&self, leaving: &[Leaving]) -> Vec<Arc<Piece>> {
        let committer = self.committer.read();
        let complete = committer.as_ref().map(|open| open.reader().complete()).unwrap_or_default();
        complete
            .into_iter()
            .filter(|piece| leaving.iter().any(|left| left.piece == piece.identity()))
            .collect()
    }

    /// Deletes whole pieces that are older than `keep_from`.
    pub(crate) async fn expire(&self, keep_from: RecordId) {
        let (done, expired) = oneshot::channel();
        let tell = Box::new(move |result| drop(done.send(result)));
        match self.committer.read().as_ref() {
            Some(committer) => committer.expire(keep_from, u64::MAX, tell),
            None => return,
        }
        if let Ok(Err(error)) = expired.await {
            tracing::warn!(%error, "retention could not delete; it tries again in a minute");
        }
    }

    /// Has the log let go of pieces. Blocks.
    pub(crate) fn release(&self, leaving: Vec<Leaving>) -> Result<Released, LogError> {
        self.committer.read().as_ref().map_or(Err(LogError::Closed), |open| open.release_and_wait(leaving))
    }

    /// Accepts entries of a source again after one of them failed.
    pub(crate) fn resume(&self, source: &str) {
        if let Some(committer) = self.committer.read().as_ref() {
            committer.resume(source);
        }
    }

    /// What waits, and sums.
    pub(crate) fn committer_metrics(&self) -> CommitterMetrics {
        self.committer.read().as_ref().map(Committer::metrics).unwrap_or_default()
    }

    /// Refuses new entries, commits those that wait, closes the log. Blocks.
    pub(crate) fn close(&self) {
        self.room.close();
        let committer = self.committer.write().take();
        if let Some(committer) = committer {
            committer.stop();
        }
    }
}

/// The stream of a group: parts say which they are.
pub(crate) fn marked(stream: &Stream, part: Part) -> Stream {
    match part.label() {
        Some(label) => stream.marked(PART_LABEL, label),
        None => stream.clone(),
    }
}

fn reason(error: &CommitError) -> &'static str {
    match error {
        CommitError::DiskFull => "disk_full",
        CommitError::TooLarge(_) => "too_large",
        CommitError::Poisoned(_) => "poisoned",
        CommitError::OutOfOrder(_) => "out_of_order",
        _ => "stopped",
    }
}
