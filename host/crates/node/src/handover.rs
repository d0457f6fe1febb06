//! The ingest node's side of the transfer: what is sealed is offered, fetched, confirmed, and deleted once enough
//! stores have it. Decisions are those of [`weir_replication::Offers`]; this carries them out.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use weir_api::backend::peer::Confirmed as Outcome;
use weir_replication::offers::Poison;
use weir_replication::{
    Claim, ConfirmError, Confirmation, Confirmed, Gone, Held, Ledger, Offers, OriginKey, Refused, Ticket,
    Waiting,
};
use weir_segment::RecordDigest;
use weir_storage::{Backlog, SegmentFile};

use crate::announce::{Announced, add, held_of_origin, is_announced};
use crate::metrics::Metrics;

/// How long a store waits for an origin whose piece is just leaving the log before it is told to ask again.
const SETTLING: Duration = Duration::from_secs(1);

/// Hands sealed origins over to stores, and tells who waits for that.
pub(crate) struct Handover {
    backlog: Arc<Backlog>,
    announced: Arc<Announced>,
    state: Mutex<State>,
    /// Somebody waits for a piece that is not sealed yet.
    pub(crate) wanted: Notify,
    /// Origins have been offered.
    offered: Notify,
    metrics: Arc<Metrics>,
}

struct State {
    offers: Offers,
    ledger: Ledger,
    waiters: HashMap<Ticket, oneshot::Sender<()>>,
}

impl Handover {
    /// A handover of what the backlog has. `first_piece` is that of this process.
    pub(crate) fn new(
        backlog: Arc<Backlog>,
        announced: Arc<Announced>,
        replication: usize,
        first_piece: u64,
        now_ms: u64,
        metrics: Arc<Metrics>,
    ) -> Arc<Handover> {
        let mut state = State {
            offers: Offers::new(replication),
            ledger: Ledger::new(first_piece),
            waiters: HashMap::new(),
        };
        let waiting = backlog.settled();
        backlog.watch({
            let announced = Arc::clone(&announced);
            move |origins| {
                announced.backlog.with(|holdings| {
                    for held in origins.iter().filter_map(|origin| held_of_origin(origin)) {
                        add(holdings, held);
                    }
                });
            }
        });
        state.offer(&waiting, now_ms);
        Arc::new(Handover {
            backlog,
            announced,
            state: Mutex::new(state),
            wanted: Notify::new(),
            offered: Notify::new(),
            metrics,
        })
    }

    /// A piece was sealed into these origins, and has left the log.
    pub(crate) fn sealed(&self, piece: u64, origins: &[Arc<SegmentFile>], now_ms: u64) {
        let mut state = self.state.lock();
        // In one step: a confirmation in between would be lost to whoever waits for the piece.
        let offered = state.offer(origins, now_ms);
        let done = state.ledger.sealed(piece, offered);
        state.tell(done);
        drop(state);
        self.offered.notify_waiters();
    }

    /// A store wants an origin: its file, which can be read as long as it is held.
    pub(crate) async fn claim(
        &self,
        store: u64,
        key: &OriginKey,
        now_ms: u64,
    ) -> Result<(Claim, Arc<SegmentFile>), Refused> {
        loop {
            let mut offered = pin!(self.offered.notified());
            offered.as_mut().enable();
            let claimed = self.state.lock().offers.claim(store, key, now_ms);
            match claimed {
                // It is told of in the moment in which its piece is gone for good, and offered a little later.
                Err(Refused::Unknown) if is_announced(&self.announced.backlog, &key.unit, key.name) => {
                    let waited = timeout(SETTLING, offered).await;
                    waited.map_err(|_| Refused::Busy { retry_ms: SETTLING.as_millis() as u64 })?;
                }
                claimed => {
                    let claim = claimed?;
                    let file = self.backlog.get(key.name, &key.unit).ok_or(Refused::Unknown)?;
                    return Ok((claim, file));
                }
            }
        }
    }

    /// A store says that it has an origin. The last one that is needed has it deleted here: blocks.
    pub(crate) fn confirm(
        &self,
        store: u64,
        key: &OriginKey,
        digest: RecordDigest,
        confirmation: Confirmation,
    ) -> Outcome {
        let mut state = self.state.lock();
        match state.offers.confirm(store, key, digest, confirmation) {
            Ok(Confirmed::First | Confirmed::Again) => Outcome::Counted,
            Ok(Confirmed::AlreadyComplete) => Outcome::Complete,
            Ok(Confirmed::Complete(completed)) => {
                let done = state.ledger.confirmed(key);
                state.tell(done);
                drop(state);
                self.give_up(&completed.held, completed.gone());
                self.metrics.handed_over.inc();
                Outcome::Complete
            }
            Err(ConfirmError::Unknown) => Outcome::Unknown,
            Err(ConfirmError::Digest { .. }) => Outcome::Mismatch,
        }
    }

    /// Takes an origin out, and tells why.
    fn give_up(&self, held: &Held, why: Gone) {
        let tell =
            || drop(self.announced.backlog.with(|holdings| holdings.remove(&held.unit, held.name, why)));
        if let Err(error) = self.backlog.give_up(held.name, &held.unit, tell) {
            let origin = held.key();
            tracing::warn!(%error, %origin, "an origin that is not needed any more cannot be deleted; a restart offers it again");
        }
    }

    /// A store could not take an origin.
    pub(crate) fn failed(&self, store: u64, key: &OriginKey, why: &str, now_ms: u64) {
        tracing::warn!(store = format!("{store:016x}"), origin = %key, why, "a store could not take an origin");
        self.metrics.handover_failed.inc();
        self.state.lock().offers.failed(store, key, why, now_ms);
    }

    /// Takes origins out whose time is over: nobody needs them any more.
    pub(crate) fn expire(&self, is_over: impl Fn(&Held) -> bool) -> u64 {
        let over: Vec<Held> = self
            .announced
            .backlog
            .with(|holdings| holdings.catalog().iter().filter(|held| is_over(held)).collect());
        for held in &over {
            self.withdraw(&held.key());
            self.give_up(held, Gone::Expired);
        }
        over.len() as u64
    }

    /// Somebody outside of this cluster has taken an origin over: it is not needed here any more, and is deleted. One
    /// that is gone already is fine. False when it is here and not offered yet: to be tried again. Blocks.
    pub(crate) fn taken(&self, key: &OriginKey) -> bool {
        let Some(held) = self.withdraw(key) else {
            return self.backlog.get(key.name, &key.unit).is_none();
        };
        // To the cluster it is as if its time were over: nobody is to miss it.
        self.give_up(&held, Gone::Expired);
        self.metrics.handed_over.inc();
        true
    }

    /// Offers an origin no more; `None` when it was not offered.
    fn withdraw(&self, key: &OriginKey) -> Option<Held> {
        let mut state = self.state.lock();
        let held = state.offers.withdraw(key);
        let done = state.ledger.confirmed(key);
        state.tell(done);
        held
    }

    /// Resolves when all records of a piece lie on as many stores as are needed. Never, when the process ends first.
    pub(crate) async fn replicated(self: &Arc<Self>, piece: u64) {
        let (ticket, done) = {
            let mut state = self.state.lock();
            let Waiting::For(ticket) = state.ledger.wait(piece) else { return };
            let (tell, done) = oneshot::channel();
            state.waiters.insert(ticket, tell);
            (ticket, done)
        };
        let _forget = ForgetOnDrop { handover: Arc::clone(self), piece, ticket };
        self.wanted.notify_one();
        // The sender is dropped only when this wait is.
        let _ = done.await;
    }

    /// Origins that wait, how long the oldest has, and those with which a store fails again and again.
    pub(crate) fn waiting(&self, now_ms: u64) -> (usize, Option<u64>, Vec<Poison>) {
        let state = self.state.lock();
        (state.offers.len(), state.offers.oldest_age_ms(now_ms), state.offers.poisoned().collect())
    }
}

impl State {
    /// Offers origins, and gives their names.
    fn offer(&mut self, origins: &[Arc<SegmentFile>], now_ms: u64) -> Vec<OriginKey> {
        let held: Vec<Held> = origins.iter().filter_map(|origin| held_of_origin(origin)).collect();
        let keys = held.iter().map(Held::key).collect();
        for held in held {
            self.offers.offer(held, now_ms);
        }
        keys
    }

    fn tell(&mut self, done: Vec<Ticket>) {
        for ticket in done {
            // Who waited may have gone.
            let _ = self.waiters.remove(&ticket).map(|waiter| waiter.send(()));
        }
    }
}

/// A wait that is given up, by whoever waits, is forgotten.
struct ForgetOnDrop {
    handover: Arc<Handover>,
    piece: u64,
    ticket: Ticket,
}

impl Drop for ForgetOnDrop {
    fn drop(&mut self) {
        let mut state = self.handover.state.lock();
        if state.waiters.remove(&self.ticket).is_some() {
            state.ledger.cancel(self.piece, self.ticket);
        }
    }
}
