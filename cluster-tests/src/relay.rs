//! A stable address in front of a node that comes and goes, and that can lose answers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Passes connections on to where it leads; closes them when that is nowhere.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    answers_to_lose: AtomicU64,
    requests: AtomicU64,
}

impl Relay {
    /// A relay that leads nowhere yet.
    pub fn start() -> Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0").context("bind a relay")?;
        let relay = Relay { address: listener.local_addr()?, shared: Arc::default() };
        let shared = Arc::clone(&relay.shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.pass(&client));
            }
        });
        Ok(relay)
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on new connections go to the node at a URL; to nobody with `None`.
    pub fn lead_to(&self, url: Option<&str>) -> Result<()> {
        let address = url.map(|url| url.trim_start_matches("http://").parse()).transpose()?;
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = address;
        Ok(())
    }

    /// The next so many answers get lost: the node has done its work, the client sees the connection end.
    pub fn lose_answers(&self, count: u64) {
        self.shared.answers_to_lose.store(count, Ordering::Release);
    }

    /// Answers that are still to be lost.
    pub fn answers_to_lose(&self) -> u64 {
        self.shared.answers_to_lose.load(Ordering::Acquire)
    }

    /// Connections that were tried while it led nowhere.
    pub fn turned_away(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }
}

impl Shared {
    fn pass(&self, client: &TcpStream) {
        let target = *self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let node = target.and_then(|target| TcpStream::connect(target).ok());
        let Some(node) = node else {
            self.requests.fetch_add(1, Ordering::AcqRel);
            return;
        };
        let (Ok(client_in), Ok(node_in)) = (client.try_clone(), node.try_clone()) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| copy(client_in, &node, || false));
            let loses = || {
                let lose = |left: u64| left.checked_sub(1);
                self.answers_to_lose.fetch_update(Ordering::AcqRel, Ordering::Acquire, lose).is_ok()
            };
            copy(node_in, client, loses);
        });
    }
}

/// Copies until either side ends or `stop` says so, then ends both.
fn copy(mut from: TcpStream, mut to: &TcpStream, stop: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if stop() || buffer.get(..count).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
