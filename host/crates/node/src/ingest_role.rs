//! The ingest role put together: log, backlog, sealing, live tails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_record::limits::UNIT_BUCKET_MS;
use weir_segment::WriterOptions;
use weir_storage::committer::CommitObserver;
use weir_storage::ingest_log::Committed;
use weir_storage::poison::Poison;
use weir_storage::{
    Backlog, Committer, CommitterOptions, DataDir, IngestLog, LogOptions, OriginsDir, Sealer, UnitRules,
};

use crate::announce::Announced;
use crate::clock;
use crate::config::Config;
use crate::handover::Handover;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::recovered;
use crate::run::RunError;
use crate::sealing::Sealing;
use crate::snapshots::HeldByIngest;
use crate::tail::Tails;

/// What a node with the ingest role has.
pub(crate) struct IngestRole {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) tails: Arc<Tails>,
    /// Where each source stands.
    pub(crate) cursors: BTreeMap<String, Vec<u8>>,
    held: HeldByIngest,
    sealer: Sealer,
    committed: watch::Receiver<u64>,
    stores: watch::Receiver<usize>,
    metrics: Arc<Metrics>,
    /// Set when the log can vouch for nothing any more, by whoever finds out.
    pub(crate) poison: Poison,
}

impl IngestRole {
    /// Opens log and backlog. From `stop` on nobody waits for copies.
    pub(crate) fn open(
        config: &Config,
        data_dir: &DataDir,
        announced: &Arc<Announced>,
        stores: &watch::Sender<usize>,
        failed: watch::Sender<Option<String>>,
        metrics: &Arc<Metrics>,
        stop: &CancellationToken,
    ) -> Result<IngestRole, RunError> {
        let options = LogOptions {
            piece_bytes: config.storage.piece_bytes,
            full_at_percent: u64::from(config.storage.full_at_percent),
            resume_at_percent: u64::from(config.storage.resume_at_percent),
            ..LogOptions::new(data_dir.node(), fastrand::u64(..))
        };
        let (log, recovery) = IngestLog::open(data_dir.disk(), data_dir.path(), options)?;
        let reader = log.reader();
        let (backlog, found) = Backlog::open(data_dir.disk(), data_dir.path(), &reader)?;
        recovered::tell_log(&recovery, "ingest log", metrics);
        recovered::tell_moved(&found.quarantined, metrics);
        let backlog = Arc::new(backlog);
        let tails =
            Tails::start(data_dir.node(), fastrand::u64(..), reader.clone()).map_err(RunError::Start)?;
        let tails = Arc::new(tails);
        let (commits, committed) = watch::channel(0);
        let observer = Observer { metrics: metrics.clone(), tails: tails.clone(), commits, failed };
        let poison = log.poison();
        let committer =
            Committer::start(log, CommitterOptions::new(Arc::new(observer))).map_err(RunError::Start)?;
        let ingest = Ingest::new(committer, recovery.highest_id, config.retention.age_ms, metrics.clone());
        let first_piece = reader.snapshot().first_piece;
        let handover = Handover::new(
            backlog.clone(),
            announced.clone(),
            config.cluster.replication,
            first_piece,
            clock::now_ms(),
            metrics.clone(),
        );
        ingest.hand_over_to(handover.clone(), stop.clone());
        let classes = config.retention.rules.iter().map(|rule| (rule.topic.clone(), rule.class.clone()));
        let sealer = Sealer::new(
            reader.clone(),
            backlog.clone(),
            OriginsDir::new(data_dir.disk(), data_dir.path(), poison.clone()),
            UnitRules::new(UNIT_BUCKET_MS, classes)?,
            WriterOptions::default(),
        );
        let held = HeldByIngest { log: reader, epoch: options.epoch, backlog };
        let stores = stores.subscribe();
        let (cursors, metrics) = (recovery.cursors, metrics.clone());
        Ok(IngestRole { ingest, handover, tails, cursors, held, sealer, committed, stores, metrics, poison })
    }

    /// What of it holds records.
    pub(crate) fn held(&self) -> HeldByIngest {
        self.held.clone()
    }

    /// Seals until the node stops.
    pub(crate) fn into_sealing(
        self,
        config: &Config,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let sealing = Sealing {
            ingest: self.ingest,
            handover: self.handover,
            tails: self.tails,
            committed: self.committed,
            metrics: self.metrics,
            age: Duration::from_millis(config.storage.piece_age_ms),
            stores: self.stores,
        };
        sealing.run(self.sealer, stop.clone())
    }
}

/// Commits as metrics and as news for live tails and for sealing, and the end of them as the end of the node.
struct Observer {
    metrics: Arc<Metrics>,
    tails: Arc<Tails>,
    commits: watch::Sender<u64>,
    failed: watch::Sender<Option<String>>,
}

impl CommitObserver for Observer {
    fn committed(&self, committed: &Committed) {
        self.metrics.commits.inc();
        self.metrics.fsync_seconds.observe(committed.sync.as_secs_f64());
        self.metrics.disk_full.set(0);
        self.tails.committed();
        self.commits.send_modify(|commits| *commits += 1);
    }

    fn poisoned(&self, reason: &str) {
        self.metrics.fsync_errors.inc();
        self.failed.send_replace(Some(reason.to_owned()));
    }
}
