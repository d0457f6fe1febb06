//! Lines of the node's own log as records of the node.
//!
//! Logging never waits: a full queue drops. What the keeping itself logs is not kept, nor are lines below `info`, which
//! tell of every piece that is sealed and would go on for ever.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel as queue};
use tokio_util::sync::CancellationToken;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use weir_record::Stream;
use weir_record::limits::{
    OWN_LOG_BATCH_LINES_MAX, OWN_LOG_LINE_BYTES_MAX, OWN_LOG_LINES_MAX, OWN_LOG_PAUSE_MS,
};
use weir_record::lines::Grouper;
use weir_storage::Entry;

use crate::clock;
use crate::config::{Durability, LogFormat};
use crate::ingest::Ingest;
use crate::logging::fields::line;

/// Where records of it come from, in metrics.
const SOURCE: &str = "log";

thread_local! {
    /// Whether this thread is keeping lines right now.
    static KEEPING: Cell<bool> = const { Cell::new(false) };
}

/// Lines that wait to be kept.
pub(crate) struct Kept {
    topic: String,
    lines: Receiver<String>,
    dropped: Arc<Dropped>,
}

/// Lines that were not kept.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// The queue was full.
    pub(crate) full: AtomicU64,
    /// The log did not take them.
    pub(crate) refused: AtomicU64,
}

/// The end of the queue that the log writes to.
pub(super) struct Keeping {
    format: LogFormat,
    queue: Sender<String>,
    dropped: Arc<Dropped>,
}

/// Both ends.
pub(super) fn channel(topic: &str, format: LogFormat) -> (Keeping, Kept) {
    let (send, lines) = queue(OWN_LOG_LINES_MAX);
    let dropped: Arc<Dropped> = Arc::default();
    (
        Keeping { format, queue: send, dropped: dropped.clone() },
        Kept { topic: topic.to_owned(), lines, dropped },
    )
}

impl<S: Subscriber> Layer<S> for Keeping {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::INFO || KEEPING.get() {
            return;
        }
        let mut line = line(event, self.format, clock::now_ms());
        line.truncate(line.floor_char_boundary(OWN_LOG_LINE_BYTES_MAX));
        if let Err(TrySendError::Full(_)) = self.queue.try_send(line) {
            self.dropped.full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Kept {
    /// What was not kept, for metrics.
    pub(crate) fn dropped(&self) -> Arc<Dropped> {
        self.dropped.clone()
    }
}

/// Stores lines as they come, until `stop`; then what waits.
pub(crate) async fn keep(kept: Kept, node: u64, ingest: Arc<Ingest>, stop: CancellationToken) {
    let Kept { topic, mut lines, dropped } = kept;
    let labels = [("service", "weir".to_owned()), ("node", format!("{node:016x}"))];
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    // The topic was checked with the configuration.
    let Ok(stream) = Stream::new(topic.as_str(), labels) else { return };
    let mut batch = Vec::new();
    loop {
        let come = stop.run_until_cancelled(lines.recv_many(&mut batch, OWN_LOG_BATCH_LINES_MAX)).await;
        let stopping = match come {
            Some(0) => return,
            Some(_) => false,
            None => {
                while batch.len() < OWN_LOG_BATCH_LINES_MAX
                    && let Ok(line) = lines.try_recv()
                {
                    batch.push(line);
                }
                true
            }
        };
        if stopping && batch.is_empty() {
            return;
        }
        if !quietly(store(&ingest, &stream, &batch)).await {
            dropped.refused.fetch_add(batch.len() as u64, Ordering::Relaxed);
            let pause = tokio::time::sleep(Duration::from_millis(OWN_LOG_PAUSE_MS));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        batch.clear();
    }
}

async fn store(ingest: &Ingest, stream: &Stream, lines: &[String]) -> bool {
    let mut grouper = Grouper::default();
    for line in lines {
        grouper.push(line.as_bytes());
    }
    for group in grouper.finish() {
        let Ok(batch) = ingest.minted(stream, group) else { return false };
        let entry = Entry { checkpoint: None, batches: vec![batch] };
        if ingest.store(SOURCE, entry, Durability::Stored).await.is_err() {
            return false;
        }
    }
    true
}

/// Runs a future whose own log lines are not kept.
async fn quietly<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        let before = KEEPING.replace(true);
        let polled = future.as_mut().poll(context);
        KEEPING.set(before);
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What is kept of what `log` says.
    fn kept(format: LogFormat, log: impl FnOnce()) -> (Vec<String>, u64) {
        let (layer, mut kept) = channel("weir", format);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let mut lines = Vec::new();
        while let Ok(line) = kept.lines.try_recv() {
            lines.push(line);
        }
        (lines, kept.dropped.full.load(Ordering::Relaxed))
    }

    /// A line from its second field on: the first is the time.
    fn behind_time(line: &str) -> &str {
        line.split_once([' ', ',']).map_or("", |(_, rest)| rest)
    }

    #[test]
    fn lines_have_the_same_keys_in_both_formats() {
        let log = || {
            tracing::warn!(error = %"no \"room\"", count = 7, level = "own", empty = "", ok = true, "a b");
        };
        let (lines, _) = kept(LogFormat::Logfmt, log);
        assert_eq!(
            lines.iter().map(|line| behind_time(line)).collect::<Vec<_>>(),
            [
                r#"level=warn message="a b" target=weir_node::logging::kept::tests error="no \"room\"" count=7 level_=own empty="" ok=true"#
            ]
        );
        let (lines, _) = kept(LogFormat::Json, log);
        let json: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(json["level"], "warn");
        assert_eq!((&json["count"], &json["ok"]), (&7.into(), &true.into()));
        assert_eq!(json["error"], "no \"room\"");
        assert!(lines[0].starts_with("{\"time\":\"2"), "{}", lines[0]);
    }

    #[test]
    fn nothing_waits_for_a_full_queue_and_what_the_keeping_says_is_not_kept() {
        let (lines, dropped) = kept(LogFormat::Logfmt, || {
            tracing::debug!("too much");
            for number in 0..OWN_LOG_LINES_MAX + 3 {
                tracing::info!(number, "line");
            }
        });
        assert_eq!((lines.len(), dropped), (OWN_LOG_LINES_MAX, 3));
        let (lines, dropped) = kept(LogFormat::Logfmt, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(quietly(async {
                tracing::error!("the log is full");
                tokio::task::yield_now().await;
                tracing::error!("still");
            }));
            tracing::error!("something else");
        });
        assert_eq!((lines.len(), dropped), (1, 0));
        assert!(lines[0].contains("something else"), "{}", lines[0]);
    }
}
