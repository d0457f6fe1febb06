//! One configured source: what it runs with, how it does, and when its last run ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio_util::sync::CancellationToken;
use weir_amqp::{Options, Queue};
use weir_api::backend::InstanceInfo;
use weir_plugin_runtime::{AmqpGrant, Counters, FilesGrant, Grants, MessageQueue};

use crate::config::SourceConfig;
use crate::metrics::Metrics;
use crate::sources::amqp;
use crate::sources::status::SourceStatus;

/// Resolves when a run of a source has ended: to the cursor behind what is stored, or to why that is not known.
pub(super) type Ended = Shared<BoxFuture<'static, Result<Option<Vec<u8>>, String>>>;

/// The end of a run that has ended, or never was.
pub(super) fn stands_at(cursor: Option<Vec<u8>>) -> Ended {
    futures_util::future::ready(Ok(cursor)).boxed().shared()
}

/// One source of the configuration.
pub(super) struct Slot {
    pub(super) config: SourceConfig,
    /// What its brokers are reached with, secrets read; or what is wrong with them.
    pub(super) brokers: Result<BTreeMap<String, Options>, String>,
    pub(super) status: Arc<SourceStatus>,
    pub(super) counters: Arc<Counters>,
    /// Ends this run and no other.
    pub(super) stop: CancellationToken,
    pub(super) ended: Ended,
}

impl Slot {
    /// A source that does not run yet.
    pub(super) fn new(config: &SourceConfig, metrics: &Arc<Metrics>) -> Slot {
        Slot {
            config: config.clone(),
            brokers: amqp::brokers(config),
            status: SourceStatus::new(&config.name, metrics.clone()),
            counters: Arc::default(),
            stop: CancellationToken::new(),
            ended: stands_at(None),
        }
    }

    /// The source as others may see it.
    pub(super) fn instance(&self) -> InstanceInfo {
        let facts = self.status.facts();
        InstanceInfo {
            name: self.config.name.clone(),
            state: facts.state.word().to_owned(),
            reason: facts.last_error,
            grants: self.config.grants.names(),
            restarts: facts.restarts,
            records: facts.records,
            bytes: facts.bytes,
        }
    }
}

/// What a plugin gets of what is granted.
pub(super) fn grants(config: &SourceConfig, queues: &BTreeMap<String, Arc<Queue>>) -> Grants {
    let files = config.grants.files.iter().map(|(name, grant)| {
        (name.clone(), FilesGrant { include: grant.include.clone(), exclude: grant.exclude.clone() })
    });
    let amqp = queues.iter().map(|(name, queue)| {
        let queue: Arc<dyn MessageQueue> = queue.clone();
        (name.clone(), AmqpGrant(queue))
    });
    Grants { amqp: amqp.collect(), files: files.collect(), stdin: config.grants.stdin }
}
