//! The other nodes, by the addresses that the configuration names: who they are, and how they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{NodeInfo, PROTOCOL, Role};
use weir_api::client::{ClientError, ClientOptions, PeerClient};
use weir_api::{ClusterKey, Signer, Stamp};
use weir_record::limits::{PEER_INFO_MS, PLAN_TIMEOUT_MS};
use weir_replication::StoreNode;

use crate::clock;

/// All of them.
pub(crate) struct Peers {
    list: Vec<Arc<Peer>>,
    /// Counts up whenever something about them has changed.
    pub(crate) changed: watch::Sender<u64>,
}

/// One address.
pub(crate) struct Peer {
    /// The URL.
    pub(crate) url: String,
    /// Asks the node there.
    pub(crate) client: PeerClient,
    state: Mutex<State>,
}

/// What came of asking it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    /// It was never asked.
    #[default]
    Never,
    /// It has answered, or refused, at once.
    Told,
    /// It held the connection, and said nothing for as long as it may: asking again takes as long.
    InVain,
}

#[derive(Default)]
struct State {
    /// What the node said of itself last.
    info: Option<NodeInfo>,
    /// Whether it answered when it was asked last.
    is_up: bool,
    asked: Asked,
    /// The address is this node's own.
    is_self: bool,
}

impl Peers {
    /// The nodes at these URLs. Nothing is connected yet.
    pub(crate) fn new(urls: &[String], key: Option<&ClusterKey>) -> Result<Arc<Peers>, ClientError> {
        let list = urls.iter().map(|url| {
            let signer = key.map(|key| {
                Signer::new(key.clone(), || Stamp { now_ms: clock::now_ms(), nonce: fastrand::u128(..) })
            });
            let client = PeerClient::new(url, signer, ClientOptions::of_peers())?;
            Ok(Arc::new(Peer { url: url.clone(), client, state: Mutex::default() }))
        });
        Ok(Arc::new(Peers {
            list: list.collect::<Result<_, ClientError>>()?,
            changed: watch::Sender::new(0),
        }))
    }

    /// Asks each who it is, again and again. `own` is the id of this node.
    pub(crate) async fn follow(self: Arc<Self>, own: u64, stop: CancellationToken) {
        let mut asking = JoinSet::new();
        for peer in &self.list {
            let (peer, peers, stop) = (Arc::clone(peer), Arc::clone(&self), stop.clone());
            asking.spawn(async move {
                loop {
                    if peer.ask(own).await {
                        peers.changed.send_modify(|changes| *changes += 1);
                    }
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(PEER_INFO_MS)) => {}
                        () = stop.cancelled() => return,
                    }
                }
            });
        }
        while asking.join_next().await.is_some() {}
    }

    /// All but this node.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.list.iter().filter(|peer| !peer.state.lock().is_self)
    }

    /// The address of this node, if the list has it.
    pub(crate) fn own_url(&self) -> Option<String> {
        self.list.iter().find(|peer| peer.state.lock().is_self).map(|peer| peer.url.clone())
    }

    /// What to call a node: its address, or its id when no address is known.
    pub(crate) fn name_of(&self, node: u64) -> String {
        let is_it = |peer: &&Arc<Peer>| peer.info().is_some_and(|info| info.node == node);
        self.list.iter().find(is_it).map_or_else(|| format!("{node:016x}"), |peer| peer.url.clone())
    }

    /// The stores that answer, with `own` where this node is one: what placement ranks.
    pub(crate) fn stores(&self, own: Option<StoreNode>) -> Vec<StoreNode> {
        let mut stores: BTreeMap<u64, StoreNode> = BTreeMap::new();
        for peer in self.others() {
            let state = peer.state.lock();
            if let Some(info) = state.info.as_ref().filter(|info| state.is_up && info.is(Role::Store)) {
                stores.insert(info.node, store_of(info));
            }
        }
        stores.extend(own.map(|own| (own.node, own)));
        stores.into_values().collect()
    }
}

fn store_of(info: &NodeInfo) -> StoreNode {
    StoreNode {
        node: info.node,
        capacity_bytes: info.capacity_bytes,
        zone: info.zone.clone(),
        draining: info.draining,
        full: info.full,
    }
}

impl Peer {
    /// What the node said of itself last, whether it answers now or not.
    pub(crate) fn info(&self) -> Option<NodeInfo> {
        self.state.lock().info.clone()
    }

    /// Whether it answered when it was asked last.
    pub(crate) fn is_up(&self) -> bool {
        self.state.lock().is_up
    }

    /// Whether nothing can be said of it yet.
    pub(crate) fn is_unknown(&self) -> bool {
        self.state.lock().asked == Asked::Never
    }

    /// It has not answered a question in time: it is not asked again before it says that it is there.
    pub(crate) fn is_silent(&self) {
        let mut state = self.state.lock();
        if state.is_up {
            tracing::warn!(url = self.url, "a peer does not answer in time");
        }
        (state.is_up, state.asked) = (false, Asked::InVain);
    }

    /// Whether it may be back, and would say so at once.
    pub(crate) fn may_be_back(&self) -> bool {
        let state = self.state.lock();
        !state.is_up && state.asked != Asked::InVain
    }

    /// Takes note of what it has said of itself elsewhere.
    pub(crate) fn answered(&self, info: NodeInfo) {
        let mut state = self.state.lock();
        state.is_up = true;
        state.info = Some(info);
    }

    /// Asks who it is; whether anything has changed that matters to others.
    pub(crate) async fn ask(&self, own: u64) -> bool {
        let asked = timeout(Duration::from_millis(PLAN_TIMEOUT_MS), self.client.info()).await;
        let mut state = self.state.lock();
        let before = (state.is_up, state.is_self, state.info.as_ref().map(store_of));
        state.asked = if asked.is_ok() { Asked::Told } else { Asked::InVain };
        match asked {
            Ok(Ok(info)) if info.protocol != PROTOCOL => {
                tracing::error!(
                    url = self.url,
                    info.protocol,
                    "a peer speaks another protocol; it is not talked to"
                );
                state.is_up = false;
            }
            Ok(Ok(info)) => {
                if !state.is_up {
                    let roles: Vec<Role> = info.roles.clone();
                    tracing::info!(
                        url = self.url,
                        node = format!("{:016x}", info.node),
                        ?roles,
                        "a peer answers"
                    );
                }
                state.is_self = info.node == own;
                state.is_up = true;
                state.info = Some(info);
            }
            Ok(Err(error)) => {
                if state.is_up || state.info.is_none() && !error.is_retryable() {
                    tracing::warn!(url = self.url, %error, "a peer does not answer");
                }
                state.is_up = false;
            }
            Err(_) => {
                if state.is_up {
                    tracing::warn!(url = self.url, "a peer does not answer in time");
                }
                state.is_up = false;
            }
        }
        before != (state.is_up, state.is_self, state.info.as_ref().map(store_of))
    }
}
