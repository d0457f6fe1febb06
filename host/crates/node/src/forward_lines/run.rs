//! The process that ships lines: sources in front, one connection behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::forward::backend;
use crate::forward_lines::LineSink;
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::reload::Reloader;
use crate::run::{RunError, RunOptions, forward_token, plugin_runtime, tokens, within_drain};
use crate::shutdown::{Signals, leave_on_second};
use crate::sources::Sources;
use crate::sources::sink::Sink;

/// Ships what the sources bring until they have no more, or a signal comes.
pub(crate) async fn run(
    options: RunOptions,
    mut signals: Signals,
    metrics: Arc<Metrics>,
) -> Result<(), RunError> {
    let config = &options.config;
    let plugins = Plugins::new(config, &options.embedded, plugin_runtime(None)?);
    let sources = Sources::new(config, plugins, metrics.clone());
    let stop = CancellationToken::new();
    let lines = Arc::new(LineSink::new(&config.forward_to, forward_token(config)?.as_ref(), stop.clone()));
    let sink: Arc<dyn Sink> = lines.clone();
    let server = backend::bind(config)?;
    let tokens = tokens(config)?;
    let gate = tokens.as_ref().map(|tokens| tokens.gate().clone());
    let reloader = Reloader::new(&options, sources.clone(), None, tokens, metrics.clone(), &stop)?;
    sources.start(sink, BTreeMap::new(), &stop);
    backend::serve(server, gate, &sources, &reloader, &metrics, &stop);
    let drained = CancellationToken::new();
    tokio::select! {
        () = sources.ended() => {}
        name = signals.next() => {
            tracing::info!(signal = name, "stopping: send it again to leave at once");
            leave_on_second(signals, drained.clone());
            stop.cancel();
            within_drain(sources.ended(), "a source").await;
        }
    }
    let ended = lines.finish().await;
    drained.cancel();
    if let Some((name, error)) = sources.failures().first() {
        return Err(RunError::Sources(format!("source {name}: {error}")));
    }
    ended.map_err(RunError::Sources)
}
