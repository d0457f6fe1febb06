//! The journal of a forwarder: an ingest log in a folder of its own, `<data_dir>/forward`.
//!
//! Cursor, ids and records of a source are committed to it in one entry, before anything is sent. So whatever
//! is cut off, the plugin is opened behind what is journaled, and what is journaled is sent until a node has
//! acknowledged it. How far that is stands in the same log, as the checkpoint of a source that no configuration
//! can name. It may lag behind: then some is sent twice, with the same ids and flagged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use weir_record::RecordId;
use weir_record::limits::{FORWARD_SPOOL_PIECES, PIECE_BYTES_MIN};
use weir_storage::committer::CommitObserver;
use weir_storage::ingest_log::{Committed, Leaving};
use weir_storage::{
    Checkpoint, CommitError, Committer, CommitterOptions, DataDir, Entry, IngestLog, LogError, LogOptions,
    LogReader, Piece, Recovery, Snapshot,
};

use crate::clock;
use crate::config::{Config, OnFull, Spool as SpoolConfig};
use crate::forward::progress::Position;
use crate::forward::said::Said;
use crate::forward::spool::{Parcel, Span, Spool, charge};
use crate::metrics::Metrics;
use crate::sources::sink::Undeliverable;

const FORWARD_DIR: &str = "forward";

/// Stands for the ingest nodes among the sources of the log. Names of sources have no colon.
pub(crate) const ACKNOWLEDGED: &str = "forward:acknowledged";

/// Wait before an entry that found the disk full is tried again.
const DISK_FULL_RETRY: Duration = Duration::from_secs(1);

/// An open journal.
pub(crate) struct Journal {
    /// Taken out at the end.
    committer: RwLock<Option<Committer>>,
    reader: LogReader,
    spool: Mutex<Spool>,
    on_full: OnFull,
    /// Pieces up to this one were there at the start: they may have been sent before.
    old_piece_max: u64,
    /// Something was journaled.
    appended: Notify,
    /// Something needs no room any more.
    freed: Notify,
    drops_said: Said,
    events: Arc<Events>,
    metrics: Arc<Metrics>,
}

/// What the committing thread tells.
struct Events {
    metrics: Arc<Metrics>,
    /// The commit queue was full, and is not any more.
    room: Notify,
    failed: watch::Sender<Option<String>>,
}

impl CommitObserver for Events {
    fn committed(&self, committed: &Committed) {
        self.metrics.commits.inc();
        self.metrics.fsync_seconds.observe(committed.sync.as_secs_f64());
        self.metrics.disk_full.set(0);
    }

    fn room(&self) {
        self.room.notify_waiters();
    }

    fn poisoned(&self, reason: &str) {
        self.metrics.fsync_errors.inc();
        self.failed.send_replace(Some(reason.to_owned()));
    }
}

/// A journal, and what was found in it.
pub(crate) struct Opened {
    pub(crate) journal: Arc<Journal>,
    /// Where each source stands.
    pub(crate) cursors: BTreeMap<String, Vec<u8>>,
    /// The highest id that was ever journaled.
    pub(crate) highest_id: RecordId,
    pub(crate) recovery: Recovery,
}

impl Journal {
    /// Opens the journal of a data directory and brings it into order.
    pub(crate) fn open(
        data_dir: &DataDir,
        config: &Config,
        spool: SpoolConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Opened, LogError> {
        let (disk, dir) = (data_dir.disk(), data_dir.path().join(FORWARD_DIR));
        let made = disk.create_dir(&dir).and_then(|()| disk.sync_dir(data_dir.path()));
        made.map_err(|source| LogError::Io { what: "cannot make", path: dir.clone(), source })?;
        let options = LogOptions {
            piece_bytes: (spool.bytes / FORWARD_SPOOL_PIECES)
                .clamp(PIECE_BYTES_MIN, config.storage.piece_bytes.max(PIECE_BYTES_MIN)),
            full_at_percent: u64::from(config.storage.full_at_percent),
            resume_at_percent: u64::from(config.storage.resume_at_percent),
            ..LogOptions::new(data_dir.node(), fastrand::u64(..))
        };
        let (log, recovery) = IngestLog::open(disk, &dir, options)?;
        let reader = log.reader();
        let snapshot = reader.snapshot();
        let mut cursors = recovery.cursors.clone();
        // Without a word about it nothing counts as acknowledged.
        let low = cursors.remove(ACKNOWLEDGED).and_then(|cursor| Position::from_cursor(&cursor));
        let events = Arc::new(Events {
            metrics: metrics.clone(),
            room: Notify::new(),
            failed: watch::Sender::new(None),
        });
        let committer = Committer::start(log, CommitterOptions::new(events.clone()))
            .map_err(|source| LogError::Io { what: "cannot start the thread of", path: dir, source })?;
        let journal = Arc::new(Journal {
            committer: RwLock::new(Some(committer)),
            spool: Mutex::new(Spool::new(spool.bytes, low.unwrap_or_default(), &spans(&snapshot))),
            on_full: spool.on_full,
            old_piece_max: snapshot.pieces.last().map_or(0, |piece| piece.number()),
            appended: Notify::new(),
            freed: Notify::new(),
            drops_said: Said::default(),
            reader,
            events,
            metrics,
        });
        journal.tell_waiting(&journal.spool.lock());
        Ok(Opened { journal, cursors, highest_id: recovery.highest_id, recovery })
    }

    /// Resolves when the entry is on disk. Waits for room in the spool first, or makes some: that is the
    /// back-pressure. Gives up waiting once `stop` is cancelled.
    pub(crate) async fn append(&self, entry: Entry, stop: &CancellationToken) -> Result<(), Undeliverable> {
        let charge = charge(&entry.batches);
        self.admit(charge, stop).await?;
        let result = self.commit_for_long(&entry, stop).await;
        match &result {
            Ok(()) => {
                self.count(&entry);
                self.appended.notify_one();
            }
            Err(_) => self.free(|spool| spool.give_back(charge)),
        }
        result
    }

    async fn admit(&self, charge: u64, stop: &CancellationToken) -> Result<(), Undeliverable> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut spool = self.spool.lock();
                if spool.admit(charge) {
                    self.tell_waiting(&spool);
                    return Ok(());
                }
            }
            if self.on_full == OnFull::DropOldest && self.drop_oldest() {
                continue;
            }
            tokio::select! {
                () = freed => {}
                () = stop.cancelled() => {
                    return Err(Undeliverable("the spool was full when the process stopped".into()));
                }
            }
        }
    }

    /// Commits an entry, and again for as long as only room on the disk is missing.
    async fn commit_for_long(&self, entry: &Entry, stop: &CancellationToken) -> Result<(), Undeliverable> {
        let mut said = false;
        loop {
            let error = match self.commit(entry.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ CommitError::DiskFull) => error,
                Err(error) => return Err(Undeliverable(error.to_string())),
            };
            self.metrics.disk_full.set(1);
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "the journal waits for disk space");
            }
            if self.on_full == OnFull::DropOldest {
                self.drop_oldest();
            }
            tokio::select! {
                () = tokio::time::sleep(DISK_FULL_RETRY) => {}
                () = stop.cancelled() => return Err(Undeliverable(error.to_string())),
            }
            if let Some(checkpoint) = &entry.checkpoint {
                self.resume(&checkpoint.source);
            }
        }
    }

    async fn commit(&self, mut entry: Entry) -> Result<(), CommitError> {
        loop {
            let room = self.events.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let (done, held) = oneshot::channel();
            let tell = Box::new(move |result: Result<_, CommitError>| {
                let _ = done.send(result);
            });
            let submitted = match &*self.committer.read() {
                Some(committer) => committer.submit(entry, tell),
                None => return Err(CommitError::Stopped),
            };
            match submitted {
                Ok(()) => return held.await.unwrap_or(Err(CommitError::Stopped)).map(drop),
                Err(given_back) => entry = given_back,
            }
            room.await;
        }
    }

    /// Makes room at the old end of the journal. False when there is nothing to drop.
    fn drop_oldest(&self) -> bool {
        let snapshot = self.reader.snapshot();
        let Some(dropped) = self.free(|spool| spool.drop_oldest(&spans(&snapshot))) else { return false };
        self.metrics.forward_dropped("full", dropped.records);
        if self.drops_said.is_due(clock::now_ms()) {
            tracing::warn!(
                dropped.records,
                dropped.bytes,
                "the spool is full: the oldest records are dropped"
            );
        }
        true
    }

    /// The next batches to be sent, and the piece that holds them.
    pub(crate) fn take(&self) -> Option<(Parcel, Arc<Piece>)> {
        let snapshot = self.reader.snapshot();
        let parcel = self.spool.lock().take(&spans(&snapshot))?;
        let piece = snapshot.pieces.into_iter().find(|piece| piece.number() == parcel.piece)?;
        Some((parcel, piece))
    }

    /// Whether what a piece holds may have been sent before this process began.
    pub(crate) fn is_old(&self, piece: &Piece) -> bool {
        piece.number() <= self.old_piece_max
    }

    /// A parcel was acknowledged, or will never be.
    pub(crate) fn finish(&self, parcel: &Parcel) {
        self.free(|spool| spool.finish(parcel));
    }

    /// Waits until something was journaled.
    pub(crate) async fn appended(&self) {
        self.appended.notified().await;
    }

    /// Waits until nothing waits for an ingest node.
    pub(crate) async fn drained(&self) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.waiting_bytes() == 0 {
                return;
            }
            freed.await;
        }
    }

    /// What waits for an ingest node.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.spool.lock().waiting_bytes()
    }

    /// Below it nothing is needed any more.
    pub(crate) fn low(&self) -> Position {
        self.spool.lock().low()
    }

    /// Writes down how far the journal is acknowledged. May fail: it is written again later, and meanwhile
    /// only more would be sent twice.
    pub(crate) async fn write_down(&self, low: Position) -> Result<(), CommitError> {
        let checkpoint = Checkpoint { source: ACKNOWLEDGED.to_owned(), cursor: low.to_cursor() };
        let written = self.commit(Entry { checkpoint: Some(checkpoint), batches: Vec::new() }).await;
        if written.is_err() {
            self.resume(ACKNOWLEDGED);
        }
        written
    }

    fn resume(&self, source: &str) {
        if let Some(committer) = &*self.committer.read() {
            committer.resume(source);
        }
    }

    /// Deletes the pieces that are not needed any more; `spoilt` tells of those of which something could not
    /// be read. What cannot be deleted now is tried again with the next ones.
    pub(crate) async fn release(&self, spoilt: &BTreeMap<u64, String>) {
        let low = self.low();
        let snapshot = self.reader.snapshot();
        let done_with = snapshot.pieces.iter().filter(|piece| piece.number() < low.piece);
        let leaving: Vec<Leaving> = done_with
            .map(|piece| Leaving { piece: piece.identity(), spoilt: spoilt.get(&piece.number()).cloned() })
            .collect();
        if leaving.is_empty() {
            return;
        }
        let (done, released) = oneshot::channel();
        let tell = Box::new(move |result| {
            let _ = done.send(result);
        });
        match &*self.committer.read() {
            Some(committer) => committer.release(leaving, tell),
            None => return,
        }
        if let Ok(Err(error)) = released.await {
            tracing::warn!(%error, "the journal could not let go of what was sent; it tries again later");
        }
    }

    /// The reason, once nothing can be journaled any more.
    pub(crate) fn failed(&self) -> watch::Receiver<Option<String>> {
        self.events.failed.subscribe()
    }

    /// Refuses new entries, commits those that wait, closes the log. Blocks.
    pub(crate) fn close(&self) {
        let committer = self.committer.write().take();
        if let Some(committer) = committer {
            committer.stop();
        }
    }

    /// Changes the accounts and wakes who waits for room.
    fn free<T>(&self, change: impl FnOnce(&mut Spool) -> T) -> T {
        let mut spool = self.spool.lock();
        let changed = change(&mut spool);
        self.tell_waiting(&spool);
        drop(spool);
        self.freed.notify_waiters();
        changed
    }

    fn tell_waiting(&self, spool: &Spool) {
        self.metrics.forward_spool_bytes.set(spool.waiting_bytes() as i64);
    }

    fn count(&self, entry: &Entry) {
        let source = entry.checkpoint.as_ref().map_or("source", |checkpoint| checkpoint.source.as_str());
        for batch in &entry.batches {
            let (records, bytes) = (batch.count() as u64, batch.payload_bytes() as u64);
            self.metrics.count_in(source, batch.stream().topic(), records, bytes);
        }
    }
}

/// What a spool needs to see of a snapshot.
pub(crate) fn spans(snapshot: &Snapshot) -> Vec<Span<'_>> {
    snapshot.pieces.iter().map(|piece| Span { number: piece.number(), batches: piece.batches() }).collect()
}
