//! What was found at the start, one line each: the operator should not have to look for it.

use weir_storage::Recovery;
use weir_storage::quarantine::Quarantined;

use crate::metrics::Metrics;

/// Says what was set aside.
pub(crate) fn tell_moved<'a>(moved: impl IntoIterator<Item = &'a Quarantined>, metrics: &Metrics) {
    for moved in moved {
        metrics.quarantined.inc();
        tracing::warn!("quarantined: {moved}");
    }
}

/// Says in which state a log was; `what` is its name for people.
pub(crate) fn tell_log(recovery: &Recovery, what: &str, metrics: &Metrics) {
    tell_moved(&recovery.quarantined, metrics);
    for damaged in &recovery.damaged {
        metrics.damaged_frames.inc();
        let file = damaged.file.display();
        tracing::error!(%file, damaged.offset, damaged.bytes, "damaged: records in these bytes are lost");
    }
    if recovery.truncated_bytes > 0 {
        tracing::info!(bytes = recovery.truncated_bytes, "cut off a torn tail: it was never acknowledged");
    }
    tracing::info!(recovery.pieces, recovery.records, "{what} opened");
}
