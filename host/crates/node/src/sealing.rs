//! When pieces of the log are completed and sealed: by size, by age, and soon when somebody waits for copies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_record::limits::SEAL_WANTED_MS_MIN;
use weir_storage::{Leaving, LogError, Moment, Released, Sealed, Sealer, SealerError};

use crate::clock;
use crate::handover::Handover;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::tail::Tails;

/// Wait before something that failed, such as for want of room, is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Seals what the log takes in.
pub(crate) struct Sealing {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) tails: Arc<Tails>,
    /// Told of every commit.
    pub(crate) committed: watch::Receiver<u64>,
    /// After this time a piece is completed, however small.
    pub(crate) age: Duration,
    pub(crate) metrics: Arc<Metrics>,
    /// How many stores there are to spread over.
    pub(crate) stores: watch::Receiver<usize>,
}

impl Sealing {
    /// Seals until it is told to stop; what is in the log then is sealed at the next start.
    pub(crate) async fn run(mut self, mut sealer: Sealer, stop: CancellationToken) {
        let mut due: Option<Instant> = None;
        let mut last_sealed = Instant::now();
        loop {
            let (again, outcome) = self.seal_all(sealer).await;
            sealer = again;
            let mut pause = None;
            if let Err(error) = outcome {
                tracing::warn!(%error, "sealing waits; the records stay in the log, where they can be searched");
                pause = Some(Instant::now() + RETRY);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = until(pause) => {}
                changed = self.committed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    due.get_or_insert_with(|| Instant::now() + self.age);
                }
                () = self.handover.wanted.notified() => {
                    let soon = Instant::now().max(last_sealed + Duration::from_millis(SEAL_WANTED_MS_MIN));
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                }
                () = until(due) => {
                    due = None;
                    last_sealed = Instant::now();
                    if let Err(error) = self.ingest.complete_piece().await {
                        tracing::warn!(%error, "a piece of the log cannot be completed; it is tried again");
                        due = Some(Instant::now() + RETRY);
                    }
                }
            }
        }
    }

    /// Seals every complete piece.
    async fn seal_all(&self, mut sealer: Sealer) -> (Sealer, Result<(), SealerError>) {
        loop {
            if sealer.waiting().0 == 0 && !sealer.is_leaving() {
                return (sealer, Ok(()));
            }
            let moment = Moment { now_ms: clock::now_ms(), partitions: *self.stores.borrow() as u16 };
            let (ingest, tails) = (Arc::clone(&self.ingest), Arc::clone(&self.tails));
            let (done, stepped) = oneshot::channel();
            let step = tokio::task::spawn_blocking(move || {
                let release = |leaving: Vec<Leaving>| release(&ingest, &tails, leaving);
                let outcome = sealer.step(moment, release);
                let _ = done.send((sealer, outcome));
            });
            let Ok((again, outcome)) = stepped.await else {
                // Nothing more is sealed, everything stays searchable in the log. The end of the process drops steps,
                // too: that is no panic.
                if step.await.is_err_and(|error| error.is_panic()) {
                    tracing::error!(
                        "sealing has panicked: report this; records stay in the log until the next start"
                    );
                }
                return std::future::pending().await;
            };
            sealer = again;
            match outcome {
                Ok(Some(Sealed { piece, origins, lost_records, spoilt, .. })) => {
                    if let Some(why) = spoilt {
                        self.metrics.damaged_frames.inc();
                        tracing::error!(
                            piece.number,
                            lost_records,
                            why,
                            "damaged: the piece was sealed as far as it can be read, and set aside"
                        );
                    }
                    self.handover.sealed(piece.number, &origins, clock::now_ms());
                }
                Ok(None) => return (sealer, Ok(())),
                Err(error) => return (sealer, Err(error)),
            }
        }
    }
}

/// Has the log let go of pieces, and the live tails keep them a while.
fn release(ingest: &Ingest, tails: &Tails, leaving: Vec<Leaving>) -> Result<Released, LogError> {
    ingest.pieces(&leaving).iter().for_each(|piece| tails.leaving(piece));
    ingest.release(leaving)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
