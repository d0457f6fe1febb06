//! The other nodes as they come.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Peer, Peers};

/// Each address of another node once: first those that are there, then others as they come. An address that has gone
/// and comes again is met again.
pub(crate) struct Arrivals {
    peers: Arc<Peers>,
    listed: watch::Receiver<u64>,
    met: Vec<Arc<Peer>>,
}

impl Arrivals {
    /// All of them.
    pub(crate) fn new(peers: &Arc<Peers>) -> Arrivals {
        Arrivals { peers: Arc::clone(peers), listed: peers.listed.subscribe(), met: Vec::new() }
    }

    /// Those that come from now on.
    pub(crate) fn from_now_on(peers: &Arc<Peers>) -> Arrivals {
        let mut arrivals = Arrivals::new(peers);
        arrivals.met.clone_from(&peers.list.lock());
        arrivals
    }

    /// The next one. Waits until there is one; nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Arc<Peer> {
        loop {
            self.listed.borrow_and_update();
            self.met.retain(|peer| !peer.gone.is_cancelled());
            let list = self.peers.list.lock().clone();
            let fresh = list.into_iter().find(|peer| !self.met.iter().any(|met| Arc::ptr_eq(met, peer)));
            if let Some(peer) = fresh {
                self.met.push(Arc::clone(&peer));
                return peer;
            }
            if self.listed.changed().await.is_err() {
                // The list lives as long as this does.
                std::future::pending::<()>().await;
            }
        }
    }
}
