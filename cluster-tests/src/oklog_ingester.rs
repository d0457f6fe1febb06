//! An ingester of OK Log, as the original answers on `/ingest/*`, defects included: one read per claim, a commit that
//! needs no more than a read that began, claims that lapse, 404 alike for nothing and for no such thing.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A scripted ingester. Stops when it is dropped.
pub struct OklogIngester {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Log>,
    pending_timeout: Duration,
    reads_to_cut: AtomicU64,
    commit_answers_to_lose: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Log {
    /// Segments that wait, with when they were written: the oldest is offered first, also after it came back.
    flushed: VecDeque<(u64, Vec<u8>)>,
    pending: HashMap<String, Pending>,
    written: u64,
    claims: u64,
    committed: u64,
    lapsed: u64,
}

struct Pending {
    age: u64,
    segment: Vec<u8>,
    is_read: bool,
    deadline: Instant,
}

impl OklogIngester {
    /// An ingester without segments, whose claims lapse after `pending_timeout` (the original: a minute).
    pub fn start(pending_timeout: Duration) -> Result<OklogIngester> {
        let listener = TcpListener::bind("127.0.0.1:0").context("bind an ingester")?;
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            pending_timeout,
            reads_to_cut: AtomicU64::new(0),
            commit_answers_to_lose: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let ingester = OklogIngester { address: listener.local_addr()?, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                if shared.stopped.load(Ordering::Acquire) {
                    return;
                }
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Ok(ingester)
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has a segment flushed.
    pub fn flush(&self, segment: &[u8]) {
        let mut log = self.shared.log();
        log.written += 1;
        let age = log.written;
        log.flushed.push_back((age, segment.to_vec()));
    }

    /// Has all claims lapse now, however little of their time is over. How many there were.
    pub fn let_claims_lapse(&self) -> usize {
        let mut log = self.shared.log();
        let claims: Vec<String> = log.pending.keys().cloned().collect();
        for id in &claims {
            log.lapsed += 1;
            log.give_back(id);
        }
        claims.len()
    }

    /// The next so many reads end in mid-body.
    pub fn cut_reads(&self, count: u64) {
        self.shared.reads_to_cut.store(count, Ordering::Release);
    }

    /// The next so many commits are done, and their answers get lost.
    pub fn lose_commit_answers(&self, count: u64) {
        self.shared.commit_answers_to_lose.store(count, Ordering::Release);
    }

    /// Segments that are not committed.
    pub fn segments(&self) -> usize {
        let log = self.shared.log();
        log.flushed.len() + log.pending.len()
    }

    /// Segments that are claimed.
    pub fn claimed(&self) -> usize {
        self.shared.log().pending.len()
    }

    /// Segments committed, and claims that have lapsed.
    pub fn committed_and_lapsed(&self) -> (u64, u64) {
        let log = self.shared.log();
        (log.committed, log.lapsed)
    }
}

impl Drop for OklogIngester {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// What is done with a request.
enum Answer {
    Text(u16, String),
    Segment(Vec<u8>),
    /// The connection ends without one.
    Lost,
}

impl Shared {
    /// The log, with claims given back whose time is over.
    fn log(&self) -> MutexGuard<'_, Log> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let late: Vec<String> =
            log.pending.iter().filter(|(_, claim)| claim.deadline <= now).map(|(id, _)| id.clone()).collect();
        for id in late {
            log.lapsed += 1;
            log.give_back(&id);
        }
        log
    }

    fn serve(&self, mut client: TcpStream) {
        let Ok(reading) = client.set_nodelay(true).and_then(|()| client.try_clone()) else { return };
        let mut lines = BufReader::new(reading).lines();
        while let Some(Ok(request)) = lines.next() {
            // Requests of this API have no body.
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            if self.stopped.load(Ordering::Acquire) || self.answer(&request, &mut client).is_none() {
                return;
            }
        }
    }

    /// Answers one request. `None` when the connection is over.
    fn answer(&self, request: &str, client: &mut TcpStream) -> Option<()> {
        let mut words = request.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, id) = target.split_once("?id=").unwrap_or((target, ""));
        let answer = match (method, path) {
            ("GET", "/ingest/next") => self.next(),
            ("GET", "/ingest/read") => self.read(id),
            ("POST", "/ingest/commit") => self.commit(id),
            ("POST", "/ingest/failed") => {
                if self.log().give_back(id) {
                    Answer::Text(200, "Failed OK".into())
                } else {
                    not_found()
                }
            }
            ("GET", "/ingest/_segmentstate") => {
                Answer::Text(200, format!("{} pending\n", self.log().pending.len()))
            }
            _ => not_found(),
        };
        let common = "Vary: Origin\r\nContent-Type: text/plain; charset=utf-8\r\n";
        match answer {
            Answer::Lost => None,
            Answer::Text(status, text) => {
                let length = text.len();
                let head = format!("HTTP/1.1 {status} X\r\n{common}Content-Length: {length}\r\n\r\n{text}");
                client.write_all(head.as_bytes()).ok()
            }
            Answer::Segment(segment) => {
                client
                    .write_all(
                        format!("HTTP/1.1 200 OK\r\n{common}Transfer-Encoding: chunked\r\n\r\n").as_bytes(),
                    )
                    .ok()?;
                let is_cut = took(&self.reads_to_cut);
                let whole = if is_cut { &segment[..segment.len() / 2] } else { &segment[..] };
                for chunk in whole.chunks(4096) {
                    client.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).ok()?;
                    client.write_all(chunk).ok()?;
                    client.write_all(b"\r\n").ok()?;
                }
                if is_cut { None } else { client.write_all(b"0\r\n\r\n").ok() }
            }
        }
    }

    fn next(&self) -> Answer {
        let mut log = self.log();
        let Some((age, segment)) = log.flushed.pop_front() else { return not_found() };
        log.claims += 1;
        let id = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), log.claims);
        let deadline = Instant::now() + self.pending_timeout;
        log.pending.insert(id.clone(), Pending { age, segment, is_read: false, deadline });
        Answer::Text(200, id)
    }

    fn read(&self, id: &str) -> Answer {
        match self.log().pending.get_mut(id) {
            None => not_found(),
            Some(claim) if claim.is_read => {
                Answer::Text(500, "another client is already reading this segment\n".into())
            }
            Some(claim) => {
                claim.is_read = true;
                Answer::Segment(claim.segment.clone())
            }
        }
    }

    fn commit(&self, id: &str) -> Answer {
        let mut log = self.log();
        match log.pending.get(id).map(|claim| claim.is_read) {
            None => not_found(),
            Some(false) => Answer::Text(428, "segment hasn't been read yet, can't commit\n".into()),
            Some(true) => {
                log.pending.remove(id);
                log.committed += 1;
                if took(&self.commit_answers_to_lose) {
                    Answer::Lost
                } else {
                    Answer::Text(200, "Commit OK".into())
                }
            }
        }
    }
}

impl Log {
    /// Offers the segment of a claim again; `false` when there is no such claim.
    fn give_back(&mut self, id: &str) -> bool {
        let Some(claim) = self.pending.remove(id) else { return false };
        let place = self.flushed.partition_point(|(age, _)| *age < claim.age);
        self.flushed.insert(place, (claim.age, claim.segment));
        true
    }
}

fn not_found() -> Answer {
    Answer::Text(404, "404 page not found\n".into())
}

/// Counts down; whether there was something left.
fn took(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
}
