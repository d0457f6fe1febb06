//! Live tail: a thread that follows the ingest log and hands what arrives to the clients that asked for it.
//!
//! It is woken by commits and reads what readers of the log see, so it slows nobody: not the log, and not the
//! other clients. A client that takes nothing is not searched for; when what it has not seen is no longer kept
//! ([`window`]) it is told how much it missed and goes on with what arrives then.
//!
//! Whoever takes pieces out of the log calls [`Tails::leaving`] with each before: a client that keeps up gets every
//! record, however soon its piece has left.

mod client;
mod hub;
mod merge;
mod merged;
mod staged;
mod token;
mod window;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, empty, unfold};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, ErrorKind, TailAnswer, TailEvent, TailRequest};
use weir_query::Matcher;
use weir_record::limits::{
    TAIL_CHUNKS_MAX, TAIL_CLIENTS_MAX, TAIL_IDLE_MS, TAIL_KEPT_PIECES_MAX, TAIL_LOOK_MS_MIN,
};
use weir_storage::{LogReader, Piece};

use hub::Hub;
pub(crate) use merge::merge;
pub(crate) use merged::Merged;
pub(crate) use staged::staged;
pub(crate) use token::Token;
use window::Bounds;

/// The live records of this node. Dropping it ends the thread and all tails.
pub(crate) struct Tails {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// Something was committed.
    committed: bool,
    /// A client has taken something, or has gone.
    taken: bool,
    /// Pieces that leave the log.
    left: Vec<Arc<Piece>>,
    joining: Vec<Joining>,
    /// Clients that are there.
    clients: usize,
}

struct Joining {
    matcher: Matcher,
    resume: Option<Token>,
    joined: oneshot::Sender<mpsc::Receiver<TailEvent>>,
}

impl Tails {
    /// Starts to follow the log of a node. `run` is drawn at random. Fails when the system gives no thread.
    pub(crate) fn start(node: u64, run: u64, reader: LogReader) -> io::Result<Tails> {
        let mut hub = Hub::new(node, run, Bounds::default());
        // Before anybody takes a piece out of the log.
        hub.look(&reader.snapshot().pieces, Vec::new(), Instant::now());
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("weir-tail".to_owned())
            .spawn(move || follow(hub, &reader, &of_thread))?;
        Ok(Tails { shared, thread: Some(thread) })
    }

    /// A group was committed. Quick: called on the committing thread.
    pub(crate) fn committed(&self) {
        let mut state = self.shared.state.lock();
        // Without clients nobody waits for it: the pieces are in the log until they are said to leave.
        if state.clients > 0 && !std::mem::replace(&mut state.committed, true) {
            self.shared.told.notify_one();
        }
    }

    /// A piece is whole and will leave the log as soon as this returns.
    pub(crate) fn leaving(&self, piece: &Arc<Piece>) {
        let mut state = self.shared.state.lock();
        if state.stopped {
            return;
        }
        if state.left.len() >= TAIL_KEPT_PIECES_MAX {
            // The thread is far behind; clients will find a gap.
            state.left.remove(0);
        }
        state.left.push(Arc::clone(piece));
        self.shared.told.notify_one();
    }

    /// Hands over what arrives, from the moment that this returns or from where the token of the request says.
    pub(crate) async fn tail(&self, request: TailRequest) -> Result<TailAnswer, ApiError> {
        let matcher = Matcher::compile(&request.expr)
            .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        let resume = request.resume.as_deref().map(Token::decode).transpose().map_err(|error| {
            ApiError::bad_request("bad_resume_token", format!("the resume token cannot be read: {error}"))
                .hint("leave it out to begin with what arrives now")
        })?;
        let token = Arc::new(Mutex::new(resume.clone().unwrap_or_default()));
        let (joined, receiver) = oneshot::channel();
        {
            let mut state = self.shared.state.lock();
            if state.stopped {
                return Err(stopping());
            }
            if state.clients + state.joining.len() >= TAIL_CLIENTS_MAX {
                let message = format!("{TAIL_CLIENTS_MAX} clients get live records already");
                return Err(ApiError::new(ErrorKind::TooMany, "too_many_tails", message)
                    .hint("close some of them, or ask another node"));
            }
            state.joining.push(Joining { matcher, resume, joined });
            self.shared.told.notify_one();
        }
        let events = receiver.await.map_err(|_| stopping())?;
        let local = taking(Taking { events, shared: Arc::clone(&self.shared) }, request.cancel);
        Ok(TailAnswer { events: merge(token, vec![local], empty().boxed()) })
    }
}

fn stopping() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "stopping", "the node is shutting down")
}

impl Drop for Tails {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.told.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows the log has panicked; please report it");
        }
    }
}

/// The client's end of its channel.
struct Taking {
    events: mpsc::Receiver<TailEvent>,
    shared: Arc<Shared>,
}

impl Taking {
    fn tell(&self) {
        self.shared.state.lock().taken = true;
        self.shared.told.notify_one();
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.events.close();
        self.tell();
    }
}

fn taking(taking: Taking, cancel: CancellationToken) -> BoxStream<'static, TailEvent> {
    unfold((taking, cancel), |(mut taking, cancel)| async move {
        let event = tokio::select! {
            event = taking.events.recv() => event?,
            () = cancel.cancelled() => return None,
        };
        taking.tell();
        Some((event, (taking, cancel)))
    })
    .boxed()
}

/// However the thread ends, nobody is left waiting for an answer.
struct Abandon<'a>(&'a Shared);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.stopped = true;
        state.joining.clear();
        state.left.clear();
    }
}

/// The thread.
fn follow(mut hub: Hub, reader: &LogReader, shared: &Shared) {
    let _abandon = Abandon(shared);
    let mut looked = Instant::now();
    let mut busy = false;
    while let Some(mut told) = wait(shared, busy, looked) {
        if told.look {
            // The log first: a piece that is gone from it was told of before.
            let pieces = reader.snapshot().pieces;
            told.left.append(&mut shared.state.lock().left);
            looked = Instant::now();
            hub.look(&pieces, told.left, looked);
        }
        for joining in told.joining {
            let (events, receiver) = mpsc::channel(TAIL_CHUNKS_MAX);
            hub.join(joining.matcher, joining.resume.as_ref(), events);
            // One that has gone in the meantime is removed in its turn.
            let _ = joining.joined.send(receiver);
        }
        busy = hub.turn(Instant::now());
        shared.state.lock().clients = hub.clients();
    }
}

/// What there is to do.
struct Told {
    /// Look at the log.
    look: bool,
    left: Vec<Arc<Piece>>,
    joining: Vec<Joining>,
}

/// Waits until there is something to do; `None` when it is time to end. Looks at the log keep their distance, so
/// that many commits are one look; all else is done at once.
fn wait(shared: &Shared, busy: bool, looked: Instant) -> Option<Told> {
    let look_from = looked + Duration::from_millis(TAIL_LOOK_MS_MIN);
    // Whatever happens, a look now and then: old pieces are let go, idle clients get a token.
    let look_at_last = looked + Duration::from_millis(TAIL_IDLE_MS);
    let mut state = shared.state.lock();
    loop {
        if state.stopped {
            return None;
        }
        let now = Instant::now();
        let joining = !state.joining.is_empty();
        let news = state.committed || !state.left.is_empty();
        let look = joining || now >= look_at_last || (news && now >= look_from);
        if look || busy || state.taken {
            state.taken = false;
            state.committed &= !look;
            // Counted before they are answered: the next commit must wake this thread.
            state.clients += state.joining.len();
            let left = if look { std::mem::take(&mut state.left) } else { Vec::new() };
            return Some(Told { look, left, joining: std::mem::take(&mut state.joining) });
        }
        shared.told.wait_until(&mut state, if news { look_from } else { look_at_last });
    }
}
