//! Whether this node takes records from its own sources and its ports for lines: until it is stopped or to be emptied.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::jobs::Jobs;

/// Cancelled when nothing more is to be taken. What was begun is finished, as when the node stops.
pub(crate) fn until_drained(jobs: &Arc<Jobs>, stop: &CancellationToken) -> CancellationToken {
    let taking = stop.child_token();
    let (mut wanted, over) = (jobs.subscribe(), taking.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            draining = wanted.wait_for(|wanted| wanted.draining) => if draining.is_ok() {
                tracing::info!("this node is being emptied: its sources and ports for lines are closed until it is started again after that was called off");
                over.cancel();
            }
        }
    });
    taking
}
