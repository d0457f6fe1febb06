//! From a configuration to a running node, and from a signal to its end. Reads top to bottom.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::{Server, ServerOptions};
use weir_engine::{Engine, EngineOptions};
use weir_plugin_runtime::{Runtime, RuntimeOptions};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_record::stream::DEFAULT_TOPIC;
use weir_record::{RecordId, Stream};
use weir_storage::committer::CommitObserver;
use weir_storage::ingest_log::Committed;
use weir_storage::{Committer, CommitterOptions, DataDir, IngestLog, KeyFile, LogOptions, Recovery};

use crate::EmbeddedPlugin;
use crate::backend::NodeBackend;
use crate::clock;
use crate::config::{Config, Listen, Retention};
use crate::forward::Forward;
use crate::forward::backend::ForwardBackend;
use crate::idempotency::Answers;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::queries::Queries;
use crate::shutdown::{Signals, leave_on_second};
use crate::sources::Sources;
use crate::sources::sink::{LocalSink, Sink};
use crate::tcp_lines::{LinePort, Mode};

/// How long shutdown may take: the sources' last words, requests under way, the last commit.
const DRAIN: Duration = Duration::from_secs(10);

/// How often retention looks for pieces to delete.
const RETENTION_PERIOD: Duration = Duration::from_mins(1);

/// A process to run.
pub struct RunOptions {
    /// What it does.
    pub config: Config,
    /// The plugins inside the binary.
    pub embedded: Vec<EmbeddedPlugin>,
    /// Version of the binary, for metrics and logs.
    pub version: &'static str,
}

/// Why a process could not start, or ended with trouble. What was acknowledged is on disk in every case.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The async runtime could not start.
    #[error("start the node: {0}")]
    Start(std::io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] weir_storage::DataDirError),
    /// The ingest log cannot be opened.
    #[error(transparent)]
    Log(#[from] weir_storage::LogError),
    /// The file of `Idempotency-Key`s cannot be opened.
    #[error(transparent)]
    Keys(#[from] weir_storage::KeyFileError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] weir_api::BindError),
    /// A port for lines cannot be opened.
    #[error("listen.{port}: {source}, or close the port: listen.{port} = \"off\"")]
    Lines {
        /// `fast` or `durable`.
        port: &'static str,
        /// Why not.
        source: weir_api::BindError,
    },
    /// A URL to forward to is not one.
    #[error(transparent)]
    Forward(#[from] weir_api::client::ClientError),
    /// The plugin engine cannot start.
    #[error(transparent)]
    Plugins(#[from] weir_plugin_runtime::RuntimeError),
    /// The log failed while running; nothing was acknowledged afterwards.
    #[error("the ingest log failed: {0}; look at the disk, then start the node again")]
    LogFailed(String),
    /// Sources of a forwarder that could not be read or delivered to the end.
    #[error("{0}")]
    Sources(String),
}

/// Runs a process to its end.
pub fn run(options: RunOptions) -> Result<(), RunError> {
    // A forwarder stands in pipes: it speaks when something is wrong.
    crate::logging::start(if options.config.roles.ingest { "info" } else { "warn" });
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
    if options.config.roles.ingest {
        node(options, signals, metrics).await
    } else {
        forwarder(options, signals, metrics).await
    }
}

/// A node with the ingest, store and query roles.
async fn node(options: RunOptions, mut signals: Signals, metrics: Arc<Metrics>) -> Result<(), RunError> {
    let config = &options.config;
    let data_dir = DataDir::open(&config.data_dir, fastrand::u64(..))?;
    let listen =
        config.listen.api.ok_or_else(|| RunError::Sources("an ingest node needs listen.api".into()))?;
    let server = Server::bind(listen, ServerOptions::default())?;
    let line_ports = line_ports(config.listen)?;

    let log_options = LogOptions {
        piece_bytes: config.storage.piece_bytes,
        full_at_percent: u64::from(config.storage.full_at_percent),
        resume_at_percent: u64::from(config.storage.resume_at_percent),
        ..LogOptions::new(data_dir.node(), fastrand::u64(..))
    };
    let (log, recovery) = IngestLog::open(data_dir.disk(), data_dir.path(), log_options)?;
    tell_recovery(&data_dir, &recovery, &metrics);
    let reader = log.reader();
    let (poisoned, mut log_failed) = watch::channel(None);
    let (keys, moved) = KeyFile::open(data_dir.disk(), data_dir.path(), clock::now_ms())?;
    metrics.quarantined.inc_by(moved.len() as u64);
    let observer = Arc::new(ToMetrics { metrics: metrics.clone(), poisoned: poisoned.clone() });
    let committer = Committer::start(log, CommitterOptions::new(observer)).map_err(RunError::Start)?;
    let ingest = Ingest::new(committer, recovery.highest_id, config.retention.age_ms, metrics.clone());

    let engine = Engine::new(EngineOptions { workers: cores(), memory_bytes_max: QUERY_MEMORY_BYTES_MAX })
        .map_err(RunError::Start)?;
    let stop = CancellationToken::new();
    let (stopping, stopping_seen) = watch::channel(false);
    let runtime = plugin_runtime(Some(data_dir.plugins_dir()))?;
    let sources = Sources::new(config, &options.embedded, runtime, metrics.clone());
    let backend = Arc::new(NodeBackend {
        ingest: ingest.clone(),
        queries: Queries::new(engine, reader.clone(), metrics.clone()),
        reader,
        sources: sources.clone(),
        answers: Answers::new(keys, poisoned.clone()),
        metrics: metrics.clone(),
        data_dir: data_dir.path().to_owned(),
        ready: AtomicBool::new(false),
        stopping: stopping_seen,
    });
    let address = server.address();
    let serving = tokio::spawn(server.serve(backend.clone(), stop.clone()));
    let retention = tokio::spawn(keep(ingest.clone(), config.retention));
    let mut forward = match config.forward_to.as_slice() {
        [] => None,
        _ => Some(Forward::start(config, Some(&data_dir), metrics.clone(), &stop).await?),
    };
    let (sink, cursors): (Arc<dyn Sink>, _) = match &mut forward {
        None => (Arc::new(LocalSink::new(ingest.clone(), "source", stop.clone())), recovery.cursors),
        Some(forward) => {
            tell_journal(&data_dir, forward, &metrics);
            (forward.sink(), std::mem::take(&mut forward.cursors))
        }
    };
    let tasks = sources.start(&sink, cursors, &stop);
    backend.ready.store(true, Ordering::Release);
    tracing::info!("listening on http://{address} with the page at /ui/");
    let stream =
        Stream::new(DEFAULT_TOPIC, [("", ""); 0]).map_err(|error| RunError::Sources(error.to_string()))?;
    let mut lines = JoinSet::new();
    for port in line_ports {
        tracing::info!("{}", port.told());
        lines.spawn(port.serve(ingest.clone(), stream.clone(), metrics.clone(), stop.clone()));
    }
    tracing::info!(version = options.version, "ready");

    let failed = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping: send it again to leave at once");
            None
        }
        reason = log_failed.wait_for(Option::is_some) => reason.ok().and_then(|reason| reason.clone()),
        reason = journal_failed(forward.as_ref()) => Some(reason),
    };
    if let Some(reason) = failed {
        // Nothing is acknowledged any more, so there is nothing to drain.
        return Err(RunError::LogFailed(reason));
    }
    let drained = CancellationToken::new();
    leave_on_second(signals, drained.clone());
    let _ = stopping.send(true);
    stop.cancel();
    finish(tasks, "a source").await;
    finish(lines, "a connection that sends lines").await;
    if let Some(forward) = forward {
        forward.close(DRAIN).await;
    }
    let _ = tokio::time::timeout(DRAIN, serving).await;
    retention.abort();
    let closed = tokio::task::spawn_blocking(move || ingest.close()).await;
    drained.cancel();
    if closed.is_err() {
        return Err(RunError::LogFailed("closing it ended in a panic".into()));
    }
    tracing::info!("stopped");
    Ok(())
}

/// A process that only ships what its sources bring.
async fn forwarder(options: RunOptions, mut signals: Signals, metrics: Arc<Metrics>) -> Result<(), RunError> {
    let config = &options.config;
    // Without a spool a forwarder leaves no trace on the disk.
    let data_dir =
        config.forward_spool.map(|_| DataDir::open(&config.data_dir, fastrand::u64(..))).transpose()?;
    let runtime = plugin_runtime(data_dir.as_ref().map(DataDir::plugins_dir))?;
    let sources = Sources::new(config, &options.embedded, runtime, metrics.clone());
    let stop = CancellationToken::new();
    let server = config.listen.api.map(|api| Server::bind(api, ServerOptions::default())).transpose()?;
    let mut forward = Forward::start(config, data_dir.as_ref(), metrics.clone(), &stop).await?;
    if let Some(data_dir) = &data_dir {
        tell_journal(data_dir, &forward, &metrics);
    }
    let cursors = std::mem::take(&mut forward.cursors);
    let mut tasks = sources.start(&forward.sink(), cursors, &stop);
    if let Some(server) = server {
        // Where it was asked for it is told, although a forwarder is else silent.
        eprintln!("listening on http://{}", server.address());
        let backend = ForwardBackend { sources: sources.clone(), metrics: metrics.clone() };
        tokio::spawn(server.serve(Arc::new(backend), stop.clone()));
    }
    let finished = async {
        all(&mut tasks).await;
        forward.drained().await;
    };
    let drained = CancellationToken::new();
    tokio::select! {
        () = finished => {}
        reason = forward.failed() => return Err(RunError::LogFailed(reason)),
        name = signals.next() => {
            tracing::info!(signal = name, "stopping: send it again to leave at once");
            leave_on_second(signals, drained.clone());
            stop.cancel();
            finish(tasks, "a source").await;
        }
    }
    forward.close(DRAIN).await;
    drained.cancel();
    match sources.failures().first() {
        Some((name, error)) => Err(RunError::Sources(format!("source {name}: {error}"))),
        None => Ok(()),
    }
}

/// What recovery found in the journal of a forwarder, as far as it is of interest.
fn tell_journal(data_dir: &DataDir, forward: &Forward, metrics: &Metrics) {
    if let Some(recovery) = &forward.recovery {
        tell_recovery(data_dir, recovery, metrics);
    }
}

async fn journal_failed(forward: Option<&Forward>) -> String {
    match forward {
        Some(forward) => forward.failed().await,
        None => std::future::pending().await,
    }
}

/// Binds the ports for lines that are not turned off.
fn line_ports(listen: Listen) -> Result<Vec<LinePort>, RunError> {
    let wanted = [(Mode::Fast, listen.fast), (Mode::Durable, listen.durable)];
    let mut ports = Vec::new();
    for (mode, address) in wanted {
        let Some(address) = address else { continue };
        match LinePort::bind(mode, address) {
            Ok(port) => ports.push(port),
            Err(error) if listen.lines_if_free => {
                tracing::warn!(%error, "no port for lines: this node goes on without it, as it was not asked for");
            }
            Err(source) => return Err(RunError::Lines { port: mode.name(), source }),
        }
    }
    Ok(ports)
}

/// What recovery found, one line each: the operator should not have to look for it.
fn tell_recovery(data_dir: &DataDir, recovery: &Recovery, metrics: &Metrics) {
    for moved in data_dir.quarantined().iter().chain(&recovery.quarantined) {
        metrics.quarantined.inc();
        tracing::warn!("quarantined: {moved}");
    }
    for damaged in &recovery.damaged {
        metrics.damaged_frames.inc();
        let file = damaged.file.display();
        tracing::error!(%file, damaged.offset, damaged.bytes, "damaged: records in these bytes are lost");
    }
    if recovery.truncated_bytes > 0 {
        tracing::info!(bytes = recovery.truncated_bytes, "cut off a torn tail: it was never acknowledged");
    }
    tracing::info!(recovery.pieces, recovery.records, "ingest log opened");
}

/// Commits as metrics, and the end of them as the end of the node.
struct ToMetrics {
    metrics: Arc<Metrics>,
    poisoned: watch::Sender<Option<String>>,
}

impl CommitObserver for ToMetrics {
    fn committed(&self, committed: &Committed) {
        self.metrics.commits.inc();
        self.metrics.fsync_seconds.observe(committed.sync.as_secs_f64());
        self.metrics.disk_full.set(0);
    }

    fn poisoned(&self, reason: &str) {
        self.metrics.fsync_errors.inc();
        self.poisoned.send_replace(Some(reason.to_owned()));
    }
}

/// Retention: whole pieces, once a minute.
async fn keep(ingest: Arc<Ingest>, retention: Retention) {
    if retention.age_ms.is_none() && retention.bytes.is_none() {
        return;
    }
    let mut tick = tokio::time::interval(RETENTION_PERIOD);
    loop {
        tick.tick().await;
        let keep_from = retention
            .age_ms
            .map_or(RecordId::MIN, |age| RecordId::lowest_at(clock::now_ms().saturating_sub(age)));
        ingest.expire(keep_from, retention.bytes.unwrap_or(u64::MAX)).await;
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Waits for the last words of sources and senders, not for ever.
async fn finish(mut tasks: JoinSet<()>, whose: &str) {
    if tokio::time::timeout(DRAIN, all(&mut tasks)).await.is_err() {
        tracing::warn!("{whose} did not stop in time; what it had handed on is kept");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn plugin_runtime(cache_dir: Option<PathBuf>) -> Result<Arc<Runtime>, RunError> {
    Ok(Arc::new(Runtime::new(RuntimeOptions { cache_dir, ..RuntimeOptions::default() })?))
}
