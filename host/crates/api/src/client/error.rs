//! Why a node did not do what it was asked.

use std::time::Duration;

use hyper_util::client::legacy;

use crate::error::ErrorBody;

/// A request without success. What it means for the records of an ingest request is said by
/// [`maybe_done`](ClientError::maybe_done).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not the URL of a node. Nothing was sent.
    #[error("{url:?} is not the URL of a node: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answers there. Nothing was sent.
    #[error("cannot reach {url}: {reason}; is the node running there?")]
    Connect {
        /// The node.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The answer, or its next part, did not come in time. The request may have been done.
    #[error("{url} did not answer within {} s", after_ms / 1000)]
    Timeout {
        /// The node.
        url: String,
        /// How long it was waited for.
        after_ms: u64,
    },
    /// The connection ended before the answer did. The request may have been done.
    #[error("the connection to {url} ended in mid-answer: {reason}")]
    Broken {
        /// The node.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The node says no, and why. Nothing was done, but see the status.
    #[error("{url} answered {status}: {}{}", error.message, error.hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    Refused {
        /// The node.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the node says.
        error: ErrorBody,
        /// When to come again, in seconds.
        retry_after_s: Option<u32>,
    },
    /// An answer that is none of a weir node. The request may have been done.
    #[error("{url} gave an answer that is not understood: {reason}; is it a weir node?")]
    Protocol {
        /// The node.
        url: String,
        /// What is not understood.
        reason: String,
    },
}

impl ClientError {
    /// Whether the same request may succeed later, or at another node.
    pub fn is_retryable(&self) -> bool {
        match self {
            ClientError::Url { .. } | ClientError::Protocol { .. } => false,
            ClientError::Connect { .. } | ClientError::Timeout { .. } | ClientError::Broken { .. } => true,
            ClientError::Refused { status, .. } => matches!(status, 408 | 409 | 429 | 500 | 502..=504 | 507),
        }
    }

    /// Whether the node asks for another token: somebody has to see to that, and then the same succeeds.
    pub fn is_denied(&self) -> bool {
        matches!(self, ClientError::Refused { status: 401 | 403, .. })
    }

    /// Whether what was asked for was there and is no more, or is not there: nothing brings it back.
    pub fn is_gone(&self) -> bool {
        matches!(self.code(), Some("origin_gone" | "snapshot_gone"))
    }

    /// What the node calls the error, for programs. `None` when no node has answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            ClientError::Refused { error, .. } => Some(&error.code),
            _ => None,
        }
    }

    /// Whether the node may have stored what was sent although no success came back: a repeat must say so.
    pub fn maybe_done(&self) -> bool {
        match self {
            ClientError::Url { .. } | ClientError::Connect { .. } => false,
            ClientError::Timeout { .. } | ClientError::Broken { .. } | ClientError::Protocol { .. } => true,
            // A node that fails may do so after its log took the records.
            ClientError::Refused { status, .. } => *status >= 500 && *status != 507,
        }
    }

    pub(super) fn timeout(url: &str, after: Duration) -> ClientError {
        ClientError::Timeout { url: url.into(), after_ms: after.as_millis() as u64 }
    }

    pub(super) fn broken(url: &str, error: &(dyn std::error::Error + 'static)) -> ClientError {
        ClientError::Broken { url: url.into(), reason: innermost(error) }
    }

    pub(super) fn of_request(url: &str, error: &legacy::Error) -> ClientError {
        let reason = innermost(error);
        if error.is_connect() {
            ClientError::Connect { url: url.into(), reason }
        } else {
            ClientError::Broken { url: url.into(), reason }
        }
    }
}

/// The message of the error at the bottom: those above it only say that there is one below.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let Some(last) = chain.last() else { return String::new() };
    // The number that the standard library adds says nothing to people.
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}
