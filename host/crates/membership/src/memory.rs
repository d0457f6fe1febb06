//! What a node remembers of its cluster from one process to the next.
//!
//! Integers are little-endian.
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WMEM` |
//! | version | u8 | 1 |
//! | bump | u64 | of the process that wrote it |
//! | member count | u32 | |
//! | members | … each | node (8), bump (8), since (8), heard (8, 0: never), address (u8 0, or as in `codec.rs`), record (u16 length, …, 0: none) |
//! | gone count | u32 | |
//! | gone | 25 each | node, bump, when (8 each), why (u8: 1 left, 2 forgotten) |
//! | checksum | u32 | CRC-32C of everything before it |

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::{Buf, BufMut};
use weir_record::limits::{GOSSIP_GONE_MAX, GOSSIP_MEMORY_BYTES_MAX, KNOWN_NODES_MAX};

use crate::codec::{CodecError, addr, put_addr, u8, u16, u32, u64};
use crate::record::{Record, What, Why, put_record};
use crate::view::{Gone, Known, Said, View};

const MAGIC: [u8; 4] = *b"WMEM";
const VERSION: u8 = 1;

/// Members that are expected, and nodes that are not any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// The highest bump of the node that remembers.
    pub bump: u64,
    known: BTreeMap<u64, Known>,
    gone: BTreeMap<u64, Gone>,
}

/// Bytes that are no memory. Reading them changes no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// They begin otherwise, or are longer than any.
    #[error("these bytes are no memory of members")]
    Foreign,
    /// A later version.
    #[error("a memory of members of version {0}, this version of weir reads {VERSION}")]
    Version(u8),
    /// They are not those that were written.
    #[error("the checksum does not match")]
    Sum,
    /// The checksum holds and the content makes no sense: a bug or a forgery.
    #[error("the memory of members makes no sense")]
    Malformed,
}

impl From<CodecError> for MemoryError {
    fn from(_: CodecError) -> MemoryError {
        MemoryError::Malformed
    }
}

impl Memory {
    pub(crate) fn of(view: &View, bump: u64) -> Memory {
        Memory { bump, known: view.known.clone(), gone: view.gone.clone() }
    }

    /// Puts it into a new view. Nobody is up before it is heard.
    pub(crate) fn restore(self, view: &mut View, own: u64) {
        view.known = self.known;
        view.known.remove(&own);
        view.gone = self.gone;
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u64_le(self.bump);
        out.put_u32_le(self.known.len() as u32);
        for (node, known) in &self.known {
            for number in [*node, known.bump, known.since_ms, known.heard_ms.unwrap_or(0)] {
                out.put_u64_le(number);
            }
            match known.addr {
                Some(addr) => put_addr(&mut out, addr),
                None => out.put_u8(0),
            }
            let record = known.record(*node).map(|record| record.encode()).unwrap_or_default();
            put_record(&mut out, &record);
        }
        out.put_u32_le(self.gone.len() as u32);
        for (node, gone) in &self.gone {
            for number in [*node, gone.bump, gone.at_ms] {
                out.put_u64_le(number);
            }
            out.put_u8(if gone.why == Why::Left { 1 } else { 2 });
        }
        let sum = crc32c::crc32c(&out);
        out.put_u32_le(sum);
        out
    }

    /// Reads what fills `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Memory, MemoryError> {
        if bytes.len() > GOSSIP_MEMORY_BYTES_MAX {
            return Err(MemoryError::Foreign);
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(MemoryError::Foreign)?;
        let version = *rest.first().ok_or(MemoryError::Foreign)?;
        if version != VERSION {
            return Err(MemoryError::Version(version));
        }
        let (summed, sum) = bytes.split_last_chunk::<4>().ok_or(MemoryError::Foreign)?;
        if crc32c::crc32c(summed) != u32::from_le_bytes(*sum) {
            return Err(MemoryError::Sum);
        }
        let mut rest = summed.get(MAGIC.len() + 1..).unwrap_or_default();
        let mut memory = Memory { bump: u64(&mut rest)?, ..Memory::default() };
        for _ in 0..count(&mut rest, KNOWN_NODES_MAX)? {
            let (node, known) = read_known(&mut rest)?;
            memory.known.insert(node, known);
        }
        for _ in 0..count(&mut rest, GOSSIP_GONE_MAX)? {
            let (node, bump, at_ms) = (u64(&mut rest)?, u64(&mut rest)?, u64(&mut rest)?);
            let why = match u8(&mut rest)? {
                1 => Why::Left,
                2 => Why::Forgotten,
                _ => return Err(MemoryError::Malformed),
            };
            memory.gone.insert(node, Gone { bump, at_ms, why });
        }
        if rest.is_empty() { Ok(memory) } else { Err(MemoryError::Malformed) }
    }
}

fn count(rest: &mut &[u8], max: usize) -> Result<usize, MemoryError> {
    let count = u32(rest)? as usize;
    if count <= max { Ok(count) } else { Err(MemoryError::Malformed) }
}

fn read_known(rest: &mut &[u8]) -> Result<(u64, Known), MemoryError> {
    let (node, bump, since_ms, heard_ms) = (u64(rest)?, u64(rest)?, u64(rest)?, u64(rest)?);
    let mut known = Known::away(bump, since_ms);
    known.heard_ms = Some(heard_ms).filter(|heard_ms| *heard_ms > 0);
    if rest.first() == Some(&0) {
        rest.advance(1);
    } else {
        known.addr = Some(addr(rest)?);
    }
    let length = usize::from(u16(rest)?);
    let (record, behind) = rest.split_at_checked(length).ok_or(MemoryError::Malformed)?;
    *rest = behind;
    if !record.is_empty() {
        let record = Record::decode(record).map_err(|_| MemoryError::Malformed)?;
        let What::About(about) = record.what else { return Err(MemoryError::Malformed) };
        known.said = Some(Said { bump: record.bump, sequence: record.sequence, about, at_ms: 0 });
    }
    Ok((node, known))
}

#[cfg(test)]
mod tests {
    use crate::record::About;

    use super::*;

    fn memory() -> Memory {
        let mut memory = Memory { bump: 99, ..Memory::default() };
        let mut known = Known::away(5, 6);
        memory.known.insert(1, known.clone());
        known.addr = Some("[::1]:7659".parse().unwrap());
        known.heard_ms = Some(7);
        let about = About { url: "http://a:1".into(), store: true, ..About::default() };
        known.said = Some(Said { bump: 5, sequence: 8, about, at_ms: 0 });
        memory.known.insert(2, known);
        memory.gone.insert(3, Gone { bump: 4, at_ms: 5, why: Why::Left });
        memory.gone.insert(4, Gone { bump: 5, at_ms: 6, why: Why::Forgotten });
        memory
    }

    #[test]
    fn it_comes_back_as_it_was_and_no_flipped_bit_is_taken() {
        for memory in [memory(), Memory::default()] {
            let bytes = memory.encode();
            assert_eq!(Memory::decode(&bytes), Ok(memory));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Memory::decode(&flipped).is_err(), "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert!(Memory::decode(&bytes[..cut]).is_err(), "{cut} bytes");
            }
        }
    }
}
