//! The bytes of the protocol that foca speaks.
//!
//! Integers are little-endian. In order:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | sender | identity | see below |
//! | incarnation | u16 | of the sender |
//! | receiver | identity | node and bump 0: whoever is at that address |
//! | message | u8 | 0 ping, 1 ack, 2 ping request, 3 indirect ping, 4 indirect ack, 5 forwarded ack, 6 announce, 7 feed, 8 gossip, 9 broadcast, 10 "you are taken for dead" |
//! | whom | identity | messages 2 to 5 |
//! | probe | u8 | messages 0 to 5 |
//! | updates | … | u16 (big-endian, foca writes it) count; each: identity, incarnation (u16), state (u8: 0 alive, 1 suspect, 2 down) |
//!
//! An identity is a u8 (4 or 6), the IP address (4 or 16 bytes), the port (u16), the node (u64), the bump (u64).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BufMut};
use foca::{Header, Member, Message, State};

use crate::identity::Identity;

/// Reads and writes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec;

/// Bytes that are no message, or no room for one. Changes no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// They end too early.
    #[error("a message ends too early")]
    Short,
    /// A number that stands for nothing.
    #[error("a message has an unknown {0}")]
    Unknown(&'static str),
    /// The datagram is full.
    #[error("no room in the datagram")]
    Full,
}

/// The longest identity: IPv6.
const IDENTITY_BYTES_MAX: usize = 1 + 16 + 2 + 8 + 8;

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        let mut out = Vec::with_capacity(3 * IDENTITY_BYTES_MAX + 4);
        put_identity(&mut out, &header.src);
        out.put_u16_le(header.src_incarnation);
        put_identity(&mut out, &header.dst);
        put_message(&mut out, &header.message);
        put(&out, buf)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        let src = identity(&mut buf)?;
        let src_incarnation = u16(&mut buf)?;
        let dst = identity(&mut buf)?;
        Ok(Header { src, src_incarnation, dst, message: message(&mut buf)? })
    }

    fn encode_member(&mut self, member: &Member<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        let mut out = Vec::with_capacity(IDENTITY_BYTES_MAX + 3);
        put_identity(&mut out, member.id());
        out.put_u16_le(member.incarnation());
        out.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put(&out, buf)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        let id = identity(&mut buf)?;
        let incarnation = u16(&mut buf)?;
        let state = match u8(&mut buf)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(CodecError::Unknown("state")),
        };
        Ok(Member::new(id, incarnation, state))
    }
}

/// All or nothing: foca goes on with what fits.
fn put(bytes: &[u8], mut buf: impl BufMut) -> Result<(), CodecError> {
    if buf.remaining_mut() < bytes.len() {
        return Err(CodecError::Full);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// Appends an identity.
pub(crate) fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    put_addr(out, identity.addr);
    out.put_u64_le(identity.node);
    out.put_u64_le(identity.bump);
}

/// Appends an address.
pub(crate) fn put_addr(out: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put_slice(&ip.octets());
        }
    }
    out.put_u16_le(addr.port());
}

fn put_message(out: &mut Vec<u8>, message: &Message<Identity>) {
    let mut whom = |tag: u8, id: &Identity, probe: u8| {
        out.put_u8(tag);
        put_identity(out, id);
        out.put_u8(probe);
    };
    match message {
        Message::PingReq { target, probe_number } => whom(2, target, *probe_number),
        Message::IndirectPing { origin, probe_number } => whom(3, origin, *probe_number),
        Message::IndirectAck { target, probe_number } => whom(4, target, *probe_number),
        Message::ForwardedAck { origin, probe_number } => whom(5, origin, *probe_number),
        Message::Ping(probe) => out.put_slice(&[0, *probe]),
        Message::Ack(probe) => out.put_slice(&[1, *probe]),
        Message::Announce => out.put_u8(6),
        Message::Feed => out.put_u8(7),
        Message::Gossip => out.put_u8(8),
        Message::Broadcast => out.put_u8(9),
        Message::TurnUndead => out.put_u8(10),
    }
}

fn message(buf: &mut impl Buf) -> Result<Message<Identity>, CodecError> {
    Ok(match u8(buf)? {
        0 => Message::Ping(u8(buf)?),
        1 => Message::Ack(u8(buf)?),
        2 => Message::PingReq { target: identity(buf)?, probe_number: u8(buf)? },
        3 => Message::IndirectPing { origin: identity(buf)?, probe_number: u8(buf)? },
        4 => Message::IndirectAck { target: identity(buf)?, probe_number: u8(buf)? },
        5 => Message::ForwardedAck { origin: identity(buf)?, probe_number: u8(buf)? },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::Broadcast,
        10 => Message::TurnUndead,
        _ => return Err(CodecError::Unknown("message")),
    })
}

/// Reads an identity.
pub(crate) fn identity(buf: &mut impl Buf) -> Result<Identity, CodecError> {
    let addr = addr(buf)?;
    Ok(Identity { addr, node: u64(buf)?, bump: u64(buf)? })
}

/// Reads an address.
pub(crate) fn addr(buf: &mut impl Buf) -> Result<SocketAddr, CodecError> {
    let ip: IpAddr = match u8(buf)? {
        4 => Ipv4Addr::from(array::<4>(buf)?).into(),
        6 => Ipv6Addr::from(array::<16>(buf)?).into(),
        _ => return Err(CodecError::Unknown("kind of address")),
    };
    Ok(SocketAddr::new(ip, u16(buf)?))
}

/// Reads a byte.
pub(crate) fn u8(buf: &mut impl Buf) -> Result<u8, CodecError> {
    buf.try_get_u8().map_err(|_| CodecError::Short)
}

/// Reads two bytes.
pub(crate) fn u16(buf: &mut impl Buf) -> Result<u16, CodecError> {
    buf.try_get_u16_le().map_err(|_| CodecError::Short)
}

/// Reads four bytes.
pub(crate) fn u32(buf: &mut impl Buf) -> Result<u32, CodecError> {
    buf.try_get_u32_le().map_err(|_| CodecError::Short)
}

/// Reads eight bytes.
pub(crate) fn u64(buf: &mut impl Buf) -> Result<u64, CodecError> {
    buf.try_get_u64_le().map_err(|_| CodecError::Short)
}

fn array<const N: usize>(buf: &mut impl Buf) -> Result<[u8; N], CodecError> {
    let mut bytes = [0; N];
    buf.try_copy_to_slice(&mut bytes).map_err(|_| CodecError::Short)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use foca::Codec as _;

    use super::*;

    fn id(text: &str, node: u64) -> Identity {
        Identity { addr: text.parse().unwrap(), node, bump: node << 32 | 7 }
    }

    #[test]
    fn every_message_comes_back_as_it_was_and_no_shorter_one_is_read() {
        let (a, b) = (id("10.0.0.1:7659", 1), id("[2001:db8::1]:1", 2));
        let messages = [
            Message::Ping(1),
            Message::Ack(2),
            Message::PingReq { target: a, probe_number: 3 },
            Message::IndirectPing { origin: b, probe_number: 4 },
            Message::IndirectAck { target: b, probe_number: 5 },
            Message::ForwardedAck { origin: a, probe_number: 6 },
            Message::Announce,
            Message::Feed,
            Message::Gossip,
            Message::Broadcast,
            Message::TurnUndead,
        ];
        for message in messages {
            let header = Header { src: a, src_incarnation: 513, dst: b, message };
            let mut bytes = Vec::new();
            Codec.encode_header(&header, &mut bytes).unwrap();
            assert_eq!(Codec.decode_header(&mut &bytes[..]), Ok(header));
            for cut in 0..bytes.len() {
                assert_eq!(Codec.decode_header(&mut &bytes[..cut]), Err(CodecError::Short), "{cut}");
            }
        }
    }

    #[test]
    fn members_are_written_whole_or_not_at_all() {
        for (state, id) in [
            (State::Alive, id("10.0.0.1:7659", 1)),
            (State::Suspect, id("[::1]:7659", 2)),
            (State::Down, id("255.255.255.255:65535", u64::MAX)),
        ] {
            let member = Member::new(id, 65_535, state);
            let mut bytes = Vec::new();
            Codec.encode_member(&member, &mut bytes).unwrap();
            assert_eq!(Codec.decode_member(&mut &bytes[..]), Ok(member.clone()));
            let mut short = Vec::new().limit(bytes.len() - 1);
            assert_eq!(Codec.encode_member(&member, &mut short), Err(CodecError::Full));
            assert!(short.get_ref().is_empty());
        }
    }
}
