//! Records as id, level and hash: enough to tell them apart and to count each once.
//!
//! In order: v count, ids (16 each, big-endian), levels (u8 each), hashes (16 each).

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_segment::level::LEVELS;

use super::search::SearchCodecError;

/// Rows of one frame.
const FRAME_ROWS_MAX: usize = 65_536;

/// Records by their hashes, in flat buffers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashedRows {
    ids: Vec<RecordId>,
    levels: Vec<u8>,
    hashes: Vec<[u8; 16]>,
}

impl HashedRows {
    /// No rows.
    pub fn new() -> HashedRows {
        HashedRows::default()
    }

    /// Adds a record: its id, its level as a number, and a hash of its stream and payload.
    ///
    /// # Panics
    /// When there is no such level.
    pub fn push(&mut self, id: RecordId, level: u8, hash: [u8; 16]) {
        assert!(usize::from(level) < LEVELS, "there are {LEVELS} levels");
        self.ids.push(id);
        self.levels.push(level);
        self.hashes.push(hash);
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All records, in order: id, level, hash.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (RecordId, u8, [u8; 16])> {
        self.ids.iter().zip(&self.levels).zip(&self.hashes).map(|((id, level), hash)| (*id, *level, *hash))
    }

    /// The bodies of frames that hold the rows.
    pub(super) fn encode(&self) -> impl Iterator<Item = Vec<u8>> {
        let chunks = self.ids.chunks(FRAME_ROWS_MAX).zip(self.levels.chunks(FRAME_ROWS_MAX));
        chunks.zip(self.hashes.chunks(FRAME_ROWS_MAX)).map(|((ids, levels), hashes)| {
            let mut out = Vec::with_capacity(5 + ids.len() * 33);
            put_columns(&mut out, ids, levels, hashes);
            out
        })
    }

    pub(super) fn decode(body: &[u8]) -> Result<HashedRows, SearchCodecError> {
        let mut reader = Reader::new(body);
        let rows = HashedRows::read(&mut reader, FRAME_ROWS_MAX)?;
        reader.finish()?;
        if rows.is_empty() {
            return Err(CodecError::Truncated("hashes").into());
        }
        Ok(rows)
    }

    /// Appends all of them.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_columns(out, &self.ids, &self.levels, &self.hashes);
    }

    /// Reads what [`put`](HashedRows::put) wrote, so many at most.
    pub(super) fn read(reader: &mut Reader<'_>, count_max: usize) -> Result<HashedRows, SearchCodecError> {
        let count = reader.bounded("hash count", count_max)?;
        let ids = reader.take(count * 16, "ids")?;
        let levels = reader.take(count, "levels")?;
        let hashes = reader.take(count * 16, "hashes")?;
        if levels.iter().any(|level| usize::from(*level) >= LEVELS) {
            return Err(SearchCodecError::Value("level"));
        }
        let (ids, _) = ids.as_chunks();
        let (hashes, _) = hashes.as_chunks();
        Ok(HashedRows {
            ids: ids.iter().map(|id| RecordId::from_bytes(*id)).collect(),
            levels: levels.to_vec(),
            hashes: hashes.to_vec(),
        })
    }
}

fn put_columns(out: &mut Vec<u8>, ids: &[RecordId], levels: &[u8], hashes: &[[u8; 16]]) {
    put_varint(out, ids.len() as u64);
    out.extend(ids.iter().flat_map(|id| id.to_bytes()));
    out.extend_from_slice(levels);
    out.extend_from_slice(hashes.as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(records: &[(u128, u8, [u8; 16])]) -> HashedRows {
        let mut rows = HashedRows::new();
        for (id, level, hash) in records {
            rows.push(RecordId::from_u128(*id), *level, *hash);
        }
        rows
    }

    proptest! {
        #[test]
        fn hashes_survive_and_damage_never_panics(
            records in prop::collection::vec((any::<u128>(), 0..LEVELS as u8, any::<[u8; 16]>()), 1..9),
            at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let rows = rows_of(&records);
            let mut body = rows.encode().next().unwrap();
            prop_assert_eq!(HashedRows::decode(&body), Ok(rows));
            for cut in 0..body.len() {
                prop_assert!(HashedRows::decode(&body[..cut]).is_err());
            }
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            let _ = HashedRows::decode(&body);
        }
    }

    #[test]
    fn many_go_in_several_frames_and_absurd_numbers_are_refused() {
        let records: Vec<_> = (0..=FRAME_ROWS_MAX as u128).map(|id| (id, 4, [id as u8; 16])).collect();
        let rows = rows_of(&records);
        let parts: Vec<HashedRows> = rows.encode().map(|body| HashedRows::decode(&body).unwrap()).collect();
        assert_eq!(parts.iter().map(HashedRows::count).collect::<Vec<_>>(), [FRAME_ROWS_MAX, 1]);
        assert!(parts.iter().flat_map(HashedRows::iter).eq(rows.iter()));
        assert_eq!(HashedRows::new().encode().count(), 0);
        for body in [&[0][..], &[0xff; 9], &[0x80, 0x80, 4, 0]] {
            assert!(HashedRows::decode(body).is_err(), "{body:?}");
        }
        let mut wrong = rows_of(&[(1, 0, [0; 16])]).encode().next().unwrap();
        wrong[17] = LEVELS as u8;
        assert_eq!(HashedRows::decode(&wrong), Err(SearchCodecError::Value("level")));
    }
}
