//! Runs WebAssembly plugins: the only crate that knows wasmtime.
//!
//! A [`Runtime`] turns a file into a [`Plugin`] after checking it from its first byte to what it says of
//! itself; a [`Source`] is one running instance that is opened at a cursor, polled for records, and
//! closed; a [`Stage`] is one that runs in a query, over flat batches of its records. What a plugin can reach is what its imports name and the operator's [`Grants`] give; what it can
//! take is bounded: memory, time, bytes handed over, log lines, handles. After a trap the instance is
//! gone, and a [`RestartPolicy`] says what comes next.
//!
//! Invariants: nothing that a plugin does panics or blocks the host; nothing it returns is used before
//! [`PluginBatch`] has checked it; no native code is loaded that this process's user did not compile.

#![deny(unsafe_code)]

mod batch;
mod cache;
mod capability;
mod describe;
mod digest;
mod engine;
mod error;
mod grants;
mod info;
mod instance;
mod kind;
mod limits;
mod metadata;
mod module;
mod observe;
mod plugin;
mod restart;
mod runtime;
mod schema;
mod signature;
mod signing;
mod skew;
mod stage_batch;
mod stop;
mod wit;
mod worlds;

#[cfg(test)]
mod tests;

pub use batch::{BatchLimits, Labels, PluginBatch, PluginBatchError, RawBatch, StreamRecords};
pub use cache::Origin;
pub use capability::amqp::{Broken, Envelope, MessageQueue, Messages};
pub use capability::receipts::{Receipt, ReceiptSink};
pub use capability::stdin::StdinHub;
pub use digest::{Digest, DigestError};
pub use error::{Call, Fault, LoadError, LoadFault, SourceError, Verdict};
pub use grants::{AmqpGrant, FilesGrant, GrantError, Grants, check as check_grants};
pub use info::{Info, Need};
pub use instance::source::{Budget, Polled, Source, SourceOptions, Taken};
pub use instance::stage::{Hints, Stage, StageOptions};
pub use kind::Kind;
pub use limits::{LimitError, Limits};
pub use module::component;
pub use observe::{Counters, Level, LogLine, Metric, MetricKind, Observer, Stats, TracingObserver};
pub use plugin::Plugin;
pub use restart::{Action, OnTrap, Outcome, RestartPolicy, Standing, Stopped};
pub use runtime::{PluginFile, Runtime, RuntimeError, RuntimeOptions};
pub use schema::{Schema, Violation};
pub use signing::{PublicKey, Signature, SigningError, SigningKey};
pub use skew::{Skew, Way};
pub use stage_batch::{Rewritten, StageBatch, StageOutputError};
pub use stop::Stop;
pub use worlds::{outline, package as wit_package};
