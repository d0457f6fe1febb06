//! The live records of all ingest nodes that this node knows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use weir_api::backend::peer::{self, Role};
use weir_api::backend::{ApiError, ErrorKind, TailAnswer, TailEvent, TailRequest};
use weir_api::client::PeerTailBody;
use weir_query::Matcher;

use super::{Tails, Token, merge};
use crate::peers::{Arrivals, Peer, Peers};

/// Pause before a peer that broke off is asked again.
const PEER_PAUSE: Duration = Duration::from_millis(500);

/// Tails over this node and its peers.
pub(crate) struct Merged {
    own: Option<Arc<Tails>>,
    peers: Arc<Peers>,
    node: u64,
}

/// The tail of one peer, over its restarts.
struct Following {
    peers: Arc<Peers>,
    peer: Arc<Peer>,
    own: u64,
    query: String,
    /// Where it goes on.
    resume: Option<Bytes>,
    body: Option<PeerTailBody>,
    ready: VecDeque<TailEvent>,
    /// Rows that wait for the position behind them.
    rows: Option<peer::TailEvent>,
    cancel: CancellationToken,
}

impl Merged {
    /// Tails of node `node`, which has `own` when it takes records itself.
    pub(crate) fn new(own: Option<Arc<Tails>>, peers: Arc<Peers>, node: u64) -> Merged {
        Merged { own, peers, node }
    }

    /// Hands over what arrives at any of the nodes.
    pub(crate) async fn tail(&self, request: TailRequest) -> Result<TailAnswer, ApiError> {
        Matcher::compile(&request.expr)
            .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
        let token = request.resume.as_deref().map(Token::decode).transpose().map_err(|error| {
            ApiError::bad_request("bad_resume_token", format!("the resume token cannot be read: {error}"))
                .hint("leave it out to begin with what arrives now")
        })?;
        let mut tails: Vec<BoxStream<'static, TailEvent>> = Vec::new();
        if let Some(own) = &self.own {
            tails.push(own.tail(request.clone()).await?.events);
        }
        let arrivals = Arrivals::from_now_on(&self.peers);
        for peer in self.peers.others() {
            // Who is not known yet may be an ingest node.
            if peer.info().is_none_or(|info| info.is(Role::Ingest)) {
                tails.push(self.follow(peer, &request));
            }
        }
        if tails.is_empty() {
            return Err(ApiError::new(ErrorKind::NotFound, "no_ingest", "this node knows of no ingest node")
                .hint("ask a node with the role ingest, or one that finds others by cluster.gossip or cluster.peers"));
        }
        let token = Arc::new(Mutex::new(token.unwrap_or_default()));
        let joining = self.joining(arrivals, request, Arc::clone(&token));
        Ok(TailAnswer { events: merge(token, tails, joining) })
    }

    /// The tails of nodes that come later. One that was there before goes on where `token` says; what another one has
    /// taken before is told as a gap.
    fn joining(
        &self,
        arrivals: Arrivals,
        request: TailRequest,
        token: Arc<Mutex<Token>>,
    ) -> BoxStream<'static, BoxStream<'static, TailEvent>> {
        let (peers, own, cancel) = (Arc::clone(&self.peers), self.node, request.cancel.clone());
        unfold(arrivals, move |mut arrivals| {
            let (peers, token) = (Arc::clone(&peers), Arc::clone(&token));
            let mut request = request.clone();
            async move {
                let peer = arrivals.next().await;
                request.resume = Some(token.lock().encode());
                Some((follow(peers, peer, own, &request), arrivals))
            }
        })
        .take_until(cancel.cancelled_owned())
        .boxed()
    }

    fn follow(&self, peer: Arc<Peer>, request: &TailRequest) -> BoxStream<'static, TailEvent> {
        follow(Arc::clone(&self.peers), peer, self.node, request)
    }
}

fn follow(
    peers: Arc<Peers>,
    peer: Arc<Peer>,
    own: u64,
    request: &TailRequest,
) -> BoxStream<'static, TailEvent> {
    let following = Following {
        peers,
        peer,
        own,
        query: request.expr.to_string(),
        resume: request.resume.as_ref().map(|resume| Bytes::copy_from_slice(resume)),
        body: None,
        ready: VecDeque::new(),
        rows: None,
        cancel: request.cancel.clone(),
    };
    unfold(following, |mut following| async move {
        let (cancel, gone) = (following.cancel.clone(), following.peer.gone.clone());
        let event = tokio::select! {
            event = following.next() => event,
            () = cancel.cancelled() => return None,
            () = gone.cancelled() => return None,
        };
        Some((event, following))
    })
    .boxed()
}

impl Following {
    /// The next event; waits for as long as the peer is away.
    async fn next(&mut self) -> TailEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let Some(body) = &mut self.body else {
                self.connect().await;
                continue;
            };
            match body.next().await {
                Ok(event) => self.take(event),
                Err(error) => {
                    tracing::debug!(%error, url = self.peer.url, "the tail of a peer broke off; it goes on");
                    self.body = None;
                    self.rows = None;
                    tokio::time::sleep(PEER_PAUSE).await;
                }
            }
        }
    }

    fn take(&mut self, event: peer::TailEvent) {
        let peer::TailEvent::Position(position) = event else {
            self.rows = Some(event);
            return;
        };
        let resume = position.to_vec();
        self.resume = Some(position);
        self.ready.push_back(match self.rows.take() {
            Some(peer::TailEvent::Rows(rows)) => TailEvent::Rows { rows, resume },
            Some(peer::TailEvent::Gap(peer::Gap::Dropped(records))) => {
                let why = format!("{} was not listened to fast enough", self.peer.url);
                TailEvent::Gap { records: Some(records), why, resume }
            }
            Some(peer::TailEvent::Gap(peer::Gap::Lost)) => {
                let why = format!("{} does not keep what came since", self.peer.url);
                TailEvent::Gap { records: None, why, resume }
            }
            Some(peer::TailEvent::Position(_)) | None => TailEvent::Idle { resume },
        });
    }

    async fn connect(&mut self) {
        if self.peer.info().is_none() {
            self.peer.ask(self.own).await;
        }
        let is_ingest = self.peer.info().is_some_and(|info| info.is(Role::Ingest) && info.node != self.own);
        // A node with several addresses is followed at one.
        if is_ingest && self.peers.is_main(&self.peer) {
            let request = peer::TailRequest { query: self.query.clone(), resume: self.resume.clone() };
            match self.peer.client.tail(&request).await {
                Ok(body) => {
                    self.body = Some(body);
                    return;
                }
                Err(error) => tracing::debug!(%error, url = self.peer.url, "a peer gives no tail; trying on"),
            }
        }
        tokio::time::sleep(PEER_PAUSE).await;
    }
}
