//! What a source is doing, for `/api/v1/plugins`, metrics and the log.

use std::sync::Arc;

use parking_lot::Mutex;
use weir_plugin_runtime::{Action, SourceError, Standing};

use crate::metrics::Metrics;

/// State of one source, as others may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not opened yet, or between two instances.
    Starting,
    /// Open and polled.
    Running,
    /// Waiting before the next instance.
    BackingOff,
    /// Failed too often; tried again rarely.
    Quarantined,
    /// Read to its end.
    Finished,
    /// Ended by shutdown.
    Stopped,
    /// Given up until the configuration changes.
    Failed,
}

impl State {
    /// The word shown to users.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::BackingOff => "backing off",
            State::Quarantined => "quarantined",
            State::Finished => "finished",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

/// The facts.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) state: State,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) restarts: u64,
    pub(crate) last_error: Option<String>,
}

/// Shared between the driver and whoever asks.
pub(crate) struct SourceStatus {
    name: String,
    facts: Mutex<Facts>,
    metrics: Arc<Metrics>,
}

impl SourceStatus {
    /// The status of a source that has not started.
    pub(crate) fn new(name: &str, metrics: Arc<Metrics>) -> Arc<SourceStatus> {
        let facts = Facts { state: State::Starting, records: 0, bytes: 0, restarts: 0, last_error: None };
        let status = SourceStatus { name: name.to_owned(), facts: Mutex::new(facts), metrics };
        status.connected(0);
        Arc::new(status)
    }

    /// The facts as they are now.
    pub(crate) fn facts(&self) -> Facts {
        self.facts.lock().clone()
    }

    /// It begins anew, with other settings.
    pub(crate) fn starting(&self) {
        let mut facts = self.facts.lock();
        (facts.state, facts.last_error) = (State::Starting, None);
    }

    pub(crate) fn opened(&self) {
        tracing::info!(source = self.name, "source opened");
        self.connected(1);
    }

    pub(crate) fn closed(&self) {
        self.connected(0);
    }

    pub(crate) fn stored(&self, records: u64, bytes: u64) {
        let mut facts = self.facts.lock();
        facts.records += records;
        facts.bytes += bytes;
    }

    pub(crate) fn finished(&self) {
        let facts = self.facts();
        tracing::info!(source = self.name, records = facts.records, bytes = facts.bytes, "source finished");
        self.set(State::Finished);
    }

    pub(crate) fn stopped(&self) {
        self.set(State::Stopped);
    }

    pub(crate) fn failed(&self, error: &str) {
        tracing::error!(
            source = self.name,
            error,
            "source stopped for good; it starts again with the node, or when the configuration is reloaded"
        );
        self.facts.lock().last_error = Some(error.to_owned());
        self.set(State::Failed);
    }

    pub(crate) fn restarting(&self) {
        self.metrics.plugin_restarts.with_label_values(&[&self.name]).inc();
        let mut facts = self.facts.lock();
        facts.restarts += 1;
        if facts.state != State::Quarantined {
            facts.state = State::Starting;
        }
    }

    pub(crate) fn close_failed(&self, error: &SourceError) {
        tracing::warn!(source = self.name, %error, "the plugin failed while closing; what it had handed on is kept");
    }

    /// A call failed, and `action` is what the policy decided.
    pub(crate) fn trouble(&self, error: &SourceError, action: Action) {
        self.facts.lock().last_error = Some(error.to_string());
        match action {
            Action::Restart { after_ms, quarantined: true } => {
                tracing::error!(%error, again_in_ms = after_ms, "source quarantined: it fails again and again");
                self.quarantined(1);
                self.set(State::Quarantined);
            }
            Action::Restart { after_ms, .. } | Action::Retry { after_ms } => {
                tracing::warn!(%error, again_in_ms = after_ms, "source failed");
                self.set(State::BackingOff);
            }
            // Said by `failed`, once the batch under way has settled.
            Action::Stop(_) => {}
        }
    }

    /// A call succeeded.
    pub(crate) fn healthy(&self, standing: Standing) {
        let mut facts = self.facts.lock();
        if facts.state != State::Running && standing != Standing::Quarantined {
            facts.state = State::Running;
            self.quarantined(0);
        }
    }

    fn set(&self, state: State) {
        self.facts.lock().state = state;
    }

    fn connected(&self, value: i64) {
        self.metrics.source_connected.with_label_values(&[&self.name]).set(value);
    }

    fn quarantined(&self, value: i64) {
        self.metrics.plugin_quarantined.with_label_values(&[&self.name]).set(value);
    }
}
