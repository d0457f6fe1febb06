//! Who may use the routes between nodes: those who sign with the cluster key.
//!
//! A signed request carries `Authorization: Weir-HMAC <time> <nonce> <signature>`: the asking node's clock in
//! Unix milliseconds (decimal), 128 random bits (32 hex digits) and an HMAC-SHA256 (64 hex digits) over
//!
//! ```text
//! weir-node-1 LF method LF path and query LF time LF nonce LF sha256 of the body in hex
//! ```
//!
//! under a key that is itself the HMAC-SHA256 of the words `weir node requests` under the cluster key. While that is
//! changed a node has two: it signs with the first and takes what either has signed. Path and
//! query are those that the node sees, byte for byte; the body is as it is after decoding.
//!
//! A request is taken only once, and only within ten minutes of the time that it names. Every request, for
//! although each may be repeated by the node that sends it, a copy in other hands would open a tail, take an
//! origin's turn, or push snapshots out. What is not protected without TLS: the secrecy of bodies, answers
//! against a forger on the way, and a request that is sent on to a node that restarted within ten minutes of it.

mod key;
mod nonces;
mod signature;
mod signer;

pub use key::{ClusterKey, ClusterKeyError, GossipKey};
pub(crate) use nonces::{Nonces, Refused};
pub(crate) use signature::{Message, Signature};
pub use signer::{Signer, Stamp};

/// The scheme, as `Authorization` and `WWW-Authenticate` name it.
pub(crate) const SCHEME: &str = "Weir-HMAC";
