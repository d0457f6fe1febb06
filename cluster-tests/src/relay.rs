//! A stable address in front of a node that comes and goes, and that can lose answers or spoil them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// What becomes of the bytes that a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// They are replaced by others, which are no HTTP.
    Garbage,
    /// So many come through on each connection, and then it ends.
    Cut(usize),
    /// So many come through on each connection, and then none, for as long as the client waits.
    Silence(usize),
    /// The bytes that are digits stand for others: lengths, counts, ids and sums lie.
    Lies,
}

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
    spoil: Mutex<Option<Spoil>>,
    spoilt: AtomicU64,
    sound: AtomicU64,
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

    /// From now on answers are spoilt, also on connections that are open; with `None` they are as they were sent.
    pub fn spoil(&self, spoil: Option<Spoil>) {
        *self.shared.spoil.lock().unwrap_or_else(PoisonError::into_inner) = spoil;
    }

    /// Answers, or parts of them, that were spoilt so far.
    pub fn spoilt(&self) -> u64 {
        self.shared.spoilt.load(Ordering::Acquire)
    }

    /// The same of those that went through as they were.
    pub fn sound(&self) -> u64 {
        self.shared.sound.load(Ordering::Acquire)
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
            scope.spawn(|| copy(client_in, &node, |_| Passed::All));
            let mut passed = 0;
            copy(node_in, client, |bytes| {
                let lose = |left: u64| left.checked_sub(1);
                if self.answers_to_lose.fetch_update(Ordering::AcqRel, Ordering::Acquire, lose).is_ok() {
                    return Passed::Some(0);
                }
                let before = passed;
                passed += bytes.len();
                let spoil = *self.spoil.lock().unwrap_or_else(PoisonError::into_inner);
                let passed = match spoil {
                    None => {
                        self.sound.fetch_add(1, Ordering::AcqRel);
                        return Passed::All;
                    }
                    Some(Spoil::Garbage) => {
                        for byte in bytes.iter_mut() {
                            *byte = byte.wrapping_mul(31) ^ 0x9a;
                        }
                        Passed::All
                    }
                    Some(Spoil::Lies) => {
                        bytes.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte ^= 1);
                        Passed::All
                    }
                    Some(Spoil::Cut(most)) if passed > most => Passed::Some(most.saturating_sub(before)),
                    Some(Spoil::Silence(most)) if passed > most => Passed::Nothing,
                    Some(Spoil::Cut(_) | Spoil::Silence(_)) => return Passed::All,
                };
                self.spoilt.fetch_add(1, Ordering::AcqRel);
                passed
            });
        });
    }
}

/// How much of what was read is passed on.
enum Passed {
    All,
    /// So many bytes, and then the connection ends.
    Some(usize),
    /// Nothing, and the connection stays.
    Nothing,
}

/// Copies until either side ends or `look` says so, then ends both. `look` may change what is passed on.
fn copy(mut from: TcpStream, mut to: &TcpStream, mut look: impl FnMut(&mut [u8]) -> Passed) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get_mut(..count) else { break };
        let passed = match look(bytes) {
            Passed::All => count,
            Passed::Some(some) => some.min(count),
            Passed::Nothing => continue,
        };
        if to.write_all(&bytes[..passed]).is_err() || passed < count {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
