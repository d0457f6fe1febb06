//! Has copies made again that were lost: follows what the other stores announce and fetches what this one is to have.
//! Decisions are those of [`weir_replication::Repairer`]; this carries them out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{ChangesRequest, OriginRequest, Role};
use weir_record::limits::{NODE_NAMES_MORE_MAX, NODE_WAIT_MS_MAX, PULLS_MAX, REPAIR_FETCHES_MAX};
use weir_replication::{Amount, Changes, Failure, Fetch, Place, Repairer, Surplus};
use weir_segment::Unit;
use weir_storage::store::Expected;

use crate::clock;
use crate::config::Cluster;
use crate::moving::Moving;
use crate::pace::Pace;
use crate::peers::Peer;
use crate::pulling::{Pulling, expected, failure, receive};

/// Pause before a store that failed is followed again.
const PEER_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked for changes of this very store, which wake nobody.
const LOOK_MS: u64 = 1_000;

/// Fetches origins from other stores into the store of this node.
pub(crate) struct Repairing {
    /// The same store, and the work that comes first.
    pulling: Arc<Pulling>,
    repairer: Mutex<Repairer>,
    moving: Arc<Moving>,
    pace: Mutex<Pace>,
    wake: Notify,
}

impl Repairing {
    /// Of the store into which `pulling` pulls. Copies are made when they have been away for as long as is configured.
    pub(crate) fn new(pulling: Arc<Pulling>, moving: Arc<Moving>, config: &Cluster) -> Arc<Repairing> {
        let repairer = Mutex::new(Repairer::new(config.repair_after_ms));
        let pace = Mutex::new(Pace::new(config.repair_bytes_per_s));
        Arc::new(Repairing { pulling, repairer, moving, pace, wake: Notify::new() })
    }

    /// Whether what belongs here is to be fetched although it lacks no copies.
    pub(crate) fn set_rebalancing(&self, is_rebalancing: bool) {
        self.repairer.lock().set_rebalancing(is_rebalancing);
        self.wake.notify_one();
    }

    /// What may be too much here, of some units.
    pub(crate) fn surplus(&self, units_max: usize) -> Vec<Surplus> {
        let mut repairer = self.repairer.lock();
        self.pulling.announced.store.with(|own| repairer.surplus(own, units_max))
    }

    /// What this store is to fetch.
    pub(crate) fn to_fetch(&self) -> Amount {
        let repairer = self.repairer.lock();
        self.pulling.announced.store.with(|own| repairer.to_fetch(own))
    }

    /// What is here and belongs elsewhere.
    pub(crate) fn to_give(&self) -> Amount {
        let repairer = self.repairer.lock();
        self.pulling.announced.store.with(|own| repairer.to_give(own))
    }

    /// Whether all stores that there may be answer, and all that they hold was compared.
    pub(crate) fn sees_all(&self) -> bool {
        let may_be_away =
            |peer: &Arc<Peer>| !peer.is_up() && peer.info().is_none_or(|info| info.is(Role::Store));
        if self.pulling.peers.others().iter().any(may_be_away) {
            return false;
        }
        let repairer = self.repairer.lock();
        self.others().keys().all(|store| repairer.is_whole(*store)) && repairer.state().units_waiting == 0
    }

    /// Repairs until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changed = self.pulling.peers.changed.subscribe();
        let (mut following, mut followed) = (JoinSet::new(), BTreeSet::new());
        let mut at_work = JoinSet::new();
        loop {
            for (node, peer) in self.others() {
                if followed.insert(node) {
                    following.spawn(Arc::clone(&self).follow(node, peer));
                }
            }
            let due_ms = self.start_work(&mut at_work);
            let pause_ms = due_ms.saturating_sub(clock::now_ms()).clamp(1, LOOK_MS);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = self.moving.hurry.notified() => {
                    let mut repairer = self.repairer.lock();
                    self.pulling.announced.store.with(|own| repairer.hurry(clock::now_ms(), own));
                }
                _ = changed.changed() => {}
                Some(_) = at_work.join_next() => {}
                Some(ended) = following.join_next() => match ended {
                    Ok(node) => {
                        followed.remove(&node);
                    }
                    Err(error) => {
                        tracing::error!(%error, "following a store has panicked: report this");
                        return;
                    }
                },
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            }
        }
    }

    /// The other stores that answer.
    fn others(&self) -> BTreeMap<u64, Arc<Peer>> {
        let mut others = BTreeMap::new();
        for peer in self.pulling.peers.others() {
            if let Some(info) = peer.info().filter(|info| info.is(Role::Store) && peer.is_up()) {
                others.insert(info.node, peer.clone());
            }
        }
        others.remove(&self.pulling.node);
        others
    }

    /// Starts what there is to do, and says when there will be more.
    fn start_work(self: &Arc<Self>, at_work: &mut JoinSet<()>) -> u64 {
        let pulling = &self.pulling;
        let stores = pulling.stores();
        // What ingest nodes wait for comes first, and what waits for room is not fetched only to be thrown away.
        let left = PULLS_MAX.saturating_sub(pulling.puller.lock().in_flight());
        let fetching_max = if pulling.store.has_room() { left.min(REPAIR_FETCHES_MAX) } else { 0 };
        let (now_ms, mut pace) = (clock::now_ms(), self.pace.lock());
        let mut repairer = self.repairer.lock();
        // What is under way goes on.
        let fetching_max = if pace.allows(now_ms) { fetching_max } else { 0 };
        repairer.set_stores(&stores, pulling.replication);
        let fetches = pulling.announced.store.with(|own| repairer.next(now_ms, fetching_max, own));
        pace.took(fetches.iter().map(|fetch| fetch.held.bytes).sum(), now_ms);
        pulling.metrics.repair_missing.set(repairer.state().lacking as i64);
        let due_ms = repairer.next_due_ms().filter(|_| repairer.state().fetching < fetching_max);
        let due_ms = due_ms.or_else(|| pace.next_ms(now_ms));
        let names = repairer.names_wanted(now_ms);
        pulling.metrics.lists("store", repairer.size());
        drop((repairer, pace));
        for (store, (units, origins)) in names {
            at_work.spawn(Arc::clone(self).ask_names(store, units, origins));
        }
        for fetch in fetches {
            at_work.spawn(Arc::clone(self).fetch(fetch));
        }
        due_ms.unwrap_or(u64::MAX)
    }

    /// Follows what a store holds for as long as it answers at an address, and gives its id when it does no more.
    async fn follow(self: Arc<Self>, node: u64, peer: Arc<Peer>) -> u64 {
        while peer.info().is_some_and(|info| info.node == node) {
            let (since, is_whole) = {
                let repairer = self.repairer.lock();
                (repairer.position(node), repairer.is_whole(node))
            };
            let wait_ms = if is_whole { NODE_WAIT_MS_MAX } else { 0 };
            let request = ChangesRequest { place: Place::Store, since, wait_ms };
            let answer = peer.client.changes(request).await.map_err(|error| error.to_string());
            let changes = answer.and_then(|bytes| Changes::decode(&bytes).map_err(|error| error.to_string()));
            let applied = changes.and_then(|changes| {
                let applied = self.repairer.lock().applied(node, changes, clock::now_ms());
                applied.map_err(|error| error.to_string())
            });
            if let Err(error) = applied {
                tracing::debug!(
                    url = peer.url,
                    error,
                    "the holdings of a store cannot be followed; trying on"
                );
                break;
            }
            self.wake.notify_one();
        }
        self.repairer.lock().remove(node);
        self.wake.notify_one();
        tokio::time::sleep(PEER_PAUSE).await;
        node
    }

    /// Asks a store for the names of origins in some of its units.
    async fn ask_names(self: Arc<Self>, store: u64, units: Vec<Unit>, origins: u64) {
        let names = match self.others().remove(&store) {
            Some(peer) => peer.names_of(&units, origins + NODE_NAMES_MORE_MAX, None).await,
            None => Err("it does not answer".to_owned()),
        };
        let now_ms = clock::now_ms();
        match names {
            Ok(origins) => self.repairer.lock().named(store, &units, &origins, now_ms),
            Err(error) => {
                tracing::debug!(
                    store = self.pulling.peers.name_of(store),
                    error,
                    "a store does not tell names"
                );
                self.repairer.lock().unnamed(store, &units, now_ms);
            }
        }
        self.wake.notify_one();
    }

    async fn fetch(self: Arc<Self>, fetch: Fetch) {
        let key = fetch.held.key();
        let metrics = &self.pulling.metrics;
        match self.take(&fetch).await {
            Ok(bytes) => {
                metrics.repair_fetched.inc();
                metrics.repair_fetched_bytes.inc_by(bytes);
                self.moving.come.lock().moved(Amount { origins: 1, bytes });
                self.repairer.lock().kept(&key);
            }
            Err(failure) => {
                if let Failure::Origin(why) = &failure {
                    let from = self.pulling.peers.name_of(fetch.from);
                    tracing::warn!(origin = %key, from, why, "a copy cannot be taken; it is tried again later");
                    metrics.repair_failed.inc();
                }
                self.repairer.lock().failed(&key, &failure, clock::now_ms());
            }
        }
        self.wake.notify_one();
    }

    /// Fetches an origin, verifies it and keeps it; gives the size of its file.
    async fn take(&self, fetch: &Fetch) -> Result<u64, Failure> {
        let peer = self.others().remove(&fetch.from).ok_or(Failure::Peer)?;
        let request =
            OriginRequest { place: Place::Store, origin: fetch.held.key(), store: self.pulling.node };
        let body = peer.client.origin(&request).await.map_err(|error| failure(&error))?;
        let bytes = body.bytes();
        // Of an origin in a merged segment the size is known now.
        let expected = Expected { bytes, ..expected(&fetch.held) };
        receive(&self.pulling.store, expected, body).await?;
        Ok(bytes)
    }
}
