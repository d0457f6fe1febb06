//! `POST /api/v1/node/search`: what one node is to read for the question of another.
//!
//! In order, integers little-endian or LEB128 varints (`v`), texts with their length (v) before them:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WSRQ` |
//! | version | u8 | 3 |
//! | token | 16 | the snapshot to read |
//! | syntax | u8 | how the query is written: 0 the language of weir, 1 one regular expression |
//! | query | text | at most 16 KiB |
//! | from, to | 16 each | lowest id asked for, lowest id no longer asked for; big-endian |
//! | limit | v | at most so many rows; 0 all |
//! | order | u8 | 0 oldest first, 1 newest first |
//! | time | v | how long anybody waits for the answer, in ms; 0 for ever |
//! | damage | u8 | what a segment has lost: 0 is passed over and told, 1 ends the answer with an error |
//! | mode | u8 | 0 rows, 1 suspects, 3 histogram, 4 neighbours, 5 suspects as rows, 6 sum |
//! | histogram | v three times | only then: start of the first bucket, length of a bucket (both in ms), number of buckets |
//! | known | … | for histogram and sum: see [`hashes`](super::hashes); what is not counted |
//! | neighbours | … | only then: see [`around`](super::around); the query is not looked at |
//! | stages | v, … | how many; each with its name as text, SHA-256 of its component (32), parameters in JSON as text |
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
const VERSION: u8 = 3;
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
    /// What matching records go through before, in this order.
    pub stages: Vec<StageSpec>,
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

/// A stage of a query: which component, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSpec {
    /// The name of the filter where the question was asked.
    pub name: String,
    /// SHA-256 of its component.
    pub sha256: [u8; 32],
    /// A JSON object, at most [`limits::FILTER_PARAMS_BYTES_MAX`].
    pub params: String,
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
    /// The records of which [`SearchMode::Suspects`] tells the hashes.
    SuspectRows,
    /// What the last stage, an aggregate, makes of all but what is flagged and what is known.
    Sum(HashedRows),
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
            SearchMode::SuspectRows => out.push(5),
            SearchMode::Sum(known) => {
                out.push(6);
                known.put(&mut out);
            }
        }
        put_varint(&mut out, self.stages.len() as u64);
        for StageSpec { name, sha256, params } in &self.stages {
            put_text(&mut out, name);
            out.extend_from_slice(sha256);
            put_text(&mut out, params);
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
            [5] => SearchMode::SuspectRows,
            [6] => SearchMode::Sum(HashedRows::read(&mut reader, limits::NODE_KNOWN_MAX)?),
            _ => return Err(SearchCodecError::Value("mode")),
        };
        let stages = (0..reader.bounded("stages", limits::QUERY_STAGES_MAX)?)
            .map(|_| read_stage(&mut reader))
            .collect::<Result<_, _>>()?;
        let log = flag(&mut reader, "log")?;
        let units = read_units(&mut reader)?;
        reader.finish()?;
        Ok(SearchRequest {
            token,
            syntax,
            query,
            from,
            to,
            limit,
            order,
            time_ms,
            whole,
            mode,
            stages,
            log,
            units,
        })
    }
}

fn read_stage(reader: &mut Reader<'_>) -> Result<StageSpec, SearchCodecError> {
    let name = text(reader, "stage", limits::NAME_BYTES_MAX)?.to_owned();
    let sha256 = reader.array("digest")?;
    let params = text(reader, "parameters", limits::FILTER_PARAMS_BYTES_MAX)?.to_owned();
    Ok(StageSpec { name, sha256, params })
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
mod tests;
