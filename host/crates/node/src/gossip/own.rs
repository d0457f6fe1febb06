//! What this node tells others of itself.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir_api::backend::PeerBackend as _;
use weir_api::backend::peer::{PROTOCOL, Role};
use weir_membership::About;

use super::{Gossip, LOOK};
use crate::serving::Serving;
use crate::snapshots::Holder;
use crate::sources::Sources;

/// Where it is seen.
pub(crate) struct OwnState {
    pub(crate) serving: Arc<Serving>,
    pub(crate) holder: Holder,
    pub(crate) sources: Arc<Sources>,
    /// Where the API answers; set when that is known.
    pub(crate) url: String,
}

impl OwnState {
    /// As it is now.
    pub(super) fn look(&self) -> About {
        let info = self.serving.info();
        let backlog = self.holder.ingest.as_ref().map(|ingest| ingest.backlog.sums());
        About {
            protocol: PROTOCOL,
            ingest: info.is(Role::Ingest),
            store: info.is(Role::Store),
            query: info.is(Role::Query),
            forward: info.is(Role::Forward),
            full: info.full,
            draining: info.draining,
            stopped: false,
            capacity_bytes: info.capacity_bytes,
            held_bytes: self.holder.store.as_ref().map_or(0, weir_storage::Store::bytes),
            waiting_origins: backlog.map_or(0, |sums| u32::try_from(sums.origins).unwrap_or(u32::MAX)),
            plugins: self.plugins(),
            url: self.url.clone(),
            zone: info.zone,
        }
    }

    /// FNV-1a over names and digests.
    fn plugins(&self) -> u64 {
        let plugins = self.sources.plugins().into_iter();
        let mut named: Vec<String> =
            plugins.map(|plugin| format!("{} {}\n", plugin.name, plugin.sha256)).collect();
        named.sort_unstable();
        named.concat().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl Gossip {
    /// Tells how this node does, and remembers the members as soon as one is news, until the node stops: who is killed
    /// before it has written down whom it met does not miss them.
    pub(super) async fn keep_looking(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut remembered = None;
        loop {
            tokio::select! {
                _ = look.tick() => {
                    let about = self.own.look();
                    self.core.lock().describe(about, self.now());
                    self.poke.notify_one();
                    self.settle();
                }
                () = self.news.notified() => {}
                () = stop.cancelled() => return,
            }
            let (revision, bump) = {
                let core = self.core.lock();
                (core.revision(), core.identity().bump)
            };
            if remembered != Some((revision, bump)) {
                self.remember().await;
                remembered = Some((revision, bump));
            }
        }
    }
}
