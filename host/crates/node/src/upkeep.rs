//! What a store does on its own: merges small segments, and lets go of what is too old or too much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use weir_record::RecordId;
use weir_record::limits::COMPACT_STEP_BYTES;
use weir_storage::Store;
use weir_storage::poison::Poison;
use weir_storage::store::{CompactBudget, CompactWork, Compaction, ExpiryRules};

use crate::clock;
use crate::config::Retention;
use crate::handover::Handover;
use crate::ingest::Ingest;

/// How often retention is applied.
const RETENTION_PERIOD: Duration = Duration::from_mins(1);
/// Pause between two looks for something to merge, when there was nothing.
const COMPACT_PERIOD: Duration = Duration::from_secs(5);
/// Niceness of work that can wait: the least share of the processor there is.
const IDLE_NICENESS: i32 = 19;
/// How often they are looked at for a failed sync. They refuse by themselves at once.
const POISON_PERIOD: Duration = Duration::from_millis(250);
/// A rule that keeps everything.
const FOR_EVER_MS: u64 = u64::MAX;

/// Merges segments for as long as there is something of a kind to do, one step at a time.
pub(crate) async fn compact(store: Store, work: CompactWork, stop: CancellationToken) {
    loop {
        let (stepping, stopped) = (store.clone(), stop.clone());
        let step = move || {
            let now_ms = clock::now_ms();
            let budget = CompactBudget { work, now_ms, payload_bytes_max: COMPACT_STEP_BYTES };
            stepping.compact_step(budget, &|| stopped.is_cancelled())
        };
        let step = match work {
            CompactWork::Merge => tokio::task::spawn_blocking(step).await.map_err(|error| error.to_string()),
            CompactWork::Settle => in_idle_time(step).await,
        };
        match step {
            Ok(Ok(Compaction::Merged(_) | Compaction::GivenUp)) if !stop.is_cancelled() => continue,
            Ok(Err(error)) => tracing::warn!(%error, "segments cannot be merged; it is tried again"),
            // The process may be about to end.
            Err(why) if !stop.is_cancelled() => {
                tracing::error!(why, "merging segments was cut off: report this");
            }
            Err(_) | Ok(Ok(_)) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPACT_PERIOD) => {}
        }
    }
}

/// Does work on a thread of its own that has the processor when nobody else wants it. `Err` says why there is no
/// outcome: it panicked, or the system gives no thread.
async fn in_idle_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (finish, done) = oneshot::channel();
    let idle = move || {
        // Linux counts niceness per thread. Without it the work is done all the same.
        if let Err(error) = rustix::process::nice(IDLE_NICENESS) {
            tracing::debug!(%error, "old segments are written at the usual priority");
        }
        // Whoever waited is gone when the process ends.
        let _ = finish.send(work());
    };
    let thread = std::thread::Builder::new().name("weir-settle".into());
    thread.spawn(idle).map_err(|error| format!("no thread: {error}"))?;
    done.await.map_err(|_| "it has panicked".to_owned())
}

/// Ends the node when its log or its store can vouch for nothing any more.
pub(crate) async fn watch_poison(
    poison: Poison,
    failed: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    loop {
        if let Some(reason) = poison.reason() {
            failed.send_replace(Some(reason.to_string()));
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POISON_PERIOD) => {}
        }
    }
}

/// The rules of retention for a store at this moment.
pub(crate) fn rules(retention: &Retention) -> ExpiryRules {
    let classes: BTreeMap<String, u64> =
        retention.rules.iter().map(|rule| (rule.class.clone(), rule.age_ms)).collect();
    ExpiryRules {
        now_ms: clock::now_ms(),
        default_age_ms: retention.age_ms.unwrap_or(FOR_EVER_MS),
        classes,
        bytes_max: retention.bytes.unwrap_or(u64::MAX),
    }
}

/// What retention is applied to.
pub(crate) struct Expiring {
    pub(crate) retention: Retention,
    pub(crate) store: Option<Store>,
    pub(crate) ingest: Option<(Arc<Ingest>, Arc<Handover>)>,
}

impl Expiring {
    /// Applies retention once a minute.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            self.expire().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETENTION_PERIOD) => {}
            }
        }
    }

    async fn expire(&self) {
        let rules = rules(&self.retention);
        if let Some((ingest, handover)) = &self.ingest {
            // Pieces that could not be sealed in all that time; no topic is kept longer.
            let ages = rules.classes.values().chain([&rules.default_age_ms]);
            let longest_ms = ages.copied().max().unwrap_or(FOR_EVER_MS);
            ingest.expire(RecordId::lowest_at(rules.now_ms.saturating_sub(longest_ms))).await;
            let (handover, rules) = (Arc::clone(handover), rules.clone());
            // Origins that no store has fetched in all that time.
            let expired = tokio::task::spawn_blocking(move || {
                handover.expire(|held| {
                    let age_ms = *rules.classes.get(held.unit.class()).unwrap_or(&rules.default_age_ms);
                    let end_ms = held.unit.start_ms() + held.unit.bucket_ms();
                    end_ms.saturating_add(age_ms) <= rules.now_ms
                })
            });
            if let Ok(expired @ 1..) = expired.await {
                tracing::warn!(expired, "origins have expired before a store fetched them");
            }
        }
        if let Some(store) = self.store.clone() {
            match tokio::task::spawn_blocking(move || store.expire(&rules)).await {
                Ok(Err(error)) => {
                    tracing::warn!(%error, "retention could not delete; it tries again in a minute");
                }
                Err(error) if error.is_panic() => tracing::error!("retention has panicked: report this"),
                // Done, or the process ends.
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }
}
