//! How many stores take part.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Peers;
use crate::jobs::Jobs;

/// Follows how many stores there are, for who spreads records over them. `own` is what is wanted of the store of this
/// node, if it has one.
pub(crate) async fn count_stores(
    peers: Arc<Peers>,
    own: Option<Arc<Jobs>>,
    stores: watch::Sender<usize>,
    stop: CancellationToken,
) {
    let mut changed = peers.changed.subscribe();
    loop {
        let own = usize::from(own.as_ref().is_some_and(|jobs| !jobs.wanted().draining));
        let live = peers.stores(None).iter().filter(|store| !store.draining).count() + own;
        stores.send_if_modified(|known| std::mem::replace(known, live.max(1)) != live.max(1));
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}
