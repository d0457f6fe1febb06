//! Where the records of a segment come from: the origins that it is made of, and what proves them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use sha2::{Digest as _, Sha256};
use weir_record::codec::{CodecError, Reader, encode_stream, put_varint};
use weir_record::limits::SEGMENT_ORIGINS_MAX;
use weir_record::{RecordId, Stream};

use crate::unit::Unit;

/// What a segment's lineage says of an origin's name; the unit is that of the segment. Ordered as in the
/// lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginName {
    /// Node that sealed it.
    pub node: u64,
    /// Epoch of that node's ingest log.
    pub epoch: u64,
    /// Number of the piece in that log.
    pub piece: u64,
}

impl OriginName {
    /// The origin of the batches of the same piece that may have been stored before, under the same ids. Epochs
    /// of logs are even; the one above an epoch names what may be repeated.
    #[must_use]
    pub const fn of_repeats(self) -> OriginName {
        OriginName { epoch: self.epoch | 1, ..self }
    }

    /// Whether it is the origin of batches that may have been stored before.
    pub const fn is_of_repeats(self) -> bool {
        self.epoch & 1 == 1
    }

    /// The epoch of the log that it comes from.
    pub const fn log_epoch(self) -> u64 {
        self.epoch & !1
    }

    /// The whole name, `<node>-<epoch>-<piece>-<unit>`.
    pub fn with_unit(self, unit: &Unit) -> String {
        alloc::format!("{self}-{unit}")
    }

    /// Takes a whole name apart; `None` when it is none.
    pub fn parse(text: &str) -> Option<(OriginName, Unit)> {
        let (at, _) = text.match_indices('-').nth(2)?;
        Some((text[..at].parse().ok()?, text[at + 1..].parse().ok()?))
    }
}

impl fmt::Display for OriginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}-{:08}", self.node, self.epoch, self.piece)
    }
}

/// Text that names no origin. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an origin, expected <node, 16 hex digits>-<epoch, 16 hex digits>-<piece>")]
pub struct NotAnOrigin;

impl FromStr for OriginName {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<OriginName, NotAnOrigin> {
        let parts = || {
            let (node, rest) = text.split_once('-')?;
            let (epoch, piece) = rest.split_once('-')?;
            let hex = |digits| u64::from_str_radix(digits, 16).ok();
            Some(OriginName { node: hex(node)?, epoch: hex(epoch)?, piece: piece.parse().ok()? })
        };
        parts().filter(|name| alloc::format!("{name}") == text).ok_or(NotAnOrigin)
    }
}

/// What holds for all records of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OriginFlags(u8);

impl OriginFlags {
    /// Nothing special: ids on their first sending.
    pub const NONE: OriginFlags = OriginFlags(0);
    /// Its batches may have been stored before, under the same ids, in another origin.
    pub const MAYBE_REPEATED: OriginFlags = OriginFlags(1);

    /// Flags of their byte; unknown bits are `None`.
    pub const fn from_bits(bits: u8) -> Option<OriginFlags> {
        if bits & !1 == 0 { Some(OriginFlags(bits)) } else { None }
    }

    /// The flags as a byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: OriginFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The first 16 bytes of a SHA-256 over the records of an origin; see [`DigestBuilder`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordDigest(pub [u8; 16]);

impl fmt::Display for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Stands for a stream in the digest of records: the first 16 bytes of the SHA-256 of its canonical form,
/// so that a stream is hashed once and not once per record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDigest([u8; 16]);

impl StreamDigest {
    /// That of one stream.
    pub fn of(stream: &Stream) -> StreamDigest {
        let mut bytes = Vec::new();
        encode_stream(&mut bytes, stream);
        StreamDigest(first_half(Sha256::digest(&bytes).as_slice()))
    }
}

/// Computes a record digest: SHA-256 over the canonical records in the order of their ids, equal ids in the
/// order in which they arrived. It does not depend on blocks, levels of compression or versions of the format.
///
/// A canonical record: id (16 bytes, big-endian), [`StreamDigest`] (16), payload length (4, big-endian),
/// payload.
#[derive(Debug, Clone, Default)]
pub struct DigestBuilder {
    hash: Sha256,
    count: u64,
}

impl DigestBuilder {
    /// Adds the next record.
    pub fn add(&mut self, id: RecordId, stream: &StreamDigest, payload: &[u8]) {
        let mut head = [0; 36];
        head[..16].copy_from_slice(&id.to_bytes());
        head[16..32].copy_from_slice(&stream.0);
        head[32..].copy_from_slice(&(payload.len() as u32).to_be_bytes());
        self.hash.update(head);
        self.hash.update(payload);
        self.count += 1;
    }

    /// Records added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what was added.
    pub fn finish(self) -> RecordDigest {
        RecordDigest(first_half(self.hash.finalize().as_slice()))
    }
}

fn first_half(digest: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// One origin in a segment's lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its name, without the unit.
    pub name: OriginName,
    /// What holds for all its records.
    pub flags: OriginFlags,
    /// How many records it has, at least one.
    pub count: u64,
    /// What proves them.
    pub digest: RecordDigest,
}

/// Appends a lineage, which is sorted by name and has no name twice.
///
/// In order: v writer count; per writer (a log of a node): node (8, little-endian), epoch (8), v origins.
/// Then over all origins: v piece each (the first of a writer as it is, the others minus the one before),
/// v count each, flags (u8) each, digest (16) each.
pub(crate) fn encode(out: &mut Vec<u8>, lineage: &[Origin]) {
    let same = |a: &Origin, b: &Origin| (a.name.node, a.name.epoch) == (b.name.node, b.name.epoch);
    put_varint(out, lineage.chunk_by(same).count() as u64);
    for writer in lineage.chunk_by(same) {
        out.extend_from_slice(&writer[0].name.node.to_le_bytes());
        out.extend_from_slice(&writer[0].name.epoch.to_le_bytes());
        put_varint(out, writer.len() as u64);
    }
    for writer in lineage.chunk_by(same) {
        let mut before = 0;
        for origin in writer {
            put_varint(out, origin.name.piece - before);
            before = origin.name.piece;
        }
    }
    for origin in lineage {
        put_varint(out, origin.count);
    }
    out.extend(lineage.iter().map(|origin| origin.flags.bits()));
    for origin in lineage {
        out.extend_from_slice(&origin.digest.0);
    }
}

/// Reads a lineage; `None` when its names are not in order, or when a flag is unknown.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Vec<Origin>>, CodecError> {
    let writers = reader.bounded("writer count", SEGMENT_ORIGINS_MAX)?;
    let mut sizes = Vec::with_capacity(writers.min(reader.rest().len() / 17));
    let mut total = 0;
    for _ in 0..writers {
        let node = u64::from_le_bytes(reader.array("node")?);
        let epoch = u64::from_le_bytes(reader.array("epoch")?);
        let origins = reader.bounded("origins of a writer", SEGMENT_ORIGINS_MAX - total)?;
        total += origins;
        sizes.push((node, epoch, origins));
    }
    // Each origin has 19 bytes at least.
    let mut lineage: Vec<Origin> = Vec::with_capacity(total.min(reader.rest().len() / 19));
    for (node, epoch, origins) in sizes {
        let mut piece = 0_u64;
        for index in 0..origins {
            let delta = reader.varint("piece")?;
            let Some(next) = piece.checked_add(delta).filter(|_| index == 0 || delta > 0) else {
                return Ok(None);
            };
            piece = next;
            let name = OriginName { node, epoch, piece };
            if lineage.last().is_some_and(|before| before.name >= name) {
                return Ok(None);
            }
            lineage.push(Origin { name, flags: OriginFlags::NONE, count: 0, digest: RecordDigest([0; 16]) });
        }
        if origins == 0 {
            return Ok(None);
        }
    }
    for origin in &mut lineage {
        origin.count = reader.varint("records of an origin")?;
    }
    for origin in &mut lineage {
        let [bits] = reader.array("flags of an origin")?;
        let Some(flags) = OriginFlags::from_bits(bits) else { return Ok(None) };
        origin.flags = flags;
    }
    for origin in &mut lineage {
        origin.digest = RecordDigest(reader.array("digest of an origin")?);
    }
    Ok(Some(lineage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn origin(node: u64, epoch: u64, piece: u64) -> Origin {
        let name = OriginName { node, epoch, piece };
        let digest = RecordDigest([piece as u8; 16]);
        Origin { name, flags: OriginFlags::MAYBE_REPEATED, count: piece + 1, digest }
    }

    #[test]
    fn a_lineage_round_trips_and_costs_little_more_than_its_digests() {
        let mut lineage: Vec<Origin> = (0..1000).map(|piece| origin(1, 9, piece + 70_000)).collect();
        lineage.extend([origin(2, 3, 0), origin(2, 4, 7), origin(u64::MAX, u64::MAX, u64::MAX - 1)]);
        let mut bytes = Vec::new();
        encode(&mut bytes, &lineage);
        assert!(bytes.len() < lineage.len() * 22, "{}", bytes.len());
        assert_eq!(read(&mut Reader::new(&bytes)), Ok(Some(lineage)));
        for cut in 0..bytes.len() {
            assert!(read(&mut Reader::new(&bytes[..cut])).is_err(), "{cut}");
        }
    }

    #[test]
    fn names_round_trip_and_have_one_form() {
        let unit = Unit::new(0, 1000, "long-lived", 1, 2).unwrap().keyed();
        let name = OriginName { node: 0xab, epoch: 7, piece: 123_456_789 };
        let text = name.with_unit(&unit);
        assert_eq!(text, "00000000000000ab-0000000000000007-123456789-0.1000.long-lived.k1of2");
        assert_eq!(OriginName::parse(&text), Some((name, unit)));
        assert_eq!(name.to_string().parse(), Ok(name));
        for text in ["", "1-2-3", "00000000000000AB-0000000000000007-123456789", "a-b"] {
            assert!(text.parse::<OriginName>().is_err(), "{text}");
            assert_eq!(OriginName::parse(text), None);
        }
    }
}
