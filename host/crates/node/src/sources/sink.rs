//! Where the batches of a source go: the log of this process, or an ingest node elsewhere.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use weir_record::Minter;
use weir_record::limits::SOURCE_INFLIGHT_BATCHES_MAX;
use weir_record::mint::TimeBounds;
use weir_storage::{CommitError, Entry};

use crate::config::Durability;
use crate::ingest::{Ingest, StoreError};

/// Wait before an entry that found the disk full is tried again.
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);

/// Takes entries from a source, one at a time.
pub(crate) trait Sink: Send + Sync {
    /// Makes ids for a batch, before it is handed on for the first time.
    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds));

    /// Whether the cursor of an entry is stored with its records.
    fn keeps_cursors(&self) -> bool;

    /// Resolves once `entry` holds. Tries again, with the same ids, for as long as waiting can help.
    fn deliver(&self, entry: Entry, durability: Durability) -> BoxFuture<'static, Result<(), Undeliverable>>;

    /// The same for an entry that a broker holds until its receipts are acknowledged: this process need not
    /// keep it, so a journal would only cost.
    fn deliver_held(
        &self,
        entry: Entry,
        durability: Durability,
    ) -> BoxFuture<'static, Result<(), Undeliverable>> {
        self.deliver(entry, durability)
    }

    /// Takes entries of a source again of which one could not be stored: its next run begins before that.
    fn resume(&self, source: &str) {
        let _ = source;
    }

    /// How many entries without a cursor one source may have under way, at least one: those that a broker holds
    /// too, or the others. Entries with a cursor never overtake each other (`docs/decisions/0003`).
    fn in_flight_max(&self, held: bool) -> usize {
        let _ = held;
        1
    }
}

/// An entry that will never hold in this process. Its cursor was not stored: the next process repeats it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Undeliverable(pub(crate) String);

/// Stores into the ingest log of this process.
pub(crate) struct LocalSink {
    ingest: Arc<Ingest>,
    from: &'static str,
    stop: CancellationToken,
}

impl LocalSink {
    /// A sink into `ingest` that gives up waiting once `stop` is cancelled. Metrics count what has no
    /// checkpoint as coming `from` there.
    pub(crate) fn new(ingest: Arc<Ingest>, from: &'static str, stop: CancellationToken) -> LocalSink {
        LocalSink { ingest, from, stop }
    }
}

impl Sink for LocalSink {
    fn keeps_cursors(&self) -> bool {
        true
    }

    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds)) {
        let bounds = self.ingest.bounds();
        self.ingest.mint(|minter, now_ms, entropy| make(minter, now_ms, entropy, bounds));
    }

    fn resume(&self, source: &str) {
        self.ingest.resume(source);
    }

    fn in_flight_max(&self, held: bool) -> usize {
        // What a broker keeps may be lost here and comes again; all else comes one by one (`docs/decisions/0003`).
        if held { SOURCE_INFLIGHT_BATCHES_MAX } else { 1 }
    }

    fn deliver(&self, entry: Entry, durability: Durability) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (ingest, from, stop) = (self.ingest.clone(), self.from, self.stop.clone());
        // A cursor is always waited for: after an entry that failed, the log takes nothing more of its source
        // until somebody who knows resumes it.
        let durability =
            if entry.checkpoint.is_some() { durability.max(Durability::Stored) } else { durability };
        Box::pin(async move {
            let mut said = false;
            loop {
                match ingest.store(from, entry.clone(), durability).await {
                    Ok(()) => return Ok(()),
                    Err(StoreError::Commit(error @ CommitError::DiskFull)) => {
                        if !std::mem::replace(&mut said, true) {
                            tracing::warn!(%error, from, "a sender waits for disk space");
                        }
                        tokio::select! {
                            () = tokio::time::sleep(DISK_FULL_RETRY) => {
                                entry.checkpoint.iter().for_each(|checkpoint| ingest.resume(&checkpoint.source));
                            }
                            () = stop.cancelled() => return Err(Undeliverable(error.to_string())),
                        }
                    }
                    Err(error) => return Err(Undeliverable(error.to_string())),
                }
            }
        })
    }
}
