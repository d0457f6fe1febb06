//! Who signs: a key, and what makes each signature one of its kind.

use std::fmt;
use std::sync::Arc;

use super::{ClusterKey, Message, Signature};

/// When a request is signed, and what tells it from all others of that time. Drawn by the node: nothing in this
/// crate looks at the clock or draws random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The node's clock, in Unix milliseconds.
    pub now_ms: u64,
    /// Random bits. Twice the same at the same time, and the second request is refused.
    pub nonce: u128,
}

/// Signs requests with the cluster key. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    key: ClusterKey,
    stamp: Arc<dyn Fn() -> Stamp + Send + Sync>,
}

impl Signer {
    /// Signs with a key; `stamp` is called once per request.
    pub fn new(key: ClusterKey, stamp: impl Fn() -> Stamp + Send + Sync + 'static) -> Signer {
        Signer { key, stamp: Arc::new(stamp) }
    }

    pub(crate) fn sign(&self, message: Message<'_>) -> Signature {
        let Stamp { now_ms, nonce } = (self.stamp)();
        self.key.sign(message, now_ms, nonce)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}
