//! The time that is left once a process is to end: one end for all that drains, however much of it there is.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use weir_record::limits::{STOP_DRAIN_MS_MAX, STOP_MS_MAX};

use crate::heart::Heart;
use crate::notify::Notify;

/// Begins with the signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    since: Instant,
}

impl Ending {
    /// The signal has come.
    pub(crate) fn begin(heart: &Heart, notify: &Notify, signal: &str) -> Ending {
        tracing::info!(signal, "stopping: send it again to leave at once");
        notify.stopping("taking what is under way, then closing the log");
        heart.end_soon();
        Ending { since: Instant::now() }
    }

    /// What is left for what drains.
    pub(crate) fn left(self) -> Duration {
        self.drained_by().saturating_duration_since(Instant::now())
    }

    /// Waits for the last words of sources and senders, not for ever.
    pub(crate) async fn within(self, ended: impl Future<Output = ()>, whose: &str) {
        if timeout_at(self.drained_by(), ended).await.is_err() {
            tracing::warn!("{whose} did not stop in time; what it had handed on is kept");
        }
    }

    /// Waits for the last words of all tasks.
    pub(crate) async fn finish(self, mut tasks: JoinSet<()>, whose: &str) {
        self.within(async { while tasks.join_next().await.is_some() {} }, whose).await;
    }

    /// Waits for the last thing of all. `None`: it takes too long.
    pub(crate) async fn last<T>(self, ended: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.since + Duration::from_millis(STOP_MS_MAX), ended).await.ok()
    }

    fn drained_by(self) -> Instant {
        self.since + Duration::from_millis(STOP_DRAIN_MS_MAX)
    }
}
