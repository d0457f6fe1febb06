//! The process that ships records: sources in front, other nodes behind.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_record::limits::STOP_DRAIN_MS_MAX;
use weir_storage::DataDir;

use crate::forward::{self, Forward};
use crate::plugins::Plugins;
use crate::recovered;
use crate::reload::Reloader;
use crate::run::{Around, Ending, RunError, RunOptions, plugin_runtime};
use crate::shutdown::leave_on_second;
use crate::sources::Sources;
use crate::tls::Tls;

/// A process that only ships what its sources bring.
pub(super) async fn run(options: RunOptions, around: Around) -> Result<(), RunError> {
    let Around { mut signals, metrics, notify, heart, kept: _ } = around;
    let config = &options.config;
    // Without a spool a forwarder leaves no trace on the disk.
    let data_dir =
        config.forward_spool.map(|_| DataDir::open(&config.data_dir, fastrand::u64(..))).transpose()?;
    recovered::tell_moved(data_dir.iter().flat_map(DataDir::quarantined), &metrics);
    let runtime = plugin_runtime(data_dir.as_ref().map(DataDir::plugins_dir))?;
    let plugins = Plugins::new(config, &options.embedded, runtime);
    let sources = Sources::new(config, plugins, metrics.clone());
    let stop = CancellationToken::new();
    let tls = Tls::open(&config.tls, &metrics)?;
    let of = (sources.clone(), None, tls.clone());
    let reloader = Reloader::new(&options, of, metrics.clone(), notify.clone(), &stop)?;
    let server = forward::backend::bind(config, &tls)?;
    tokio::spawn(tls.clone().watch(stop.clone()));
    let mut forward =
        Forward::start(config, data_dir.as_ref(), metrics.clone(), &tls.client(), &stop).await?;
    let cursors = std::mem::take(&mut forward.cursors);
    sources.start(forward.sink(), cursors, &stop);
    forward::backend::serve(server, &sources, &reloader, &metrics, &stop);
    let finished = async {
        sources.ended().await;
        forward.drained().await;
    };
    notify.ready("forwarding");
    let drained = CancellationToken::new();
    let left = tokio::select! {
        () = finished => Duration::from_millis(STOP_DRAIN_MS_MAX),
        reason = forward.failed() => return Err(RunError::LogFailed(reason)),
        name = signals.next() => {
            let ending = Ending::begin(&heart, &notify, name);
            leave_on_second(signals, drained.clone());
            stop.cancel();
            ending.within(sources.ended(), "a source").await;
            ending.left()
        }
    };
    forward.close(left).await;
    drained.cancel();
    match sources.failures().first() {
        Some((name, error)) => Err(RunError::Sources(format!("source {name}: {error}"))),
        None => Ok(()),
    }
}
