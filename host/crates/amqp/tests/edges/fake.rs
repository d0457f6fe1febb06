//! A broker that does as it is told: one queue, and for each connection a fault.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::wire::{self, Delivery, Heard, Name};

/// Largest frame that is agreed on.
const FRAME_BYTES_MAX: u32 = 4096;
/// Deliveries of a connection before its fault.
const BEFORE: u64 = 3;

/// What a broker does wrong on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It ends the connection before it says a word.
    HangUp,
    /// It speaks another version of the protocol, and says so.
    OtherProtocol,
    /// It is no broker at all.
    Http,
    /// It never answers.
    Silence,
    /// Half a frame, and the end.
    HalfStart,
    /// It does not take the password.
    NoAccess,
    /// The queue is not there.
    NoQueue,
    /// It never answers the declaration.
    SilentDeclare,
    /// It ends the connection in the middle of the declaration.
    EndInDeclare,
    /// It answers another question than the one that was put.
    OtherAnswer,
    /// After some messages, the end.
    End,
    /// After some messages, half a message and the end.
    HalfMessage,
    /// After some messages, bytes that are no frame.
    Garbage,
    /// After some messages, a frame without its last byte where it belongs.
    NoFrameEnd,
    /// After some messages, a frame that is longer than was agreed on.
    LongFrame,
    /// After some messages, a message that is longer than it was announced.
    LongBody,
    /// After some messages, one for a consumer that there is not.
    UnknownConsumer,
    /// After some messages, one with a tag that was used.
    TagAgain,
    /// After some messages, one with a tag too high.
    TagAhead,
    /// After some messages, not a word more, and no heartbeats.
    NoHeartbeats,
    /// In the middle of a batch the consumer is cancelled.
    Cancel,
    /// In the middle of a batch the channel is closed.
    CloseChannel,
    /// In the middle of a batch the connection is closed in order.
    CloseConnection,
    /// It refuses the first acknowledgement.
    RefuseAck,
    /// It says that it takes no publications for now.
    Blocked,
}

/// What it knows, and has seen.
#[derive(Default)]
pub(crate) struct State {
    waiting: VecDeque<(String, bool)>,
    faults: VecDeque<Fault>,
    /// What the consumer says is stored.
    pub(crate) stored: BTreeSet<String>,
    /// What it was told to forget.
    pub(crate) forgotten: BTreeSet<String>,
    /// Messages that it was told to forget before they were stored.
    pub(crate) early: Vec<String>,
    pub(crate) connections: usize,
    /// Times that messages were given back to it.
    pub(crate) nacks: usize,
}

/// A running one. Ends with its runtime.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    /// It was told to forget messages, or got some back.
    pub(crate) told: Arc<Notify>,
}

impl Fake {
    /// One with messages in its queue and a fault for each of its first connections.
    pub(crate) async fn start(messages: Vec<String>, faults: &[Fault]) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = messages.into_iter().map(|body| (body, false)).collect();
        let state = State { waiting, faults: faults.iter().copied().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let told = Arc::new(Notify::new());
        let (shared, tells) = (state.clone(), told.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fault = {
                    let mut state = shared.lock();
                    state.connections += 1;
                    state.faults.pop_front().unwrap_or(Fault::None)
                };
                tokio::spawn(serve(stream, fault, shared.clone(), tells.clone()));
            }
        });
        Fake { address, state, told }
    }
}

async fn serve(mut stream: TcpStream, fault: Fault, state: Arc<Mutex<State>>, told: Arc<Notify>) {
    if let Err(error) = greet(&mut stream, fault).await {
        assert!(error.kind() != io::ErrorKind::InvalidData, "{fault:?}: {error}");
        return;
    }
    let (read, write) = stream.into_split();
    let (hears, heard) = mpsc::unbounded_channel();
    tokio::spawn(listen(read, hears));
    let mut session =
        Session { write, fault, state, told, consumer: None, tag: 0, unacked: VecDeque::new(), said: false };
    let _ = session.run(heard).await;
    session.give_back();
}

async fn listen(mut read: OwnedReadHalf, hears: mpsc::UnboundedSender<Heard>) {
    while let Ok(heard) = wire::hear(&mut read).await {
        if hears.send(heard).is_err() {
            break;
        }
    }
}

/// The end of a connection that the fault is about.
fn over() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// Waits until the client has had enough.
async fn until_gone(stream: &mut TcpStream) -> io::Error {
    let mut bytes = [0; 256];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    over()
}

/// From the protocol's header to the open connection.
async fn greet(stream: &mut TcpStream, fault: Fault) -> io::Result<()> {
    if fault == Fault::HangUp {
        return Err(over());
    }
    let mut header = [0; 8];
    stream.read_exact(&mut header).await?;
    assert_eq!(&header, b"AMQP\0\0\x09\x01");
    let start = [&[0, 9, 0, 0, 0, 0][..], &wire::long("PLAIN AMQPLAIN"), &wire::long("en_US")].concat();
    let start = wire::method(0, wire::START, &start);
    match fault {
        Fault::OtherProtocol => {
            stream.write_all(b"AMQP\0\x01\x00\x00").await?;
            return Err(over());
        }
        Fault::Http => {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
            return Err(over());
        }
        Fault::Silence => return Err(until_gone(stream).await),
        Fault::HalfStart => {
            stream.write_all(&start[..start.len() / 2]).await?;
            return Err(over());
        }
        _ => stream.write_all(&start).await?,
    }
    expect(stream, wire::START_OK).await?;
    if fault == Fault::NoAccess {
        let refused = wire::reason(403, "ACCESS_REFUSED - Login was refused", wire::START_OK);
        stream.write_all(&wire::method(0, wire::CLOSE, &refused)).await?;
        return Err(until_gone(stream).await);
    }
    let tune = [&2047_u16.to_be_bytes()[..], &FRAME_BYTES_MAX.to_be_bytes(), &60_u16.to_be_bytes()].concat();
    stream.write_all(&wire::method(0, wire::TUNE, &tune)).await?;
    expect(stream, wire::TUNE_OK).await?;
    expect(stream, wire::OPEN).await?;
    stream.write_all(&wire::method(0, wire::OPEN_OK, &wire::text(""))).await
}

async fn expect(stream: &mut TcpStream, name: Name) -> io::Result<()> {
    let heard = wire::hear(stream).await?;
    if heard.name == name { Ok(()) } else { Err(over()) }
}

/// One open connection.
struct Session {
    write: OwnedWriteHalf,
    fault: Fault,
    state: Arc<Mutex<State>>,
    told: Arc<Notify>,
    /// Channel and tag.
    consumer: Option<(u16, String)>,
    tag: u64,
    unacked: VecDeque<(u64, String)>,
    /// The fault has happened.
    said: bool,
}

impl Session {
    async fn run(&mut self, mut heard: mpsc::UnboundedReceiver<Heard>) -> io::Result<()> {
        let mut prefetch = 0;
        while let Some(heard) = heard.recv().await {
            let Heard { channel, name, args } = heard;
            if self.fault == Fault::NoHeartbeats && self.said {
                continue;
            }
            match name {
                wire::CHANNEL_OPEN => self.say(channel, wire::CHANNEL_OPEN_OK, &wire::long("")).await?,
                wire::DECLARE => self.declared(channel).await?,
                wire::QOS => {
                    prefetch = usize::from(u16::from_be_bytes([args[4], args[5]]));
                    self.say(channel, wire::QOS_OK, &[]).await?;
                }
                wire::CONSUME => {
                    let queue = wire::text_at(&args, 2);
                    let tag = wire::text_at(&args, 3 + queue.len());
                    self.say(channel, wire::CONSUME_OK, &wire::text(&tag)).await?;
                    self.consumer = Some((channel, tag));
                }
                wire::CANCEL => {
                    self.consumer = None;
                    self.say(channel, wire::CANCEL_OK, &wire::text(&wire::text_at(&args, 0))).await?;
                }
                wire::ACK => {
                    if self.fault == Fault::RefuseAck && !std::mem::replace(&mut self.said, true) {
                        let why = "PRECONDITION_FAILED - unknown delivery tag 1";
                        self.say(channel, wire::CHANNEL_CLOSE, &wire::reason(406, why, wire::ACK)).await?;
                        self.give_back();
                        continue;
                    }
                    self.acked(&args);
                    self.told.notify_one();
                }
                wire::NACK => {
                    self.state.lock().nacks += 1;
                    self.give_back();
                    self.told.notify_one();
                }
                wire::CHANNEL_CLOSE => self.say(channel, wire::CHANNEL_CLOSE_OK, &[]).await?,
                wire::CLOSE => return self.say(channel, wire::CLOSE_OK, &[]).await,
                wire::CLOSE_OK => return Ok(()),
                _ => {}
            }
            self.deliver(prefetch).await?;
        }
        Ok(())
    }

    async fn say(&mut self, channel: u16, name: Name, args: &[u8]) -> io::Result<()> {
        self.write.write_all(&wire::method(channel, name, args)).await
    }

    async fn declared(&mut self, channel: u16) -> io::Result<()> {
        match self.fault {
            Fault::EndInDeclare => return Err(over()),
            Fault::SilentDeclare => return Ok(()),
            Fault::OtherAnswer => return self.say(channel, wire::QOS_OK, &[]).await,
            Fault::NoQueue => {
                let why = wire::reason(404, "NOT_FOUND - no queue 'q'", wire::DECLARE);
                return self.say(channel, wire::CHANNEL_CLOSE, &why).await;
            }
            _ => {}
        }
        let counts = [7_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat();
        self.say(channel, wire::DECLARE_OK, &[wire::text("q"), counts].concat()).await
    }

    /// Delivers what the consumer may have, and does the fault on the way.
    async fn deliver(&mut self, prefetch: usize) -> io::Result<()> {
        while let Some((channel, consumer)) = self.consumer.clone() {
            if self.tag == BEFORE && self.fault != Fault::RefuseAck && !self.said {
                self.said = true;
                self.misbehave(channel, &consumer).await?;
                continue;
            }
            if self.unacked.len() >= prefetch || self.fault == Fault::NoHeartbeats && self.said {
                return Ok(());
            }
            let Some((body, redelivered)) = self.state.lock().waiting.pop_front() else { return Ok(()) };
            self.tag += 1;
            self.unacked.push_back((self.tag, body.clone()));
            let delivery = Delivery { channel, consumer: &consumer, tag: self.tag, redelivered };
            self.write.write_all(&delivery.whole(body.as_bytes())).await?;
        }
        Ok(())
    }

    async fn misbehave(&mut self, channel: u16, consumer: &str) -> io::Result<()> {
        let next = Delivery { channel, consumer, tag: self.tag + 1, redelivered: false };
        let bytes = match self.fault {
            Fault::End => return Err(over()),
            Fault::HalfMessage => {
                let whole = next.whole(b"half of this");
                self.write.write_all(&whole[..whole.len() - 7]).await?;
                return Err(over());
            }
            Fault::Garbage => vec![0xa5; 64],
            Fault::NoFrameEnd => {
                let mut bytes = next.whole(b"no end");
                let last = bytes.len() - 1;
                bytes[last] = 0;
                bytes
            }
            Fault::LongFrame => next.whole(&vec![b'x'; 2 * FRAME_BYTES_MAX as usize]),
            Fault::LongBody => [next.announced(3), wire::frame(3, channel, b"longer than that")].concat(),
            Fault::UnknownConsumer => {
                self.tag += 1;
                Delivery { consumer: "nobody", ..next }.whole(b"for nobody")
            }
            Fault::TagAgain => Delivery { tag: self.tag, ..next }.whole(b"again"),
            Fault::TagAhead => Delivery { tag: self.tag + 5, ..next }.whole(b"ahead"),
            Fault::Cancel => {
                self.consumer = None;
                wire::method(channel, wire::CANCEL, &[wire::text(consumer), vec![1]].concat())
            }
            Fault::CloseChannel => {
                self.consumer = None;
                let why = wire::reason(541, "INTERNAL_ERROR", (0, 0));
                wire::method(channel, wire::CHANNEL_CLOSE, &why)
            }
            Fault::CloseConnection => {
                self.consumer = None;
                wire::method(0, wire::CLOSE, &wire::reason(320, "CONNECTION_FORCED - maintenance", (0, 0)))
            }
            Fault::Blocked => {
                let blocked = wire::method(0, wire::BLOCKED, &wire::text("low on memory"));
                [blocked, wire::method(0, wire::UNBLOCKED, &[])].concat()
            }
            _ => Vec::new(),
        };
        self.write.write_all(&bytes).await
    }

    fn acked(&mut self, args: &[u8]) {
        let tag = u64::from_be_bytes(args[..8].try_into().unwrap());
        let multiple = args[8] & 1 == 1;
        let mut state = self.state.lock();
        self.unacked.retain(|(of, body)| {
            let acked = *of == tag || multiple && *of < tag;
            if acked {
                if !state.stored.contains(body) {
                    state.early.push(body.clone());
                }
                state.forgotten.insert(body.clone());
            }
            !acked
        });
    }

    /// What was not acknowledged comes again, in its order.
    fn give_back(&mut self) {
        let mut state = self.state.lock();
        for (_, body) in self.unacked.drain(..).rev() {
            state.waiting.push_front((body, true));
        }
    }
}
