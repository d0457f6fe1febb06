//! The process that ships lines: sources in front, one connection behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::forward::backend;
use crate::forward_lines::LineSink;
use crate::plugins::Plugins;
use crate::reload::Reloader;
use crate::run::{Around, Ending, RunError, RunOptions, plugin_runtime};
use crate::shutdown::leave_on_second;
use crate::sources::Sources;
use crate::sources::sink::Sink;
use crate::tls::Tls;

/// Ships what the sources bring until they have no more, or a signal comes.
pub(crate) async fn run(options: RunOptions, around: Around) -> Result<(), RunError> {
    let Around { mut signals, metrics, notify, heart, kept: _ } = around;
    let config = &options.config;
    let plugins = Plugins::new(config, &options.embedded, plugin_runtime(None)?);
    let sources = Sources::new(config, plugins, metrics.clone());
    let stop = CancellationToken::new();
    let lines = Arc::new(LineSink::new(&config.forward_to, stop.clone()));
    let sink: Arc<dyn Sink> = lines.clone();
    let tls = Tls::open(&config.tls, &metrics)?;
    let server = backend::bind(config, &tls)?;
    let of = (sources.clone(), None, tls.clone());
    let reloader = Reloader::new(&options, of, metrics.clone(), notify.clone(), &stop)?;
    tokio::spawn(tls.watch(stop.clone()));
    sources.start(sink, BTreeMap::new(), &stop);
    backend::serve(server, &sources, &reloader, &metrics, &stop);
    notify.ready("forwarding lines");
    let drained = CancellationToken::new();
    tokio::select! {
        () = sources.ended() => {}
        name = signals.next() => {
            let ending = Ending::begin(&heart, &notify, name);
            leave_on_second(signals, drained.clone());
            stop.cancel();
            ending.within(sources.ended(), "a source").await;
        }
    }
    let ended = lines.finish().await;
    drained.cancel();
    if let Some((name, error)) = sources.failures().first() {
        return Err(RunError::Sources(format!("source {name}: {error}")));
    }
    ended.map_err(RunError::Sources)
}
