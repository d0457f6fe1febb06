//! The store of a node, opened and announced.

use std::sync::Arc;
use std::time::Duration;

use weir_record::limits::HOLDINGS_LOOK_MS_MAX;
use weir_storage::poison::Poison;
use weir_storage::{DataDir, Store, StoreOptions};

use super::RunError;
use crate::announce::Announced;
use crate::clock;
use crate::config::{Cluster, Config};
use crate::metrics::Metrics;

/// Opens the store, and has everything that it holds announced.
pub(super) fn open_store(
    config: &Config,
    data_dir: &DataDir,
    announced: &Arc<Announced>,
    poison: Poison,
    metrics: &Metrics,
) -> Result<Store, RunError> {
    let options = StoreOptions {
        full_at_percent: u64::from(config.storage.full_at_percent),
        resume_at_percent: u64::from(config.storage.resume_at_percent),
        target_bytes: config.storage.segment_bytes,
        ..StoreOptions::default()
    };
    let (store, recovery) = Store::open_with(data_dir.disk(), data_dir.path(), options, poison)?;
    for moved in &recovery.quarantined {
        metrics.quarantined.inc();
        tracing::warn!("quarantined: {moved}");
    }
    for (class, below_ms) in store.watermarks() {
        announced.store.with(|holdings| drop(holdings.expire(&class, below_ms)));
    }
    let feed = Arc::clone(announced);
    store.watch(move |change| feed.store.follow(change));
    announced.store.with(|holdings| holdings.found(clock::now_ms()));
    tracing::info!(bytes = store.bytes(), units = store.units().len(), "store opened");
    Ok(store)
}

/// How often it is looked which units have become quiet.
pub(super) fn quiet_look(cluster: &Cluster) -> Duration {
    Duration::from_millis((cluster.quiet_after_ms / 4).clamp(1, HOLDINGS_LOOK_MS_MAX))
}
