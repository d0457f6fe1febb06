//! `POST /api/v1/node/search`: what one node is to read for the question of another.
//!
//! In order, integers little-endian or LEB128 varints (`v`), texts with their length (v) before them:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WSRQ` |
//! | version | u8 | 2 |
//! | token | 16 | the snapshot to read |
//! | syntax | u8 | how the query is written: 0 the language of weir, 1 one regular expression |
//! | query | text | at most 16 KiB |
//! | from, to | 16 each | lowest id asked for, lowest id no longer asked for; big-endian |
//! | limit | v | at most so many rows; 0 all |
//! | order | u8 | 0 oldest first, 1 newest first |
//! | time | v | how long anybody waits for the answer, in ms; 0 for ever |
//! | damage | u8 | what a segment has lost: 0 is passed over and told, 1 ends the answer with an error |
//! | mode | u8 | 0 rows, 1 suspects, 3 histogram, 4 neighbours |
//! | histogram | v three times | only then: start of the first bucket, length of a bucket (both in ms), number of buckets |
//! | known | … | only then: see [`hashes`](super::hashes); what is not counted |
//! | neighbours | … | only then: see [`around`](super::around); the query is not looked at |
//! | log | u8 | 1: read the pieces of the log that the snapshot has, too |
//! | units | … | [`UnitOrigins`] |
//!
//! Units: v count; per unit its name as text, u8 which origins (0 all, 1 all but those named, 2 only those
//! named), and unless 0 the names: v groups, per group node (8), epoch (8), v pieces, v each.

use weir_query::{Around, Order};
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::{RecordId, limits};
use weir_segment::{OriginName, Unit};

use super::around;
use super::hashes::HashedRows;

const MAGIC: [u8; 4] = *b"WSRQ";
const VERSION: u8 = 2;
/// Longest text of a unit: four numbers of 64 bits and a class, with room.
const UNIT_TEXT_BYTES_MAX: usize = 256;

/// Names a snapshot that a node keeps readable for a while. Not to be guessed, and not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotToken(pub u128);

/// What to read of a snapshot, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The snapshot.
    pub token: SnapshotToken,
    /// How the query is written.
    pub syntax: Syntax,
    /// The query.
    pub query: String,
    /// The lowest id asked for.
    pub from: RecordId,
    /// The lowest id no longer asked for.
    pub to: RecordId,
    /// At most so many rows, the first in the order asked for. Not zero.
    pub limit: Option<u64>,
    /// Oldest or newest first.
    pub order: Order,
    /// How long anybody waits for the answer, in milliseconds; `None` for ever. Not zero.
    pub time_ms: Option<u64>,
    /// Whether damage in a segment ends the answer with [`ApiError::damaged`](crate::error::ApiError::damaged):
    /// somebody else may have what was lost. Else it is passed over, and named in the end.
    pub whole: bool,
    /// What to answer.
    pub mode: SearchMode,
    /// Whether to read the pieces of the log that the snapshot has, too.
    pub log: bool,
    /// The units to read, and which of their origins. What is not named is not read.
    pub units: Vec<UnitOrigins>,
}

/// How a query is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// In the language of weir: [`weir_query::parse`].
    #[default]
    Weir,
    /// As one regular expression: [`weir_query::parse_regex`].
    Regex,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchMode {
    /// The records.
    Rows,
    /// Ids, levels and hashes of those that other nodes may hold as well: what is flagged in the log and in units
    /// that are not keyed, and everything in keyed ones.
    Suspects,
    /// How many there are in each bucket of time, by level, without what is flagged and without those that are
    /// known, which are sorted by id, [`limits::NODE_KNOWN_MAX`] at most.
    Histogram(Buckets, HashedRows),
    /// The records around others, as rows in no order, some more than once. Neither query, range, limit nor order
    /// are looked at.
    Around(Around),
}

/// Equal buckets of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Start of the first one, in Unix milliseconds.
    pub from_ms: u64,
    /// Length of each, in milliseconds. Not zero.
    pub width_ms: u64,
    /// How many, 1 to [`limits::NODE_BUCKETS_MAX`].
    pub count: u32,
}

/// A unit and some of its origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOrigins {
    /// The unit.
    pub unit: Unit,
    /// Which of its origins.
    pub origins: Origins,
}

/// Which origins of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All that the snapshot has.
    All,
    /// All that it has but these.
    AllBut(Vec<OriginName>),
    /// These.
    Only(Vec<OriginName>),
}

/// Bytes that are no search. Nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchCodecError {
    /// It does not begin with the magic.
    #[error("the search does not begin with WSRQ")]
    Magic,
    /// A version that this node does not read.
    #[error("version {0} of the search is not known here, only {VERSION}")]
    Version(u8),
    /// The fields do not fit each other.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A field with a value that it cannot have.
    #[error("{0} has a value that it cannot have")]
    Value(&'static str),
}

impl SearchRequest {
    /// The request as a body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.units.len() * 48);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.token.0.to_le_bytes());
        out.push(match self.syntax {
            Syntax::Weir => 0,
            Syntax::Regex => 1,
        });
        put_text(&mut out, &self.query);
        out.extend_from_slice(&self.from.to_bytes());
        out.extend_from_slice(&self.to.to_bytes());
        put_varint(&mut out, self.limit.unwrap_or(0));
        out.push(match self.order {
            Order::Asc => 0,
            Order::Desc => 1,
        });
        put_varint(&mut out, self.time_ms.unwrap_or(0));
        out.push(u8::from(self.whole));
        match &self.mode {
            SearchMode::Rows => out.push(0),
            SearchMode::Suspects => out.push(1),
            SearchMode::Histogram(buckets, known) => {
                out.push(3);
                put_varint(&mut out, buckets.from_ms);
                put_varint(&mut out, buckets.width_ms);
                put_varint(&mut out, u64::from(buckets.count));
                known.put(&mut out);
            }
            SearchMode::Around(around) => {
                out.push(4);
                around::put(&mut out, around);
            }
        }
        out.push(u8::from(self.log));
        put_units(&mut out, &self.units);
        out
    }

    /// A body as a request.
    pub fn decode(body: &[u8]) -> Result<SearchRequest, SearchCodecError> {
        if !body.starts_with(&MAGIC) {
            return Err(SearchCodecError::Magic);
        }
        let mut reader = Reader::new(&body[MAGIC.len()..]);
        let [version] = reader.array("version")?;
        if version != VERSION {
            return Err(SearchCodecError::Version(version));
        }
        let token = SnapshotToken(u128::from_le_bytes(reader.array("token")?));
        let syntax = match reader.array("syntax")? {
            [0] => Syntax::Weir,
            [1] => Syntax::Regex,
            _ => return Err(SearchCodecError::Value("syntax")),
        };
        let query = text(&mut reader, "query", limits::QUERY_BYTES_MAX)?.to_owned();
        let from = RecordId::from_bytes(reader.array("from")?);
        let to = RecordId::from_bytes(reader.array("to")?);
        let limit = Some(reader.varint("limit")?).filter(|limit| *limit > 0);
        let order = match reader.array("order")? {
            [0] => Order::Asc,
            [1] => Order::Desc,
            _ => return Err(SearchCodecError::Value("order")),
        };
        let time_ms = Some(reader.varint("time")?).filter(|time_ms| *time_ms > 0);
        let whole = flag(&mut reader, "damage")?;
        let mode = match reader.array("mode")? {
            [0] => SearchMode::Rows,
            [1] => SearchMode::Suspects,
            [3] => {
                let buckets = read_buckets(&mut reader)?;
                SearchMode::Histogram(buckets, HashedRows::read(&mut reader, limits::NODE_KNOWN_MAX)?)
            }
            [4] => SearchMode::Around(around::read(&mut reader)?),
            _ => return Err(SearchCodecError::Value("mode")),
        };
        let log = flag(&mut reader, "log")?;
        let units = read_units(&mut reader)?;
        reader.finish()?;
        Ok(SearchRequest { token, syntax, query, from, to, limit, order, time_ms, whole, mode, log, units })
    }
}

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, SearchCodecError> {
    match reader.array(what)? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(SearchCodecError::Value(what)),
    }
}

fn read_buckets(reader: &mut Reader<'_>) -> Result<Buckets, SearchCodecError> {
    let (from_ms, width_ms) = (reader.varint("bucket start")?, reader.varint("bucket length")?);
    let count = reader.bounded("buckets", limits::NODE_BUCKETS_MAX)? as u32;
    if width_ms == 0 || count == 0 {
        return Err(SearchCodecError::Value("histogram"));
    }
    Ok(Buckets { from_ms, width_ms, count })
}

/// Appends units and their origins.
pub(super) fn put_units(out: &mut Vec<u8>, units: &[UnitOrigins]) {
    put_varint(out, units.len() as u64);
    for UnitOrigins { unit, origins } in units {
        put_text(out, &unit.to_string());
        let names = match origins {
            Origins::All => {
                out.push(0);
                continue;
            }
            Origins::AllBut(names) => {
                out.push(1);
                names
            }
            Origins::Only(names) => {
                out.push(2);
                names
            }
        };
        let same = |a: &OriginName, b: &OriginName| (a.node, a.epoch) == (b.node, b.epoch);
        put_varint(out, names.chunk_by(same).count() as u64);
        for group in names.chunk_by(same) {
            out.extend_from_slice(&group[0].node.to_le_bytes());
            out.extend_from_slice(&group[0].epoch.to_le_bytes());
            put_varint(out, group.len() as u64);
            for name in group {
                put_varint(out, name.piece);
            }
        }
    }
}

/// Reads what [`put_units`] wrote. The names of all units together are bounded, for each takes a byte on the
/// wire and many in memory.
pub(super) fn read_units(reader: &mut Reader<'_>) -> Result<Vec<UnitOrigins>, SearchCodecError> {
    let count = reader.bounded("units", limits::NODE_SEARCH_UNITS_MAX)?;
    let mut units = Vec::with_capacity(count.min(reader.rest().len() / 16));
    let mut names_left = limits::NODE_SEARCH_ORIGINS_MAX;
    for _ in 0..count {
        let unit = text(reader, "unit", UNIT_TEXT_BYTES_MAX)?;
        let unit = unit.parse().map_err(|_| SearchCodecError::Value("unit"))?;
        let origins = match reader.array("which origins")? {
            [0] => Origins::All,
            [1] => Origins::AllBut(read_names(reader, &mut names_left)?),
            [2] => Origins::Only(read_names(reader, &mut names_left)?),
            _ => return Err(SearchCodecError::Value("which origins")),
        };
        units.push(UnitOrigins { unit, origins });
    }
    Ok(units)
}

fn read_names(reader: &mut Reader<'_>, names_left: &mut usize) -> Result<Vec<OriginName>, SearchCodecError> {
    let mut names = Vec::new();
    for _ in 0..reader.bounded("groups of origins", *names_left)? {
        let node = u64::from_le_bytes(reader.array("node")?);
        let epoch = u64::from_le_bytes(reader.array("epoch")?);
        let count = reader.bounded("origins", *names_left)?;
        *names_left -= count;
        names.reserve(count.min(reader.rest().len()));
        for _ in 0..count {
            names.push(OriginName { node, epoch, piece: reader.varint("piece")? });
        }
    }
    Ok(names)
}

/// Appends a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what [`put_text`] wrote.
pub(super) fn text<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    bytes_max: usize,
) -> Result<&'a str, SearchCodecError> {
    std::str::from_utf8(reader.prefixed(what, bytes_max)?).map_err(|_| SearchCodecError::Value(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::arbitrary::units;
    use proptest::prelude::*;
    use std::sync::Arc;
    use weir_query::Anchor;
    use weir_record::Stream;

    fn arounds() -> impl Strategy<Value = Around> {
        let anchor = (any::<u128>(), 0..3_u8).prop_map(|(id, host)| {
            let stream = Stream::new("t", [("host", host.to_string())]).unwrap();
            Anchor { id: RecordId::from_u128(id), stream: Arc::new(stream) }
        });
        let anchors = prop::collection::vec(anchor, 0..6);
        (0..=limits::QUERY_CONTEXT_RECORDS_MAX, 0..=limits::QUERY_CONTEXT_RECORDS_MAX, any::<u64>(), anchors)
            .prop_map(|(before, after, reach_ms, anchors)| Around { before, after, reach_ms, anchors })
    }

    fn requests() -> impl Strategy<Value = SearchRequest> {
        let buckets = (any::<u64>(), 1..u64::MAX, 1..=limits::NODE_BUCKETS_MAX as u32)
            .prop_map(|(from_ms, width_ms, count)| Buckets { from_ms, width_ms, count });
        let known = prop::collection::vec((any::<u128>(), 0..5_u8), 0..5).prop_map(|records| {
            let mut known = HashedRows::new();
            for (id, level) in records {
                known.push(RecordId::from_u128(id), level, [level; 16]);
            }
            known
        });
        let mode = prop_oneof![
            Just(SearchMode::Rows),
            Just(SearchMode::Suspects),
            (buckets, known).prop_map(|(buckets, known)| SearchMode::Histogram(buckets, known)),
            arounds().prop_map(SearchMode::Around),
        ];
        let bits = (any::<u128>(), any::<[bool; 4]>());
        let some = || prop::option::of(1..u64::MAX);
        let range = (any::<u128>(), any::<u128>(), some(), some());
        (bits, ".{0,40}", range, mode, units()).prop_map(|(bits, query, range, mode, units)| {
            let ((token, bits), (from, to, limit, time_ms)) = (bits, range);
            SearchRequest {
                token: SnapshotToken(token),
                syntax: if bits[0] { Syntax::Regex } else { Syntax::Weir },
                query,
                from: RecordId::from_u128(from),
                to: RecordId::from_u128(to),
                limit,
                order: if bits[1] { Order::Desc } else { Order::Asc },
                time_ms,
                whole: bits[2],
                mode,
                log: bits[3],
                units,
            }
        })
    }

    proptest! {
        #[test]
        fn a_search_survives_the_way_over_the_wire(request in requests()) {
            prop_assert_eq!(SearchRequest::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn every_cut_is_an_error_and_no_flipped_bit_panics(
            request in requests(), at in any::<prop::sample::Index>(), bit in 0..8, more in any::<u8>(),
        ) {
            let mut bytes = request.encode();
            for cut in 0..bytes.len() {
                prop_assert!(SearchRequest::decode(&bytes[..cut]).is_err());
            }
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let _ = SearchRequest::decode(&bytes);
            bytes[at] ^= 1_u8 << bit;
            bytes.push(more);
            prop_assert_eq!(SearchRequest::decode(&bytes), Err(CodecError::Trailing(1).into()));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let unit = Unit::new(3_600_000, 3_600_000, "d", 0, 1).unwrap();
        let name = OriginName { node: 1, epoch: 2, piece: 300 };
        let mut known = HashedRows::new();
        known.push(RecordId::from_u128(1), 4, [b'h'; 16]);
        let request = SearchRequest {
            token: SnapshotToken(9),
            syntax: Syntax::Regex,
            query: "a+".into(),
            from: RecordId::MIN,
            to: RecordId::MAX,
            limit: None,
            order: Order::Desc,
            time_ms: Some(8),
            whole: true,
            mode: SearchMode::Histogram(Buckets { from_ms: 5, width_ms: 6, count: 7 }, known),
            log: true,
            units: vec![UnitOrigins {
                unit,
                origins: Origins::Only(vec![name, OriginName { piece: 4, ..name }]),
            }],
        };
        let mut expected = b"WSRQ\x02\x09".to_vec();
        expected.extend_from_slice(&[0; 15]);
        expected.extend_from_slice(b"\x01\x02a+");
        expected.extend_from_slice(&[0; 16]);
        expected.extend_from_slice(&[0xff; 16]);
        expected.extend_from_slice(b"\0\x01\x08\x01\x03\x05\x06\x07\x01");
        expected.extend_from_slice(&1_u128.to_be_bytes());
        expected.extend_from_slice(b"\x04hhhhhhhhhhhhhhhh\x01");
        expected.extend_from_slice(b"\x01\x173600000.3600000.d.p0of1\x02\x01");
        expected.extend_from_slice(b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\xac\x02\x04");
        assert_eq!(request.encode(), expected);
    }

    #[test]
    fn absurd_numbers_are_refused_before_memory_is_taken() {
        let mut body = Vec::new();
        put_varint(&mut body, u64::MAX);
        let units = |body: &[u8]| read_units(&mut Reader::new(body));
        assert!(matches!(units(&body), Err(SearchCodecError::Codec(CodecError::TooMany { .. }))));
        let mut body = Vec::new();
        put_varint(&mut body, 1);
        put_text(&mut body, "0.1.d.p0of1");
        body.push(2);
        put_varint(&mut body, 2);
        for _ in 0..2 {
            body.extend_from_slice(&[0; 16]);
            put_varint(&mut body, limits::NODE_SEARCH_ORIGINS_MAX as u64 / 2 + 1);
            body.resize(body.len() + limits::NODE_SEARCH_ORIGINS_MAX / 2 + 1, 0);
        }
        let error = units(&body).unwrap_err();
        assert!(matches!(error, SearchCodecError::Codec(CodecError::TooMany { .. })), "{error}");
        assert_eq!(SearchRequest::decode(b"{}"), Err(SearchCodecError::Magic));
        assert_eq!(SearchRequest::decode(b"WSRQ\x03"), Err(SearchCodecError::Version(3)));
    }
}
