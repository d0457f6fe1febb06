//! The other nodes, named by the configuration or found by gossip: who they are, and how they do.
//!
//! Which of them there are changes while the node runs. Whoever does something for each of them meets them by
//! [`Arrivals`], and ends when [`Peer::gone`] says so.

mod arrivals;
mod count;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::ClusterKey;
use weir_api::backend::peer::Role;
use weir_api::client::{ClientError, PeerClient};
use weir_api::tls::ClientTls;
use weir_record::limits::{PEER_INFO_MS, PEER_INFO_NODES};
use weir_replication::StoreNode;

pub(crate) use arrivals::Arrivals;
pub(crate) use count::count_stores;
pub(crate) use peer::Peer;

/// All of them.
pub(crate) struct Peers {
    own: u64,
    key: Option<ClusterKey>,
    tls: ClientTls,
    list: Mutex<Vec<Arc<Peer>>>,
    /// Counts up whenever something about them has changed.
    pub(crate) changed: watch::Sender<u64>,
    /// Counts up whenever addresses come or go.
    listed: watch::Sender<u64>,
}

/// An address that gossip has found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The URL.
    pub(crate) url: String,
    /// Whether records may lie there.
    pub(crate) may_hold: bool,
}

impl Peers {
    /// The nodes at these URLs, for node `own`. Nothing is connected yet.
    pub(crate) fn new(
        own: u64,
        urls: &[String],
        key: Option<&ClusterKey>,
        tls: ClientTls,
    ) -> Result<Arc<Peers>, ClientError> {
        let list = urls.iter().map(|url| Ok(Arc::new(Peer::new(url, key, tls.clone(), true)?)));
        Ok(Arc::new(Peers {
            own,
            key: key.cloned(),
            list: Mutex::new(list.collect::<Result<_, ClientError>>()?),
            tls,
            changed: watch::Sender::new(0),
            listed: watch::Sender::new(0),
        }))
    }

    /// Sets the addresses that gossip has found. Those that the configuration names stay whatever it says.
    pub(crate) fn found(&self, found: &BTreeSet<Found>) {
        let mut list = self.list.lock();
        let before = list.len();
        list.retain(|peer| {
            let stays = peer.is_named || found.iter().any(|found| found.url == peer.url);
            if !stays {
                peer.gone.cancel();
            }
            stays
        });
        let mut has_changed = list.len() != before;
        for Found { url, may_hold } in found {
            if let Some(known) = list.iter().find(|peer| peer.url == *url) {
                known.may_hold.store(*may_hold, Ordering::Relaxed);
                continue;
            }
            match Peer::new(url, self.key.as_ref(), self.tls.clone(), false) {
                Ok(peer) => {
                    peer.may_hold.store(*may_hold, Ordering::Relaxed);
                    list.push(Arc::new(peer));
                    has_changed = true;
                }
                Err(error) => {
                    tracing::warn!(%error, url, "a member says that its API is where nobody can ask it");
                }
            }
        }
        drop(list);
        if has_changed {
            self.listed.send_modify(|changes| *changes += 1);
            self.changed.send_modify(|changes| *changes += 1);
        }
    }

    /// Has the node at an address asked how it does, soon.
    pub(crate) fn ask_soon(&self, url: &str) {
        if let Some(peer) = self.list.lock().iter().find(|peer| peer.url == url) {
            peer.wanted.notify_one();
        }
    }

    /// Asks each who it is, again and again.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut asking = JoinSet::new();
        let mut arrivals = Arrivals::new(&self);
        loop {
            let peer = tokio::select! {
                peer = arrivals.next() => peer,
                Some(_) = asking.join_next() => continue,
                () = stop.cancelled() => return,
            };
            let peers = Arc::clone(&self);
            asking.spawn(async move {
                loop {
                    if peer.ask(peers.own).await {
                        peers.changed.send_modify(|changes| *changes += 1);
                    }
                    tokio::select! {
                        () = tokio::time::sleep(peers.pause()) => {}
                        () = peer.wanted.notified() => {}
                        () = peer.gone.cancelled() => return,
                    }
                }
            });
        }
    }

    /// Time between two questions to one node: with many of them each is asked less often.
    fn pause(&self) -> Duration {
        let nodes = self.list.lock().len() as u64;
        Duration::from_millis((PEER_INFO_MS * nodes / PEER_INFO_NODES).max(PEER_INFO_MS))
    }

    /// All but this node. One that is known by several addresses is there once.
    pub(crate) fn others(&self) -> Vec<Arc<Peer>> {
        let mut others: Vec<Arc<Peer>> =
            self.list.lock().iter().filter(|peer| !peer.is_self()).map(Arc::clone).collect();
        // The address that answers, if one does.
        others.sort_by_key(|peer| !peer.is_up());
        let mut nodes = BTreeSet::new();
        others.retain(|peer| peer.node().is_none_or(|node| nodes.insert(node)));
        others
    }

    /// Those that answer questions about the records of all nodes, in random order: none of them gets all questions.
    pub(crate) fn answering(&self) -> Vec<PeerClient> {
        let is_asked =
            |peer: &Arc<Peer>| peer.is_up() && peer.info().is_some_and(|info| info.is(Role::Query));
        let others = self.others().into_iter().filter(is_asked);
        let mut answering: Vec<PeerClient> = others.map(|peer| peer.client.clone()).collect();
        fastrand::shuffle(&mut answering);
        answering
    }

    /// Whether a node is asked at this address, and not at another one that it has, too.
    pub(crate) fn is_main(&self, peer: &Arc<Peer>) -> bool {
        self.others().iter().any(|other| Arc::ptr_eq(other, peer))
    }

    /// The address of this node, if the list has it.
    pub(crate) fn own_url(&self) -> Option<String> {
        self.list.lock().iter().find(|peer| peer.is_self()).map(|peer| peer.url.clone())
    }

    /// What to call a node: its address, or its id when no address is known.
    pub(crate) fn name_of(&self, node: u64) -> String {
        let list = self.list.lock();
        let known = list.iter().find(|peer| peer.node() == Some(node));
        known.map_or_else(|| format!("{node:016x}"), |peer| peer.url.clone())
    }

    /// The stores that answer, with `own` where this node is one: what placement ranks.
    pub(crate) fn stores(&self, own: Option<StoreNode>) -> Vec<StoreNode> {
        let stores = self.others().into_iter().filter_map(|peer| peer.store());
        let by_node: BTreeMap<u64, StoreNode> = stores.chain(own).map(|store| (store.node, store)).collect();
        by_node.into_values().collect()
    }
}
