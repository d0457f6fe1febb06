//! The server: an accept loop of its own, so that every connection, head and body has a bound.
//!
//! Each connection is counted, has [`ServerOptions::head_timeout`] to send a head, and is closed when its
//! client takes nothing. An idle connection is one that sends no head: it is closed after the same time.

mod body;
mod connections;
mod counters;
mod decode;
mod lease;
mod listen;
mod respond;
mod stall;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Version;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_record::limits;

use crate::auth::Nonces;
use crate::backend::Backend;
use crate::routes;
pub(crate) use connections::counted_as;
pub use connections::{Connections, Held, Refusal, Tally};
use counters::Counters;
pub(crate) use lease::leased;
pub use listen::{BindError, listen, pause_after};
use stall::Stall;

use body::Budget;
pub(crate) use body::{HeldBody, check_length, read as read_body};
pub(crate) use respond::{BodyError, Response, empty, failed, full, json, secure};

/// Bounds of a server. The defaults are those of [`weir_record::limits`].
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections open at once from one address (IPv6: from one /64).
    pub connections_per_ip_max: usize,
    /// Head of a request, in bytes.
    pub head_bytes_max: usize,
    /// Time in which a head must arrive, and in which an idle connection is closed.
    pub head_timeout: Duration,
    /// Body of an ingest request, as sent and after decompression, in bytes.
    pub body_bytes_max: usize,
    /// Longest pause in a body; also how long the minimum rate is not yet asked for.
    pub body_idle_timeout: Duration,
    /// Bodies in memory at once, in bytes.
    pub inflight_bytes_max: usize,
    /// Longest time in which a client takes nothing of its answer.
    pub write_stall_max: Duration,
    /// Silence after which a client of live records is sent a comment.
    pub tail_heartbeat: Duration,
    /// Time that open requests have to end at shutdown.
    pub drain_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            connections_max: limits::HTTP_CONNECTIONS_MAX,
            connections_per_ip_max: limits::HTTP_CONNECTIONS_PER_IP_MAX,
            head_bytes_max: limits::HTTP_HEAD_BYTES_MAX,
            head_timeout: Duration::from_millis(limits::HTTP_HEAD_TIMEOUT_MS),
            body_bytes_max: limits::HTTP_BODY_BYTES_MAX,
            body_idle_timeout: Duration::from_millis(limits::HTTP_BODY_IDLE_TIMEOUT_MS),
            inflight_bytes_max: limits::HTTP_INGEST_INFLIGHT_BYTES_MAX,
            write_stall_max: Duration::from_millis(limits::HTTP_WRITE_STALL_MS_MAX),
            tail_heartbeat: Duration::from_millis(limits::TAIL_HEARTBEAT_MS),
            drain_max: Duration::from_millis(limits::HTTP_DRAIN_MS_MAX),
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: ServerOptions,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) connections: Connections,
    /// What the server listens on.
    pub(crate) address: SocketAddr,
    /// Signed requests that were answered.
    pub(crate) nonces: Nonces,
    /// Cancelled when the server begins to stop.
    pub(crate) stopping: CancellationToken,
}

/// Where a request comes from, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not end in time.
    pub cut: usize,
}

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
}

impl Server {
    /// Binds an address; port 0 takes a free one. Connections wait in the kernel until
    /// [`serve`](Server::serve). Must be called within a tokio runtime.
    pub fn bind(address: SocketAddr, options: ServerOptions) -> Result<Server, BindError> {
        let (listener, address) = listen::listen(address)?;
        Ok(Server { listener, address, options })
    }

    /// The address that was bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is cancelled; then accepts nothing more, lets open requests end for
    /// [`ServerOptions::drain_max`] and cuts what is left.
    pub async fn serve(self, backend: Arc<dyn Backend>, shutdown: CancellationToken) -> Drained {
        let Server { listener, options, address } = self;
        let shared = Arc::new(Shared {
            backend,
            budget: Budget::new(options.inflight_bytes_max),
            counters: Counters::default(),
            connections: Connections::new(options.connections_max, options.connections_per_ip_max),
            address,
            nonces: Nonces::new(limits::NODE_NONCES_MAX),
            stopping: shutdown.clone(),
            options,
        });
        let router = routes::router(shared.clone());
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    note_end(ended);
                    continue;
                }
            };
            match accepted {
                Ok((stream, peer)) => match shared.connections.admit(peer.ip()) {
                    Ok(held) => {
                        let (shared, router) = (shared.clone(), router.clone());
                        tasks.spawn(connection(shared, router, stream, PeerAddress(peer.ip()), held));
                    }
                    Err(refusal) => {
                        tracing::debug!(%peer, %refusal, "connection refused");
                        respond::refuse(&stream, refusal);
                    }
                },
                Err(error) => pause_after(&error).await,
            }
        }
        drop(listener);
        drain(tasks, shared.options.drain_max).await
    }
}

async fn drain(mut tasks: JoinSet<()>, drain_max: Duration) -> Drained {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            note_end(ended);
        }
    };
    if timeout(drain_max, all).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = tasks.len();
    tasks.shutdown().await;
    Drained { cut }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic; please report it");
    }
}

async fn connection(shared: Arc<Shared>, router: Router, stream: TcpStream, peer: PeerAddress, held: Held) {
    // Answers are written whole; waiting for more would only add the delay of Nagle's algorithm.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let options = &shared.options;
    let io = TokioIo::new(Stall::new(stream, options.write_stall_max));
    let unframed = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        unframed.store(request.version() < Version::HTTP_11, Ordering::Relaxed);
        router.call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Scripts written for OK Log look for `X-Oklog-…`.
        .title_case_headers(true)
        .header_read_timeout(options.head_timeout)
        .max_header_size(options.head_bytes_max)
        .max_buf_size(options.head_bytes_max.max(limits::HTTP_HEAD_BYTES_MAX) * 4)
        .serve_connection(io, service);
    let mut stopping = false;
    let ended = loop {
        let ended = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx));
        tokio::select! {
            ended = ended => break ended,
            () = shared.stopping.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner().into_inner();
    if let Err(error) = &ended {
        tracing::debug!(%error, "connection ended early");
    }
    // HTTP/1.0 takes the end of the connection for the end of the answer. Only a reset tells one that was
    // cut from a whole one.
    if ended.is_err_and(|error| error.is_user()) && unframed.into_inner() {
        if let Err(error) = stream.set_zero_linger() {
            tracing::debug!(%error, "cannot set SO_LINGER");
        }
    } else {
        linger(stream).await;
    }
    drop(held);
}

/// Reads on until the client has closed: a socket that is closed with unread bytes resets the connection,
/// and the client would never see the answer that told it why (413 above all).
async fn linger(mut stream: TcpStream) {
    let until_closed = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // Whether it closed, failed or took too long: the socket is dropped now.
    let _ = timeout(Duration::from_millis(limits::HTTP_LINGER_MS_MAX), until_closed).await;
}
