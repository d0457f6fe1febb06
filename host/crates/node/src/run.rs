//! From a configuration to a running node, and from a signal to its end. Reads top to bottom.

mod error;
mod forwarder;
mod line_ports;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::access::Secret;
use weir_api::{ClusterKey, Drained, Server, ServerOptions};
use weir_engine::{Engine, EngineOptions};
use weir_plugin_runtime::{Runtime, RuntimeOptions};
use weir_record::Stream;
use weir_record::limits::{HOLDINGS_LOOK_MS_MAX, QUERIES_MEMORY_BYTES_MAX, QUERY_MEMORY_BYTES_MAX};
use weir_record::stream::DEFAULT_TOPIC;
use weir_replication::StoreNode;
use weir_storage::poison::Poison;
use weir_storage::store::CompactWork;
use weir_storage::{DataDir, KeyFile, Store, StoreOptions};

use crate::EmbeddedPlugin;
use crate::announce::Announced;
use crate::backend::NodeBackend;
use crate::catalog::Catalog;
use crate::clock;
use crate::config::{Cluster, Config};
use crate::dropping::Dropping;
use crate::filters::{Filters, Policy};
use crate::forward::Forward;
use crate::forward_lines;
use crate::gossip::{self, Gossip, OwnState};
use crate::idempotency::Answers;
use crate::ingest_role::IngestRole;
use crate::intake::Intake;
use crate::jobs::Jobs;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::moving::Moving;
use crate::oklog::{self, Foreign};
use crate::peers::{self, Peers};
use crate::plugins::Plugins;
use crate::pulling::Pulling;
use crate::queries::{Local, Planner, Queries};
use crate::recovered;
use crate::reload::{Reloader, Reread};
use crate::remember;
use crate::repairing::Repairing;
use crate::serving::Serving;
use crate::shutdown::{Signals, leave_on_second};
use crate::snapshots::{Holder, Snapshots};
use crate::sources::Sources;
use crate::sources::sink::{LocalSink, Sink};
use crate::tail::Merged;
use crate::taking;
use crate::tokens::Tokens;
use crate::upkeep::{self, Expiring};

pub use error::RunError;
use line_ports::line_ports;

/// How long shutdown may take: the sources' last words, requests under way, the last commit.
const DRAIN: Duration = Duration::from_secs(10);

/// A process to run.
pub struct RunOptions {
    /// What it does.
    pub config: Config,
    /// The plugins inside the binary.
    pub embedded: Vec<EmbeddedPlugin>,
    /// Version of the binary, for metrics and logs.
    pub version: &'static str,
    /// Reads the configuration again, for `POST /-/reload`.
    pub reread: Reread,
    /// Whether SIGHUP has it read again, too; else that ends the process.
    pub hangup_reloads: bool,
}

/// Runs a process to its end.
pub fn run(options: RunOptions) -> Result<(), RunError> {
    // A forwarder stands in pipes: it speaks when something is wrong.
    crate::logging::start(if options.config.roles.is_node() { "info" } else { "warn" });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Start)?;
    let result = runtime.block_on(start(options));
    // Blocking threads that read standard input cannot be interrupted and must not keep the process.
    runtime.shutdown_background();
    result
}

async fn start(options: RunOptions) -> Result<(), RunError> {
    let signals = Signals::take().map_err(RunError::Start)?;
    let metrics = Arc::new(Metrics::new(options.version));
    if options.config.roles.is_node() {
        node(options, signals, metrics).await
    } else if forward_lines::applies(&options.config.forward_to) {
        forward_lines::run(options, signals, metrics).await
    } else {
        forwarder::run(options, signals, metrics).await
    }
}

/// A node: it keeps a data directory and has an API.
async fn node(options: RunOptions, mut signals: Signals, metrics: Arc<Metrics>) -> Result<(), RunError> {
    let config = &options.config;
    let tokens = tokens(config)?;
    let data_dir = DataDir::open(&config.data_dir, fastrand::u64(..))?;
    recovered::tell_moved(data_dir.quarantined(), &metrics);
    let listen = config.listen.api.ok_or_else(|| RunError::Sources("a node needs listen.api".into()))?;
    let server = Server::bind(listen, ServerOptions::default())?;
    let line_ports = line_ports(config.listen)?;
    let key = cluster_key(config)?;
    let peers = Peers::new(data_dir.node(), &config.cluster.peers, key.as_ref())?;
    let (failed, mut has_failed) = watch::channel(None);

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let announced =
        Arc::new(Announced::new(data_dir.node(), fastrand::u64(..), config.cluster.quiet_after_ms));
    let stores = watch::Sender::new(1);
    let jobs = Jobs::read(data_dir.path());
    let moving = Arc::new(Moving::new(config.cluster.replication, jobs.wanted()));
    let ingest_role = if config.roles.ingest {
        Some(IngestRole::open(config, &data_dir, &announced, &stores, failed.clone(), &metrics, &stop)?)
    } else {
        None
    };
    // One for all that writes to this disk: no part acknowledges what another has seen fail.
    let poison = ingest_role.as_ref().map(|role| role.poison.clone()).unwrap_or_default();
    let store = if config.roles.store {
        Some(open_store(config, &data_dir, &announced, poison.clone(), &metrics)?)
    } else {
        None
    };
    let holder = Holder {
        node: data_dir.node(),
        ingest: ingest_role.as_ref().map(IngestRole::held),
        store: store.clone(),
        announced: Arc::clone(&announced),
    };
    let intake = match &ingest_role {
        Some(role) => {
            let (keys, moved) = KeyFile::open(data_dir.disk(), data_dir.path(), clock::now_ms())?;
            recovered::tell_moved(&moved, &metrics);
            let answers = Answers::new(keys.sharing(poison), failed.clone());
            Some(Intake { ingest: role.ingest.clone(), answers, jobs: jobs.clone() })
        }
        None => None,
    };
    let engine = Engine::new(EngineOptions {
        workers: cores(),
        memory_bytes_max: QUERY_MEMORY_BYTES_MAX,
        memory_bytes_all_max: QUERIES_MEMORY_BYTES_MAX,
    })
    .map_err(RunError::Start)?;
    let local = Arc::new(Local::new(engine, holder.clone(), metrics.clone()));
    let plugins = Plugins::new(config, &options.embedded, plugin_runtime(Some(data_dir.plugins_dir()))?);
    let filters = Filters::new(plugins.clone(), Policy::new(&config.policy), metrics.clone());
    let has_others = config.cluster.has_others();
    let planner = (config.roles.query && has_others).then(|| {
        let remembered = remember::read(data_dir.path());
        let (own, peers) = (data_dir.node(), peers.clone());
        Planner::new(own, holder.clone(), peers, retention_ms(config), remembered, metrics.clone())
    });
    let ingest = ingest_role.as_ref().map(|role| role.ingest.clone());
    let handover = ingest_role.as_ref().map(|role| role.handover.clone());
    let tails = ingest_role.as_ref().map(|role| role.tails.clone());
    let capacity_bytes = data_dir.disk().space(data_dir.path()).map_or(0, |space| space.total_bytes);
    let serving = Arc::new(Serving {
        node: data_dir.node(),
        incarnation: announced.incarnation,
        version: options.version,
        roles: config.roles,
        zone: config.cluster.zone.clone(),
        capacity_bytes,
        replication: config.cluster.replication,
        key: key.clone(),
        announced: announced.clone(),
        handover: handover.clone(),
        store: store.clone(),
        local: local.clone(),
        filters: filters.clone(),
        snapshots: Snapshots::default(),
        tails: tails.clone(),
        jobs: jobs.clone(),
        moving: moving.clone(),
    });

    let consumed = config.oklog_consumers.then(|| holder.ingest.clone().zip(handover.clone())).flatten();
    let oklog = Foreign {
        peers: peers.clone(),
        planner: planner.clone(),
        address: server.address(),
        desk: consumed.map(|(held, handover)| oklog::desk(held, handover, local.clone())),
    };
    let (stopping, stopping_seen) = watch::channel(false);
    let sources = Sources::new(config, plugins, metrics.clone());
    let gate = tokens.as_ref().map(|tokens| tokens.gate().clone());
    let reloader =
        Reloader::new(&options, sources.clone(), Some(filters.clone()), tokens, metrics.clone(), &stop)?;
    let gossip = match &config.cluster.gossip {
        None => None,
        Some(of) => Some(
            Gossip::open(gossip::Options {
                config: of,
                node: data_dir.node(),
                data_dir: data_dir.path().to_owned(),
                key: key.as_ref(),
                api: server.address(),
                own: OwnState {
                    serving: serving.clone(),
                    holder: holder.clone(),
                    sources: sources.clone(),
                    url: String::new(),
                },
                peers: peers.clone(),
                planner: planner.clone(),
                metrics: metrics.clone(),
            })
            .await?,
        ),
    };
    let members = Members {
        gossip: gossip.clone(),
        peers: peers.clone(),
        planner: planner.clone(),
        serving: serving.clone(),
        address: server.address(),
    };
    let held = holder.clone();
    let backend = Arc::new(NodeBackend {
        intake,
        handover: handover.clone(),
        queries: Queries::new(
            local,
            planner.clone(),
            filters.clone(),
            config.query.timeout_ms.map(Duration::from_millis),
            metrics.clone(),
        ),
        tails: Merged::new(tails, peers.clone(), data_dir.node()),
        catalog: Catalog { holder: holder.clone(), peers: peers.clone() },
        holder,
        serving,
        oklog,
        members,
        sources: sources.clone(),
        reloader,
        gate: gate.clone(),
        filters,
        metrics: metrics.clone(),
        passes_on: has_others && !config.roles.query,
        replicates: has_others || config.roles.store,
        data_dir: data_dir.path().to_owned(),
        ready: AtomicBool::new(false),
        stopping: stopping_seen,
    });
    let address = server.address();
    let serving = tokio::spawn(server.serve(backend.clone(), stop.clone()));

    tasks.spawn(peers.clone().follow(stop.clone()));
    let leaving = CancellationToken::new();
    let gossiping = gossip.clone().zip(config.cluster.gossip.clone());
    let gossiping = gossiping.map(|(gossip, of)| tokio::spawn(gossip.run(of.join, leaving.clone())));
    tasks.spawn(peers::count_stores(
        peers.clone(),
        config.roles.store.then(|| jobs.clone()),
        stores,
        stop.clone(),
    ));
    let mut cursors = std::collections::BTreeMap::new();
    if let Some(role) = ingest_role {
        cursors = role.cursors.clone();
        tasks.spawn(upkeep::watch_poison(role.poison.clone(), failed.clone(), stop.clone()));
        tasks.spawn(role.into_sealing(config, &stop));
    }
    if let Some(store) = &store {
        let placed = StoreNode {
            node: data_dir.node(),
            capacity_bytes,
            zone: config.cluster.zone.clone(),
            draining: false,
            full: false,
        };
        tasks.spawn(announced.clone().watch_quiet(quiet_look(&config.cluster), stop.clone()));
        let pulling = Pulling {
            node: data_dir.node(),
            store: store.clone(),
            announced,
            peers: peers.clone(),
            own: handover.clone(),
            placed,
            jobs: jobs.clone(),
            replication: config.cluster.replication,
            puller: parking_lot::Mutex::new(weir_replication::Puller::new(data_dir.node())),
            wake: tokio::sync::Notify::new(),
            metrics: metrics.clone(),
        };
        let pulling = Arc::new(pulling);
        let repairing = Repairing::new(pulling.clone(), moving.clone(), &config.cluster);
        let (pulling_from, repairing_with) = (pulling.clone(), repairing.clone());
        tasks.spawn(repairing.run(stop.clone()));
        let dropping =
            Dropping { pulling: pulling_from, repairing: repairing_with, moving, jobs: jobs.clone() };
        tasks.spawn(Arc::new(dropping).run(stop.clone()));
        tasks.spawn(pulling.run(stop.clone()));
        for work in [CompactWork::Merge, CompactWork::Settle] {
            tasks.spawn(upkeep::compact(store.clone(), work, stop.clone()));
        }
        tasks.spawn(upkeep::watch_poison(store.poison(), failed.clone(), stop.clone()));
    }
    let expiring =
        Expiring { retention: config.retention.clone(), store, ingest: ingest.clone().zip(handover) };
    tasks.spawn(expiring.run(stop.clone()));
    if let Some(planner) = planner {
        tasks.spawn(remember::keep(planner, data_dir.path().to_owned(), stop.clone()));
    }

    let mut forward = match config.forward_to.as_slice() {
        [] => None,
        _ => Some(Forward::start(config, Some(&data_dir), metrics.clone(), &stop).await?),
    };
    let sink: Option<Arc<dyn Sink>> = match (&mut forward, &ingest) {
        (Some(forward), _) => {
            cursors = std::mem::take(&mut forward.cursors);
            Some(forward.sink())
        }
        (None, Some(ingest)) => Some(Arc::new(LocalSink::new(ingest.clone(), "source", stop.clone()))),
        (None, None) => None,
    };
    let taking = taking::until_drained(&jobs, &stop);
    // What goes to other nodes may go on.
    let sources_stop = if forward.is_some() { &stop } else { &taking };
    if let Some(sink) = sink {
        sources.start(sink, cursors, sources_stop);
    }
    oklog::consume(&config.oklog_ingesters, &backend, &mut tasks, &taking)
        .map_err(|error| RunError::Sources(error.to_string()))?;
    backend.ready.store(true, Ordering::Release);
    tracing::info!("listening on http://{address} with the page at /ui/");
    let stream =
        Stream::new(DEFAULT_TOPIC, [("", ""); 0]).map_err(|error| RunError::Sources(error.to_string()))?;
    let mut lines = JoinSet::new();
    for (port, ingest) in line_ports.into_iter().zip(ingest.iter().cycle()) {
        tracing::info!("{}", port.told());
        let gate = gate.clone();
        lines.spawn(port.serve(ingest.clone(), stream.clone(), gate, metrics.clone(), taking.clone()));
    }
    let roles: Vec<&str> = config.roles.names().collect();
    tracing::info!(version = options.version, roles = roles.join(","), "ready");

    let failure = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping: send it again to leave at once");
            None
        }
        reason = has_failed.wait_for(Option::is_some) => reason.ok().and_then(|reason| reason.clone()),
        reason = journal_failed(forward.as_ref()) => Some(reason),
    };
    if let Some(reason) = failure {
        // Nothing is acknowledged any more, so there is nothing to drain.
        return Err(RunError::LogFailed(reason));
    }
    let drained = CancellationToken::new();
    leave_on_second(signals, drained.clone());
    let _ = stopping.send(true);
    stop.cancel();
    within_drain(sources.ended(), "a source").await;
    finish(lines, "a connection that sends lines").await;
    if let Some(forward) = forward {
        forward.close(DRAIN).await;
    }
    if let Ok(Ok(Drained { cut: connections @ 1.. })) = tokio::time::timeout(DRAIN, serving).await {
        tracing::warn!(connections, "requests were cut: they had not ended in time");
    }
    finish(tasks, "a role").await;
    let closed = tokio::task::spawn_blocking(move || ingest.iter().for_each(|ingest| ingest.close())).await;
    leaving.cancel();
    if let (Some(gossip), Some(task)) = (gossip, gossiping) {
        let _ = task.await;
        gossip.leave(held.is_empty()).await;
    }
    drained.cancel();
    if closed.is_err() {
        return Err(RunError::LogFailed("closing it ended in a panic".into()));
    }
    tracing::info!("stopped");
    Ok(())
}

/// The key of the cluster, if one is configured.
fn cluster_key(config: &Config) -> Result<Option<ClusterKey>, RunError> {
    let Some(path) = &config.cluster.key_file else { return Ok(None) };
    let unusable = |why: String| RunError::Key { path: path.clone(), why };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    ClusterKey::parse(&text).map(Some).map_err(|error| unusable(error.to_string()))
}

/// The tokens that requests must show, if any.
pub(crate) fn tokens(config: &Config) -> Result<Option<Tokens>, RunError> {
    Tokens::open(config.auth.as_ref()).map_err(|problems| RunError::Tokens(problems.join("\n")))
}

/// What is shown to the nodes that records are shipped to.
pub(crate) fn forward_token(config: &Config) -> Result<Option<Secret>, RunError> {
    let told = |why| RunError::Tokens(format!("forward.token: {why}"));
    config.forward_token.as_ref().map(|secret| secret.token().map_err(told)).transpose()
}

/// Opens the store, and has everything that it holds announced.
fn open_store(
    config: &Config,
    data_dir: &DataDir,
    announced: &Arc<Announced>,
    poison: Poison,
    metrics: &Metrics,
) -> Result<Store, RunError> {
    let options = StoreOptions {
        full_at_percent: u64::from(config.storage.full_at_percent),
        resume_at_percent: u64::from(config.storage.resume_at_percent),
        target_bytes: config.storage.segment_bytes,
        ..StoreOptions::default()
    };
    let (store, recovery) = Store::open_with(data_dir.disk(), data_dir.path(), options, poison)?;
    for moved in &recovery.quarantined {
        metrics.quarantined.inc();
        tracing::warn!("quarantined: {moved}");
    }
    for (class, below_ms) in store.watermarks() {
        announced.store.with(|holdings| drop(holdings.expire(&class, below_ms)));
    }
    let feed = Arc::clone(announced);
    store.watch(move |change| feed.store.follow(change));
    announced.store.with(|holdings| holdings.found(clock::now_ms()));
    tracing::info!(bytes = store.bytes(), units = store.units().len(), "store opened");
    Ok(store)
}

/// How often it is looked which units have become quiet.
fn quiet_look(cluster: &Cluster) -> Duration {
    Duration::from_millis((cluster.quiet_after_ms / 4).clamp(1, HOLDINGS_LOOK_MS_MAX))
}

fn retention_ms(config: &Config) -> u64 {
    config.retention.age_ms.unwrap_or(u64::MAX)
}

async fn journal_failed(forward: Option<&Forward>) -> String {
    match forward {
        Some(forward) => forward.failed().await,
        None => std::future::pending().await,
    }
}

/// Waits for the last words of all tasks, not for ever.
async fn finish(mut tasks: JoinSet<()>, whose: &str) {
    within_drain(async { while tasks.join_next().await.is_some() {} }, whose).await;
}

/// Waits for the last words of sources and senders, not for ever.
pub(crate) async fn within_drain(ended: impl Future<Output = ()>, whose: &str) {
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!("{whose} did not stop in time; what it had handed on is kept");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The engine of plugins; without a directory compiled ones are not kept.
pub(crate) fn plugin_runtime(cache_dir: Option<PathBuf>) -> Result<Arc<Runtime>, RunError> {
    Ok(Arc::new(Runtime::new(RuntimeOptions { cache_dir, ..RuntimeOptions::default() })?))
}
