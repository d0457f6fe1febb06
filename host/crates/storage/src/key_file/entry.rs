//! Entries of the file of keys as bytes.

use weir_record::RecordId;
use weir_record::codec::Reader;
use weir_record::limits::IDEMPOTENCY_KEY_BYTES_MAX;

/// What begins the file: magic, version 1, and the CRC-32C of both.
pub(super) const HEADER_BYTES: usize = 16;
const MAGIC: [u8; 8] = *b"\x8eweirkey";
const VERSION: u32 = 1;
/// Checksum and length in front of an entry.
const HEAD_BYTES: usize = 6;

const PROMISE: u8 = 1;
const ANSWER: u8 = 2;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Its records may be stored, under these ids or not at all.
    Promised(Promise),
    /// Its records are stored, and that was answered.
    Answered(KeyAnswer),
}

/// Ids set aside for the records of a request before any of them is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// The first id; the others follow it one by one.
    pub first: RecordId,
    /// How many records.
    pub count: u32,
    /// CRC-32C over the payloads and their lengths: tells the request from another one with the same key.
    pub sum: u32,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyAnswer {
    /// How many records.
    pub records: u64,
    /// The lowest and the highest id; `None` without records.
    pub ids: Option<(RecordId, RecordId)>,
    /// How far they had come, as a number that the caller chooses.
    pub durability: u8,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) key: Box<str>,
    pub(super) at_ms: u64,
    pub(super) state: KeyState,
}

pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let sum = crc32c::crc32c(&out[..12]);
    out[12..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Appends an entry. In order, integers little-endian, ids big-endian:
///
/// | field | size | meaning |
/// |---|---|---|
/// | checksum | 4 | CRC-32C of all that follows |
/// | length | 2 | bytes of all that follows |
/// | kind | u8 | 1 promise, 2 answer |
/// | time | 8 | Unix milliseconds |
/// | key | 2 + … | length, bytes |
/// | promise | 16 + 4 + 4 | first id, records, CRC-32C of the payloads |
/// | answer | 8 + 1 + 16 + 16 | records, durability, lowest id, highest id; both 0 without records |
pub(super) fn put(out: &mut Vec<u8>, entry: &Written) {
    let from = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.push(match entry.state {
        KeyState::Promised(_) => PROMISE,
        KeyState::Answered(_) => ANSWER,
    });
    out.extend_from_slice(&entry.at_ms.to_le_bytes());
    out.extend_from_slice(&(entry.key.len() as u16).to_le_bytes());
    out.extend_from_slice(entry.key.as_bytes());
    match entry.state {
        KeyState::Promised(promise) => {
            out.extend_from_slice(&promise.first.to_u128().to_be_bytes());
            out.extend_from_slice(&promise.count.to_le_bytes());
            out.extend_from_slice(&promise.sum.to_le_bytes());
        }
        KeyState::Answered(answer) => {
            let (low, high) = answer.ids.unwrap_or((RecordId::MIN, RecordId::MIN));
            out.extend_from_slice(&answer.records.to_le_bytes());
            out.push(answer.durability);
            out.extend_from_slice(&low.to_u128().to_be_bytes());
            out.extend_from_slice(&high.to_u128().to_be_bytes());
        }
    }
    let length = (out.len() - from - HEAD_BYTES) as u16;
    out[from + 4..from + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c(&out[from + 4..]);
    out[from..from + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The sound entries at the beginning of some bytes, and where they end: from there on they were cut off by a
/// crash before anybody relied on them.
pub(super) fn read(bytes: &[u8]) -> (Vec<Written>, usize) {
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some((entry, length)) = bytes.get(at..).and_then(read_one) {
        entries.push(entry);
        at += length;
    }
    (entries, at)
}

fn read_one(bytes: &[u8]) -> Option<(Written, usize)> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    let length = HEAD_BYTES + usize::from(u16::from_le_bytes(*rest.first_chunk::<2>()?));
    let covered = bytes.get(4..length)?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut reader = Reader::new(covered.get(2..)?);
    let [kind] = reader.array("kind").ok()?;
    let at_ms = u64::from_le_bytes(reader.array("time").ok()?);
    let key_bytes = usize::from(u16::from_le_bytes(reader.array("key").ok()?));
    let key = reader.take(key_bytes.min(IDEMPOTENCY_KEY_BYTES_MAX), "key").ok()?;
    let key = std::str::from_utf8(key).ok()?.into();
    let id = |reader: &mut Reader<'_>| {
        reader.array("id").ok().map(|id| RecordId::from_u128(u128::from_be_bytes(id)))
    };
    let state = match kind {
        PROMISE => KeyState::Promised(Promise {
            first: id(&mut reader)?,
            count: u32::from_le_bytes(reader.array("count").ok()?),
            sum: u32::from_le_bytes(reader.array("sum").ok()?),
        }),
        ANSWER => {
            let records = u64::from_le_bytes(reader.array("records").ok()?);
            let [durability] = reader.array("durability").ok()?;
            let ids = (id(&mut reader)?, id(&mut reader)?);
            KeyState::Answered(KeyAnswer { records, ids: (records > 0).then_some(ids), durability })
        }
        _ => return None,
    };
    reader.finish().ok()?;
    Some((Written { key, at_ms, state }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<Written> {
        let (low, high) = (RecordId::from_parts(7, 1), RecordId::from_parts(7, 3));
        let states = [
            KeyState::Promised(Promise { first: low, count: 3, sum: 0xdead }),
            KeyState::Answered(KeyAnswer { records: 3, ids: Some((low, high)), durability: 1 }),
            KeyState::Answered(KeyAnswer { records: 0, ids: None, durability: 0 }),
        ];
        let keys = ["a", "order-17", &"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX)];
        let all = keys.into_iter().zip(states).zip(5..);
        all.map(|((key, state), at_ms)| Written { key: key.into(), at_ms, state }).collect()
    }

    #[test]
    fn entries_survive_the_way_to_bytes_and_back_up_to_the_first_bad_one() {
        let entries = written();
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for entry in &entries {
            put(&mut bytes, entry);
            ends.push(bytes.len());
        }
        assert_eq!(read(&bytes), (entries.clone(), bytes.len()));
        for cut in 0..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(read(&bytes[..cut]), (entries[..whole].to_vec(), ends[whole]), "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0x10;
            let (found, _) = read(&flipped);
            assert_eq!(found, entries[..whole], "flipped at {cut}");
        }
        assert_eq!(read(&[0; 100]), (vec![], 0), "zeros are no entry");
    }
}
