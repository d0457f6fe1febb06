//! The addresses to begin with: names are resolved anew each time, for ever.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_record::limits::{GOSSIP_ANNOUNCE_MS, GOSSIP_ANNOUNCES_MAX};

use super::{Gossip, unmapped};
use crate::clock;
use crate::forward::said::Said;

/// How long one name may take.
const PATIENCE: Duration = Duration::from_millis(GOSSIP_ANNOUNCE_MS);

impl Gossip {
    /// Resolves until the node stops.
    pub(super) async fn keep_joining(self: Arc<Self>, join: Vec<String>, stop: CancellationToken) {
        if join.is_empty() {
            return;
        }
        let said: BTreeMap<&str, Said> = join.iter().map(|name| (name.as_str(), Said::default())).collect();
        // What a name meant last counts while the name server is silent.
        let mut known: BTreeMap<&str, Vec<SocketAddr>> = BTreeMap::new();
        loop {
            for (name, said) in &said {
                match resolve(name).await {
                    Ok(addresses) => {
                        said.is_over();
                        known.insert(name, addresses);
                    }
                    Err(why) if said.is_due(clock::now_ms()) => {
                        tracing::warn!("cluster.join: no address for {name:?}: {why}; trying on");
                    }
                    Err(_) => {}
                }
            }
            let seeds = known.values().flatten().copied().take(GOSSIP_ANNOUNCES_MAX);
            self.core.lock().set_seeds(seeds, self.now());
            self.poke.notify_one();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(GOSSIP_ANNOUNCE_MS)) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

async fn resolve(name: &str) -> Result<Vec<SocketAddr>, String> {
    match timeout(PATIENCE, lookup_host(name)).await {
        Ok(Ok(found)) => Ok(found.map(unmapped).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the name server does not answer".to_owned()),
    }
}
