//! Drives one source: open, poll, poll, …, close, and again after a failure.
//!
//! While one batch commits the next is polled; it is handed on only when the one before holds, so the cursor
//! on disk never stands behind records that were not stored (`docs/decisions/0003`). Batches without a cursor
//! may overtake each other: where the way is long the sink takes several at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_plugin_runtime::{
    Action, Budget, Plugin, PluginBatch, Polled, RestartPolicy, Source, SourceError, Taken,
};
use weir_record::Batch;
use weir_record::limits::{BATCH_RECORDS_MAX, PLUGIN_POLL_WAIT_MS_MAX};
use weir_storage::{Checkpoint, Entry};

use crate::config::SourceConfig;
use crate::sources::OptionsOf;
use crate::sources::convert::{Arrival, convert};
use crate::sources::sink::{Sink, Undeliverable};
use crate::sources::status::SourceStatus;

/// Payload bytes asked for per poll: large enough that an fsync per batch does not limit a source, small
/// enough that a batch is soon visible.
const BUDGET: Budget =
    Budget { records: BATCH_RECORDS_MAX as u32, bytes: 2 << 20, wait_ms: PLUGIN_POLL_WAIT_MS_MAX };

/// One configured source, ready to run.
pub(crate) struct SourceTask {
    /// What the operator wrote.
    pub(crate) config: SourceConfig,
    /// The plugin it names.
    pub(crate) plugin: Arc<Plugin>,
    /// Makes the options of a new instance.
    pub(crate) options: OptionsOf,
    /// Where its batches go.
    pub(crate) sink: Arc<dyn Sink>,
    /// Back-off and quarantine.
    pub(crate) policy: RestartPolicy,
    /// Zero of the policy's clock.
    pub(crate) born: Instant,
    /// What others may see of it.
    pub(crate) status: Arc<SourceStatus>,
    /// Cancelled on shutdown, and when the configuration has changed.
    pub(crate) stop: CancellationToken,
}

/// How the life of one instance ended.
enum Ended {
    /// There will never be more.
    Finished,
    /// Shutdown, or another configuration.
    Stopped,
    /// The instance is gone; another one after the pause.
    Again { after: Duration },
    /// It is not tried again.
    GivenUp(String),
    /// The process cannot store any more.
    Undeliverable(Undeliverable),
}

/// The batches handed on last, until they hold.
#[derive(Default)]
struct Pending {
    tasks: VecDeque<JoinHandle<Result<(), Undeliverable>>>,
    /// Told when the last of them holds, and all before it.
    last: Option<oneshot::Receiver<()>>,
}

/// Where the source stands.
struct Stands {
    /// Behind what was handed on.
    handed_on: Option<Vec<u8>>,
    /// Behind what is stored.
    stored: Option<Vec<u8>>,
}

impl SourceTask {
    /// Runs until the source has no more, is given up, or `stop` is cancelled. Returns the cursor that stands behind
    /// what is stored.
    pub(crate) async fn run(mut self, cursor: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut stands = Stands { handed_on: cursor.clone(), stored: cursor };
        loop {
            let ended = self.life(&mut stands).await;
            self.status.closed();
            match ended {
                Ended::Finished => self.status.finished(),
                Ended::GivenUp(why) => self.status.failed(&why),
                Ended::Undeliverable(error) => self.status.failed(&error.to_string()),
                Ended::Again { after } if self.pause(after).await.is_ok() => {
                    self.status.restarting();
                    continue;
                }
                Ended::Stopped | Ended::Again { .. } => self.status.stopped(),
            }
            return stands.stored;
        }
    }

    /// Waits, or says that the process stops.
    async fn pause(&self, wait: Duration) -> Result<(), Ended> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(Ended::Stopped),
        }
    }

    /// What the policy makes of a failure. `Ok` after the pause when the same instance is asked again.
    async fn trouble(&mut self, error: SourceError, alive: bool) -> Result<(), Ended> {
        let action =
            self.policy.failed(self.born.elapsed().as_millis() as u64, error.outcome(), fastrand::u32(..));
        self.status.trouble(&error, action);
        match action {
            Action::Retry { after_ms } if alive => self.pause(Duration::from_millis(after_ms)).await,
            Action::Retry { after_ms } | Action::Restart { after_ms, .. } => {
                Err(Ended::Again { after: Duration::from_millis(after_ms) })
            }
            Action::Stop(_) => Err(Ended::GivenUp(error.to_string())),
        }
    }

    async fn life(&mut self, stands: &mut Stands) -> Ended {
        let mut pending = Pending::default();
        let ended = match Source::open(&self.plugin, (self.options)(stands.handed_on.clone())).await {
            Ok(mut source) => {
                self.status.opened();
                let ended = self.polls(&mut source, stands, &mut pending).await;
                self.last_words(source, ended, stands, &mut pending).await
            }
            Err(error) => match self.trouble(error, false).await {
                Ok(()) => Ended::Again { after: Duration::ZERO },
                Err(ended) => ended,
            },
        };
        match (settle(&mut pending, 0).await, ended) {
            (Ok(()), Ended::Undeliverable(error)) | (Err(error), _) => Ended::Undeliverable(error),
            (Ok(()), ended) => {
                stands.stored.clone_from(&stands.handed_on);
                ended
            }
        }
    }

    async fn polls(&mut self, source: &mut Source, stands: &mut Stands, pending: &mut Pending) -> Ended {
        let ended = loop {
            if self.stop.is_cancelled() {
                break Err(Ended::Stopped);
            }
            let step = match source.poll(BUDGET).await {
                Ok(polled) => {
                    self.policy.succeeded(self.born.elapsed().as_millis() as u64);
                    self.status.healthy(self.policy.standing());
                    self.polled(polled, stands, pending).await
                }
                // A failure reported with `retry` leaves the instance alive; after all others it is gone.
                Err(error) => self.trouble(error, !source.is_gone()).await,
            };
            if step.is_err() {
                break step;
            }
        };
        ended.err().unwrap_or(Ended::Stopped)
    }

    async fn polled(
        &mut self,
        polled: Polled,
        stands: &mut Stands,
        pending: &mut Pending,
    ) -> Result<(), Ended> {
        match polled {
            Polled::Records(taken) => self.hand_on(taken, stands, pending).await,
            Polled::Idle { wait_ms } => {
                settle(pending, 0).await.map_err(Ended::Undeliverable)?;
                self.pause(Duration::from_millis(u64::from(wait_ms))).await
            }
            Polled::Finished => Err(Ended::Finished),
        }
    }

    /// Closes an instance that still answers; what it gives last is kept.
    async fn last_words(
        &mut self,
        source: Source,
        ended: Ended,
        stands: &mut Stands,
        pending: &mut Pending,
    ) -> Ended {
        if !matches!(ended, Ended::Finished | Ended::Stopped) || source.is_gone() {
            return ended;
        }
        match source.close().await {
            Ok(Some(taken)) => match self.hand_on(taken, stands, pending).await {
                Ok(()) => ended,
                Err(worse) => worse,
            },
            Ok(None) => ended,
            Err(error) => {
                self.status.close_failed(&error);
                ended
            }
        }
    }

    /// Waits until the batches before leave room, then starts to store this one.
    async fn hand_on(
        &mut self,
        mut taken: Taken,
        stands: &mut Stands,
        pending: &mut Pending,
    ) -> Result<(), Ended> {
        if self.reads_once() && !self.sink.keeps_cursors() {
            // It is done when this process is: there is no next one to go on.
            taken.cursor = None;
        }
        let has_cursor = stands.handed_on.is_some() || taken.cursor.is_some();
        let held = !taken.receipts.is_empty();
        let others = if has_cursor { 0 } else { self.sink.in_flight_max(held).saturating_sub(1) };
        settle(pending, others).await.map_err(Ended::Undeliverable)?;
        if has_cursor {
            stands.stored.clone_from(&stands.handed_on);
        }
        if taken.cursor.is_some() && !self.sink.keeps_cursors() {
            return Err(Ended::GivenUp(format!(
                "source {}: plugin {} keeps a position, and a forwarder without a spool has nowhere to store it; \
                 give it one with forward.spool = \"1GiB\"",
                self.config.name, self.config.plugin
            )));
        }
        let batches = match self.batches(taken.batch, taken.repeated) {
            Ok(batches) => batches,
            Err(why) => return Err(Ended::GivenUp(why)),
        };
        if let Some(next) = taken.cursor {
            stands.handed_on = Some(next);
        }
        let cursor = stands.handed_on.clone();
        let checkpoint = cursor.map(|cursor| Checkpoint { source: self.config.name.clone(), cursor });
        let nothing = batches.is_empty() && checkpoint.is_none();
        if nothing && !held {
            return Ok(());
        }
        let (records, bytes) =
            batches.iter().fold((0, 0), |(n, b), batch| (n + batch.count(), b + batch.payload_bytes()));
        let (status, receipts) = (self.status.clone(), taken.receipts);
        let entry = Entry { checkpoint, batches };
        let deliver = if nothing {
            Box::pin(std::future::ready(Ok(())))
        } else if held {
            self.sink.deliver_held(entry, self.config.durability)
        } else {
            self.sink.deliver(entry, self.config.durability)
        };
        let (holds, last) = oneshot::channel();
        let before = pending.last.replace(last);
        pending.tasks.push_back(tokio::spawn(async move {
            deliver.await?;
            status.stored(records as u64, bytes as u64);
            // A receipt speaks for all that was handed on before it as well.
            if let Some(before) = before {
                before.await.map_err(|_| Undeliverable("a batch before this one does not hold".into()))?;
            }
            let _ = holds.send(());
            for receipt in receipts {
                receipt.acknowledge();
            }
            Ok(())
        }));
        Ok(())
    }

    /// Whether the source ends by itself, as the setting `once` of plugins has it.
    fn reads_once(&self) -> bool {
        self.config.config.get("once") == Some(&serde_json::Value::Bool(true))
    }

    /// Ids and streams for a plugin's batch. What breaks a rule only together with the operator's labels
    /// cannot be mended by another instance.
    fn batches(&self, batch: PluginBatch, repeated: bool) -> Result<Vec<Batch>, String> {
        let mut batch = Some(batch);
        let mut out = Ok(Vec::new());
        self.sink.mint(&mut |minter, now_ms, entropy, bounds| {
            let arrival = Arrival { base: &self.config.stream, now_ms, entropy, bounds, repeated };
            if let Some(batch) = batch.take() {
                out = convert(batch, &arrival, minter);
            }
        });
        out.map_err(|error| format!("source {}: plugin {}: {error}", self.config.name, self.config.plugin))
    }
}

/// Waits until at most `others` of the batches handed on have yet to hold.
async fn settle(pending: &mut Pending, others: usize) -> Result<(), Undeliverable> {
    while pending.tasks.len() > others {
        let Some(first) = pending.tasks.pop_front() else { break };
        first.await.unwrap_or_else(|error| Err(Undeliverable(format!("the commit task ended: {error}"))))?;
    }
    Ok(())
}
