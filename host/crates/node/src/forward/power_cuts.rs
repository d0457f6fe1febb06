//! Power cuts while a journal is written, shipped and trimmed: nothing journaled is lost, nothing is invented.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_storage::disk::sim::{Faults, SimDisk};
use weir_storage::ingest_log::Leaving;
use weir_storage::{Checkpoint, Disk as _, Entry, IngestLog, LogError, LogOptions};

use crate::forward::journal::{ACKNOWLEDGED, spans};
use crate::forward::progress::Position;
use crate::forward::shipper;
use crate::forward::spool::{Parcel, Spool, charge};

const SOURCE: &str = "source";

/// What the world outside the disk knows.
#[derive(Default)]
struct World {
    next: u64,
    /// Entries whose commit succeeded: their source was told.
    journaled: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    repeated: u64,
}

/// One life of a forwarder.
struct Life {
    log: IngestLog,
    spool: Spool,
    under_way: Vec<(Parcel, Vec<u64>)>,
}

fn entry(number: u64) -> Entry {
    let stream = Stream::new::<&str, &str>("t", []).unwrap();
    let payload = format!("{number} {}", "x".repeat((number % 97) as usize * 9)).into_bytes();
    let run = IdRun { first: RecordId::from_parts(number, 1), count: 1 };
    let batch = Batch::new(stream, BatchFlags::NONE, vec![run], vec![payload.len() as u32], payload).unwrap();
    let checkpoint = Checkpoint { source: SOURCE.to_owned(), cursor: number.to_be_bytes().to_vec() };
    Entry { checkpoint: Some(checkpoint), batches: vec![batch] }
}

impl Life {
    fn begin(disk: &Arc<SimDisk>, epoch: u64, world: &mut World) -> Result<Life, LogError> {
        let options = LogOptions { piece_bytes: 2_000, reserve_bytes: 0, ..LogOptions::new(1, epoch * 2) };
        let (log, recovery) = IngestLog::open(disk.clone(), Path::new("forward"), options)?;
        let low = recovery.cursors.get(ACKNOWLEDGED).and_then(|cursor| Position::from_cursor(cursor));
        // The source goes on behind what is journaled, as a plugin does at its cursor.
        let cursor =
            recovery.cursors.get(SOURCE).map_or(0, |c| u64::from_be_bytes(c[..].try_into().unwrap()));
        assert!(world.journaled.last().is_none_or(|last| *last <= cursor), "the source would read twice");
        world.next = cursor + 1;
        let snapshot = log.reader().snapshot();
        let spool = Spool::new(u64::MAX, low.unwrap_or_default(), &spans(&snapshot));
        Ok(Life { log, spool, under_way: Vec::new() })
    }

    fn append(&mut self, world: &mut World) -> Result<(), LogError> {
        let entry = entry(world.next);
        assert!(self.spool.admit(charge(&entry.batches)));
        self.log.append(&entry)?;
        self.log.commit()?;
        world.journaled.insert(world.next);
        world.next += 1;
        Ok(())
    }

    /// Hands out the next parcel, read from the disk as the shipper does.
    fn take(&mut self) -> bool {
        let snapshot = self.log.reader().snapshot();
        let Some(parcel) = self.spool.take(&spans(&snapshot)) else { return false };
        let piece = snapshot.pieces.iter().find(|piece| piece.number() == parcel.piece).unwrap();
        let read = shipper::read(piece, parcel.batches.clone(), false);
        assert_eq!(read.lost, 0, "{:?}", read.spoilt);
        let numbers = read.batches.iter().map(|batch| batch.id_range().0.time_ms()).collect();
        self.under_way.push((parcel, numbers));
        true
    }

    fn deliver(&mut self, place: usize, world: &mut World) {
        let (parcel, numbers) = self.under_way.swap_remove(place);
        for number in numbers {
            world.repeated += u64::from(!world.delivered.insert(number));
        }
        self.spool.finish(&parcel);
    }

    fn write_down(&mut self) -> Result<(), LogError> {
        let checkpoint = Checkpoint { source: ACKNOWLEDGED.to_owned(), cursor: self.spool.low().to_cursor() };
        self.log.append(&Entry { checkpoint: Some(checkpoint), batches: Vec::new() })?;
        self.log.commit().map(drop)
    }

    fn release(&mut self) -> Result<(), LogError> {
        let low = self.spool.low();
        let pieces = self.log.reader().snapshot().pieces;
        let done_with = pieces.iter().filter(|piece| piece.number() < low.piece);
        let leaving: Vec<Leaving> =
            done_with.map(|piece| Leaving { piece: piece.identity(), spoilt: None }).collect();
        self.log.release(&leaving).map(drop)
    }

    fn live(&mut self, random: &mut fastrand::Rng, world: &mut World) -> Result<(), LogError> {
        loop {
            match random.u8(..10) {
                0..4 => self.append(world)?,
                4 | 5 if self.under_way.len() < 4 => drop(self.take()),
                6 | 7 if !self.under_way.is_empty() => {
                    let place = random.usize(..self.under_way.len());
                    self.deliver(place, world);
                }
                8 => self.write_down()?,
                9 => self.release()?,
                _ => {}
            }
        }
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_journaled_and_invent_nothing() {
    let (mut journaled, mut repeated) = (0, 0);
    for seed in 0..1_500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = Arc::new(SimDisk::new(seed));
        disk.create_dir(Path::new("forward")).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        let mut world = World::default();
        for epoch in 1..6 {
            let cut_at = Some(disk.operations() + random.u64(..120));
            disk.set_faults(Faults { cut_at, ..Faults::default() });
            if let Ok(mut life) = Life::begin(&disk, epoch, &mut world) {
                let _ = life.live(&mut random, &mut world);
            }
            assert!(disk.is_off(), "seed {seed}: only the cut ends a life");
            disk.power_cut(random.u64(..));
            disk.set_faults(Faults::default());
        }
        let mut life = Life::begin(&disk, 6, &mut world).unwrap();
        while life.take() {
            life.deliver(0, &mut world);
        }
        assert_eq!(life.spool.waiting_bytes(), 0);
        let lost: Vec<u64> = world.journaled.difference(&world.delivered).copied().collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
        let invented = world.delivered.iter().find(|number| **number >= world.next);
        assert_eq!(invented, None, "seed {seed}");
        journaled += world.journaled.len();
        repeated += world.repeated;
    }
    assert!(journaled > 10_000 && repeated > 1_000, "{journaled} journaled, {repeated} sent twice");
}
