//! Ships lines over TCP, as forwarders of OK Log do: to its ingest nodes, and to the line ports of ours.
//!
//! The protocol has no answers, so nothing can be acknowledged: a line counts as delivered when the kernel has
//! taken it. What is done about that: a connection that its peer has ended is noticed before more is written to
//! it, a line whose write broke off is written again from its beginning to the next peer, and at the end of the
//! input the last connection is ended in order and its peer waited for. What a kernel held when a connection broke
//! is lost; `http://` targets lose nothing.
//!
//! The peers are taken in an order that is drawn once. After a failure the next one is tried, for ever, with a
//! pause that doubles until a write succeeds. While no peer takes lines the source waits.

mod run;
mod target;
mod text;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex as Turn;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_api::access::Secret;
use weir_record::limits::{
    FORWARD_LINES_BACKOFF_MS_MAX, FORWARD_LINES_BACKOFF_MS_MIN, FORWARD_LINES_END_MS_MAX,
};
use weir_record::mint::TimeBounds;
use weir_record::{Minter, RecordId};
use weir_storage::Entry;

use crate::clock;
use crate::config::Durability;
use crate::sources::sink::{Sink, Undeliverable};
pub(crate) use run::run;
use target::Target;
use text::Text;

/// Whether the targets of a configuration are line ports: all of them are, or none.
pub(crate) fn applies(forward_to: &[String]) -> bool {
    forward_to.first().is_some_and(|url| url.starts_with("tcp://"))
}

/// Writes what it is given to one line port after the other.
pub(crate) struct LineSink {
    line: Arc<Turn<Line>>,
    minter: Mutex<Minter>,
    stop: CancellationToken,
}

/// The one connection, and what comes after it.
struct Line {
    targets: Vec<Target>,
    next: usize,
    open: Option<TcpStream>,
    pause_ms: u64,
    text: Text,
    /// The first line of each connection, where there is one.
    greeting: Option<Greeting>,
}

/// A line with a secret in it, which nothing shows.
struct Greeting(Vec<u8>);

impl LineSink {
    /// A sink to the line ports at `urls`, which is not empty; each connection begins with the token, if there is one. Nothing is connected yet.
    pub(crate) fn new(urls: &[String], token: Option<&Secret>, stop: CancellationToken) -> LineSink {
        let mut targets: Vec<Target> = urls.iter().map(|url| Target::of(url)).collect();
        fastrand::shuffle(&mut targets);
        let line = Line {
            targets,
            next: 0,
            open: None,
            pause_ms: FORWARD_LINES_BACKOFF_MS_MIN,
            text: Text::default(),
            greeting: token.map(|secret| Greeting(format!("token {}\n", secret.reveal()).into_bytes())),
        };
        LineSink { line: Arc::new(Turn::new(line)), minter: Mutex::new(Minter::new(RecordId::MIN)), stop }
    }

    /// Ends the connection in order and waits until its peer has ended it, too: it has read all then. An error
    /// says that the last lines may be lost.
    pub(crate) async fn finish(&self) -> Result<(), String> {
        let mut line = self.line.lock().await;
        let Some(mut open) = line.open.take() else { return Ok(()) };
        let ended = async {
            open.shutdown().await?;
            // The peer says nothing; what it says all the same is not ours to understand.
            while open.read(&mut [0; 64]).await? > 0 {}
            io::Result::Ok(())
        };
        let wait_max = Duration::from_millis(FORWARD_LINES_END_MS_MAX);
        let why = match timeout(wait_max, ended).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not end the connection within {} s", wait_max.as_secs()),
        };
        Err(format!("the last lines may not have been taken: {why}"))
    }
}

impl Sink for LineSink {
    fn keeps_cursors(&self) -> bool {
        false
    }

    fn mint(&self, make: &mut dyn FnMut(&mut Minter, u64, u128, TimeBounds)) {
        // Ids are not sent; they only say in which order the lines came.
        let now_ms = clock::now_ms();
        make(&mut self.minter.lock(), now_ms, clock::id_entropy(), TimeBounds::at(now_ms, now_ms));
    }

    fn deliver(&self, entry: Entry, _: Durability) -> BoxFuture<'static, Result<(), Undeliverable>> {
        let (line, stop) = (self.line.clone(), self.stop.clone());
        Box::pin(async move { line.lock().await.deliver(&entry, &stop).await })
    }
}

impl Line {
    async fn deliver(&mut self, entry: &Entry, stop: &CancellationToken) -> Result<(), Undeliverable> {
        self.text.fill(&entry.batches);
        let mut from = 0;
        loop {
            let mut open = self.connection(stop).await?;
            match write(&mut open, &self.text.bytes()[from..]).await {
                Ok(()) => {
                    self.open = Some(open);
                    self.pause_ms = FORWARD_LINES_BACKOFF_MS_MIN;
                    return Ok(());
                }
                Err((written, error)) => {
                    from = self.text.line_at(from + written);
                    if written > 0 {
                        self.pause_ms = FORWARD_LINES_BACKOFF_MS_MIN;
                    }
                    tracing::warn!(to = %self.targets[self.next], %error, "the connection broke; going on elsewhere");
                    self.rotate();
                }
            }
        }
    }

    /// The connection that is open, or the first that can be opened.
    async fn connection(&mut self, stop: &CancellationToken) -> Result<TcpStream, Undeliverable> {
        if let Some(open) = self.open.take() {
            match ended(&open) {
                None => return Ok(open),
                Some(why) => {
                    tracing::warn!(to = %self.targets[self.next], why, "the peer ended the connection; going on elsewhere");
                    self.rotate();
                }
            }
        }
        loop {
            let target = &self.targets[self.next];
            let mut connected = target.connect().await;
            if let (Ok(open), Some(Greeting(line))) = (&mut connected, &self.greeting)
                && let Err(error) = open.write_all(line).await
            {
                connected = Err(error);
            }
            match connected {
                Ok(open) => return Ok(open),
                Err(error) => tracing::warn!(to = %target, %error, "cannot connect; trying on"),
            }
            self.rotate();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(self.pause_ms)) => {}
                () = stop.cancelled() => {
                    return Err(Undeliverable("no peer took the last lines before the process stopped".into()));
                }
            }
            self.pause_ms = (self.pause_ms * 2).min(FORWARD_LINES_BACKOFF_MS_MAX);
        }
    }

    fn rotate(&mut self) {
        self.next = (self.next + 1) % self.targets.len();
    }
}

/// Writes all, or says how much the kernel took before it failed.
async fn write(open: &mut TcpStream, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match open.write(bytes).await {
            Ok(0) => return Err((all - bytes.len(), ErrorKind::WriteZero.into())),
            Ok(written) => bytes = &bytes[written..],
            Err(error) => return Err((all - bytes.len(), error)),
        }
    }
    Ok(())
}

/// Whether the peer has ended a connection, as far as the kernel knows. What is written to such a connection is
/// taken, and lost.
fn ended(open: &TcpStream) -> Option<String> {
    let mut chunk = [0; 256];
    // A port that asks for tokens says why it turns somebody away.
    let mut said = None;
    loop {
        match open.try_read(&mut chunk) {
            Ok(0) => return Some(said.unwrap_or_else(|| "closed".into())),
            Ok(read) => {
                let text = String::from_utf8_lossy(&chunk[..read]);
                said.get_or_insert_with(|| {
                    text.lines().next().unwrap_or_default().escape_debug().to_string()
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
