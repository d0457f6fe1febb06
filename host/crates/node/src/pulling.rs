//! The store's side of the transfer: follows what ingest nodes offer, fetches what is this store's, confirms it.
//! Decisions are those of [`weir_replication::Puller`]; this carries them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{
    ChangesRequest, ConfirmRequest, Confirmation as Said, Confirmed as Outcome, FailedRequest, Kept,
    OriginRequest, Role,
};
use weir_api::client::{ClientError, OriginBody};
use weir_record::limits::{NODE_WAIT_MS_MAX, PULLS_MAX};
use weir_replication::{
    Changes, Confirm, Confirmation, Failure, Held, Mirror, OriginKey, Place, Pull, Puller, Refused, StoreNode,
};
use weir_storage::Store;
use weir_storage::store::{AcceptError, Accepted, Expected, Offer};

use crate::announce::Announced;
use crate::clock;
use crate::handover::Handover;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::peers::{Arrivals, Peer, Peers};

/// Pause before a peer that failed is asked again.
const PEER_PAUSE: Duration = Duration::from_millis(500);
/// How long an origin waits that found the store crowded, and how often a full store looks for room.
const FULL_RETRY_MS: u64 = 1_000;
/// Chunks of an origin between the network and the disk.
const CHUNKS_AHEAD: usize = 4;

/// Fetches origins into the store of this node.
pub(crate) struct Pulling {
    pub(crate) node: u64,
    pub(crate) store: Store,
    pub(crate) announced: Arc<Announced>,
    pub(crate) peers: Arc<Peers>,
    /// The ingest role of this very node.
    pub(crate) own: Option<Arc<Handover>>,
    /// This node, as placement sees it while it takes part.
    pub(crate) placed: StoreNode,
    /// Whether it takes part.
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) replication: usize,
    pub(crate) puller: Mutex<Puller>,
    pub(crate) wake: Notify,
    pub(crate) metrics: Arc<Metrics>,
}

impl Pulling {
    /// Pulls until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut arrivals = Arrivals::new(&self.peers);
        if self.own.is_some() {
            tasks.spawn(Arc::clone(&self).follow_own());
        }
        let mut changed = self.peers.changed.subscribe();
        let mut at_work = JoinSet::new();
        loop {
            // What waits for room is not fetched only to be thrown away; confirmations cost none.
            let room = self.store.has_room();
            self.start_work(&mut at_work, if room { PULLS_MAX } else { 0 });
            let due_ms = self.puller.lock().next_due_ms().filter(|_| room);
            let pause_ms = due_ms
                .map_or(FULL_RETRY_MS, |due| due.saturating_sub(clock::now_ms()).clamp(1, FULL_RETRY_MS));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                _ = changed.changed() => {}
                Some(_) = at_work.join_next() => {}
                Some(_) = tasks.join_next() => {}
                peer = arrivals.next() => {
                    tasks.spawn(Arc::clone(&self).follow(peer));
                }
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            }
        }
    }

    /// The stores that answer, and this one.
    pub(crate) fn stores(&self) -> Vec<StoreNode> {
        let draining = self.jobs.wanted().draining;
        self.peers.stores(Some(StoreNode { draining, ..self.placed.clone() }))
    }

    fn start_work(self: &Arc<Self>, at_work: &mut JoinSet<()>, pulls_max: usize) {
        let stores = self.stores();
        let work = {
            let mut puller = self.puller.lock();
            puller.set_stores(&stores, self.replication);
            self.announced.store.with(|own| puller.next(clock::now_ms(), pulls_max, own))
        };
        for pull in work.pulls {
            at_work.spawn(Arc::clone(self).pull(pull));
        }
        let mut by_node: BTreeMap<u64, Vec<Confirm>> = BTreeMap::new();
        for confirm in work.confirms {
            by_node.entry(confirm.to).or_default().push(confirm);
        }
        for (to, confirms) in by_node {
            at_work.spawn(Arc::clone(self).confirm(to, confirms));
        }
    }

    /// Follows the backlog of the node at an address, until the address is no longer of interest.
    async fn follow(self: Arc<Self>, peer: Arc<Peer>) {
        let mut followed = None;
        tokio::select! {
            () = self.follow_on(&peer, &mut followed) => {}
            () = peer.gone.cancelled() => {}
        }
        if let Some(node) = followed {
            self.puller.lock().remove_peer(node);
        }
    }

    /// Follows the backlog of the node at an address, whoever it is. `followed` is the node whose backlog the puller
    /// has from here.
    async fn follow_on(&self, peer: &Arc<Peer>, followed: &mut Option<u64>) {
        let mut mirror: Option<Mirror> = None;
        let mut changed = self.peers.changed.subscribe();
        loop {
            let ingest = peer.info().filter(|info| info.is(Role::Ingest) && info.node != self.node);
            let Some(info) = ingest.filter(|_| self.peers.is_main(peer)) else {
                // Not known yet, no ingest node, or one that is followed at another address.
                if let Some(before) = followed.take() {
                    mirror = None;
                    self.puller.lock().remove_peer(before);
                }
                if changed.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if let Some(before) = mirror.take_if(|mirror| mirror.node() != info.node) {
                self.puller.lock().remove_peer(before.node());
            }
            *followed = Some(info.node);
            let following = mirror.get_or_insert_with(|| Mirror::new(info.node, Place::Backlog));
            let wait_ms = if following.is_whole() { NODE_WAIT_MS_MAX } else { 0 };
            let request =
                ChangesRequest { place: Place::Backlog, since: following.position().clone(), wait_ms };
            let answer = peer.client.changes(request).await.map_err(|error| error.to_string());
            let changes = answer.and_then(|bytes| Changes::decode(&bytes).map_err(|error| error.to_string()));
            let applied = changes.and_then(|changes| self.apply(following, changes));
            if let Err(error) = applied {
                tracing::debug!(url = peer.url, error, "the backlog of a peer cannot be followed; trying on");
                // Another process may answer there now: it says so when it is asked who it is.
                mirror = None;
                self.puller.lock().remove_peer(info.node);
                tokio::time::sleep(PEER_PAUSE).await;
            }
        }
    }

    /// Follows the backlog of this very node.
    async fn follow_own(self: Arc<Self>) {
        let mut mirror = Mirror::new(self.node, Place::Backlog);
        loop {
            let wait = Duration::from_millis(if mirror.is_whole() { NODE_WAIT_MS_MAX } else { 0 });
            let changes = self.announced.backlog.changes(mirror.position(), wait).await;
            if let Err(error) = self.apply(&mut mirror, changes) {
                tracing::error!(error, "the backlog of this node contradicts itself: report this");
                return;
            }
        }
    }

    fn apply(&self, mirror: &mut Mirror, changes: Changes) -> Result<(), String> {
        let applied = mirror.apply(changes).map_err(|error| error.to_string())?;
        let mut puller = self.puller.lock();
        self.announced.store.with(|own| puller.applied(mirror.node(), &applied, own, clock::now_ms()));
        drop(puller);
        self.wake.notify_one();
        Ok(())
    }

    async fn pull(self: Arc<Self>, pull: Pull) {
        let key = pull.held.key();
        let fetched =
            if pull.from == self.node { self.take_own(&pull).await } else { self.fetch(&pull).await };
        match fetched {
            Ok(()) => {
                self.metrics.pulled.inc();
                self.puller.lock().kept(pull.from, &key, clock::now_ms());
            }
            Err(failure) => {
                if let Failure::Origin(why) = &failure {
                    tracing::warn!(origin = %key, why, "an origin cannot be taken; it is tried again later");
                    self.metrics.pull_failed.inc();
                    self.tell_failed(pull.from, &key, why).await;
                }
                self.puller.lock().failed(pull.from, &key, failure, clock::now_ms());
            }
        }
        self.wake.notify_one();
    }

    /// Takes an origin from the backlog of this node.
    async fn take_own(&self, pull: &Pull) -> Result<(), Failure> {
        let own = self.own.as_ref().ok_or(Failure::Unknown)?;
        let claimed = own.claim(self.node, &pull.held.key(), clock::now_ms()).await;
        let (_, file) = claimed.map_err(|refused| match refused {
            Refused::Unknown => Failure::Unknown,
            Refused::Busy { retry_ms } => Failure::Busy { retry_ms },
        })?;
        let (store, expected) = (self.store.clone(), expected(&pull.held));
        let taken = tokio::task::spawn_blocking(move || store.accept_file(expected, file.path())).await;
        outcome(taken)
    }

    /// Fetches an origin from another node.
    async fn fetch(&self, pull: &Pull) -> Result<(), Failure> {
        let peer = self.peer(pull.from).ok_or(Failure::Peer)?;
        let request = OriginRequest { place: Place::Backlog, origin: pull.held.key(), store: self.node };
        let body = peer.client.origin(&request).await.map_err(|error| failure(&error))?;
        receive(&self.store, expected(&pull.held), body).await
    }

    async fn confirm(self: Arc<Self>, to: u64, confirms: Vec<Confirm>) {
        let outcomes = if to == self.node {
            let pulling = Arc::clone(&self);
            let own = confirms.clone();
            // The last confirmation deletes a file.
            let confirmed = tokio::task::spawn_blocking(move || pulling.confirm_own(&own)).await;
            match confirmed {
                Ok(outcomes) => outcomes,
                Err(error) if error.is_panic() => {
                    Err(Failure::Origin("confirming has panicked: report this".into()))
                }
                // The process ends.
                Err(_) => Err(Failure::Busy { retry_ms: FULL_RETRY_MS }),
            }
        } else {
            self.confirm_peer(to, &confirms).await
        };
        let now_ms = clock::now_ms();
        {
            let mut puller = self.puller.lock();
            for (number, confirm) in confirms.iter().enumerate() {
                match outcomes.as_ref().map(|outcomes| outcomes.get(number)) {
                    Ok(Some(Outcome::Counted | Outcome::Complete | Outcome::Unknown)) => {
                        puller.confirmed(to, &confirm.key, now_ms);
                    }
                    Ok(Some(Outcome::Mismatch) | None) => {
                        let why = "the ingest node has other records under this name".to_owned();
                        tracing::error!(origin = %confirm.key, why, "this store's copy is not counted");
                        puller.failed(to, &confirm.key, Failure::Origin(why), now_ms);
                    }
                    Err(failure) => puller.failed(to, &confirm.key, failure.clone(), now_ms),
                }
            }
        }
        self.wake.notify_one();
    }

    fn confirm_own(&self, confirms: &[Confirm]) -> Result<Vec<Outcome>, Failure> {
        let own = self.own.as_ref().ok_or(Failure::Unknown)?;
        let outcome =
            |confirm: &Confirm| own.confirm(self.node, &confirm.key, confirm.digest, confirm.confirmation);
        Ok(confirms.iter().map(outcome).collect())
    }

    async fn confirm_peer(&self, to: u64, confirms: &[Confirm]) -> Result<Vec<Outcome>, Failure> {
        let peer = self.peer(to).ok_or(Failure::Peer)?;
        let origins = confirms.iter().map(|confirm| Said {
            origin: confirm.key.clone(),
            digest: confirm.digest,
            kept: match confirm.confirmation {
                Confirmation::Held => Kept::Held,
                Confirmation::Expired => Kept::Expired,
            },
        });
        let request = ConfirmRequest { store: self.node, origins: origins.collect() };
        peer.client.confirm(&request).await.map_err(|error| failure(&error))
    }

    async fn tell_failed(&self, to: u64, key: &OriginKey, why: &str) {
        if let Some(own) = self.own.as_ref().filter(|_| to == self.node) {
            own.failed(self.node, key, why, clock::now_ms());
        } else if let Some(peer) = self.peer(to) {
            let request = FailedRequest { store: self.node, origin: key.clone(), why: why.to_owned() };
            // A courtesy: the claim ends by itself.
            let _ = peer.client.failed(&request).await;
        }
    }

    pub(crate) fn peer(&self, node: u64) -> Option<Arc<Peer>> {
        self.peers.others().into_iter().find(|peer| peer.node() == Some(node))
    }
}

pub(crate) fn expected(held: &Held) -> Expected {
    let Held { unit, name, flags, count, digest, bytes, .. } = held.clone();
    Expected { unit, name, flags, count, digest, bytes }
}

/// Takes an origin that another node sends: the network on one side, the disk on the other.
pub(crate) async fn receive(store: &Store, expected: Expected, mut body: OriginBody) -> Result<(), Failure> {
    let (send, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let store = store.clone();
    let writing = tokio::task::spawn_blocking(move || write(&store, expected, chunks));
    let mut cut = None;
    loop {
        match body.next().await {
            Ok(Some(bytes)) => {
                // A writer that has given up says why at the end.
                if send.send(bytes).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                cut = Some(failure(&error));
                break;
            }
        }
    }
    // Fewer bytes than were announced are refused: what was cut off is not kept.
    drop(send);
    let written = outcome(writing.await);
    cut.map_or(written, Err)
}

/// Writes what comes to the store; blocks.
fn write(
    store: &Store,
    expected: Expected,
    mut chunks: mpsc::Receiver<Bytes>,
) -> Result<Accepted, AcceptError> {
    let mut incoming = match store.incoming(expected)? {
        Offer::Wanted(incoming) => incoming,
        Offer::Settled(accepted) => return Ok(accepted),
    };
    while let Some(bytes) = chunks.blocking_recv() {
        incoming.write(&bytes)?;
    }
    incoming.finish()
}

/// What became of an origin that was offered to the store. Each way of being accepted is confirmed.
fn outcome(taken: Result<Result<Accepted, AcceptError>, tokio::task::JoinError>) -> Result<(), Failure> {
    match taken {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(AcceptError::Full | AcceptError::Crowded | AcceptError::Busy(_))) => {
            Err(Failure::Busy { retry_ms: FULL_RETRY_MS })
        }
        Ok(Err(error)) => Err(Failure::Origin(error.to_string())),
        Err(error) if error.is_panic() => {
            Err(Failure::Origin("the thread that wrote it has panicked: report this".into()))
        }
        // The process ends.
        Err(_) => Err(Failure::Busy { retry_ms: FULL_RETRY_MS }),
    }
}

pub(crate) fn failure(error: &ClientError) -> Failure {
    if error.is_gone() {
        Failure::Unknown
    } else if error.code() == Some("origin_busy") {
        Failure::Busy { retry_ms: FULL_RETRY_MS / 4 }
    } else {
        Failure::Peer
    }
}
