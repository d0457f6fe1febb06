//! The bytes of [`Knowledge`], on disk and between nodes.
//!
//! Integers are little-endian or LEB128 varints (`v`). In order:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WKNO` |
//! | version | u8 | 2 |
//! | forgotten | u64 | units that ended before had to be forgotten |
//! | node count | v | |
//! | nodes | … each | id (8), asked (8), bits (u8: 1 ingest, 2 store, 4 something unconsumed, 8 replaced, 16 left), floor (8), oldest unconsumed (8, if so), replaced at (8, if so) |
//! | expected count | v | |
//! | expected | … each | v length, address, u8 1 and id (8) or u8 0 |
//! | gap count | v | |
//! | gaps | 40 each | ingest node, first and last millisecond of the records, begin, end |
//! | watermark count | v | |
//! | watermarks | … each | store (8), v length, class, v milliseconds |
//! | unit count | v | |
//! | units | … each | v length, unit as text; v stores, 8 each; origins; expired origins: sets as in `origin_set.rs`; v sets that stores have told by digest, per set: store (8), digest (16), v origins; v sets that nobody tells any more, per set: digest (16), v origins |
//! | checksum | u32 | CRC-32C of everything before it |

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use weir_record::codec::{Reader, put_varint};
use weir_record::limits::{
    ADDRESS_BYTES_MAX, KNOWLEDGE_BYTES_MAX, KNOWN_GAPS_MAX, KNOWN_LOST_MAX, KNOWN_NODES_MAX, KNOWN_UNITS_MAX,
    NAME_BYTES_MAX, WATERMARKS_MAX,
};

use weir_segment::Unit;

use super::{Contact, Gap, Knowledge, Known, Node};
use crate::catalog::ends_ms;
use crate::changes::bytes::{checked, put_unit, read_unit};
use crate::error::WireError;
use crate::origin_set::OriginSet;
use crate::quiet::{SetDigest, Whole};
use crate::ranges::TimeRange;

const MAGIC: [u8; 4] = *b"WKNO";
const VERSION: u8 = 2;

impl Knowledge {
    /// All of it as bytes, or as much as [`KNOWLEDGE_BYTES_MAX`] has room for: then the oldest units are left out, and
    /// whoever reads it knows that they were.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_within(KNOWLEDGE_BYTES_MAX)
    }

    pub(super) fn encode_within(&self, bytes_max: usize) -> Vec<u8> {
        let mut nodes = Vec::new();
        self.put_nodes(&mut nodes);
        // Magic, version, what was forgotten, the number of units, the checksum.
        let room = bytes_max.saturating_sub(nodes.len() + 4 + 1 + 8 + 10 + 4);
        let (mut units, mut unit_count, mut forgotten_ms) = (Vec::new(), 0, self.forgotten_ms);
        for (unit, known) in self.units.iter().rev() {
            let before = units.len();
            put_known(&mut units, unit, known);
            if units.len() > room {
                units.truncate(before);
                forgotten_ms = forgotten_ms.max(self.ended_by_ms(unit));
                break;
            }
            unit_count += 1;
        }
        let mut out = Vec::with_capacity(nodes.len() + units.len() + 64);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        put_u64(&mut out, forgotten_ms);
        out.extend_from_slice(&nodes);
        put_varint(&mut out, unit_count);
        out.extend_from_slice(&units);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// When the last of the units has ended that come up to this one, it included.
    fn ended_by_ms(&self, last: &Unit) -> u64 {
        self.units.range(..=last).map(|(unit, _)| ends_ms(unit)).max().unwrap_or(0)
    }

    fn put_nodes(&self, out: &mut Vec<u8>) {
        put_varint(out, self.nodes.len() as u64);
        for (id, node) in &self.nodes {
            put_node(out, *id, node);
        }
        put_varint(out, self.expected.len() as u64);
        for (address, id) in &self.expected {
            put_bytes(out, address.as_bytes());
            out.push(u8::from(id.is_some()));
            if let Some(id) = id {
                put_u64(out, *id);
            }
        }
        put_varint(out, self.gaps.values().map(Vec::len).sum::<usize>() as u64);
        for (id, gap) in self.gaps.iter().flat_map(|(id, gaps)| gaps.iter().map(move |gap| (*id, gap))) {
            let Gap { records, began_ms, ended_ms } = *gap;
            for value in [id, records.from_ms, records.to_ms, began_ms, ended_ms] {
                put_u64(out, value);
            }
        }
        put_varint(out, self.watermarks.len() as u64);
        for ((store, class), below_ms) in &self.watermarks {
            put_u64(out, *store);
            put_bytes(out, class.as_bytes());
            put_varint(out, *below_ms);
        }
    }

    /// Reads what fills `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Knowledge, WireError> {
        if bytes.len() > KNOWLEDGE_BYTES_MAX {
            return Err(WireError::TooLong { bytes: bytes.len(), max: KNOWLEDGE_BYTES_MAX });
        }
        let mut reader = checked(bytes, MAGIC, VERSION, "knowledge of origins")?;
        let mut all = Knowledge { forgotten_ms: read_u64(&mut reader, "forgotten")?, ..Knowledge::default() };
        for _ in 0..reader.bounded("node count", KNOWN_NODES_MAX)? {
            let (id, node) = read_node(&mut reader)?;
            all.nodes.insert(id, node);
        }
        for _ in 0..reader.bounded("expected count", KNOWN_NODES_MAX)? {
            let address = read_text(&mut reader, "address", ADDRESS_BYTES_MAX)?;
            let id = match reader.array("whether it was heard")? {
                [0] => None,
                _ => Some(read_u64(&mut reader, "node")?),
            };
            all.expected.insert(address.into(), id);
        }
        for _ in 0..reader.bounded("gap count", KNOWN_NODES_MAX * KNOWN_GAPS_MAX)? {
            let mut next = || read_u64(&mut reader, "gap");
            let (id, records) = (next()?, TimeRange::new(next()?, next()?));
            let gap = Gap { records, began_ms: next()?, ended_ms: next()? };
            all.gaps.entry(id).or_default().push(gap);
        }
        for _ in 0..reader.bounded("watermark count", KNOWN_NODES_MAX * WATERMARKS_MAX)? {
            let store = read_u64(&mut reader, "store")?;
            let class = read_text(&mut reader, "retention class", NAME_BYTES_MAX)?;
            all.watermarks.insert((store, class.into()), reader.varint("watermark")?);
        }
        for _ in 0..reader.bounded("unit count", KNOWN_UNITS_MAX)? {
            let unit = read_unit(&mut reader)?;
            let mut stores = BTreeSet::new();
            for _ in 0..reader.bounded("stores", KNOWN_NODES_MAX)? {
                stores.insert(read_u64(&mut reader, "store")?);
            }
            let origins = OriginSet::read(&mut reader)?;
            let expired = OriginSet::read(&mut reader)?;
            let mut known = Known { origins, expired, stores, ..Known::default() };
            for _ in 0..reader.bounded("sets", KNOWN_NODES_MAX)? {
                let store = read_u64(&mut reader, "store")?;
                known.set_whole(store, read_whole(&mut reader)?);
            }
            for _ in 0..reader.bounded("lost sets", KNOWN_LOST_MAX)? {
                known.lost.push(read_whole(&mut reader)?);
            }
            all.units.insert(unit, known);
        }
        reader.finish()?;
        Ok(all)
    }
}

fn put_known(out: &mut Vec<u8>, unit: &Unit, known: &Known) {
    put_unit(out, unit);
    put_varint(out, known.stores.len() as u64);
    for store in &known.stores {
        put_u64(out, *store);
    }
    known.origins.encode(out);
    known.expired.encode(out);
    put_varint(out, known.wholes.len() as u64);
    for (store, whole) in &known.wholes {
        put_u64(out, *store);
        put_whole(out, whole);
    }
    put_varint(out, known.lost.len() as u64);
    known.lost.iter().for_each(|whole| put_whole(out, whole));
}

fn put_whole(out: &mut Vec<u8>, whole: &Whole) {
    out.extend_from_slice(&whole.digest.0);
    put_varint(out, whole.origins);
}

fn read_whole(reader: &mut Reader<'_>) -> Result<Whole, WireError> {
    let digest = SetDigest(reader.array("digest of a set")?);
    Ok(Whole { digest, origins: reader.varint("origins")? })
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn read_u64(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, WireError> {
    Ok(u64::from_le_bytes(reader.array(what)?))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn read_text<'a>(reader: &mut Reader<'a>, what: &'static str, max: usize) -> Result<&'a str, WireError> {
    let bytes = reader.prefixed(what, max)?;
    core::str::from_utf8(bytes).map_err(|_| WireError::Contradiction("an address or class is not UTF-8"))
}

fn put_node(out: &mut Vec<u8>, id: u64, node: &Node) {
    let Contact { asked_ms, is_ingest, is_store, unconsumed_ms, floor_ms } = node.contact;
    put_u64(out, id);
    put_u64(out, asked_ms);
    let bits = [is_ingest, is_store, unconsumed_ms.is_some(), node.replaced_ms.is_some(), node.has_left];
    out.push(bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    put_u64(out, floor_ms);
    for value in [unconsumed_ms, node.replaced_ms].into_iter().flatten() {
        put_u64(out, value);
    }
}

fn read_node(reader: &mut Reader<'_>) -> Result<(u64, Node), WireError> {
    let (id, asked_ms) = (read_u64(reader, "node")?, read_u64(reader, "asked")?);
    let [bits] = reader.array("bits of a node")?;
    if bits >= 32 {
        return Err(WireError::Contradiction("unknown bits of a node"));
    }
    let has = |bit: u8| bits & bit != 0;
    let floor_ms = read_u64(reader, "floor")?;
    let unconsumed_ms = if has(4) { Some(read_u64(reader, "oldest unconsumed")?) } else { None };
    let replaced_ms = if has(8) { Some(read_u64(reader, "replaced")?) } else { None };
    let contact = Contact { asked_ms, is_ingest: has(1), is_store: has(2), unconsumed_ms, floor_ms };
    Ok((id, Node { contact, replaced_ms, has_left: has(16) }))
}
