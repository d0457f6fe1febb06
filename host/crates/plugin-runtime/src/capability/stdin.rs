//! Standard input. One thread reads it, since a read of a terminal cannot be cancelled; a bounded
//! buffer lies between, so that a slow source slows the writer; one instance at a time holds it.
//!
//! What an instance has taken and not handed over is lost with it: standard input cannot be read again.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use wasmtime::component::{HasSelf, Linker};
use weir_record::limits::{CAPABILITY_READ_BYTES_MAX, STDIN_BUFFER_BYTES_MAX};

use crate::capability::{Capability, Context, failure};
use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::wit::v1::weir::plugin::stdin;
use crate::wit::v1::weir::plugin::types::{Failure, Verdict};

/// One read of the thread.
const CHUNK_BYTES: usize = 64 << 10;

/// Standard input, or what a test puts in its place. The thread starts when an instance first holds it.
pub struct StdinHub {
    buffer: Mutex<Buffer>,
    filled: Notify,
    drained: Condvar,
}

struct Buffer {
    input: Option<Box<dyn Read + Send>>,
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are taken already.
    taken: usize,
    bytes: usize,
    /// Set once nothing more comes; an error, or the end.
    ended: Option<Result<(), String>>,
    held: bool,
}

impl StdinHub {
    /// The standard input of the process: always the same one.
    pub fn process() -> Arc<StdinHub> {
        static PROCESS: OnceLock<Arc<StdinHub>> = OnceLock::new();
        Arc::clone(PROCESS.get_or_init(|| StdinHub::of(io::stdin())))
    }

    /// Another input.
    pub fn of(input: impl Read + Send + 'static) -> Arc<StdinHub> {
        Arc::new(StdinHub {
            buffer: Mutex::new(Buffer {
                input: Some(Box::new(input)),
                chunks: VecDeque::new(),
                taken: 0,
                bytes: 0,
                ended: None,
                held: false,
            }),
            filled: Notify::new(),
            drained: Condvar::new(),
        })
    }

    fn hold(self: &Arc<StdinHub>) -> Result<Held, String> {
        let mut buffer = self.buffer.lock();
        if buffer.held {
            return Err("standard input is held by another source; only one may have `grants.stdin`".into());
        }
        if let Some(input) = buffer.input.take() {
            let hub = Arc::clone(self);
            let started = thread::Builder::new().name("weir-stdin".into()).spawn(move || hub.fill(input));
            started.map_err(|error| format!("the thread that reads standard input cannot start: {error}"))?;
        }
        buffer.held = true;
        Ok(Held(Arc::clone(self)))
    }

    /// The thread: reads as long as there is room.
    fn fill(&self, mut input: Box<dyn Read + Send>) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match input.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            let mut buffer = self.buffer.lock();
            match read {
                Ok(0) => buffer.ended = Some(Ok(())),
                Ok(count) => {
                    buffer.bytes += count;
                    buffer.chunks.push_back(chunk[..count].to_vec());
                }
                Err(error) => buffer.ended = Some(Err(error.to_string())),
            }
            self.filled.notify_one();
            if buffer.ended.is_some() {
                return;
            }
            while buffer.bytes >= STDIN_BUFFER_BYTES_MAX {
                self.drained.wait(&mut buffer);
            }
        }
    }

    /// What there is, at most `max` bytes; `None` when nothing is there yet.
    fn take(&self, max: usize) -> Option<Result<Option<Vec<u8>>, String>> {
        let mut buffer = self.buffer.lock();
        if buffer.bytes == 0 {
            return buffer.ended.clone().map(|ended| ended.map(|()| None));
        }
        let mut out = Vec::with_capacity(max.min(buffer.bytes));
        while let Some(first) = buffer.chunks.front() {
            let rest = &first[buffer.taken..];
            let part = rest.len().min(max - out.len());
            out.extend_from_slice(&rest[..part]);
            if part < rest.len() {
                buffer.taken += part;
                break;
            }
            buffer.taken = 0;
            buffer.chunks.pop_front();
        }
        buffer.bytes -= out.len();
        self.drained.notify_one();
        Some(Ok(Some(out)))
    }

    async fn read(&self, max: usize) -> Result<Option<Vec<u8>>, String> {
        loop {
            // One instance holds it, so one waiter; a permit of before is one turn more.
            let filled = self.filled.notified();
            if let Some(taken) = self.take(max) {
                return taken;
            }
            filled.await;
        }
    }
}

/// Proof that an instance holds the input.
struct Held(Arc<StdinHub>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.buffer.lock().held = false;
    }
}

/// The input as far as it is granted to an instance.
pub(crate) struct Stdin(Option<Held>);

impl Capability for Stdin {
    const NAME: &'static str = "stdin";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        stdin::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(_need: &Need, grants: &Grants) -> Option<String> {
        (!grants.stdin).then(|| "grants.stdin = true".into())
    }

    fn prepare(grants: &Grants, context: &Context) -> Result<Stdin, String> {
        let held = grants.stdin.then(|| context.stdin.hold()).transpose()?;
        Ok(Stdin(held))
    }
}

impl stdin::Host for State {
    async fn read(&mut self, max: u32, wait_ms: u32) -> Result<Option<Vec<u8>>, Failure> {
        let Some(Held(hub)) = &self.stdin.0 else {
            let message = "standard input is not granted to this source; add `grants.stdin = true` to it";
            return Err(failure(Verdict::BadConfig, "stdin.not-granted", message));
        };
        let max = (max as usize).min(CAPABILITY_READ_BYTES_MAX);
        match self.timing.wait(wait_ms, hub.read(max)).await {
            None => Ok(Some(Vec::new())),
            Some(Ok(read)) => Ok(read),
            Some(Err(error)) => {
                let message = format!("standard input cannot be read: {error}");
                Err(failure(Verdict::Fatal, "stdin.io", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives chunks of uneven size, then an error or the end.
    struct Script(Vec<io::Result<Vec<u8>>>);

    impl Read for Script {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let chunk = self.0.remove(0)?;
            into[..chunk.len()].copy_from_slice(&chunk);
            Ok(chunk.len())
        }
    }

    #[tokio::test]
    async fn bytes_come_in_order_and_then_the_end() {
        let chunks = [b"ab".to_vec(), b"c".to_vec(), vec![b'x'; CHUNK_BYTES]];
        let hub = StdinHub::of(Script(chunks.into_iter().map(Ok).collect()));
        let held = hub.hold().unwrap();
        let mut all = Vec::new();
        while let Some(part) = hub.read(7).await.unwrap() {
            assert!(!part.is_empty() && part.len() <= 7);
            all.extend(part);
        }
        assert_eq!(all.len(), CHUNK_BYTES + 3);
        assert!(all.starts_with(b"abcx"));
        drop(held);
    }

    #[tokio::test]
    async fn an_error_comes_after_the_bytes_before_it() {
        let hub = StdinHub::of(Script(vec![Ok(b"a".to_vec()), Err(io::Error::other("gone"))]));
        let _held = hub.hold().unwrap();
        assert_eq!(hub.read(9).await, Ok(Some(b"a".to_vec())));
        assert_eq!(hub.read(9).await, Err("gone".into()));
        assert_eq!(hub.read(9).await, Err("gone".into()));
    }

    #[tokio::test]
    async fn one_instance_holds_it_and_the_next_goes_on_where_it_left() {
        let hub = StdinHub::of(&b"abcdef"[..]);
        let held = hub.hold().unwrap();
        assert!(hub.hold().is_err());
        assert_eq!(hub.read(2).await, Ok(Some(b"ab".to_vec())));
        drop(held);
        let _held = hub.hold().unwrap();
        assert_eq!(hub.read(9).await, Ok(Some(b"cdef".to_vec())));
        assert_eq!(hub.read(9).await, Ok(None));
    }

    #[tokio::test]
    async fn no_more_is_read_ahead_than_the_buffer_holds() {
        struct Endless(Arc<Mutex<usize>>);
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                *self.0.lock() += into.len();
                Ok(into.len())
            }
        }
        let read = Arc::new(Mutex::new(0));
        let hub = StdinHub::of(Endless(Arc::clone(&read)));
        let _held = hub.hold().unwrap();
        let mut taken = 0;
        while taken < 4 * STDIN_BUFFER_BYTES_MAX {
            taken += hub.read(CAPABILITY_READ_BYTES_MAX).await.unwrap().unwrap().len();
            assert!(*read.lock() <= taken + STDIN_BUFFER_BYTES_MAX + 2 * CHUNK_BYTES);
        }
    }
}
