//! The ids of a block as a column.
//!
//! A writer draws entropy once per batch and counts up, so most ids continue one of the last few batches:
//! as the next id of the same millisecond (a run), or in a later millisecond with the next entropy (records
//! that brought their own times). Only a new batch costs its entropy.

use alloc::vec::Vec;

use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::id::{ENTROPY_MAX, TIME_MS_MAX};
use weir_record::limits::SEGMENT_BLOCK_RECORDS_MAX;
use weir_record::mint::push_id;
use weir_record::{IdRun, RecordId};

/// Batches whose entropy is remembered.
const RECENT: usize = 16;
/// How far from the remembered entropy an id may lie and still be said to continue it.
const GAP_MAX: u128 = 1 << 31;

/// The entropies that would continue the last batches, the latest first.
struct Recent {
    next: [u128; RECENT],
    count: usize,
}

impl Recent {
    fn new() -> Recent {
        Recent { next: [0; RECENT], count: 0 }
    }

    fn find(&self, entropy: u128) -> Option<usize> {
        self.next[..self.count].iter().position(|next| next.abs_diff(entropy) < GAP_MAX)
    }

    /// Moves slot `from` to the front (or a new one, which may push out the last) and sets what continues it.
    fn set_first(&mut self, from: Option<usize>, next: u128) {
        if from.is_none() && self.count < RECENT {
            self.count += 1;
        }
        let last = from.unwrap_or(self.count - 1);
        self.next.copy_within(0..last, 1);
        self.next[0] = next;
    }
}

/// Appends ids, which must not go down.
///
/// In order: v run count; per run v milliseconds since the last id of the run before (the first: since 0);
/// per run v reference: 0 for a new entropy, else 1 + the place among the last 16 entropies, the latest first;
/// per run with a reference v gap, zigzag: its entropy minus the one that would continue there; per run
/// without one its entropy (10, big-endian); per run v ids minus 1.
/// What would continue a run is the entropy of its last id plus 1.
pub(crate) fn encode(out: &mut Vec<u8>, ids: &[RecordId]) {
    let mut runs = Vec::new();
    for &id in ids {
        push_id(&mut runs, id);
    }
    let (mut references, mut gaps, mut fresh, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut recent = Recent::new();
    let mut time_ms = 0;
    put_varint(out, runs.len() as u64);
    for run in &runs {
        put_varint(out, run.first.time_ms() - time_ms);
        let entropy = run.first.entropy();
        let found = recent.find(entropy);
        if let Some(slot) = found {
            references.push(slot as u8 + 1);
            let gap = entropy.wrapping_sub(recent.next[slot]) as i64;
            put_varint(&mut gaps, (gap << 1 ^ gap >> 63) as u64);
        } else {
            references.push(0);
            fresh.extend_from_slice(&entropy.to_be_bytes()[6..]);
        }
        put_varint(&mut counts, u64::from(run.count) - 1);
        let last = run.last().unwrap_or(RecordId::MAX);
        recent.set_first(found, last.entropy() + 1);
        time_ms = last.time_ms();
    }
    for column in [references, gaps, fresh, counts] {
        out.extend_from_slice(&column);
    }
}

/// Reads `records` ids. `None` when they go down, leave the range of ids or are of another number.
pub(crate) fn read(reader: &mut Reader<'_>, records: usize) -> Result<Option<Vec<RecordId>>, CodecError> {
    let count = reader.bounded("id run count", records.min(SEGMENT_BLOCK_RECORDS_MAX))?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(reader.varint("time of an id run")?);
    }
    let references = reader.take(count, "references of id runs")?;
    let mut gaps = Vec::with_capacity(count);
    for _ in references.iter().filter(|&&reference| reference > 0) {
        let zigzag = reader.varint("gap of an id run")?;
        gaps.push((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
    }
    let mut gaps = gaps.into_iter();
    let mut fresh = Vec::new();
    for _ in references.iter().filter(|&&reference| reference == 0) {
        let mut bytes = [0; 16];
        bytes[6..].copy_from_slice(&reader.array::<10>("entropy")?);
        fresh.push(u128::from_be_bytes(bytes));
    }
    let mut fresh = fresh.into_iter();
    let mut ids: Vec<RecordId> = Vec::with_capacity(records);
    let mut recent = Recent::new();
    let mut time_ms = 0_u64;
    for (&delta, &reference) in times.iter().zip(references) {
        let more = reader.bounded("ids of a run", records)? as u32;
        let slot = usize::from(reference).checked_sub(1);
        let entropy = match slot {
            Some(slot) if slot < recent.count => {
                gaps.next().and_then(|gap| recent.next[slot].checked_add_signed(i128::from(gap)))
            }
            Some(_) => None,
            None => fresh.next(),
        };
        let Some(entropy) = entropy.filter(|&entropy| entropy <= ENTROPY_MAX) else { return Ok(None) };
        let Some(time) = time_ms.checked_add(delta).filter(|&time| time <= TIME_MS_MAX) else {
            return Ok(None);
        };
        let run = IdRun { first: RecordId::from_parts(time, entropy), count: more + 1 };
        let (Some(last), true) = (run.last(), ids.len() + run.count as usize <= records) else {
            return Ok(None);
        };
        if ids.last().is_some_and(|before| *before > run.first) {
            return Ok(None);
        }
        ids.extend(run.ids());
        recent.set_first(slot, last.entropy() + 1);
        time_ms = last.time_ms();
    }
    Ok((ids.len() == records).then_some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(ids: &[RecordId]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, ids);
        out
    }

    proptest! {
        #[test]
        fn any_sorted_ids_round_trip(
            mut parts in prop::collection::vec((0..9_u64, prop_oneof![0..9_u128, Just(ENTROPY_MAX), any::<u128>()]), 1..200)
        ) {
            parts.sort_unstable();
            let mut ids: Vec<RecordId> =
                parts.into_iter().map(|(time, entropy)| RecordId::from_parts(time, entropy)).collect();
            ids.sort_unstable();
            let bytes = encoded(&ids);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(read(&mut reader, ids.len()), Ok(Some(ids)));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), records in 0..500_usize) {
            if let Ok(Some(ids)) = read(&mut Reader::new(&bytes), records) {
                prop_assert_eq!(ids.len(), records);
                prop_assert!(ids.is_sorted());
            }
        }
    }

    #[test]
    fn ends_of_the_range_round_trip() {
        let last = RecordId::from_parts(TIME_MS_MAX, ENTROPY_MAX);
        let ids = [
            RecordId::MIN,
            RecordId::MIN,
            RecordId::from_parts(0, ENTROPY_MAX),
            RecordId::from_parts(1, 0),
            last,
            last,
        ];
        assert_eq!(read(&mut Reader::new(&encoded(&ids)), ids.len()), Ok(Some(ids.to_vec())));
    }

    #[test]
    fn ids_of_interleaved_writers_with_times_of_their_own_stay_small() {
        let entropy = |writer: u128| (writer + 1) << 60;
        let ids: Vec<RecordId> = (0..1000)
            .map(|n| {
                RecordId::from_parts(1_700_000_000_000 + n, entropy(u128::from(n % 4)) + u128::from(n / 4))
            })
            .collect();
        assert!(encoded(&ids).len() < 1000 * 5, "{}", encoded(&ids).len());
    }
}
