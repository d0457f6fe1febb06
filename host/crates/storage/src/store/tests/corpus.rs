//! Origins for the tests, and what a reader finds of them in a store.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use weir_record::{RecordId, Stream};
use weir_segment::{
    Block, Decoder, Footer, Opened, OriginFlags, OriginName, RecordDigest, Unit, Writer, WriterOptions,
};

use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::store::{
    AcceptError, Accepted, Change, CompactBudget, CompactWork, Compaction, Expected, Offer, Store,
    StoreOptions, StoreRecovery, StoredSegment, verify,
};

pub(crate) const HOUR_MS: u64 = 3_600_000;

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        level: 1,
        settled_level: 1,
        block_bytes: 1 << 10,
        leaf_bytes: 1 << 8,
        settled_leaf_bytes: 1 << 8,
        target_bytes: 1 << 20,
        full_at_percent: 100,
        resume_at_percent: 100,
        reserve_bytes: 0,
        ..StoreOptions::default()
    }
}

pub(crate) fn open_with(disk: &SimDisk, options: StoreOptions) -> (Store, StoreRecovery) {
    Store::open(Arc::new(disk.clone()), Path::new(""), options).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn open(disk: &SimDisk) -> (Store, StoreRecovery) {
    open_with(disk, options())
}

/// A store on an empty disk.
pub(crate) fn fresh() -> (SimDisk, Store) {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk);
    (disk, store)
}

pub(crate) fn unit(hour: u64, class: &str) -> Unit {
    Unit::new(hour * HOUR_MS, HOUR_MS, class, 0, 1).unwrap()
}

pub(crate) fn name(piece: u64) -> OriginName {
    OriginName { node: 7, epoch: 8, piece }
}

pub(crate) fn options_of_origins() -> WriterOptions {
    WriterOptions { block_bytes: 1 << 10, leaf_bytes: 1 << 8, ..WriterOptions::default() }
}

/// A segment of some origins, each with so many records. Ids of neighbours interleave, every fifth is the
/// same in all of them.
pub(crate) fn segment(unit: &Unit, pieces: &[u64], records: u64) -> (Vec<u8>, Footer) {
    let origins: Vec<_> = pieces.iter().map(|&piece| (name(piece), OriginFlags::NONE)).collect();
    let mut writer = Writer::new(unit.clone(), &origins, options_of_origins()).unwrap();
    let mut bytes = Vec::new();
    let mut rows = Vec::new();
    for (origin, &piece) in pieces.iter().enumerate() {
        let host = format!("web{}", piece % 3);
        let stream = writer.stream(&Stream::new("shop", [("host", host)]).unwrap()).unwrap();
        for record in 0..records {
            let entropy = if record % 5 == 0 { 0 } else { u128::from(piece) + 1 };
            let id = RecordId::from_parts(unit.start_ms() + record, entropy);
            rows.push((id, origin as u32, stream, format!("origin {piece} line {record} of {unit}")));
        }
    }
    rows.sort_by_key(|row| (row.0, row.1));
    for (id, origin, stream, payload) in rows {
        writer.push(id, stream, origin, payload.as_bytes(), &mut bytes).unwrap();
    }
    let footer = writer.finish(&mut bytes).unwrap();
    (bytes, footer)
}

/// An origin and what is announced of it.
pub(crate) fn origin(unit: &Unit, piece: u64, records: u64) -> (Expected, Vec<u8>) {
    let (bytes, footer) = segment(unit, &[piece], records);
    let origin = footer.lineage()[0];
    let expected = Expected {
        unit: unit.clone(),
        name: origin.name,
        flags: origin.flags,
        count: origin.count,
        digest: origin.digest,
        bytes: bytes.len() as u64,
    };
    (expected, bytes)
}

/// Offers an origin and sends its bytes in parts.
pub(crate) fn send(store: &Store, expected: &Expected, bytes: &[u8]) -> Result<Accepted, AcceptError> {
    let mut incoming = match store.incoming(expected.clone())? {
        Offer::Wanted(incoming) => incoming,
        Offer::Settled(accepted) => return Ok(accepted),
    };
    for part in bytes.chunks(700) {
        incoming.write(part)?;
    }
    incoming.finish()
}

/// Makes a store hold an origin.
pub(crate) fn keep(store: &Store, unit: &Unit, piece: u64, records: u64) -> Expected {
    let (expected, bytes) = origin(unit, piece, records);
    assert_eq!(send(store, &expected, &bytes).unwrap(), Accepted::Kept);
    expected
}

/// Merges until there is nothing left to do, long after all units ended.
pub(crate) fn compact_all(store: &Store) -> Vec<Compaction> {
    let budget = CompactBudget { work: CompactWork::Settle, now_ms: u64::MAX, payload_bytes_max: u64::MAX };
    let mut done = Vec::new();
    loop {
        match store.compact_step(budget, &|| false).unwrap() {
            Compaction::Nothing => return done,
            step => done.push(step),
        }
    }
}

/// A file as it lies on the disk.
pub(crate) fn put(disk: &SimDisk, path: &str, bytes: &[u8]) {
    let file = disk.create_new(Path::new(path)).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
}

/// The names in a folder.
pub(crate) fn names(disk: &SimDisk, dir: &str) -> Vec<String> {
    let names = disk.list(Path::new(dir)).unwrap();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

/// Everything that is served: each origin once, with the digest of the records that were really read.
pub(crate) fn served(store: &Store) -> BTreeMap<String, RecordDigest> {
    let snapshot = store.snapshot();
    let mut all = BTreeMap::new();
    for segment in &snapshot.segments {
        for (_, origin) in segment.origins() {
            let whole = origin.name.with_unit(segment.unit());
            assert_eq!(all.insert(whole, origin.digest), None, "served twice");
        }
        if !segment.is_damaged() {
            verify::prove(&segment.file).unwrap();
        }
    }
    all
}

pub(crate) fn digests(of: &[Expected]) -> BTreeMap<String, RecordDigest> {
    of.iter().map(|expected| (expected.name.with_unit(&expected.unit), expected.digest)).collect()
}

/// The payloads of all records, in order.
pub(crate) fn payloads(segment: &StoredSegment) -> Vec<String> {
    let footer = segment.file.footer();
    let (mut decoder, mut block, mut buffer) = (Decoder::new().unwrap(), Block::new(), Vec::new());
    let mut all = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        segment.file.read_block(entry, &mut buffer).unwrap();
        decoder.block(footer, index, &buffer, &mut block).unwrap();
        all.extend(block.records().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()));
    }
    all
}

/// Cuts an origin out and opens what comes.
pub(crate) fn cut(store: &Store, expected: &Expected) -> Footer {
    let mut file = store.cut(&expected.unit, expected.name).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, file.file_bytes());
    let Ok(Opened::Footer(footer)) = Footer::open(&bytes, bytes.len() as u64) else { panic!("no segment") };
    *footer
}

/// Notes what a store tells of its holdings.
pub(crate) fn watched(store: &Store) -> Arc<Mutex<Vec<Change>>> {
    let seen: Arc<Mutex<Vec<Change>>> = Arc::default();
    let notes = Arc::clone(&seen);
    store.watch(move |change| notes.lock().unwrap().push(change));
    seen
}

pub(crate) fn path_of(segment: &StoredSegment) -> PathBuf {
    segment.path().to_owned()
}
