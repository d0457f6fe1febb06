//! The side columns of a block: everything about its records but their bytes.

use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::RECORD_BYTES_MAX;

use crate::group::places;
use crate::ids;
use crate::level::LEVELS;
use crate::section::Numbers;

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
    /// Empty until the lines are there, where these tell them.
    pub(crate) lengths: Vec<u32>,
    /// Payload bytes of each stream that occurs, by its number, where lines tell the lengths.
    pub(crate) stream_bytes: Vec<(u32, u64)>,
    /// Per record the group in which its line lies; empty when lines lie in the order of the ids.
    pub(crate) groups: Vec<u8>,
    pub(crate) levels: [u32; LEVELS],
    /// The level of each record, in the order of the lines; of versions 1 and 2 none.
    pub(crate) line_levels: Vec<u8>,
}

/// What columns are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) version: u32,
    pub(crate) records: usize,
    pub(crate) raw_bytes: usize,
    /// What the numbers in the columns are in the segment.
    pub(crate) streams: &'a Numbers,
    pub(crate) origins: &'a Numbers,
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

    /// Payload bytes of each record, without the newline behind it. Of columns that were read without their lines
    /// none, when no payload holds a newline: then the lines tell.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Payload bytes of each stream that occurs, by its number, in ascending order.
    pub fn stream_bytes(&self) -> Vec<(u32, u64)> {
        if self.stream_bytes.is_empty() {
            sum_by_stream(&self.streams, &self.lengths)
        } else {
            self.stream_bytes.clone()
        }
    }

    /// Records per level, in the order of [`Level`](crate::Level).
    pub fn levels(&self) -> [u32; LEVELS] {
        self.levels
    }

    /// The level of each record, as a number of [`Level`](crate::Level); `None` in versions 1 and 2, which do not tell.
    pub fn record_levels(&self) -> Option<Vec<u8>> {
        let levels = lines(&self.groups, self.line_levels.len()).map(|line| self.line_levels[line]);
        (!self.line_levels.is_empty()).then(|| levels.collect())
    }

    /// Empties all columns and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.streams.clear();
        self.origins.clear();
        self.lengths.clear();
        self.stream_bytes.clear();
        self.groups.clear();
        self.levels = [0; LEVELS];
        self.line_levels.clear();
    }

    /// Which record each line is: their places in the order of the ids, group by group; replaces what `order` holds.
    pub(crate) fn order_into(&self, order: &mut Vec<u32>) {
        order.clear();
        order.resize(self.ids.len(), 0);
        let lines = lines(&self.groups, order.len());
        (0..).zip(lines).for_each(|(index, line)| order[line] = index);
    }

    /// Appends: ids (see [`ids::encode`]); v run count and per run v stream, v records; the same of origins;
    /// u8 whether the lines tell the lengths (0 or 1); if 0 per record v length, if 1 and more than one stream occurs
    /// per stream, in ascending order, v payload bytes; u8 grouped (0 or 1) and, if 1, per record u8 group; per
    /// level v records; per record, in the order of the lines, u8 level. Version 1 has no byte for the lengths, which
    /// always follow; it and version 2 have no level per record.
    pub(crate) fn encode(&self, lines_tell: bool, out: &mut Vec<u8>) {
        ids::encode(out, &self.ids);
        for runs in [&self.streams, &self.origins] {
            put_varint(out, runs.len() as u64);
            for run in runs {
                put_varint(out, u64::from(run.index));
                put_varint(out, u64::from(run.count));
            }
        }
        out.push(u8::from(lines_tell));
        if lines_tell {
            let sums = sum_by_stream(&self.streams, &self.lengths);
            if sums.len() > 1 {
                for (_, bytes) in sums {
                    put_varint(out, bytes);
                }
            }
        } else {
            self.lengths.iter().for_each(|&length| put_varint(out, u64::from(length)));
        }
        out.push(u8::from(!self.groups.is_empty()));
        out.extend_from_slice(&self.groups);
        self.levels.iter().for_each(|&count| put_varint(out, u64::from(count)));
        out.extend_from_slice(&self.line_levels);
    }

    /// Reads columns that fill `bytes`. `Ok(None)` when they contradict the bounds or each other.
    pub(crate) fn read(bytes: &[u8], bounds: Bounds<'_>) -> Result<Option<Columns>, CodecError> {
        let reader = &mut Reader::new(bytes);
        let Some(ids) = ids::read(reader, bounds.records)? else { return Ok(None) };
        let Some(streams) = read_runs(reader, bounds.records, bounds.streams)? else { return Ok(None) };
        let Some(origins) = read_runs(reader, bounds.records, bounds.origins)? else { return Ok(None) };
        let [lines_tell] = if bounds.version > 1 { reader.array("lengths")? } else { [0] };
        let (mut lengths, mut stream_bytes) = (Vec::new(), Vec::new());
        let payload_bytes = bounds.raw_bytes.checked_sub(bounds.records);
        let sum = if lines_tell == 1 {
            stream_bytes = read_stream_bytes(reader, &streams, payload_bytes.unwrap_or(0))?;
            stream_bytes.iter().map(|&(_, bytes)| bytes as usize).sum()
        } else {
            lengths.reserve_exact(bounds.records);
            for _ in 0..bounds.records {
                lengths.push(reader.bounded("record length", RECORD_BYTES_MAX)? as u32);
            }
            lengths.iter().map(|&length| length as usize).sum()
        };
        let [grouped] = reader.array("grouped")?;
        if grouped > 1 || lines_tell > 1 || Some::<usize>(sum) != payload_bytes {
            return Ok(None);
        }
        let groups = reader.take(usize::from(grouped) * bounds.records, "groups")?.to_vec();
        let mut levels = [0; LEVELS];
        for count in &mut levels {
            *count = reader.bounded("records of a level", bounds.records)? as u32;
        }
        let line_levels = reader.take(if bounds.version > 2 { bounds.records } else { 0 }, "levels")?;
        let mut told = [0; 256];
        for &level in line_levels {
            told[usize::from(level)] += 1;
        }
        reader.finish()?;
        let leveled = levels.iter().sum::<u32>() as usize == bounds.records
            && (line_levels.is_empty() || told[..LEVELS] == levels);
        let columns = Columns {
            ids,
            streams,
            origins,
            lengths,
            stream_bytes,
            groups,
            levels,
            line_levels: line_levels.to_vec(),
        };
        Ok(leveled.then_some(columns))
    }
}

/// The place among the lines of each record, in the order of the ids.
fn lines(groups: &[u8], records: usize) -> impl Iterator<Item = usize> {
    let mut next = places(groups);
    (0..records).map(move |index| match groups.get(index) {
        None => index,
        Some(&group) => {
            let place = &mut next[usize::from(group)];
            *place += 1;
            *place as usize - 1
        }
    })
}

/// Payload bytes of each stream that occurs, in the order of their numbers.
fn sum_by_stream(streams: &[Run], lengths: &[u32]) -> Vec<(u32, u64)> {
    let mut sums: Vec<(u32, u64)> = numbers(streams).into_iter().map(|number| (number, 0)).collect();
    let mut rest = lengths.iter();
    for run in streams {
        let bytes: u64 = rest.by_ref().take(run.count as usize).map(|&length| u64::from(length)).sum();
        let place = sums.partition_point(|(number, _)| *number < run.index);
        if let Some((_, sum)) = sums.get_mut(place) {
            *sum += bytes;
        }
    }
    sums
}

/// The streams that occur, each once.
fn numbers(streams: &[Run]) -> Vec<u32> {
    let mut numbers: Vec<u32> = streams.iter().map(|run| run.index).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn read_stream_bytes(
    reader: &mut Reader<'_>,
    streams: &[Run],
    payload_bytes: usize,
) -> Result<Vec<(u32, u64)>, CodecError> {
    let numbers = numbers(streams);
    if let [one] = numbers[..] {
        return Ok(alloc::vec![(one, payload_bytes as u64)]);
    }
    let sum = |number| Ok((number, reader.bounded("payload bytes of a stream", payload_bytes)? as u64));
    numbers.into_iter().map(sum).collect()
}

fn read_runs(
    reader: &mut Reader<'_>,
    records: usize,
    numbers: &Numbers,
) -> Result<Option<Vec<Run>>, CodecError> {
    let count = reader.bounded("run count", records)?;
    let mut runs = Vec::with_capacity(count);
    let mut total = 0;
    for _ in 0..count {
        let index = numbers.of(reader.bounded("number in a run", numbers.len().saturating_sub(1))? as u32);
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
            lengths in prop::collection::vec(0..300_u32, 1..60), grouped in any::<bool>(), lines_tell in any::<bool>(),
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
            columns.levels[0] = records as u32 - records as u32 / 3;
            columns.levels[2] = records as u32 / 3;
            columns.line_levels = (1..=records).map(|index| if index % 3 == 0 { 2 } else { 0 }).collect();
            let raw_bytes = columns.lengths.iter().map(|&length| length as usize + 1).sum();
            let (streams, origins) = (Numbers::Same(12), Numbers::Same(2));
            let bounds = Bounds { version: 3, records, raw_bytes, streams: &streams, origins: &origins };
            let mut bytes = Vec::new();
            columns.encode(lines_tell, &mut bytes);
            let sums = columns.stream_bytes();
            if lines_tell {
                columns.lengths.clear();
                columns.stream_bytes.clone_from(&sums);
            }
            let read = Columns::read(&bytes, bounds);
            prop_assert_eq!(read.as_ref(), Ok(&Some(columns)));
            prop_assert_eq!(read.unwrap().unwrap().stream_bytes(), sums);
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
