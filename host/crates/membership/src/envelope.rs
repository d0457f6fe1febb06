//! Datagrams as they travel: sealed with the key of the cluster, or open on one machine.
//!
//! Integers are little-endian.
//!
//! | field | size | meaning |
//! |---|---|---|
//! | version | u8 | 1 sealed; 2 open |
//! | key | u8 | sealed: which key; open: 0 |
//! | process | 16 | drawn by the sender at its start |
//! | counter | u64 | of the datagrams of that process, from 1 |
//! | content | … | sealed: XChaCha20-Poly1305 ciphertext; open: as it is |
//! | tag | 16 or 4 | sealed: of Poly1305; open: CRC-32C over the name of the cluster and all before it |
//!
//! Process and counter are the nonce. The associated data are version, key and the name of the cluster. The content is
//! the sender's clock (u64, Unix milliseconds) and the body.
//!
//! **Why a counter and no random nonce:** it comes with each datagram anyway, so that none is taken twice, and
//! 24 bytes are enough for both: the process is drawn from the system's entropy, and no process sends 2^64 datagrams.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::BufMut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use weir_record::limits::GOSSIP_DATAGRAM_BYTES_MAX;

use crate::codec::u64;
use crate::reject::Reason;

const SEALED: u8 = 1;
const OPEN: u8 = 2;
const HEAD_BYTES: usize = 2 + 16 + 8;
const CLOCK_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const SUM_BYTES: usize = 4;

/// Room for a body.
pub(crate) const BODY_BYTES_MAX: usize = GOSSIP_DATAGRAM_BYTES_MAX - HEAD_BYTES - CLOCK_BYTES - TAG_BYTES;

/// A key of the cluster.
#[derive(Clone)]
pub struct Key {
    /// Tells keys apart on the way; not secret.
    pub id: u8,
    /// The key.
    pub secret: [u8; 32],
}

/// What seals and opens.
pub(crate) struct Envelope {
    cluster: String,
    /// The first seals, all open. None: nothing is secret.
    keys: Vec<(u8, XChaCha20Poly1305)>,
    process: u128,
    counter: u64,
}

/// What was in a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) process: u128,
    pub(crate) counter: u64,
    pub(crate) clock_ms: u64,
    pub(crate) body: Vec<u8>,
}

impl Envelope {
    /// `process` must be drawn anew, from good entropy, by every process.
    pub(crate) fn new(cluster: &str, keys: &[Key], process: u128) -> Envelope {
        let keys = keys.iter().map(|key| (key.id, XChaCha20Poly1305::new(&key.secret.into())));
        Envelope { cluster: cluster.into(), keys: keys.collect(), process, counter: 0 }
    }

    /// The process that seals.
    pub(crate) fn process(&self) -> u128 {
        self.process
    }

    /// Makes a datagram of a body of up to [`BODY_BYTES_MAX`] bytes.
    pub(crate) fn seal(&mut self, body: &[u8], clock_ms: u64) -> Vec<u8> {
        assert!(body.len() <= BODY_BYTES_MAX, "bodies are made to fit");
        self.counter += 1;
        let (version, id) = self.keys.first().map_or((OPEN, 0), |(id, _)| (SEALED, *id));
        let mut out = Vec::with_capacity(body.len() + HEAD_BYTES + CLOCK_BYTES + TAG_BYTES);
        out.put_u8(version);
        out.put_u8(id);
        out.put_u128_le(self.process);
        out.put_u64_le(self.counter);
        let nonce = nonce(self.process, self.counter);
        out.put_u64_le(clock_ms);
        out.put_slice(body);
        let Some((_, cipher)) = self.keys.first() else {
            let sum = self.sum(&out);
            out.put_u32_le(sum);
            return out;
        };
        let aad = self.associated(version, id);
        let content = InOutBuf::from(out.get_mut(HEAD_BYTES..).unwrap_or_default());
        // It fails only beyond 256 GiB.
        let tag = cipher.encrypt_inout_detached(&nonce, &aad, content).unwrap_or_default();
        out.put_slice(&tag);
        out
    }

    /// Opens a datagram.
    pub(crate) fn open(&self, datagram: &[u8]) -> Result<Opened, Reason> {
        if datagram.len() > GOSSIP_DATAGRAM_BYTES_MAX {
            return Err(Reason::Length);
        }
        let (head, rest) = datagram.split_at_checked(HEAD_BYTES).ok_or(Reason::Length)?;
        let [version, id, nonce_bytes @ ..] = head else { return Err(Reason::Length) };
        let process = nonce_bytes.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        let counter = nonce_bytes.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let content = match (*version, self.keys.is_empty()) {
            (SEALED, false) => self.decrypt(*id, &nonce(process, counter), rest)?,
            (OPEN, true) => self.check(datagram, rest)?,
            (SEALED | OPEN, _) => return Err(Reason::Unsealed),
            _ => return Err(Reason::FutureVersion),
        };
        let mut body = content.as_slice();
        let clock_ms = u64(&mut body).map_err(|_| Reason::Length)?;
        Ok(Opened { process, counter, clock_ms, body: body.to_vec() })
    }

    fn decrypt(&self, id: u8, nonce: &XNonce, rest: &[u8]) -> Result<Vec<u8>, Reason> {
        let (content, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Reason::Length)?;
        let aad = self.associated(SEALED, id);
        let mut why = Reason::UnknownKey;
        // Two keys may have one id.
        for (_, cipher) in self.keys.iter().filter(|(known, _)| *known == id) {
            let mut content = content.to_vec();
            let buffer = InOutBuf::from(content.as_mut_slice());
            if cipher.decrypt_inout_detached(nonce, &aad, buffer, &Tag::from(*tag)).is_ok() {
                return Ok(content);
            }
            why = Reason::NotOpened;
        }
        Err(why)
    }

    fn check(&self, datagram: &[u8], rest: &[u8]) -> Result<Vec<u8>, Reason> {
        let (content, sum) = rest.split_last_chunk::<SUM_BYTES>().ok_or(Reason::Length)?;
        let summed = datagram.get(..HEAD_BYTES + content.len()).unwrap_or_default();
        if self.sum(summed) == u32::from_le_bytes(*sum) {
            Ok(content.to_vec())
        } else {
            Err(Reason::NotOpened)
        }
    }

    fn sum(&self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(self.cluster.as_bytes()), bytes)
    }

    fn associated(&self, version: u8, id: u8) -> Vec<u8> {
        [&[version, id], self.cluster.as_bytes()].concat()
    }
}

fn nonce(process: u128, counter: u64) -> XNonce {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&process.to_le_bytes());
    bytes[16..].copy_from_slice(&counter.to_le_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8) -> Key {
        Key { id, secret: [id; 32] }
    }

    fn envelope(cluster: &str, keys: &[u8]) -> Envelope {
        let keys: Vec<Key> = keys.iter().map(|id| key(*id)).collect();
        Envelope::new(cluster, &keys, 1 << 100 | 5)
    }

    #[test]
    fn who_may_open_what() {
        for (sender, receiver, expected) in [
            (("a", &[1][..]), ("a", &[1][..]), None),
            (("a", &[1]), ("a", &[2, 1]), None),
            (("a", &[2, 1]), ("a", &[1, 2]), None),
            (("a", &[]), ("a", &[]), None),
            (("a", &[1]), ("a", &[2]), Some(Reason::UnknownKey)),
            (("a", &[1]), ("b", &[1]), Some(Reason::NotOpened)),
            (("a", &[]), ("b", &[]), Some(Reason::NotOpened)),
            (("a", &[]), ("a", &[1]), Some(Reason::Unsealed)),
            (("a", &[1]), ("a", &[]), Some(Reason::Unsealed)),
        ] {
            let mut sealing = envelope(sender.0, sender.1);
            let datagram = sealing.seal(b"body", 77);
            let opened = envelope(receiver.0, receiver.1).open(&datagram);
            let body = Opened { process: 1 << 100 | 5, counter: 1, clock_ms: 77, body: b"body".to_vec() };
            assert_eq!(opened, expected.map_or(Ok(body), Err), "{sender:?} to {receiver:?}");
        }
    }

    #[test]
    fn keys_with_the_same_id_are_both_tried() {
        let other = Key { id: 1, secret: [9; 32] };
        let datagram = Envelope::new("a", core::slice::from_ref(&other), 3).seal(b"body", 1);
        let opened = Envelope::new("a", &[key(1), other], 4).open(&datagram).unwrap();
        assert_eq!(opened.body, b"body");
    }

    #[test]
    fn no_flipped_bit_and_no_other_length_is_opened() {
        for keys in [&[1][..], &[]] {
            let mut sealing = envelope("a", keys);
            let datagram = sealing.seal(&[3; 100], 77);
            for bit in 0..datagram.len() * 8 {
                let mut flipped = datagram.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(sealing.open(&flipped).is_err(), "bit {bit}");
            }
            for cut in 0..datagram.len() {
                assert!(sealing.open(&datagram[..cut]).is_err(), "{cut} bytes");
            }
        }
        let mut sealing = envelope("a", &[1]);
        let full = sealing.seal(&[0; BODY_BYTES_MAX], 1);
        assert_eq!(full.len(), GOSSIP_DATAGRAM_BYTES_MAX);
        assert!(sealing.open(&full).is_ok());
        assert_eq!(sealing.open(&[&full[..], &[0]].concat()), Err(Reason::Length));
        assert_eq!(sealing.open(&[3; 60]), Err(Reason::FutureVersion));
    }

    #[test]
    fn what_is_sealed_cannot_be_read() {
        let body = b"a body that is found where it is not sealed";
        let finds = |datagram: &[u8]| datagram.windows(body.len()).any(|window| window == body);
        assert!(!finds(&envelope("a", &[1]).seal(body, 1)));
        assert!(finds(&envelope("a", &[]).seal(body, 1)));
    }
}
