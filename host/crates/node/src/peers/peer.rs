//! One of the other nodes: what it says of itself, and whether it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{NamesRequest, NodeInfo, PROTOCOL, Role, SnapshotToken};
use weir_api::client::{ClientError, ClientOptions, PeerClient};
use weir_api::tls::ClientTls;
use weir_api::{ClusterKey, Signer, Stamp};
use weir_record::limits::PLAN_TIMEOUT_MS;
use weir_replication::{Changes, Held, StoreNode};
use weir_segment::Unit;

use crate::clock;

/// One address.
pub(crate) struct Peer {
    /// The URL.
    pub(crate) url: String,
    /// Asks the node there.
    pub(crate) client: PeerClient,
    /// Cancelled when the address is no longer of interest.
    pub(crate) gone: CancellationToken,
    /// The configuration names it.
    pub(super) is_named: bool,
    /// Records may lie there, as far as was said before it has answered.
    pub(super) may_hold: AtomicBool,
    /// Somebody wants it asked now.
    pub(super) wanted: Notify,
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
    /// What was said last of why there is no TLS with it.
    told: Option<String>,
}

impl Peer {
    /// A node at a URL. Nothing is connected yet.
    pub(super) fn new(
        url: &str,
        key: Option<&ClusterKey>,
        tls: ClientTls,
        is_named: bool,
    ) -> Result<Peer, ClientError> {
        let signer = key.map(|key| {
            Signer::new(key.clone(), || Stamp { now_ms: clock::now_ms(), nonce: fastrand::u128(..) })
        });
        Ok(Peer {
            url: url.to_owned(),
            client: PeerClient::new(url, signer, ClientOptions::of_peers(tls))?,
            gone: CancellationToken::new(),
            is_named,
            may_hold: AtomicBool::new(true),
            wanted: Notify::new(),
            state: Mutex::default(),
        })
    }

    /// What the node said of itself last, whether it answers now or not.
    pub(crate) fn info(&self) -> Option<NodeInfo> {
        self.state.lock().info.clone()
    }

    /// Its id, once it has said it.
    pub(crate) fn node(&self) -> Option<u64> {
        self.state.lock().info.as_ref().map(|info| info.node)
    }

    /// Whether it answered when it was asked last.
    pub(crate) fn is_up(&self) -> bool {
        self.state.lock().is_up
    }

    /// Whether it is this very node.
    pub(super) fn is_self(&self) -> bool {
        self.state.lock().is_self
    }

    /// Whether records may lie there.
    pub(crate) fn may_hold(&self) -> bool {
        match &self.state.lock().info {
            Some(info) => info.is(Role::Ingest) || info.is(Role::Store),
            None => self.may_hold.load(Ordering::Relaxed),
        }
    }

    /// The store that it is, if it answers.
    pub(super) fn store(&self) -> Option<StoreNode> {
        let state = self.state.lock();
        state.info.as_ref().filter(|info| state.is_up && info.is(Role::Store)).map(store_of)
    }

    /// The origins of some units of its store by name, in the order of their keys: of a snapshot, or at this moment. More
    /// than so many are an error.
    pub(crate) async fn names_of(
        &self,
        units: &[Unit],
        origins_max: u64,
        snapshot: Option<SnapshotToken>,
    ) -> Result<Vec<Held>, String> {
        let (mut origins, mut after) = (Vec::new(), None);
        loop {
            let request = NamesRequest { units: units.to_vec(), after, snapshot };
            let bytes = self.client.names(&request).await.map_err(|error| error.to_string())?;
            let page = Changes::decode(&bytes).map_err(|error| error.to_string())?;
            origins.extend(page.named().map_err(|error| error.to_string())?);
            if origins.len() as u64 > origins_max {
                return Err(format!("it tells more than {origins_max} origins in {} units", units.len()));
            }
            after = page.next.after;
            if after.is_none() {
                return Ok(origins);
            }
        }
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
                state.told = None;
                state.info = Some(info);
            }
            Ok(Err(error)) => {
                let text = error.to_string();
                // That does not pass by itself, so it is told although nobody has seen the node up; once.
                let is_news = error.is_tls() && state.told.as_ref() != Some(&text);
                if is_news {
                    state.told = Some(text.clone());
                }
                if is_news || state.is_up || state.info.is_none() && !error.is_retryable() && !error.is_tls()
                {
                    tracing::warn!(url = self.url, error = text, "a peer does not answer");
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

fn store_of(info: &NodeInfo) -> StoreNode {
    StoreNode {
        node: info.node,
        capacity_bytes: info.capacity_bytes,
        zone: info.zone.clone(),
        draining: info.draining,
        full: info.full,
    }
}
