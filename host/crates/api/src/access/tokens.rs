//! Tokens, as a node knows them.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::{Scope, Topics};

/// What one secret is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What people call it: in lists, logs and errors.
    pub name: String,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// Where it allows to read and write records.
    pub topics: Topics,
    /// From when on it is good for nothing, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// What another file of tokens has changed, by names. A token that differs is in both lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenChanges {
    /// New.
    pub added: Vec<String>,
    /// Good for nothing any more.
    pub removed: Vec<String>,
}

/// A token in force.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) token: Token,
    /// Cancelled when it is taken back.
    pub(super) taken_back: CancellationToken,
    pub(super) requests: Mutex<Pace>,
    /// A permit for each query and each tail that it may have under way.
    pub(super) queries: Arc<Semaphore>,
}

impl InForce {
    pub(super) fn new(token: Token, queries_max: usize) -> Arc<InForce> {
        Arc::new(InForce {
            token,
            taken_back: CancellationToken::new(),
            requests: Mutex::default(),
            queries: Arc::new(Semaphore::new(queries_max.min(Semaphore::MAX_PERMITS))),
        })
    }
}

/// The token with this hash. Looks at all bytes of all tokens, whatever fits.
pub(super) fn find(tokens: &[Arc<InForce>], sha256: &[u8; 32]) -> Option<Arc<InForce>> {
    let mut found = None;
    for known in tokens {
        let differ = known.token.sha256.iter().zip(sha256).fold(0, |differ, (a, b)| differ | (a ^ b));
        if std::hint::black_box(differ) == 0 {
            found = Some(known);
        }
    }
    found.cloned()
}
