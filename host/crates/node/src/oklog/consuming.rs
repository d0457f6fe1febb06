//! Takes segments away from ingesters of OK Log, as its stores would: claimed, read, stored here, committed.
//!
//! One task per ingester claims and reads, one segment after the other. Storing and committing go on beside it, so
//! that many small segments (one per connection and three seconds) wait for stores together. What an ingester deletes
//! was stored here before, as durably as anything that this node acknowledges. A segment that cannot be taken is left
//! where it is: its claim lapses after a minute, and those behind it go first.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, Backend, Durability, Incoming, IngestRequest};
use weir_api::client::{ClientError, ClientOptions, OklogIngester};
use weir_api::oklog::{ClaimId, TextError, read_text};
use weir_api::tls::ClientTls;
use weir_record::limits::{
    OKLOG_CONSUMED_BYTES_MAX, OKLOG_CONSUMED_BYTES_MIN, OKLOG_FAILED_MS_MAX, OKLOG_IDLE_MS_MAX,
    OKLOG_IDLE_MS_MIN,
};

use super::uncommitted::{Content, Turn, Uncommitted};
use crate::backend::NodeBackend;
use crate::clock;
use crate::forward::said::Said;
use crate::metrics::Metrics;

/// An ingester that is consumed from.
struct Consuming {
    ingester: OklogIngester,
    backend: Arc<NodeBackend>,
    durability: Durability,
    uncommitted: Mutex<Uncommitted>,
    /// KiB of segments under way.
    room: Arc<Semaphore>,
    /// That it does not answer.
    unreachable: Said,
    /// That a segment cannot be taken.
    refused: Said,
    metrics: Arc<Metrics>,
}

/// A segment that was read.
struct Segment {
    claim: ClaimId,
    content: Content,
    text: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Why a segment was not stored.
#[derive(Debug, thiserror::Error)]
enum NotStored {
    #[error("{0}")]
    Read(ClientError),
    #[error("{0}")]
    Text(#[from] TextError),
    #[error("{0}")]
    Log(ApiError),
    #[error("reading it ended in a panic")]
    Panic,
}

/// Starts to consume from ingesters.
pub(crate) fn consume(
    urls: &[String],
    backend: &Arc<NodeBackend>,
    tasks: &mut JoinSet<()>,
    tls: &ClientTls,
    stop: &CancellationToken,
) -> Result<(), ClientError> {
    let durability = if backend.replicates { Durability::Replicated } else { Durability::Stored };
    for url in urls {
        let consuming = Consuming {
            ingester: OklogIngester::new(
                url,
                ClientOptions { tls: tls.clone(), ..ClientOptions::default() },
            )?,
            backend: backend.clone(),
            durability,
            uncommitted: Mutex::default(),
            room: Arc::new(Semaphore::new(OKLOG_CONSUMED_BYTES_MAX >> 10)),
            unreachable: Said::default(),
            refused: Said::default(),
            metrics: backend.metrics.clone(),
        };
        tracing::info!(
            ingester = url,
            "segments of OK Log are taken away, and deleted there once they are stored"
        );
        tasks.spawn(Arc::new(consuming).run(stop.clone()));
    }
    Ok(())
}

impl Consuming {
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        // What is under way at the end is given up: a claim lapses, and what is stored already is keyed.
        let mut keeping = JoinSet::new();
        let (mut pause_ms, mut is_up) = (OKLOG_IDLE_MS_MIN, false);
        loop {
            let fetched = tokio::select! {
                () = stop.cancelled() => return,
                fetched = self.fetch(is_up) => fetched,
            };
            while keeping.try_join_next().is_some() {}
            is_up = fetched.is_ok();
            self.metrics.oklog_ingester_up.with_label_values(&[self.ingester.url()]).set(i64::from(is_up));
            let longest_ms = match fetched {
                Ok(segment) => {
                    self.unreachable.is_over();
                    let turn = segment.as_ref().map(|segment| self.uncommitted.lock().read(segment.content));
                    if let (Some(segment), Some(turn @ (Turn::Store | Turn::Commit))) = (segment, turn) {
                        keeping.spawn(self.clone().keep(segment, turn));
                        pause_ms = OKLOG_IDLE_MS_MIN;
                        continue;
                    }
                    // Nothing, or one again that waits for stores: its claim has lapsed, and there is no hurry.
                    OKLOG_IDLE_MS_MAX
                }
                Err(error) => {
                    if self.unreachable.is_due(clock::now_ms()) {
                        tracing::warn!(%error, "no segments come from an ingester of OK Log; asked again and again");
                    }
                    OKLOG_FAILED_MS_MAX
                }
            };
            let pause = Duration::from_millis(pause_ms.min(longest_ms));
            pause_ms = (pause_ms * 2).min(longest_ms);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Claims a segment and reads it. `None` when there is none.
    async fn fetch(&self, is_up: bool) -> Result<Option<Segment>, ClientError> {
        let least = (OKLOG_CONSUMED_BYTES_MIN >> 10) as u32;
        // Never closed.
        let Ok(mut room) = self.room.clone().acquire_many_owned(least).await else { return Ok(None) };
        if !is_up {
            self.ingester.is_there().await?;
        }
        let Some(claim) = self.ingester.next().await? else { return Ok(None) };
        let text = match self.ingester.read(claim).await {
            Ok(text) => text,
            Err(error) if error.is_retryable() => {
                // It can be read once per claim.
                let _ = self.ingester.fail(claim).await;
                return Err(error);
            }
            // Too large: given back it would come again at once. The ingester is well, and has others.
            Err(error) => {
                self.tell_refused(&NotStored::Read(error));
                return Ok(None);
            }
        };
        let kib = text.len().div_ceil(1 << 10) as u32;
        if kib > least
            && let Ok(more) = self.room.clone().acquire_many_owned(kib - least).await
        {
            room.merge(more);
        }
        Ok(Some(Segment { claim, content: Content::of(&text), text, _room: room }))
    }

    /// Stores a segment, unless it is stored, and has its ingester delete it.
    async fn keep(self: Arc<Self>, segment: Segment, turn: Turn) {
        let content = segment.content;
        if turn == Turn::Store {
            if let Err(error) = self.store(segment.text).await {
                self.uncommitted.lock().forget(content);
                self.tell_refused(&error);
                return;
            }
            self.uncommitted.lock().stored(content);
        }
        match self.ingester.commit(segment.claim).await {
            Ok(true) => {
                self.uncommitted.lock().forget(content);
                self.metrics.oklog_consumed.with_label_values(&[self.ingester.url()]).inc();
            }
            // It comes again, and is known then.
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "a segment is stored and not committed; it comes again"),
        }
    }

    async fn store(&self, text: Bytes) -> Result<(), NotStored> {
        let read = tokio::task::spawn_blocking(move || read_text(&text)).await;
        let batches = read.map_err(|_| NotStored::Panic)??;
        if batches.is_empty() {
            return Ok(());
        }
        let records = Incoming::Batches { batches, sent_at_ms: clock::now_ms() };
        let request = IngestRequest { records, durability: self.durability, key: None };
        self.backend.ingest(request).await.map(drop).map_err(NotStored::Log)
    }

    fn tell_refused(&self, error: &NotStored) {
        let reason = match error {
            NotStored::Read(_) => "unreadable",
            NotStored::Text(_) => "no_segment",
            NotStored::Log(_) => "log",
            NotStored::Panic => "panic",
        };
        let url = self.ingester.url();
        self.metrics.oklog_refused.with_label_values(&[url, reason]).inc();
        if self.refused.is_due(clock::now_ms()) {
            tracing::error!(
                ingester = url,
                "a segment of OK Log cannot be taken and stays where it is; it is tried again every minute: {error}"
            );
        }
    }
}
