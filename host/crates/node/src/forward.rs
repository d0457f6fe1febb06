//! The forward role: ships what the sources bring to ingest nodes elsewhere, and waits for their word.
//!
//! Ids are minted before the first send and never again for the same batch. A batch whose answer was lost is
//! sent again, perhaps to another node, flagged as maybe repeated. With a spool everything is journaled first;
//! without one, and for what a broker holds until it is acknowledged, batches go straight to a node.

pub(crate) mod backend;
mod clock_offset;
mod direct;
mod ids;
mod journal;
mod nodes;
#[cfg(test)]
mod power_cuts;
mod progress;
pub(crate) mod said;
mod shipper;
mod spool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_api::backend::Durability as Asked;
use weir_record::Minter;
use weir_record::limits::FORWARD_INFLIGHT_MAX;
use weir_record::mint::TimeBounds;
use weir_storage::{DataDir, Entry};

use crate::clock;
use crate::config::{Config, Durability};
use crate::forward::direct::DirectSink;
use crate::forward::ids::Ids;
use crate::forward::journal::{Journal, Opened};
use crate::forward::nodes::Nodes;
use crate::forward::shipper::Shipper;
use crate::ingest::RETENTION_UNBOUNDED_MS;
use crate::metrics::Metrics;
use crate::recovered;
use crate::run::{RunError, forward_token};
use crate::sources::sink::{Sink, Undeliverable};

/// The forward role of a process.
pub(crate) struct Forward {
    sink: Arc<dyn Sink>,
    /// Where the sources stand: to be taken when they are started.
    pub(crate) cursors: BTreeMap<String, Vec<u8>>,
    journaled: Option<Journaled>,
}

struct Journaled {
    journal: Arc<Journal>,
    shipper: JoinHandle<()>,
    /// Ends the shipper.
    leave: CancellationToken,
}

impl Forward {
    /// Opens the journal, if a spool is configured, asks the nodes for their time, and begins to send what is
    /// journaled. `data_dir` is there when a spool is. Once `stop` is cancelled no source is waited for.
    pub(crate) async fn start(
        config: &Config,
        data_dir: Option<&DataDir>,
        metrics: Arc<Metrics>,
        stop: &CancellationToken,
    ) -> Result<Forward, RunError> {
        let nodes = Arc::new(Nodes::new(
            &config.forward_to,
            forward_token(config)?.as_ref(),
            clock::now_ms,
            metrics.clone(),
        )?);
        let opened = match (config.forward_spool, data_dir) {
            (Some(spool), Some(data_dir)) => Some(Journal::open(data_dir, config, spool, metrics.clone())?),
            _ => None,
        };
        nodes.learn_clocks().await;
        let retention_ms = config.retention.age_ms.unwrap_or(RETENTION_UNBOUNDED_MS);
        let Some(Opened { journal, cursors, highest_id, recovery }) = opened else {
            let sink = Arc::new(DirectSink::new(nodes, retention_ms, stop.clone()));
            return Ok(Forward { sink, cursors: BTreeMap::new(), journaled: None });
        };
        recovered::tell_log(&recovery, "journal", &metrics);
        let leave = CancellationToken::new();
        let shipper = Shipper {
            journal: journal.clone(),
            nodes: nodes.clone(),
            durability: durability_of(strongest(config)),
            metrics,
            stop: leave.clone(),
        };
        let sink = Arc::new(JournalSink {
            journal: journal.clone(),
            nodes,
            ids: Mutex::new(Ids::above(highest_id)),
            retention_ms,
            stop: stop.clone(),
        });
        let shipper = tokio::spawn(shipper.run());
        let journaled = Some(Journaled { journal, shipper, leave });
        Ok(Forward { sink, cursors, journaled })
    }

    /// Where the sources deliver to.
    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone()
    }

    /// Resolves, with the reason, when nothing can be journaled any more; without a journal never.
    pub(crate) async fn failed(&self) -> String {
        if let Some(journaled) = &self.journaled {
            let mut failed = journaled.journal.failed();
            if let Ok(Some(reason)) = failed.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
                return reason;
            }
        }
        std::future::pending().await
    }

    /// Waits until everything journaled is acknowledged.
    pub(crate) async fn drained(&self) {
        if let Some(journaled) = &self.journaled {
            journaled.journal.drained().await;
        }
    }

    /// Sends what is journaled for as long as a node takes it and `patience` lasts, then closes the journal.
    /// To be called when the sources have ended.
    pub(crate) async fn close(self, patience: Duration) {
        let Some(Journaled { journal, mut shipper, leave }) = self.journaled else { return };
        leave.cancel();
        if tokio::time::timeout(patience, &mut shipper).await.is_err() {
            shipper.abort();
        }
        let waiting_bytes = journal.waiting_bytes();
        if waiting_bytes > 0 {
            tracing::warn!(waiting_bytes, "records wait in the spool: the next start sends them");
        }
        let closed = tokio::task::spawn_blocking(move || journal.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "closing the journal ended in a panic; the next start mends it");
        }
    }
}

/// Journals what its source cannot give again; an entry holds when it is on this disk.
struct JournalSink {
    journal: Arc<Journal>,
    nodes: Arc<Nodes>,
    ids: Mutex<Ids>,
    retention_ms: u64,
    stop: CancellationToken,
}

impl Sink for JournalSink {
    fn keeps_cursors(&self) -> bool {
        true
    }

    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds)) {
        let now_ms = self.nodes.now_ms();
        let bounds = TimeBounds::at(now_ms, self.retention_ms);
        make(self.ids.lock().minter(now_ms), now_ms, clock::id_entropy(), bounds);
    }

    fn deliver(
        &self,
        entry: Entry,
        _durability: Durability,
    ) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (journal, stop) = (self.journal.clone(), self.stop.clone());
        Box::pin(async move { journal.append(entry, &stop).await })
    }

    fn deliver_held(
        &self,
        entry: Entry,
        durability: Durability,
    ) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (nodes, stop) = (self.nodes.clone(), self.stop.clone());
        Box::pin(async move { direct::deliver(&nodes, entry, durability, &stop).await })
    }

    fn in_flight_max(&self, held: bool) -> usize {
        // What is journaled stays in the order in which its source gave it.
        if held { FORWARD_INFLIGHT_MAX } else { 1 }
    }
}

/// The journal does not tell whose a batch is, so all are sent as the most demanding source wants.
fn strongest(config: &Config) -> Durability {
    config.sources.iter().map(|source| source.durability).max().unwrap_or(Durability::Stored)
}

fn durability_of(durability: Durability) -> Asked {
    match durability {
        Durability::Received => Asked::Received,
        Durability::Stored => Asked::Stored,
        Durability::Replicated => Asked::Replicated,
    }
}
