//! Sends what is journaled, in order, several requests at once, and trims what is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::backend::Durability;
use weir_record::Batch;
use weir_record::limits::{EVENT_TIME_AHEAD_MS_MAX, FORWARD_CHECKPOINT_MS, FORWARD_INFLIGHT_MAX};
use weir_storage::Piece;

use crate::forward::journal::Journal;
use crate::forward::nodes::{BackOff, Nodes, Stopped, Undelivered};
use crate::forward::progress::Position;
use crate::forward::spool::Parcel;
use crate::metrics::Metrics;

/// What the nodes answer when ids lie too far back or ahead.
const IDS_OUT_OF_BOUNDS: &str = "ids_out_of_bounds";

/// One per journal.
pub(crate) struct Shipper {
    pub(crate) journal: Arc<Journal>,
    pub(crate) nodes: Arc<Nodes>,
    /// What every batch must reach before it is forgotten here.
    pub(crate) durability: Durability,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when the process stops: what a node does not take at once then stays for the next one.
    pub(crate) stop: CancellationToken,
}

/// What became of a parcel; `spoilt` when something of it could not be read.
struct Shipped {
    parcel: Parcel,
    spoilt: Option<String>,
    end: Result<(), Stopped>,
}

impl Shipper {
    /// Sends until everything is sent and `stop` is cancelled, or no node takes anything and it is.
    pub(crate) async fn run(self) {
        let shipper = Arc::new(self);
        let journal = &shipper.journal;
        let mut under_way: JoinSet<Shipped> = JoinSet::new();
        let mut spoilt = BTreeMap::new();
        // What a crash brought back is let go of at once.
        let (mut written, mut released) = (journal.low(), 0);
        let mut tick = tokio::time::interval(Duration::from_millis(FORWARD_CHECKPOINT_MS));
        let mut stopped = false;
        loop {
            let low = journal.low();
            if low.piece > released {
                released = low.piece;
                journal.release(&spoilt).await;
                spoilt = spoilt.split_off(&released);
            }
            while !stopped && under_way.len() < FORWARD_INFLIGHT_MAX {
                let Some((parcel, piece)) = journal.take() else { break };
                under_way.spawn(shipper.clone().ship(parcel, piece));
            }
            if under_way.is_empty() && (stopped || shipper.stop.is_cancelled()) {
                break;
            }
            tokio::select! {
                Some(shipped) = under_way.join_next() => {
                    match shipped {
                        Ok(shipped) => {
                            spoilt.extend(shipped.spoilt.map(|reason| (shipped.parcel.piece, reason)));
                            match shipped.end {
                                Ok(()) => journal.finish(&shipped.parcel),
                                Err(Stopped) => stopped = true,
                            }
                        }
                        // The next start sends the parcel again.
                        Err(error) => tracing::error!(%error, "a sender ended; its records stay in the journal"),
                    }
                }
                () = journal.appended() => {}
                _ = tick.tick() => shipper.write_down(&mut written).await,
                () = shipper.stop.cancelled(), if !stopped && under_way.is_empty() => {}
            }
        }
        shipper.write_down(&mut written).await;
    }

    /// Writes down how far the journal is acknowledged, if that has changed.
    async fn write_down(&self, written: &mut Position) {
        let low = self.journal.low();
        if low == *written {
            return;
        }
        match self.journal.write_down(low).await {
            Ok(()) => *written = low,
            Err(error) => tracing::debug!(%error, "what was acknowledged is written down later"),
        }
    }

    async fn ship(self: Arc<Self>, parcel: Parcel, piece: Arc<Piece>) -> Shipped {
        let old = self.journal.is_old(&piece);
        let range = parcel.batches.clone();
        let reading = tokio::task::spawn_blocking(move || read(&piece, range, old));
        let (batches, lost, spoilt) = match reading.await {
            Ok(read) => (read.batches, read.lost, read.spoilt),
            Err(error) => (Vec::new(), parcel.records, Some(format!("reading it ended: {error}"))),
        };
        self.metrics.forward_dropped("damaged", lost);
        let end = if batches.is_empty() { Ok(()) } else { self.send(batches).await };
        Shipped { parcel, spoilt, end }
    }

    /// Sends batches until each is acknowledged, or is older than the nodes keep records.
    async fn send(&self, batches: Vec<Batch>) -> Result<(), Stopped> {
        let mut groups = vec![batches];
        let mut pause = BackOff::new();
        while let Some(group) = groups.pop() {
            let records: u64 = group.iter().map(|batch| batch.count() as u64).sum();
            match self.nodes.deliver(group, self.durability, &self.stop).await {
                Ok(()) => self.metrics.forward_records.inc_by(records),
                Err(Undelivered::Stopped) => return Err(Stopped),
                Err(Undelivered::Refused { error, batches }) => {
                    let by_ids = error.code() == Some(IDS_OUT_OF_BOUNDS);
                    if by_ids && batches.len() > 1 {
                        // One of them is meant.
                        groups.extend(batches.into_iter().rev().map(|batch| vec![batch]));
                        continue;
                    }
                    if by_ids && self.too_old(&batches) {
                        self.metrics.forward_dropped("too_old", records);
                        tracing::warn!(records, %error, "records older than the nodes keep them are dropped");
                        continue;
                    }
                    // For the operator to mend, at the nodes or here. Nothing may be lost over it.
                    pause.wait(&self.stop).await?;
                    groups.push(batches);
                }
            }
        }
        Ok(())
    }

    /// Whether refused ids lie back, not ahead: those ahead are taken when their time has come.
    fn too_old(&self, batches: &[Batch]) -> bool {
        let newest_ms = self.nodes.now_ms().saturating_add(EVENT_TIME_AHEAD_MS_MAX);
        batches.iter().all(|batch| batch.id_range().1.time_ms() <= newest_ms)
    }
}

/// A part of the journal.
pub(crate) struct Read {
    pub(crate) batches: Vec<Batch>,
    /// Records that could not be read.
    pub(crate) lost: u64,
    /// Why not.
    pub(crate) spoilt: Option<String>,
}

/// Reads a part of the journal; what may have been sent before is flagged.
pub(crate) fn read(piece: &Piece, range: std::ops::Range<usize>, old: bool) -> Read {
    let mut read = Read { batches: Vec::with_capacity(range.len()), lost: 0, spoilt: None };
    let mut buf = Vec::new();
    for view in piece.read(range, &mut buf) {
        let batch = match view {
            Ok((_, view)) => view.to_batch().map_err(|error| (view.ends.len() as u64, error.to_string())),
            Err(damage) => Err((damage.records, damage.to_string())),
        };
        match batch {
            Ok(batch) if old => read.batches.push(batch.maybe_repeated()),
            Ok(batch) => read.batches.push(batch),
            Err((records, reason)) => {
                read.lost += records;
                read.spoilt = Some(reason);
            }
        }
    }
    read
}
