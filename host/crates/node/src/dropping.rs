//! Lets go of copies that lie where they do not belong: those of a store that is being emptied, and what rebalancing has
//! brought to others. Decisions are those of [`weir_replication::Dropper`]; this carries them out.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{CountedOn, HoldsRequest};
use weir_record::limits::{DROP_ORIGINS_PER_QUESTION, DROP_UNITS_MAX};
use weir_replication::{Amount, OriginKey, OriginSet, Surplus};

use crate::jobs::Jobs;
use crate::moving::{Left, Moving};
use crate::pulling::Pulling;
use crate::repairing::Repairing;

/// How often it is looked for what may go, and at how it goes.
const LOOK: Duration = Duration::from_secs(1);
/// For so long everything has to be where it belongs: a store that has just come may not be known yet.
const SETTLED: Duration = Duration::from_secs(10);

/// Gives away what the store of this node need not have.
pub(crate) struct Dropping {
    pub(crate) pulling: Arc<Pulling>,
    /// Knows what others announce.
    pub(crate) repairing: Arc<Repairing>,
    pub(crate) moving: Arc<Moving>,
    pub(crate) jobs: Arc<Jobs>,
}

impl Dropping {
    /// Gives away what is wanted, until it is told to stop. An attempt under way then comes to nothing.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut wanted_changes = self.jobs.subscribe();
        let mut at_work = JoinSet::new();
        let mut done_since = None;
        loop {
            let wanted = self.jobs.wanted();
            self.repairing.set_rebalancing(wanted.rebalancing);
            let is_moving = wanted.draining || wanted.rebalancing;
            if is_moving && at_work.is_empty() {
                for surplus in self.repairing.surplus(DROP_UNITS_MAX) {
                    at_work.spawn(Arc::clone(&self).let_go(surplus));
                }
            }
            // Before what is left: what is not compared yet does not count there.
            let sees_all = self.repairing.sees_all();
            let left = Left {
                come: self.repairing.to_fetch(),
                go: if is_moving { self.repairing.to_give() } else { Amount::default() },
            };
            self.moving.see(left, wanted);
            let is_done = sees_all && left.come.origins == 0 && left.go.origins == 0;
            if wanted.rebalancing && is_done {
                let since = *done_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SETTLED {
                    self.end_rebalancing().await;
                }
            } else {
                done_since = None;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = at_work.join_next() => {}
                _ = wanted_changes.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Everything is where it belongs.
    async fn end_rebalancing(&self) {
        match self.jobs.change(|wanted| wanted.rebalancing = false).await {
            Ok(_) => tracing::info!("rebalanced: what is here belongs here"),
            Err(error) => {
                tracing::warn!(%error, "that rebalancing is over cannot be kept; it is tried again");
            }
        }
    }

    /// Asks those who ought to have them, and lets go of the copies that enough of them have.
    async fn let_go(self: Arc<Self>, surplus: Surplus) {
        let Some(attempt) = self.moving.dropper.lock().begin(&surplus.unit, surplus.names()) else { return };
        for holder in &surplus.holders {
            let Some(has) = self.ask(*holder, &surplus).await else { continue };
            self.moving.dropper.lock().answered(&surplus.unit, attempt, *holder, &has);
        }
        let agreed = self.moving.dropper.lock().agreed(&surplus.unit, attempt);
        if !agreed.is_empty() {
            self.remove(&surplus, agreed).await;
        }
        self.moving.dropper.lock().end(&surplus.unit, attempt);
    }

    /// What a store has of it, as far as may be counted on.
    async fn ask(&self, holder: u64, surplus: &Surplus) -> Option<OriginSet> {
        let peer = self.pulling.peer(holder)?;
        let mut has = OriginSet::new();
        for some in surplus.origins.chunks(DROP_ORIGINS_PER_QUESTION) {
            let counted_on = some.iter().map(|(name, digest)| CountedOn {
                origin: OriginKey { unit: surplus.unit.clone(), name: *name },
                digest: *digest,
            });
            let request = HoldsRequest { store: self.pulling.node, origins: counted_on.collect() };
            let holds = match peer.client.holds(&request).await {
                Ok(holds) => holds,
                Err(error) => {
                    tracing::debug!(%error, "a store cannot be asked what it has; trying on");
                    return Some(has);
                }
            };
            for ((name, _), _) in some.iter().zip(holds).filter(|(_, holds)| *holds) {
                has.insert(*name);
            }
        }
        Some(has)
    }

    async fn remove(&self, surplus: &Surplus, agreed: OriginSet) {
        let (store, unit) = (self.pulling.store.clone(), surplus.unit.clone());
        let removed = tokio::task::spawn_blocking(move || store.drop_origins(&unit, &agreed)).await;
        match removed {
            Ok(Ok(dropped)) => {
                let metrics = &self.pulling.metrics;
                metrics.store_dropped.inc_by(dropped.origins);
                metrics.store_dropped_bytes.inc_by(dropped.bytes);
                self.moving.gone.lock().moved(Amount { origins: dropped.origins, bytes: dropped.bytes });
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "copies that others have cannot be deleted; it is tried again");
            }
            Err(error) if error.is_panic() => tracing::error!("deleting copies has panicked: report this"),
            // The process ends.
            Err(_) => {}
        }
    }
}
