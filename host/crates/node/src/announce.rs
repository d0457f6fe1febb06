//! What this node tells the others that it holds: one feed for its backlog, one for its store.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_record::limits::CHANGES_BYTES_MAX;
use weir_replication::{Changes, Gone, Held, Holdings, OriginKey, Place, Position};
use weir_segment::{Origin, OriginName, Unit};
use weir_storage::SegmentFile;
use weir_storage::store::{Change, GoneReason, Holding};

use crate::clock;

/// Both feeds. A node without a role has an empty one for it.
pub(crate) struct Announced {
    /// Drawn at the start of the process.
    pub(crate) incarnation: u64,
    /// Origins that wait for stores.
    pub(crate) backlog: Feed,
    /// Origins that its store keeps.
    pub(crate) store: Feed,
}

impl Announced {
    /// Empty feeds. The incarnation is drawn once per process.
    pub(crate) fn new(node: u64, incarnation: u64, quiet_after_ms: u64) -> Announced {
        let backlog = Holdings::new(node, Place::Backlog, incarnation);
        let store = Holdings::new(node, Place::Store, incarnation).quiet_after(Some(quiet_after_ms));
        Announced { incarnation, backlog: Feed::new(backlog), store: Feed::new(store) }
    }

    /// Tells of units of the store that have become quiet, now and then, until it is told to stop.
    pub(crate) async fn watch_quiet(self: Arc<Self>, period: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
            self.store.with(|holdings| holdings.look(clock::now_ms()));
        }
    }

    /// The feed of a place.
    pub(crate) fn of(&self, place: Place) -> &Feed {
        match place {
            Place::Backlog => &self.backlog,
            Place::Store => &self.store,
        }
    }
}

/// A list of origins that others follow.
pub(crate) struct Feed {
    holdings: Mutex<Holdings>,
    news: watch::Sender<u64>,
}

impl Feed {
    fn new(holdings: Holdings) -> Feed {
        let news = watch::Sender::new(holdings.position().sequence);
        Feed { holdings: Mutex::new(holdings), news }
    }

    /// Looks at what is held, or changes it; whoever waits for news is told.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Holdings) -> T) -> T {
        let mut holdings = self.holdings.lock();
        let out = look(&mut holdings);
        let sequence = holdings.position().sequence;
        drop(holdings);
        self.news.send_if_modified(|known| {
            // Two threads may come here in the other order than they held the lock.
            let is_newer = *known < sequence;
            *known = (*known).max(sequence);
            is_newer
        });
        out
    }

    /// The number of the last change.
    pub(crate) fn sequence(&self) -> u64 {
        self.holdings.lock().position().sequence
    }

    /// What is new since a position: at once if there is something, else as soon as there is, at the latest after
    /// `wait`.
    pub(crate) async fn changes(&self, since: &Position, wait: Duration) -> Changes {
        let mut news = self.news.subscribe();
        let changes = || self.holdings.lock().changes_since(since, CHANGES_BYTES_MAX);
        let now = changes();
        if wait.is_zero() || !now.events.is_empty() || now.next != *since {
            return now;
        }
        let sequence = since.sequence;
        // Whether it came or not, the answer says what there is.
        let _ = tokio::time::timeout(wait, news.wait_for(|latest| *latest > sequence)).await;
        changes()
    }

    /// The origins of some units by name, as they are held at this moment.
    pub(crate) fn names_of(&self, units: &[Unit], after: Option<&OriginKey>) -> Changes {
        self.holdings.lock().names_of(units, after, CHANGES_BYTES_MAX)
    }

    /// Follows a change of the store. Called while the store is locked.
    pub(crate) fn follow(&self, change: Change) {
        self.with(|holdings| match change {
            Change::Added(holding) => add(holdings, held_of(&holding)),
            Change::Gone { unit, name, reason, .. } => {
                let why = match reason {
                    GoneReason::Expired => Gone::Expired,
                    GoneReason::Damaged => Gone::Damaged,
                    GoneReason::Dropped => Gone::Dropped,
                };
                holdings.remove(&unit, name, why);
            }
        });
    }
}

/// Announces an origin.
pub(crate) fn add(holdings: &mut Holdings, held: Held) {
    if let Err(error) = holdings.add(held) {
        tracing::error!(%error, "an origin cannot be announced: report this");
    }
}

/// What is told of an origin in the store.
pub(crate) fn held_of(holding: &Holding) -> Held {
    let Origin { name, flags, count, digest } = holding.origin;
    Held {
        unit: holding.unit.clone(),
        name,
        flags,
        count,
        low_ms: holding.low.time_ms(),
        high_ms: holding.high.time_ms(),
        digest,
        bytes: holding.bytes,
    }
}

/// The only origin of a segment as it was sealed; `None` for a segment of several.
pub(crate) fn held_of_origin(segment: &SegmentFile) -> Option<Held> {
    let footer = segment.footer();
    let [Origin { name, flags, count, digest }] = *footer.lineage() else { return None };
    let (low, high) = footer.id_range();
    Some(Held {
        unit: footer.unit().clone(),
        name,
        flags,
        count,
        low_ms: low.time_ms(),
        high_ms: high.time_ms(),
        digest,
        bytes: segment.bytes(),
    })
}

/// Whether an origin is told to be held at this moment.
pub(crate) fn is_announced(feed: &Feed, unit: &Unit, name: OriginName) -> bool {
    feed.with(|holdings| holdings.catalog().contains(unit, name))
}
