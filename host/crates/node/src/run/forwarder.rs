//! The process that ships records: sources in front, other nodes behind.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_storage::DataDir;

use crate::forward::{self, Forward};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::recovered;
use crate::reload::Reloader;
use crate::run::{DRAIN, RunError, RunOptions, plugin_runtime, tokens, within_drain};
use crate::shutdown::{Signals, leave_on_second};
use crate::sources::Sources;

/// A process that only ships what its sources bring.
pub(super) async fn run(
    options: RunOptions,
    mut signals: Signals,
    metrics: Arc<Metrics>,
) -> Result<(), RunError> {
    let config = &options.config;
    // Without a spool a forwarder leaves no trace on the disk.
    let data_dir =
        config.forward_spool.map(|_| DataDir::open(&config.data_dir, fastrand::u64(..))).transpose()?;
    recovered::tell_moved(data_dir.iter().flat_map(DataDir::quarantined), &metrics);
    let runtime = plugin_runtime(data_dir.as_ref().map(DataDir::plugins_dir))?;
    let plugins = Plugins::new(config, &options.embedded, runtime);
    let sources = Sources::new(config, plugins, metrics.clone());
    let stop = CancellationToken::new();
    let tokens = tokens(config)?;
    let gate = tokens.as_ref().map(|tokens| tokens.gate().clone());
    let reloader = Reloader::new(&options, sources.clone(), None, tokens, metrics.clone(), &stop)?;
    let server = forward::backend::bind(config)?;
    let mut forward = Forward::start(config, data_dir.as_ref(), metrics.clone(), &stop).await?;
    let cursors = std::mem::take(&mut forward.cursors);
    sources.start(forward.sink(), cursors, &stop);
    forward::backend::serve(server, gate, &sources, &reloader, &metrics, &stop);
    let finished = async {
        sources.ended().await;
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
            within_drain(sources.ended(), "a source").await;
        }
    }
    forward.close(DRAIN).await;
    drained.cancel();
    match sources.failures().first() {
        Some((name, error)) => Err(RunError::Sources(format!("source {name}: {error}"))),
        None => Ok(()),
    }
}
