//! Lines over TCP as OK Log takes them: no handshake, no answer, a record ends at `\n`.
//!
//! Each turn of a connection reads what its socket has, up to a bound, and hands the lines on; there is no timer,
//! so a single line is on its way at once. On the *fast* port a turn ends when its lines have a place in the
//! commit queue, on the *durable* one when they are fsynced: until then the socket is not read, and TCP makes the
//! sender wait. A durable connection whose sender has ended it is closed only when all is on disk, and reset
//! when that failed: a sender that waits for the end learns what the protocol has no word for.
//!
//! Where tokens are asked for, a connection begins with one: see `greeting.rs`. It ends with the token.
//!
//! A line whose end never came (reset, silence, shutdown) is kept as the first part that it is.

mod greeting;

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_api::access::{Caller, Gate};
use weir_api::{BindError, Connections, Held};
use weir_record::Stream;
use weir_record::limits::{
    HTTP_BACKLOG, LINES_CONNECTIONS_MAX, LINES_CONNECTIONS_PER_IP_MAX, LINES_DURABLE_TURN_BYTES,
    LINES_FAST_TURN_BYTES, LINES_IDLE_MS_MAX, LINES_READ_BYTES, LINES_READING_MAX, LINES_REST_BYTES_FREE,
    LINES_REST_BYTES_MAX,
};
use weir_record::lines::LineBuffer;
use weir_storage::Entry;

use crate::config::Durability;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::sources::sink::{LocalSink, Sink, Undeliverable};

/// What a port waits for before it reads on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A place in the commit queue.
    Fast,
    /// The fsync.
    Durable,
}

impl Mode {
    /// As configuration and metrics call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Fast => "fast",
            Mode::Durable => "durable",
        }
    }

    fn turn_bytes(self) -> usize {
        match self {
            Mode::Fast => LINES_FAST_TURN_BYTES,
            Mode::Durable => LINES_DURABLE_TURN_BYTES,
        }
    }
}

/// A port that is bound and not yet served; clients wait in the kernel.
#[derive(Debug)]
pub(crate) struct LinePort {
    mode: Mode,
    listener: TcpListener,
    address: SocketAddr,
}

/// What the connections of one port share.
struct Shared {
    mode: Mode,
    ingest: Arc<Ingest>,
    sink: LocalSink,
    stream: Stream,
    /// Whom it lets in; `None`: anybody.
    gate: Option<Arc<Gate>>,
    metrics: Arc<Metrics>,
    connections: Connections,
    /// One permit per connection that has read and not yet handed on: it bounds the memory of all turns.
    reading: Semaphore,
    /// One permit per KiB of unfinished lines.
    rest: Arc<Semaphore>,
    stop: CancellationToken,
}

impl LinePort {
    /// Binds an address; port 0 takes a free one.
    pub(crate) fn bind(mode: Mode, address: SocketAddr) -> Result<LinePort, BindError> {
        let (listener, address) = weir_api::listen(address)?;
        Ok(LinePort { mode, listener, address })
    }

    /// What it is and where, for the log.
    pub(crate) fn told(&self) -> String {
        format!("listening on tcp://{} for lines ({})", self.address, self.mode.name())
    }

    /// Takes lines into `stream` until `stop`; then what the kernel had received by then, and ends.
    pub(crate) async fn serve(
        self,
        ingest: Arc<Ingest>,
        stream: Stream,
        gate: Option<Arc<Gate>>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) {
        let shared = Arc::new(Shared {
            mode: self.mode,
            sink: LocalSink::new(ingest.clone(), self.mode.name(), stop.clone()),
            ingest,
            stream,
            gate,
            metrics,
            connections: Connections::new(LINES_CONNECTIONS_MAX, LINES_CONNECTIONS_PER_IP_MAX),
            reading: Semaphore::new(LINES_READING_MAX),
            rest: Arc::new(Semaphore::new(LINES_REST_BYTES_MAX >> 10)),
            stop,
        });
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = shared.stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => admit(&mut tasks, &shared, stream, peer),
                    Err(error) => weir_api::pause_after(&error).await,
                },
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => note_end(ended),
            }
        }
        accept_waiting(self.listener, &mut tasks, &shared);
        while let Some(ended) = tasks.join_next().await {
            note_end(ended);
        }
    }
}

/// Takes over the connections that the kernel has accepted and we have not: their lines were received as well.
fn accept_waiting(listener: TcpListener, tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..=HTTP_BACKLOG {
        let Ok((stream, peer)) = listener.accept() else { break };
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
            admit(tasks, shared, stream, peer);
        }
    }
}

fn admit(tasks: &mut JoinSet<()>, shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let port = shared.mode.name();
    match shared.connections.admit(peer.ip()) {
        Ok(held) => {
            let gauge = shared.metrics.tcp_connections.with_label_values(&[port]);
            gauge.inc();
            let connection = Connection {
                shared: shared.clone(),
                buffer: LineBuffer::default(),
                rest: None,
                caller: Caller::default(),
                _open: Open { gauge, _held: held },
            };
            tasks.spawn(async move {
                if let Err(error) = connection.run(stream, peer).await {
                    tracing::warn!(%peer, port, %error, "lines of a connection were not stored");
                }
            });
        }
        Err(refusal) => {
            shared.metrics.tcp_refused.with_label_values(&[port]).inc();
            tracing::debug!(%peer, port, %refusal, "connection refused");
        }
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic; please report it");
    }
}

/// A connection that is counted.
struct Open {
    gauge: IntGauge,
    _held: Held,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

struct Connection {
    shared: Arc<Shared>,
    buffer: LineBuffer,
    /// Covers the unfinished line.
    rest: Option<OwnedSemaphorePermit>,
    /// Who sends.
    caller: Caller,
    _open: Open,
}

/// What a turn found.
#[derive(PartialEq, Eq)]
enum Turn {
    /// There may be more.
    Open,
    /// The sender has ended the connection, or it broke.
    Ended,
}

impl Connection {
    /// Takes everything the connection brings. An error says that lines are lost; the sender sees a reset.
    async fn run(mut self, stream: TcpStream, peer: SocketAddr) -> Result<(), Undeliverable> {
        let shared = self.shared.clone();
        if let Some(gate) = &shared.gate {
            let greeted = greeting::greeted(&stream, gate, shared.stream.topic(), peer.ip());
            match shared.stop.run_until_cancelled(greeted).await {
                Some(Ok((caller, rest))) => {
                    self.caller = caller;
                    self.buffer.feed(&rest);
                }
                Some(Err(why)) => {
                    shared.metrics.tcp_refused.with_label_values(&[shared.mode.name()]).inc();
                    tracing::debug!(%peer, why, "connection refused");
                    greeting::turn_away(stream, &why).await;
                    return Ok(());
                }
                None => {
                    let _ = stream.set_zero_linger();
                    return Ok(());
                }
            }
        }
        let taken = match self.deliver().await {
            Ok(()) => self.take_all(&stream).await,
            Err(error) => Err(error),
        };
        let taken = match taken {
            Ok(Turn::Ended) => return Ok(()),
            Ok(Turn::Open) => match stream.into_std() {
                Ok(stream) => self.drain(stream).await,
                Err(error) => Err(Undeliverable(error.to_string())),
            },
            Err(error) => {
                let _ = stream.set_zero_linger();
                Err(error)
            }
        };
        if taken.is_ok() {
            tracing::debug!("a connection was closed because the node stops");
        }
        taken
    }

    /// Turn after turn, until the connection or the node ends ([`Turn::Open`]).
    async fn take_all(&mut self, stream: &TcpStream) -> Result<Turn, Undeliverable> {
        let shared = self.shared.clone();
        let mut denied = Box::pin(self.caller.clone().ended());
        loop {
            let readable = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ok(Turn::Open),
                () = &mut denied => return Err(Undeliverable("the token of the sender is good for nothing any more".into())),
                readable = timeout(Duration::from_millis(LINES_IDLE_MS_MAX), stream.readable()) => readable,
            };
            if !matches!(readable, Ok(Ok(()))) {
                self.buffer.cut();
                self.deliver().await?;
                return Ok(Turn::Ended);
            }
            // Never closed, so it always comes.
            let _reading = shared.reading.acquire().await;
            let turn = self.turn(stream);
            self.deliver().await?;
            if turn == Turn::Ended {
                return Ok(turn);
            }
        }
    }

    /// Reads what the socket has, up to the bound of a turn.
    fn turn(&mut self, stream: &TcpStream) -> Turn {
        let mut chunk = Vec::with_capacity(LINES_READ_BYTES);
        let mut bytes = 0;
        while bytes < self.shared.mode.turn_bytes() {
            chunk.clear();
            match stream.try_read_buf(&mut chunk) {
                Ok(0) => {
                    self.buffer.end();
                    return Turn::Ended;
                }
                Ok(read) => {
                    bytes += read;
                    self.buffer.feed(&chunk);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "connection broke");
                    self.buffer.cut();
                    return Turn::Ended;
                }
            }
        }
        self.cover_rest();
        Turn::Open
    }

    /// Sees that the unfinished line has its share of memory; stores it in parts when there is none.
    fn cover_rest(&mut self) {
        let kib = self.buffer.rest_bytes().saturating_sub(LINES_REST_BYTES_FREE).div_ceil(1 << 10);
        if kib == 0 {
            self.rest = None;
            return;
        }
        let wanted = kib.saturating_sub(self.rest.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        match (self.shared.rest.clone().try_acquire_many_owned(wanted as u32), &mut self.rest) {
            (Ok(more), Some(rest)) => rest.merge(more),
            (Ok(all), rest) => *rest = Some(all),
            (Err(_), _) => {
                self.buffer.cut();
                self.rest = None;
            }
        }
    }

    /// Hands on all whole lines, and waits as the port's mode asks.
    async fn deliver(&mut self) -> Result<(), Undeliverable> {
        let groups = self.buffer.take();
        if groups.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let batches: Result<Vec<_>, _> =
            groups.into_iter().map(|group| shared.ingest.minted(&shared.stream, group)).collect();
        let batches = batches.map_err(|error| Undeliverable(error.to_string()))?;
        let entry = Entry { checkpoint: None, batches };
        // While the disk is full a fast connection waits like a durable one: nobody gains from lines thrown away.
        if shared.mode == Mode::Durable || shared.metrics.disk_full.get() != 0 {
            return shared.sink.deliver(entry, Durability::Stored).await;
        }
        let stored = shared.ingest.store(shared.mode.name(), entry, Durability::Received).await;
        stored.map_err(|error| Undeliverable(error.to_string()))
    }

    /// The node stops: takes what the kernel has received by now, and no more.
    async fn drain(&mut self, mut stream: std::net::TcpStream) -> Result<(), Undeliverable> {
        let received = rustix::io::ioctl_fionread(&stream).unwrap_or(0);
        let mut chunk = vec![0; LINES_READ_BYTES];
        let mut taken = 0;
        while taken <= received {
            match read(&mut stream, &mut chunk) {
                Ok(0) => {
                    self.buffer.end();
                    break;
                }
                Ok(bytes) => {
                    taken += bytes as u64;
                    self.buffer.feed(&chunk[..bytes]);
                    if self.buffer.lines_bytes() >= self.shared.mode.turn_bytes() {
                        self.deliver().await?;
                    }
                }
                Err(_) => break,
            }
        }
        self.buffer.cut();
        self.deliver().await
    }
}

fn read(stream: &mut std::net::TcpStream, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
