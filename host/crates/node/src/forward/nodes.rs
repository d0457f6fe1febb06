//! The ingest nodes that a forwarder ships to, as one: stays with a node as long as it answers, tries the next
//! when it does not, and knows by which clock to speak to each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_api::access::Secret;
use weir_api::backend::Durability;
use weir_api::client::{Client, ClientError, ClientOptions};
use weir_record::Batch;
use weir_record::limits::{FORWARD_BACKOFF_MS_MAX, FORWARD_BACKOFF_MS_MIN, FORWARD_CLOCK_WAIT_MS};

use crate::forward::clock_offset::{ClockOffsets, moved};
use crate::forward::said::Said;
use crate::metrics::Metrics;

/// What the nodes answer when the sender's clock and theirs are too far apart.
const CLOCK_SKEW: &str = "clock_skew";

/// The configured ingest nodes.
pub(crate) struct Nodes {
    peers: Vec<Peer>,
    preferred: AtomicUsize,
    offsets: Mutex<ClockOffsets>,
    now_ms: fn() -> u64,
    metrics: Arc<Metrics>,
}

struct Peer {
    client: Client,
    /// That this node does not take what it is sent.
    said: Said,
}

/// Batches that no node took.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The process stops, and no node was there to take them.
    Stopped,
    /// Every node refuses them, and would refuse them again.
    Refused {
        /// What the last one said.
        error: ClientError,
        /// What was refused, flagged if it may have been taken before.
        batches: Vec<Batch>,
    },
}

/// What one round over all nodes came to.
enum Round {
    Taken,
    /// At least one node may take them later.
    Later,
    Refused(ClientError),
}

impl Nodes {
    /// The nodes at `urls`, which is not empty, to which a token is shown. Nothing is connected yet. `now_ms` is this machine's clock.
    pub(crate) fn new(
        urls: &[String],
        token: Option<&Secret>,
        now_ms: fn() -> u64,
        metrics: Arc<Metrics>,
    ) -> Result<Nodes, ClientError> {
        let peers = urls.iter().map(|url| {
            let client = Client::new(url, ClientOptions::default())?;
            let client = token.map_or_else(|| client.clone(), |secret| client.clone().with_token(secret));
            Ok(Peer { client, said: Said::default() })
        });
        Ok(Nodes {
            peers: peers.collect::<Result<_, _>>()?,
            preferred: AtomicUsize::new(0),
            offsets: Mutex::new(ClockOffsets::new(urls.len())),
            now_ms,
            metrics,
        })
    }

    /// Asks every node for its time, and waits for the answers, not long: a node that does not answer is not
    /// counted, and without any answer the machine's own clock stands.
    pub(crate) async fn learn_clocks(&self) {
        let asked = self.peers.iter().enumerate().map(|(index, peer)| async move {
            let wait = Duration::from_millis(FORWARD_CLOCK_WAIT_MS);
            // Any answer has the time, a refusal as well.
            let _ = tokio::time::timeout(wait, peer.client.ready()).await;
            self.heard(index);
        });
        futures_util::future::join_all(asked).await;
        let offset_ms = self.offsets.lock().median();
        if offset_ms != 0 {
            tracing::warn!(offset_ms, "the clock of this machine is wrong: ids go by the ingest nodes'");
        }
    }

    /// The time by the clocks of the nodes, as far as they are known.
    pub(crate) fn now_ms(&self) -> u64 {
        moved((self.now_ms)(), self.offsets.lock().median())
    }

    /// Sends batches until a node has taken them; the nodes are tried in turn, with pauses between the rounds.
    /// Cancelling `stop` ends the pauses, not a request under way.
    pub(crate) async fn deliver(
        &self,
        mut batches: Vec<Batch>,
        durability: Durability,
        stop: &CancellationToken,
    ) -> Result<(), Undelivered> {
        let mut pause = BackOff::new();
        loop {
            match self.round(&mut batches, durability).await {
                Round::Taken => return Ok(()),
                Round::Refused(error) => return Err(Undelivered::Refused { error, batches }),
                Round::Later => {}
            }
            self.metrics.forward_retries.inc();
            if pause.wait(stop).await.is_err() {
                return Err(Undelivered::Stopped);
            }
        }
    }

    async fn round(&self, batches: &mut Vec<Batch>, durability: Durability) -> Round {
        let (mut refused, mut later) = (None, false);
        let preferred = self.preferred.load(Ordering::Relaxed);
        for offset in 0..self.peers.len() {
            let index = (preferred + offset) % self.peers.len();
            let Err(error) = self.send(index, batches, durability).await else {
                self.preferred.store(index, Ordering::Relaxed);
                return Round::Taken;
            };
            self.complain(index, &error);
            if error.maybe_done() {
                *batches = std::mem::take(batches).into_iter().map(Batch::maybe_repeated).collect();
            }
            // A token that is not valid is no reason to drop records.
            if error.is_retryable() || error.is_denied() {
                later = true;
            } else {
                refused = Some(error);
            }
        }
        match refused {
            Some(error) if !later => Round::Refused(error),
            _ => Round::Later,
        }
    }

    /// One request to one node, and a second one when it says that the clock is wrong: the answer tells its own.
    async fn send(&self, index: usize, batches: &[Batch], durability: Durability) -> Result<(), ClientError> {
        let Some(peer) = self.peers.get(index) else { return Ok(()) };
        let post = || async {
            let sent_at_ms = moved((self.now_ms)(), self.offsets.lock().of(index));
            let sent = peer.client.ingest_batches(sent_at_ms, batches, durability).await;
            self.heard(index);
            sent.map(drop)
        };
        let sent = match post().await {
            Err(error) if error.code() == Some(CLOCK_SKEW) => post().await,
            other => other,
        };
        if sent.is_ok() {
            peer.said.is_over();
        }
        sent
    }

    /// Takes note of what a node's clock says.
    fn heard(&self, index: usize) {
        let Some(time) = self.peers.get(index).and_then(|peer| peer.client.node_time()) else { return };
        let then_ms = (self.now_ms)().saturating_sub(time.read_at.elapsed().as_millis() as u64);
        let mut offsets = self.offsets.lock();
        // The second that it said may be nearly over: rather ids that lie a little back than ahead.
        offsets.heard(index, time.ms, then_ms);
        self.metrics.forward_clock_offset.set(offsets.median() as f64 / 1e3);
    }

    fn complain(&self, index: usize, error: &ClientError) {
        if self.peers.get(index).is_some_and(|peer| peer.said.is_due((self.now_ms)())) {
            tracing::warn!(%error, "an ingest node did not take records; trying on");
        }
    }
}

/// Pauses that double up to a bound, with some chance in them, so that senders do not come all at once.
pub(crate) struct BackOff {
    next_ms: u64,
}

/// The pause was cut short: the process stops.
#[derive(Debug)]
pub(crate) struct Stopped;

impl BackOff {
    pub(crate) fn new() -> BackOff {
        BackOff { next_ms: FORWARD_BACKOFF_MS_MIN }
    }

    pub(crate) async fn wait(&mut self, stop: &CancellationToken) -> Result<(), Stopped> {
        let pause_ms = self.next_ms / 2 + fastrand::u64(..=self.next_ms / 2);
        self.next_ms = (self.next_ms * 2).min(FORWARD_BACKOFF_MS_MAX);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => Ok(()),
            () = stop.cancelled() => Err(Stopped),
        }
    }
}
