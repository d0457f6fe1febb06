//! The little of AMQP 0-9-1 that a broker says to a consumer, written by hand: no client library vouches for itself.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

pub(crate) const FRAME_END: u8 = 0xce;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// Class of what is about messages.
const BASIC: u16 = 60;

/// Class and number of a method.
pub(crate) type Name = (u16, u16);

pub(crate) const START: Name = (10, 10);
pub(crate) const START_OK: Name = (10, 11);
pub(crate) const TUNE: Name = (10, 30);
pub(crate) const TUNE_OK: Name = (10, 31);
pub(crate) const OPEN: Name = (10, 40);
pub(crate) const OPEN_OK: Name = (10, 41);
pub(crate) const CLOSE: Name = (10, 50);
pub(crate) const CLOSE_OK: Name = (10, 51);
pub(crate) const BLOCKED: Name = (10, 60);
pub(crate) const UNBLOCKED: Name = (10, 61);
pub(crate) const CHANNEL_OPEN: Name = (20, 10);
pub(crate) const CHANNEL_OPEN_OK: Name = (20, 11);
pub(crate) const CHANNEL_CLOSE: Name = (20, 40);
pub(crate) const CHANNEL_CLOSE_OK: Name = (20, 41);
pub(crate) const DECLARE: Name = (50, 10);
pub(crate) const DECLARE_OK: Name = (50, 11);
pub(crate) const QOS: Name = (BASIC, 10);
pub(crate) const QOS_OK: Name = (BASIC, 11);
pub(crate) const CONSUME: Name = (BASIC, 20);
pub(crate) const CONSUME_OK: Name = (BASIC, 21);
pub(crate) const CANCEL: Name = (BASIC, 30);
pub(crate) const CANCEL_OK: Name = (BASIC, 31);
pub(crate) const DELIVER: Name = (BASIC, 60);
pub(crate) const ACK: Name = (BASIC, 80);
pub(crate) const NACK: Name = (BASIC, 120);

/// A method that came, on a channel.
pub(crate) struct Heard {
    pub(crate) channel: u16,
    pub(crate) name: Name,
    pub(crate) args: Vec<u8>,
}

/// The next method; heartbeats are passed over.
pub(crate) async fn hear(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Heard> {
    loop {
        let kind = from.read_u8().await?;
        let channel = from.read_u16().await?;
        let size = from.read_u32().await?;
        let mut payload = vec![0; size as usize];
        from.read_exact(&mut payload).await?;
        assert_eq!(from.read_u8().await?, FRAME_END, "a frame of the client ends where it says");
        if kind != METHOD {
            assert_eq!(kind, HEARTBEAT, "a consumer publishes nothing");
            continue;
        }
        let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        return Ok(Heard { channel, name: (number(0), number(2)), args: payload[4..].to_vec() });
    }
}

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    bytes.push(FRAME_END);
    bytes
}

pub(crate) fn method(channel: u16, name: Name, args: &[u8]) -> Vec<u8> {
    frame(METHOD, channel, &[&name.0.to_be_bytes(), &name.1.to_be_bytes(), args].concat())
}

/// A short text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// A long text.
pub(crate) fn long(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

/// The short text at a place among arguments.
pub(crate) fn text_at(args: &[u8], at: usize) -> String {
    let end = at + 1 + usize::from(args[at]);
    String::from_utf8(args[at + 1..end].to_vec()).unwrap()
}

/// Why something is closed: a code, a text, and the method that it is about.
pub(crate) fn reason(code: u16, why: &str, about: Name) -> Vec<u8> {
    [&code.to_be_bytes()[..], &text(why), &about.0.to_be_bytes(), &about.1.to_be_bytes()].concat()
}

/// One delivery.
pub(crate) struct Delivery<'a> {
    pub(crate) channel: u16,
    pub(crate) consumer: &'a str,
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
}

impl Delivery<'_> {
    /// Its method, and the header that announces `bytes` of a body.
    pub(crate) fn announced(&self, bytes: usize) -> Vec<u8> {
        let redelivered = [u8::from(self.redelivered)];
        let args =
            [&text(self.consumer)[..], &self.tag.to_be_bytes(), &redelivered, &text(""), &text("q")].concat();
        let header =
            [&BASIC.to_be_bytes()[..], &0_u16.to_be_bytes(), &(bytes as u64).to_be_bytes(), &[0, 0]].concat();
        [method(self.channel, DELIVER, &args), frame(HEADER, self.channel, &header)].concat()
    }

    /// All of it.
    pub(crate) fn whole(&self, body: &[u8]) -> Vec<u8> {
        [self.announced(body.len()), frame(BODY, self.channel, body)].concat()
    }
}
