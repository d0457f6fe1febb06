//! The side columns of a block: everything about its records but their bytes.

use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::RECORD_BYTES_MAX;

use crate::ids;
use crate::level::LEVELS;

/// Neighbouring records with the same number of a stream or of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The number.
    pub index: u32,
    /// How many records.
    pub count: u32,
}

/// Adds one record to runs.
pub(crate) fn push_run(runs: &mut Vec<Run>, index: u32) {
    match runs.last_mut() {
        Some(run) if run.index == index => run.count += 1,
        _ => runs.push(Run { index, count: 1 }),
    }
}

/// The columns of a block, all in the order of the ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    pub(crate) ids: Vec<RecordId>,
    pub(crate) streams: Vec<Run>,
    pub(crate) origins: Vec<Run>,
    pub(crate) lengths: Vec<u32>,
    /// Per record the group in which its line lies; empty when lines lie in the order of the ids.
    pub(crate) groups: Vec<u8>,
    pub(crate) levels: [u32; LEVELS],
}

/// What columns are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    pub(crate) raw_bytes: usize,
    pub(crate) streams: usize,
    pub(crate) origins: usize,
}

impl Columns {
    /// The ids, which do not go down.
    pub fn ids(&self) -> &[RecordId] {
        &self.ids
    }

    /// Numbers in [`Footer::streams`](crate::Footer::streams), run by run.
    pub fn streams(&self) -> &[Run] {
        &self.streams
    }

    /// Numbers in [`Footer::lineage`](crate::Footer::lineage), run by run.
    pub fn origins(&self) -> &[Run] {
        &self.origins
    }

    /// Payload bytes of each record, without the newline behind it.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Records per level, in the order of [`Level`](crate::Level).
    pub fn levels(&self) -> [u32; LEVELS] {
        self.levels
    }

    /// Empties all columns and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.streams.clear();
        self.origins.clear();
        self.lengths.clear();
        self.groups.clear();
        self.levels = [0; LEVELS];
    }

    /// Appends: ids (see [`ids::encode`]); v run count and per run v stream, v records; the same of origins;
    /// per record v length; u8 grouped (0 or 1) and, if 1, per record u8 group; per level v records.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        ids::encode(out, &self.ids);
        for runs in [&self.streams, &self.origins] {
            put_varint(out, runs.len() as u64);
            for run in runs {
                put_varint(out, u64::from(run.index));
                put_varint(out, u64::from(run.count));
            }
        }
        self.lengths.iter().for_each(|&length| put_varint(out, u64::from(length)));
        out.push(u8::from(!self.groups.is_empty()));
        out.extend_from_slice(&self.groups);
        self.levels.iter().for_each(|&count| put_varint(out, u64::from(count)));
    }

    /// Reads columns that fill `bytes`. `Ok(None)` when they contradict the bounds or each other.
    pub(crate) fn read(bytes: &[u8], bounds: Bounds) -> Result<Option<Columns>, CodecError> {
        let reader = &mut Reader::new(bytes);
        let Some(ids) = ids::read(reader, bounds.records)? else { return Ok(None) };
        let Some(streams) = read_runs(reader, bounds.records, bounds.streams)? else { return Ok(None) };
        let Some(origins) = read_runs(reader, bounds.records, bounds.origins)? else { return Ok(None) };
        let mut lengths = Vec::with_capacity(bounds.records);
        let mut raw_bytes = 0;
        for _ in 0..bounds.records {
            let length = reader.bounded("record length", RECORD_BYTES_MAX)?;
            raw_bytes += length + 1;
            lengths.push(length as u32);
        }
        let [grouped] = reader.array("grouped")?;
        if grouped > 1 || raw_bytes != bounds.raw_bytes {
            return Ok(None);
        }
        let groups = reader.take(usize::from(grouped) * bounds.records, "groups")?.to_vec();
        let mut levels = [0; LEVELS];
        for count in &mut levels {
            *count = reader.bounded("records of a level", bounds.records)? as u32;
        }
        reader.finish()?;
        let leveled: u32 = levels.iter().sum();
        let columns = Columns { ids, streams, origins, lengths, groups, levels };
        Ok((leveled as usize == bounds.records).then_some(columns))
    }
}

fn read_runs(
    reader: &mut Reader<'_>,
    records: usize,
    indexes: usize,
) -> Result<Option<Vec<Run>>, CodecError> {
    let count = reader.bounded("run count", records)?;
    let mut runs = Vec::with_capacity(count);
    let mut total = 0;
    for _ in 0..count {
        let index = reader.bounded("number in a run", indexes.saturating_sub(1))? as u32;
        let count = reader.bounded("records of a run", records - total)? as u32;
        total += count as usize;
        runs.push(Run { index, count });
    }
    let empty = runs.iter().any(|run| run.count == 0);
    Ok((total == records && !empty).then_some(runs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn changed_or_cut_columns_never_panic_and_agree_with_their_bounds_when_accepted(
            lengths in prop::collection::vec(0..300_u32, 1..60), grouped in any::<bool>(),
            at in any::<prop::sample::Index>(), value in any::<u8>(),
        ) {
            let records = lengths.len();
            let mut columns = Columns { lengths, ..Columns::default() };
            for index in 0..records {
                columns.ids.push(RecordId::from_parts(index as u64 / 9, index as u128));
                push_run(&mut columns.streams, index as u32 / 5);
                push_run(&mut columns.origins, index as u32 % 2);
            }
            if grouped { columns.groups = (0..records).map(|index| index as u8).collect(); }
            columns.levels[0] = records as u32;
            let raw_bytes = columns.lengths.iter().map(|&length| length as usize + 1).sum();
            let bounds = Bounds { records, raw_bytes, streams: 12, origins: 2 };
            let mut bytes = Vec::new();
            columns.encode(&mut bytes);
            prop_assert_eq!(Columns::read(&bytes, bounds), Ok(Some(columns)));
            let at = at.index(bytes.len());
            prop_assert!(!matches!(Columns::read(&bytes[..at], bounds), Ok(Some(_))));
            bytes[at] = value;
            if let Ok(Some(read)) = Columns::read(&bytes, bounds) {
                prop_assert_eq!(read.ids.len(), records);
                prop_assert!(read.streams.iter().all(|run| run.index < 12));
                prop_assert!(read.origins.iter().all(|run| run.index < 2));
            }
        }
    }
}
