//! Straight to an ingest node, without a journal: for what somebody else holds until it is acknowledged, and
//! for pipes without a spool.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_record::limits::FORWARD_INFLIGHT_MAX;
use weir_record::mint::TimeBounds;
use weir_record::{Minter, RecordId};
use weir_storage::Entry;

use crate::clock;
use crate::config::Durability;
use crate::forward::durability_of;
use crate::forward::ids::Ids;
use crate::forward::nodes::{Nodes, Undelivered};
use crate::sources::sink::{Sink, Undeliverable};

/// An entry holds when a node has acknowledged it. What was not acknowledged is lost with this process, unless
/// its source gives it again.
pub(crate) struct DirectSink {
    nodes: Arc<Nodes>,
    ids: Mutex<Ids>,
    retention_ms: u64,
    stop: CancellationToken,
}

impl DirectSink {
    /// A sink to `nodes` that gives up waiting for one once `stop` is cancelled.
    pub(crate) fn new(nodes: Arc<Nodes>, retention_ms: u64, stop: CancellationToken) -> DirectSink {
        DirectSink { nodes, ids: Mutex::new(Ids::above(RecordId::MIN)), retention_ms, stop }
    }
}

impl Sink for DirectSink {
    fn keeps_cursors(&self) -> bool {
        false
    }

    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds)) {
        let now_ms = self.nodes.now_ms();
        let bounds = TimeBounds::at(now_ms, self.retention_ms);
        make(self.ids.lock().minter(now_ms), now_ms, clock::id_entropy(), bounds);
    }

    fn deliver(&self, entry: Entry, durability: Durability) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (nodes, stop) = (self.nodes.clone(), self.stop.clone());
        Box::pin(async move { deliver(&nodes, entry, durability, &stop).await })
    }

    fn in_flight_max(&self, _held: bool) -> usize {
        FORWARD_INFLIGHT_MAX
    }
}

/// Sends an entry and waits for the word of a node.
pub(crate) async fn deliver(
    nodes: &Nodes,
    entry: Entry,
    durability: Durability,
    stop: &CancellationToken,
) -> Result<(), Undeliverable> {
    let delivered = nodes.deliver(entry.batches, durability_of(durability), stop).await;
    delivered.map_err(|undelivered| {
        Undeliverable(match undelivered {
            Undelivered::Stopped => {
                "no ingest node took the last batch before the process stopped".to_owned()
            }
            Undelivered::Refused { error, .. } => error.to_string(),
        })
    })
}
