//! Gossip: one socket, one task that feeds the state machine and carries out what it wants, and what the rest of the
//! node hears of it.
//!
//! Membership says whom to ask and what is expected; nothing is deleted or acknowledged because of it.

mod address;
mod join;
mod memory;
mod own;
mod publish;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::ClusterKey;
use weir_membership::{
    About, ForgetError, Gone, Identity, Key, Member, Membership, Notice, Now, Setup, State,
};
use weir_record::limits::GOSSIP_DATAGRAM_BYTES_MAX;

use crate::clock;
use crate::config;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::queries::Planner;

pub(crate) use own::OwnState;

/// Datagrams taken in one go before others have their turn.
const TURN: usize = 64;
/// How often this node looks at itself, and whether there is something new to remember.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between the two times that it says good-bye.
const FAREWELL: Duration = Duration::from_millis(100);

/// What a node needs to take part.
pub(crate) struct Options<'a> {
    pub(crate) config: &'a config::Gossip,
    pub(crate) node: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) key: Option<&'a ClusterKey>,
    /// Where the API listens, and how it is spoken to.
    pub(crate) api: SocketAddr,
    pub(crate) scheme: &'static str,
    pub(crate) own: OwnState,
    pub(crate) peers: Arc<Peers>,
    pub(crate) planner: Option<Arc<Planner>>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why a node cannot take part. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The port cannot be opened.
    #[error("cluster.gossip: cannot listen on {address}: {source}; free the port or name another one")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The advertised name means nothing.
    #[error("cluster.advertise: no address for {host:?}: {why}; write an IP address, or see to the name")]
    Advertise {
        /// Which.
        host: String,
        /// Why.
        why: String,
    },
    /// What others would be told is too long for them.
    #[error("cluster.advertise: {url} is too long to be told to other nodes; write an IP address")]
    Url {
        /// What they would be told.
        url: String,
    },
    /// The system gives no randomness.
    #[error("gossip needs the system's randomness: {0}")]
    Entropy(io::Error),
}

/// This node's part in gossip.
pub(crate) struct Gossip {
    core: Mutex<Membership>,
    socket: UdpSocket,
    /// There may be something to send.
    poke: Notify,
    /// There may be something to remember.
    news: Notify,
    began: Instant,
    own: OwnState,
    peers: Arc<Peers>,
    planner: Option<Arc<Planner>>,
    metrics: Arc<Metrics>,
    data_dir: PathBuf,
    published: Mutex<publish::Published>,
}

impl Gossip {
    /// Opens the port and says who this node is. Nothing is sent before [`Gossip::run`].
    pub(crate) async fn open(options: Options<'_>) -> Result<Arc<Gossip>, GossipError> {
        let Options { config, node, data_dir, key, api, scheme, own, peers, planner, metrics } = options;
        let socket = UdpSocket::bind(config.bind)
            .await
            .map_err(|source| GossipError::Bind { address: config.bind, source })?;
        let bound = socket.local_addr().unwrap_or(config.bind);
        let advertised = address::advertised(config, bound, api, scheme).await?;
        let own = OwnState { url: advertised.url.clone(), ..own };
        let about = own.look();
        if !about.fits() {
            return Err(GossipError::Url { url: advertised.url });
        }
        let began = Instant::now();
        let now = Now { ms: 0, unix_ms: clock::now_ms() };
        let memory = memory::read(&data_dir);
        let keys = key.into_iter().flat_map(ClusterKey::gossip);
        let setup = Setup {
            identity: Identity::new(advertised.gossip, node, memory.bump, now.unix_ms),
            cluster: config.name.clone(),
            keys: keys.map(|key| Key { id: key.id, secret: key.secret }).collect(),
            process: entropy()?,
            seed: fastrand::u64(..),
            about,
            memory,
        };
        let core = Membership::new(setup, now);
        tracing::info!(
            "gossip on {bound}, told to others as {}, with the API at {}{}",
            advertised.gossip,
            advertised.url,
            if key.is_none() { "; without cluster.key_file anybody on this machine may join" } else { "" },
        );
        let gossip = Gossip {
            core: Mutex::new(core),
            socket,
            poke: Notify::new(),
            news: Notify::new(),
            began,
            own,
            peers,
            planner,
            metrics,
            data_dir,
            published: Mutex::default(),
        };
        // What was remembered is expected from the first query on.
        gossip.publish();
        Ok(Arc::new(gossip))
    }

    /// Takes part until the node stops.
    pub(crate) async fn run(self: Arc<Self>, join: Vec<String>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).keep_joining(join, stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_looking(stop.clone()));
        let mut buffer = vec![0; GOSSIP_DATAGRAM_BYTES_MAX + 1];
        loop {
            let due = self.turn().await;
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => self.received(received, &mut buffer),
                () = tokio::time::sleep(due) => {}
                () = self.poke.notified() => {}
                () = stop.cancelled() => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Says good-bye: with `is_empty` for good, until the node is started again.
    pub(crate) async fn leave(&self, is_empty: bool) {
        for _ in 0..2 {
            self.core.lock().leave(is_empty, self.now());
            self.send().await;
            tokio::time::sleep(FAREWELL).await;
        }
        self.remember().await;
    }

    /// The members, without this node.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.core.lock().members(self.now()).collect()
    }

    /// Nodes that are no longer expected.
    pub(crate) fn gone(&self) -> Vec<(u64, Gone)> {
        self.core.lock().gone().collect()
    }

    /// This node, as others know it, and what it says of itself.
    pub(crate) fn own(&self) -> (Identity, About) {
        let core = self.core.lock();
        (core.identity(), core.about().clone())
    }

    /// An operator forgets a member.
    pub(crate) fn forget(&self, node: u64, force: bool) -> Result<(), ForgetError> {
        self.core.lock().forget(node, force, self.now())?;
        self.publish();
        self.poke.notify_one();
        Ok(())
    }

    /// Brings the metrics up to date that are read off.
    pub(crate) fn refresh(&self) {
        for (reason, count) in self.core.lock().rejected() {
            self.metrics.gossip_rejected.set(&[reason.name()], count as f64);
        }
        let members = self.members();
        for (state, name) in [(State::Up, "up"), (State::Suspect, "suspect"), (State::Down, "down")] {
            let count = members.iter().filter(|member| member.state == state).count();
            self.metrics.cluster_members.with_label_values(&[name]).set(count as i64);
        }
    }

    fn now(&self) -> Now {
        Now { ms: self.began.elapsed().as_millis() as u64, unix_ms: clock::now_ms() }
    }

    /// Does what is due, and says how long nothing is.
    async fn turn(&self) -> Duration {
        let now = self.now();
        let (notices, due_ms) = {
            let mut core = self.core.lock();
            if core.due_ms() <= now.ms {
                core.tick(now);
            }
            (core.notices(), core.due_ms())
        };
        for notice in notices {
            tell(&notice);
        }
        self.send().await;
        self.publish();
        Duration::from_millis(due_ms.saturating_sub(now.ms).max(1))
    }

    /// Sends what there is to send. What cannot be sent is lost, as on the way.
    async fn send(&self) {
        let datagrams = self.core.lock().datagrams();
        for datagram in datagrams {
            match self.socket.send_to(&datagram.bytes, datagram.to).await {
                Ok(bytes) => {
                    self.metrics.gossip_datagrams.with_label_values(&["out"]).inc();
                    self.metrics.gossip_bytes.with_label_values(&["out"]).inc_by(bytes as u64);
                }
                Err(error) => tracing::debug!(%error, to = %datagram.to, "a datagram cannot be sent"),
            }
        }
    }

    fn received(&self, first: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let mut received = first;
        for _ in 0..TURN {
            match received {
                Ok((bytes, from)) => {
                    self.metrics.gossip_datagrams.with_label_values(&["in"]).inc();
                    self.metrics.gossip_bytes.with_label_values(&["in"]).inc_by(bytes as u64);
                    let datagram = buffer.get(..bytes).unwrap_or_default();
                    self.core.lock().receive(unmapped(from), datagram, self.now());
                }
                // Also what an earlier datagram has met at its receiver.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::debug!(%error, "the gossip socket has an error"),
            }
            received = self.socket.try_recv_from(buffer);
        }
    }
}

/// An address of IPv4 as such, also from a socket that takes both.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn tell(notice: &Notice) {
    if notice.is_trouble() {
        tracing::warn!("{notice}");
    } else {
        tracing::info!("{notice}");
    }
}

/// Bits of the system: with a key they keep what is said secret.
fn entropy() -> Result<u128, GossipError> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(GossipError::Entropy(error.into())),
        }
    }
    Ok(u128::from_le_bytes(bytes))
}
