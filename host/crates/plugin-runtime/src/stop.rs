//! The sign that a source shall come to its end.

use std::sync::Arc;

use tokio::sync::watch;

/// Says "stopping" to a source, once and for good. Clones speak to the same source.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Not stopping yet.
    pub fn new() -> Stop {
        Stop(Arc::new(watch::Sender::new(false)))
    }

    /// From now on every wait of the plugin ends early and `timing.stopping` is true.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`Stop::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once [`Stop::stop`] was called.
    pub async fn stopped(&self) {
        // Fails only when the sender is gone, which `self` holds.
        let _ = self.0.subscribe().wait_for(|stopping| *stopping).await;
    }
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::new()
    }
}
