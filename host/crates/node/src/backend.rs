//! What the HTTP server asks of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use weir_api::access::Gate;
use weir_api::backend::{
    ApiError, Backend, Cluster, Durability, ErrorKind, FilterAdded, HistogramAnswer, HistogramRequest,
    IngestRequest, Ingested, OfferedFilter, PeerBackend, PluginInfo, QueryAnswer, QueryRequest, Reloaded,
    StreamsAnswer, TailAnswer, TailRequest,
};
use weir_api::client::PeerClient;
use weir_api::oklog::Oklog;

use crate::catalog::Catalog;
use crate::clock;
use crate::filters::Filters;
use crate::handover::Handover;
use crate::histogram;
use crate::intake::Intake;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::oklog::Foreign;
use crate::queries::Queries;
use crate::reload::Reloader;
use crate::serving::Serving;
use crate::snapshots::{HeldByIngest, Holder};
use crate::sources::Sources;
use crate::tail::{Merged, staged};

/// The roles of this process, as the server sees them.
pub(crate) struct NodeBackend {
    /// `None` without the ingest role.
    pub(crate) intake: Option<Intake>,
    pub(crate) handover: Option<Arc<Handover>>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) tails: Merged,
    pub(crate) catalog: Catalog,
    pub(crate) holder: Holder,
    pub(crate) serving: Arc<Serving>,
    pub(crate) oklog: Foreign,
    pub(crate) members: Members,
    pub(crate) sources: Arc<Sources>,
    pub(crate) reloader: Arc<Reloader>,
    /// Whom it lets in; `None`: anybody.
    pub(crate) gate: Option<Arc<Gate>>,
    pub(crate) filters: Arc<Filters>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether there are nodes that know more than this one, which is one of several and has not the role query.
    pub(crate) passes_on: bool,
    /// Whether there are stores that records can be handed to.
    pub(crate) replicates: bool,
    pub(crate) data_dir: std::path::PathBuf,
    pub(crate) ready: AtomicBool,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Backend for NodeBackend {
    fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    fn ingest(&self, request: IngestRequest) -> BoxFuture<'_, Result<Ingested, ApiError>> {
        Box::pin(async move {
            let Some(intake) = &self.intake else {
                let error = ApiError::new(ErrorKind::NotFound, "no_ingest", "this node takes no records");
                return Err(error.hint("send them to a node with the role ingest"));
            };
            intake.take(request).await
        })
    }

    fn query(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        Box::pin(self.queries.start(request))
    }

    fn passes_on(&self) -> Option<Vec<PeerClient>> {
        self.passes_on.then(|| self.members.peers.answering())
    }

    fn tail(&self, request: TailRequest) -> BoxFuture<'_, Result<TailAnswer, ApiError>> {
        Box::pin(async move {
            let (request, chain) = self.filters.live(request).await?;
            let TailAnswer { events } = self.tails.tail(request).await?;
            let events = match chain {
                Some(chain) => staged(events, chain),
                None => events,
            };
            // A tail has no end of its own, and would keep the server from stopping.
            let mut stopping = self.stopping.clone();
            let stopped = async move { stopping.wait_for(|stopping| *stopping).await.map(drop).ok() };
            Ok(TailAnswer { events: events.take_until(stopped).boxed() })
        })
    }

    fn histogram(&self, request: HistogramRequest) -> BoxFuture<'_, Result<HistogramAnswer, ApiError>> {
        Box::pin(histogram::count(&self.queries, request))
    }

    fn oklog(&self) -> Option<&dyn Oklog> {
        Some(self)
    }

    fn streams(&self) -> BoxFuture<'_, Result<StreamsAnswer, ApiError>> {
        Box::pin(self.catalog.streams())
    }

    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginInfo>, ApiError>> {
        let mut plugins = self.sources.plugins();
        for plugin in &mut plugins {
            plugin.instances.extend(self.filters.use_of(&plugin.name));
        }
        plugins.extend(self.filters.sent());
        Box::pin(async move { Ok(plugins) })
    }

    fn add_filter(&self, offered: OfferedFilter) -> BoxFuture<'_, Result<FilterAdded, ApiError>> {
        let filters = self.filters.clone();
        Box::pin(async move {
            let taking = tokio::task::spawn_blocking(move || filters.add(offered)).await;
            taking.map_err(|_| ApiError::internal("loading a filter has panicked"))?
        })
    }

    fn metrics(&self) -> String {
        self.refresh();
        self.metrics.text()
    }

    fn ready(&self) -> Result<(), String> {
        if *self.stopping.borrow() {
            return Err("the node is shutting down".into());
        }
        if !self.ready.load(Ordering::Acquire) {
            return Err("the node is starting".into());
        }
        Ok(())
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ApiError>> {
        self.reloader.asked()
    }

    fn durability_max(&self) -> Durability {
        if self.replicates { Durability::Replicated } else { Durability::Stored }
    }

    fn peer(&self) -> Option<&dyn PeerBackend> {
        Some(&*self.serving)
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        Some(&self.members)
    }

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
}

impl NodeBackend {
    /// Metrics that are read off when somebody asks.
    fn refresh(&self) {
        if let Some(intake) = &self.intake {
            let queue = intake.ingest.committer_metrics();
            self.metrics.commit_queue_entries.set(queue.queue_entries as i64);
            self.metrics.commit_queue_bytes.set(queue.queue_bytes as i64);
        }
        if let Some(HeldByIngest { log, backlog, .. }) = &self.holder.ingest {
            let snapshot = log.snapshot();
            self.metrics.log_pieces.set(snapshot.pieces.len() as i64);
            self.metrics.log_records.set(snapshot.records() as i64);
            self.metrics
                .log_bytes
                .set(snapshot.pieces.iter().map(|piece| piece.committed_bytes() as i64).sum());
            let sums = backlog.sums();
            self.metrics.backlog_origins.set(sums.origins as i64);
            self.metrics.backlog_bytes.set(sums.bytes as i64);
        }
        if let Some(handover) = &self.handover {
            let (_, age_ms, poisoned) = handover.waiting(clock::now_ms());
            self.metrics.backlog_age_seconds.set(age_ms.unwrap_or(0) as f64 / 1e3);
            self.metrics.backlog_poisoned.set(poisoned.len() as i64);
        }
        if let Some(store) = &self.holder.store {
            self.metrics.store_segments.set(store.snapshot().segments.len() as i64);
            let origins = self.holder.announced.store.with(|holdings| holdings.catalog().len());
            self.metrics.store_origins.set(origins as i64);
            self.metrics.store_bytes.set(store.bytes() as i64);
            self.metrics.store_full.set(i64::from(store.is_full()));
            let counters = store.counters();
            self.metrics.compacted_bytes.set(counters.compacted_out_bytes as f64);
            self.metrics.write_amplification.set(counters.write_amplification().unwrap_or(1.0));
        }
        if let Ok(space) = weir_storage::Disk::space(&weir_storage::disk::real::RealDisk, &self.data_dir) {
            self.metrics.disk_free_bytes.set(space.free_bytes as f64);
        }
        let info = self.serving.info();
        self.metrics.draining.set(i64::from(info.draining));
        for what in ["repair", "fill", "give", "drain", "hand_over"] {
            let left: u64 =
                info.work.iter().filter(|work| work.what == what).map(|work| work.bytes_left).sum();
            self.metrics.moving_left_bytes.with_label_values(&[what]).set(left as i64);
        }
        self.sources.refresh();
        self.filters.refresh();
        if let Some(gossip) = &self.members.gossip {
            gossip.refresh();
        }
    }
}
