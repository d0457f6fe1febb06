//! Segments on a simulated disk, made of lists of records.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_engine::{Answer, Cancel, Engine, Plan, Searchable};
use weir_query::{Fingerprint, Rows};
use weir_record::{RecordId, Stream};
use weir_segment::{OriginFlags, OriginName, Unit, Writer, WriterOptions};
use weir_storage::disk::sim::SimDisk;
use weir_storage::{Disk, SegmentFile};

use crate::memory::{Shown, shown};

/// Length of the bucket of all units here; they begin at 0.
pub(crate) const BUCKET_MS: u64 = 3_600_000;

/// The records of one origin, in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginSpec {
    pub(crate) flagged: bool,
    pub(crate) records: Vec<Shown>,
}

pub(crate) fn stream(topic: &str) -> Stream {
    let none: [(&str, &str); 0] = [];
    Stream::new(topic, none).unwrap()
}

/// Writes a segment of origins that each have a record.
pub(crate) fn write(
    disk: &SimDisk,
    name: &str,
    keyed: bool,
    origins: &[OriginSpec],
    options: WriterOptions,
) -> PathBuf {
    let unit = Unit::new(0, BUCKET_MS, "default", 0, 1).unwrap();
    let unit = if keyed { unit.keyed() } else { unit };
    let names: Vec<_> = (0..)
        .zip(origins)
        .map(|(piece, origin)| {
            let flags = if origin.flagged { OriginFlags::MAYBE_REPEATED } else { OriginFlags::NONE };
            (OriginName { node: 1, epoch: 2, piece }, flags)
        })
        .collect();
    let mut writer = Writer::new(unit, &names, options).unwrap();
    let mut records: Vec<(usize, &Shown)> = origins
        .iter()
        .enumerate()
        .flat_map(|(number, origin)| origin.records.iter().map(move |record| (number, record)))
        .collect();
    records.sort_by_key(|(_, record)| record.0);
    let mut bytes = Vec::new();
    for (origin, (id, topic, payload)) in records {
        let stream = writer.stream(&stream(topic)).unwrap();
        writer.push(RecordId::from_u128(*id), stream, origin as u32, payload, &mut bytes).unwrap();
    }
    writer.finish(&mut bytes).unwrap();
    let path = PathBuf::from(name);
    disk.create_new(&path).unwrap().write_at(&bytes, 0).unwrap();
    path
}

pub(crate) fn open(disk: &SimDisk, path: &Path) -> Arc<SegmentFile> {
    Arc::new(SegmentFile::open(disk, path).unwrap())
}

/// All rows of an answer.
pub(crate) fn rows(engine: &Engine, plan: &Plan, over: &[Searchable]) -> (Vec<Shown>, Answer) {
    let mut found = Vec::new();
    let mut sink = |rows: Rows| {
        found.extend(shown(&rows));
        ControlFlow::Continue(())
    };
    let answer = engine.run_over(plan, over, &Cancel::new(), &mut sink).unwrap();
    (found, answer)
}

/// All fingerprints of an answer, sorted.
pub(crate) fn prints(engine: &Engine, plan: &Plan, over: &[Searchable]) -> Vec<(u128, Fingerprint)> {
    let mut found = Vec::new();
    let mut sink = |rows: Rows| {
        found.extend(rows.iter().map(|row| (row.id.to_u128(), Fingerprint::read(row.payload).unwrap())));
        ControlFlow::Continue(())
    };
    engine.hashes_over(plan, over, &Cancel::new(), &mut sink).unwrap();
    found.sort_unstable();
    found
}
