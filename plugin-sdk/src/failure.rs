//! What a plugin tells the host when something does not work.

use std::fmt;

/// What the host should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Call again after a back-off: the broker is away, the file is not there yet.
    Retry,
    /// The settings cannot work; nothing is tried again until they change.
    BadConfig,
    /// This instance is done for; a fresh one is opened at the last cursor handed over.
    Restart,
    /// The plugin gives up for good.
    Fatal,
}

/// An error of a plugin, or of a capability it called. A failure of `poll` loses nothing: the instance
/// stays as it is unless the verdict says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the host should do next.
    pub verdict: Verdict,
    /// Stable and machine-readable, `<subject>.<what>`, at most 64 bytes: `amqp.auth`, `json.depth`.
    pub code: String,
    /// For people: what, where, why, what to do. Cut at 4 KiB by the host.
    pub message: String,
    /// With [`Verdict::Retry`]: how long to wait at least. `None`: the host's back-off, 1 s to 5 min.
    pub retry_after_ms: Option<u32>,
}

impl Failure {
    fn new(verdict: Verdict, code: &str, message: impl fmt::Display) -> Failure {
        Failure { verdict, code: code.into(), message: message.to_string(), retry_after_ms: None }
    }

    /// To be tried again after a back-off.
    pub fn retry(code: &str, message: impl fmt::Display) -> Failure {
        Failure::new(Verdict::Retry, code, message)
    }

    /// To be tried again after `ms`.
    pub fn retry_after(ms: u32, code: &str, message: impl fmt::Display) -> Failure {
        Failure { retry_after_ms: Some(ms), ..Failure::new(Verdict::Retry, code, message) }
    }

    /// The settings cannot work.
    pub fn bad_config(code: &str, message: impl fmt::Display) -> Failure {
        Failure::new(Verdict::BadConfig, code, message)
    }

    /// A fresh instance may work.
    pub fn restart(code: &str, message: impl fmt::Display) -> Failure {
        Failure::new(Verdict::Restart, code, message)
    }

    /// Nothing will help.
    pub fn fatal(code: &str, message: impl fmt::Display) -> Failure {
        Failure::new(Verdict::Fatal, code, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}
