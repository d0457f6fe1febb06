//! Sealing, on a simulated disk.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use weir_record::id::TIME_MS_MAX;
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_segment::{Block, Decoder, RecordDigest, Verifier};

use super::*;
use crate::disk::sim::{Faults, SimDisk};
use crate::ingest_log::Entry;
use crate::ingest_log::tests::{open, options};

pub(crate) const BUCKET_MS: u64 = 1000;
pub(crate) const NOW: Moment = Moment { now_ms: 0, partitions: 4 };

/// Id, topic and payload of one record, and the kind of its batch.
pub(crate) type Row = (RecordId, String, Vec<u8>);

pub(crate) fn rules() -> UnitRules {
    UnitRules::new(BUCKET_MS, [("debug", "short")]).unwrap()
}

pub(crate) fn into(disk: &SimDisk) -> OriginsDir {
    disk.create_dir(Path::new(ORIGINS_DIR)).unwrap();
    OriginsDir::new(Arc::new(disk.clone()), Path::new(""), Poison::default())
}

/// A batch of ids as runs, each record with its number as payload.
pub(crate) fn batch(topic: &str, flags: BatchFlags, runs: &[(RecordId, u32)]) -> Batch {
    let runs: Vec<IdRun> = runs.iter().map(|&(first, count)| IdRun { first, count }).collect();
    let (mut ends, mut arena) = (Vec::new(), Vec::new());
    for number in 0..runs.iter().map(|run| run.count).sum::<u32>() {
        arena.extend_from_slice(format!("{topic} {number}").as_bytes());
        ends.push(arena.len() as u32);
    }
    Batch::new(Stream::new::<&str, &str>(topic, []).unwrap(), flags, runs, ends, arena).unwrap()
}

/// A log with one complete piece of these batches.
pub(crate) fn piece(disk: &SimDisk, batches: &[Batch]) -> Arc<Piece> {
    let (mut log, _) = open(disk, options(1));
    for batch in batches {
        log.append(&Entry { checkpoint: None, batches: vec![batch.clone()] }).unwrap();
        log.commit().unwrap();
    }
    log.complete_piece().unwrap();
    log.reader().complete().remove(0)
}

/// All records of a segment, which is proven on the way.
pub(crate) fn read(segment: &SegmentFile) -> Vec<Row> {
    let footer = segment.footer();
    let mut verifier = Verifier::new(footer).unwrap();
    let (mut decoder, mut block, mut bytes) = (Decoder::new().unwrap(), Block::new(), Vec::new());
    let mut rows = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        segment.read_block(entry, &mut bytes).unwrap();
        verifier.block(&bytes).unwrap();
        decoder.block(footer, index, &bytes, &mut block).unwrap();
        rows.extend(block.records().map(|record| {
            let topic = segment.streams()[record.stream as usize].topic().to_owned();
            (record.id, topic, record.payload.to_vec())
        }));
    }
    assert_eq!(verifier.finish(), []);
    rows
}

fn sealed(into: &OriginsDir, piece: &Piece, moment: Moment) -> Result<Sealed, SealError> {
    seal(into, piece, &rules(), moment, WriterOptions::default())
}

/// Per origin (bucket, class, kind) what it must have, as the plainest program would find it.
fn model(batches: &[Batch]) -> BTreeMap<(u64, bool, u8), Vec<Row>> {
    let mut units: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for batch in batches {
        let topic = batch.stream().topic();
        for (id, payload) in batch.records() {
            let kind = match batch.flags() {
                flags if flags.has(BatchFlags::KEYED) => 16 + weir_replication::keyed_partition(id) as u8,
                flags if flags.has(BatchFlags::MAYBE_REPEATED) => 1,
                _ => 0,
            };
            let row = (id, topic.to_owned(), payload.to_vec());
            units.entry((id.time_ms() / BUCKET_MS, topic == "debug", kind)).or_default().push(row);
        }
    }
    for rows in units.values_mut() {
        rows.sort_by_key(|row| row.0);
    }
    units
}

fn found(sealed: &Sealed) -> BTreeMap<(u64, bool, u8), Vec<Row>> {
    let place = |segment: &Arc<SegmentFile>| {
        let (unit, origin) = (segment.footer().unit(), segment.footer().lineage()[0]);
        assert_eq!(origin.flags.has(OriginFlags::MAYBE_REPEATED), origin.name.is_of_repeats());
        let kind = if unit.is_keyed() {
            16 + unit.partition().0 as u8
        } else {
            u8::from(origin.name.is_of_repeats())
        };
        ((unit.start_ms() / BUCKET_MS, unit.class() == "short", kind), read(segment))
    };
    let found: BTreeMap<_, _> = sealed.origins.iter().map(place).collect();
    assert_eq!(found.len(), sealed.origins.len(), "an origin has a unit of its own");
    found
}

fn digests(sealed: &Sealed) -> Vec<(bool, RecordDigest)> {
    let lineage = sealed.origins.iter().map(|origin| origin.footer().lineage()[0]);
    lineage.map(|origin| (origin.name.is_of_repeats(), origin.digest)).collect()
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    // Few ids, so that runs overlap, repeat and cross the ends of buckets.
    let id = (0_u64..3, 0_u8..30, any::<bool>()).prop_map(|(bucket, low, at_end)| {
        if at_end {
            let end = RecordId::lowest_at((bucket + 1) * BUCKET_MS).to_u128();
            return RecordId::from_u128(end - u128::from(low) - 1);
        }
        RecordId::from_parts(bucket * BUCKET_MS, u128::from(low))
    });
    let runs = prop::collection::vec((id, 1_u32..20), 1..6);
    let one = (prop::sample::select(vec!["debug", "orders", "web"]), 0_u8..4, runs);
    let one = one.prop_map(|(topic, flags, runs)| batch(topic, BatchFlags::from_bits(flags).unwrap(), &runs));
    prop::collection::vec(one, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_is_in_its_unit_once_and_in_order(batches in batches()) {
        let disk = SimDisk::new(1);
        let (into, piece) = (into(&disk), piece(&disk, &batches));
        let first = sealed(&into, &piece, NOW).unwrap();
        prop_assert_eq!(found(&first), model(&batches));
        prop_assert_eq!(first.records, piece.records());
        let names: Vec<_> = first.origins.iter().map(|origin| origin.path().to_owned()).collect();
        for name in names {
            disk.remove(&name).unwrap();
        }
        // At another time, for another number of stores: other units, the same records.
        let again = sealed(&into, &piece, Moment { now_ms: u64::MAX, partitions: 1 }).unwrap();
        prop_assert_eq!(digests(&again), digests(&first));
        let mut plain = again.origins.iter().map(|origin| origin.footer().unit()).filter(|unit| !unit.is_keyed());
        prop_assert!(plain.all(|unit| unit.partition() == (0, 1)));
    }
}

#[test]
fn late_buckets_have_one_partition_and_keyed_ones_always_sixteen() {
    let disk = SimDisk::new(1);
    let at = |ms| RecordId::from_parts(ms, 5);
    let batches = [
        batch("t", BatchFlags::NONE, &[(at(0), 3), (at(10_000), 3)]),
        batch("t", BatchFlags::KEYED, &[(at(0), 1)]),
    ];
    let piece = piece(&disk, &batches);
    let moment = Moment { now_ms: BUCKET_MS + 3_600_000, partitions: 5 };
    let sealed = sealed(&into(&disk), &piece, moment).unwrap();
    let mut partitions: Vec<_> = sealed
        .origins
        .iter()
        .map(|origin| (origin.footer().unit().start_ms(), origin.footer().unit().partition().1))
        .collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [(0, 1), (0, 16), (10_000, 8)]);
}

#[test]
fn ids_of_the_last_moment_of_all_have_a_unit() {
    let disk = SimDisk::new(1);
    let rules = UnitRules::new(3_600_000, [("a", "b")]).unwrap();
    let last = RecordId::from_u128(u128::MAX - 9);
    let piece = piece(&disk, &[batch("t", BatchFlags::NONE, &[(last, 10), (RecordId::MIN, 10)])]);
    let sealed = seal(&into(&disk), &piece, &rules, NOW, WriterOptions::default()).unwrap();
    let buckets: Vec<_> = sealed.origins.iter().map(|origin| origin.footer().unit().start_ms()).collect();
    assert_eq!((buckets, sealed.records), (vec![TIME_MS_MAX, 0], 20));
}

#[test]
fn what_is_damaged_is_counted_and_the_rest_is_sealed() {
    let disk = SimDisk::new(1);
    let batches: Vec<Batch> =
        (0..5_u64).map(|number| batch("t", BatchFlags::NONE, &[(RecordId::lowest_at(number), 10)])).collect();
    let piece = piece(&disk, &batches);
    let hit = piece.batches()[2];
    disk.flip(&Path::new("log").join(piece.name()), hit.frame_offset + 30, 1).unwrap();
    let sealed = sealed(&into(&disk), &piece, NOW).unwrap();
    assert_eq!((sealed.records, sealed.lost_records), (40, 10));
    let spoilt = sealed.spoilt.unwrap();
    assert!(spoilt.contains(&format!("the frame at byte {} is damaged", hit.frame_offset)), "{spoilt}");
}

/// Three units.
fn three() -> [Batch; 2] {
    let (early, late) = (RecordId::lowest_at(0), RecordId::lowest_at(BUCKET_MS));
    [
        batch("t", BatchFlags::NONE, &[(early, 50), (late, 50)]),
        batch("t", BatchFlags::MAYBE_REPEATED, &[(early, 50)]),
    ]
}

#[test]
fn a_full_disk_changes_nothing_and_sealing_succeeds_when_there_is_room() {
    let disk = SimDisk::new(1);
    let (into, piece) = (into(&disk), piece(&disk, &three()));
    let used = disk.used_bytes();
    let mut refused = 0;
    let sealed = loop {
        disk.set_capacity(Some(used + refused * 50));
        match sealed(&into, &piece, NOW) {
            Ok(sealed) => break sealed,
            Err(error) => assert!(matches!(error, SealError::DiskFull), "{error}"),
        }
        assert_eq!(disk.list(&into.path).unwrap().len(), 0);
        refused += 1;
    };
    assert!(refused > 5 && into.poison.reason().is_none());
    assert_eq!(found(&sealed), model(&three()));
}

#[test]
fn an_error_at_any_operation_leaves_nothing_or_poisons() {
    let (mut clean, mut poisoned) = (0, 0);
    for error_at in 0.. {
        let disk = SimDisk::new(1);
        let (into, piece) = (into(&disk), piece(&disk, &three()));
        disk.set_faults(Faults { error_at: Some(error_at), ..Faults::default() });
        let outcome = sealed(&into, &piece, NOW);
        if disk.counters().errors == 0 {
            assert!(error_at > 10 && clean > 0 && poisoned > 0, "{error_at} {clean} {poisoned}");
            return;
        }
        match outcome {
            Err(SealError::Poisoned(_)) => {
                poisoned += 1;
                assert!(matches!(sealed(&into, &piece, NOW), Err(SealError::Poisoned(_))));
            }
            Err(SealError::Io { .. }) => {
                clean += 1;
                assert_eq!(disk.list(&into.path).unwrap().len(), 0, "{error_at}");
                assert_eq!(found(&sealed(&into, &piece, NOW).unwrap()), model(&three()));
            }
            other => panic!("{error_at}: {other:?}"),
        }
    }
}

#[test]
fn files_of_an_attempt_that_failed_are_written_over() {
    let disk = SimDisk::new(1);
    let (into, piece) = (into(&disk), piece(&disk, &three()));
    let first = sealed(&into, &piece, NOW).unwrap();
    for origin in &first.origins {
        let origin = origin.footer().lineage()[0].name.with_unit(origin.footer().unit());
        disk.create_new(&into.path.join(origin + UNFINISHED)).unwrap();
    }
    assert_eq!(digests(&sealed(&into, &piece, NOW).unwrap()), digests(&first));
    assert_eq!(disk.list(&into.path).unwrap().len(), first.origins.len());
}
