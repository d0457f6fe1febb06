//! The forward role: ships what the sources bring to ingest nodes elsewhere, and waits for their word.
//!
//! Ids are minted before the first send and never again for the same batch. A batch whose answer was lost is
//! sent again, perhaps to another node, flagged as maybe repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_api::backend;
use weir_api::client::{Client, ClientError, ClientOptions};
use weir_record::limits::{FORWARD_BACKOFF_MS_MAX, FORWARD_BACKOFF_MS_MIN};
use weir_record::mint::TimeBounds;
use weir_record::{Batch, Minter, RecordId};
use weir_storage::Entry;

use crate::clock;
use crate::config::Durability;
use crate::sources::sink::{Sink, Undeliverable};

/// Sends to the first node that takes it; stays with that node as long as it answers.
pub(crate) struct RemoteSink {
    nodes: Arc<Nodes>,
    minter: Mutex<Minter>,
    stop: CancellationToken,
}

struct Nodes {
    clients: Vec<Client>,
    preferred: AtomicUsize,
}

impl RemoteSink {
    /// A sink to the nodes at `urls`, which is not empty. Nothing is connected yet.
    pub(crate) fn new(urls: &[String], stop: CancellationToken) -> Result<RemoteSink, ClientError> {
        let clients: Result<Vec<_>, _> =
            urls.iter().map(|url| Client::new(url, ClientOptions::default())).collect();
        let nodes = Nodes { clients: clients?, preferred: AtomicUsize::new(0) };
        Ok(RemoteSink { nodes: Arc::new(nodes), minter: Mutex::new(Minter::new(RecordId::MIN)), stop })
    }
}

impl Sink for RemoteSink {
    fn keeps_cursors(&self) -> bool {
        false
    }

    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds)) {
        let now_ms = clock::now_ms();
        // How far back event times may lie is for the ingest node to say.
        let bounds = TimeBounds::at(now_ms, now_ms);
        make(&mut self.minter.lock(), now_ms, clock::id_entropy(), bounds);
    }

    fn deliver(&self, entry: Entry, durability: Durability) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (nodes, stop) = (self.nodes.clone(), self.stop.clone());
        let durability = match durability {
            Durability::Received => backend::Durability::Received,
            Durability::Stored => backend::Durability::Stored,
            Durability::Replicated => backend::Durability::Replicated,
        };
        Box::pin(async move { nodes.deliver(entry.batches, durability, &stop).await })
    }
}

impl Nodes {
    async fn deliver(
        &self,
        mut batches: Vec<Batch>,
        durability: backend::Durability,
        stop: &CancellationToken,
    ) -> Result<(), Undeliverable> {
        let mut pause_ms = FORWARD_BACKOFF_MS_MIN;
        loop {
            for offset in 0..self.clients.len() {
                let index = (self.preferred.load(Ordering::Relaxed) + offset) % self.clients.len();
                let sent = self.clients[index].ingest_batches(clock::now_ms(), &batches, durability).await;
                let Err(error) = sent else {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(());
                };
                if !error.is_retryable() {
                    return Err(Undeliverable(error.to_string()));
                }
                if error.maybe_done() {
                    batches = batches.into_iter().map(Batch::maybe_repeated).collect();
                }
                tracing::warn!(%error, "an ingest node did not take the batch; trying on");
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms / 2 + fastrand::u64(..=pause_ms / 2))) => {}
                () = stop.cancelled() => {
                    return Err(Undeliverable("no ingest node took the last batch before the process stopped".into()));
                }
            }
            pause_ms = (pause_ms * 2).min(FORWARD_BACKOFF_MS_MAX);
        }
    }
}
