//! One run: a disk, some lives of a store on it, a crash at the end of each.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use weir_replication::OriginSet;
use weir_storage::disk::Disk;
use weir_storage::disk::sim::prng::Prng;
use weir_storage::disk::sim::{Counters, Faults, SimDisk};
use weir_storage::store::{
    AcceptError, Accepted, CompactBudget, CompactWork, Compaction, CutError, ExpiryRules, Incoming, Offer,
    Verification,
};
use weir_storage::{Store, StoreError, StoreOptions, StoreRecovery};

use super::mutant::{Mutant, MutantDisk};
use super::oracle::{Mirror, Oracle};
use super::pool::{CLASSES, HOUR_MS, HOURS, pool};

/// Lives of the process in one run.
const LIVES: u64 = 6;

/// What happened in some runs. A path that was never taken was not tested.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) disk: Counters,
    pub(crate) kept: u64,
    pub(crate) already: u64,
    pub(crate) came_expired: u64,
    pub(crate) refused: u64,
    pub(crate) given_up: u64,
    pub(crate) full_answers: u64,
    pub(crate) merges: u64,
    pub(crate) stopped: u64,
    pub(crate) no_room: u64,
    pub(crate) cut_out: u64,
    pub(crate) expired: u64,
    pub(crate) dropped: u64,
    pub(crate) poisoned: u64,
    pub(crate) restarts: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) unfinished: u64,
    pub(crate) superseded: u64,
    pub(crate) came_back: u64,
    /// Hash over all operations of the disks.
    pub(crate) trace: u64,
}

impl Seen {
    /// Adds another run.
    pub(crate) fn add(&mut self, other: &Seen) {
        let Counters { torn_files, lost_names, full, errors, failed_syncs, cuts } = other.disk;
        self.disk.torn_files += torn_files;
        self.disk.lost_names += lost_names;
        self.disk.full += full;
        self.disk.errors += errors;
        self.disk.failed_syncs += failed_syncs;
        self.disk.cuts += cuts;
        self.kept += other.kept;
        self.already += other.already;
        self.came_expired += other.came_expired;
        self.refused += other.refused;
        self.given_up += other.given_up;
        self.full_answers += other.full_answers;
        self.merges += other.merges;
        self.stopped += other.stopped;
        self.no_room += other.no_room;
        self.cut_out += other.cut_out;
        self.expired += other.expired;
        self.dropped += other.dropped;
        self.poisoned += other.poisoned;
        self.restarts += other.restarts;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.unfinished += other.unfinished;
        self.superseded += other.superseded;
        self.came_back += other.came_back;
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

/// Runs one seed. The error says which promise was broken.
pub(crate) fn run(seed: u64, mutant: Mutant) -> Result<Seen, String> {
    let mut prng = Prng::new(seed);
    let options = StoreOptions {
        level: 1,
        settled_level: 1,
        block_bytes: 1 << prng.between(10, 12),
        leaf_bytes: 1 << 8,
        settled_leaf_bytes: 1 << 9,
        target_bytes: prng.between(1, 5) * 3_000,
        full_at_percent: [100, 80][prng.below(2) as usize],
        resume_at_percent: 75,
        reserve_bytes: 0,
        verification: if mutant == Mutant::Unverified { Verification::Footer } else { Verification::Whole },
    };
    let disk = SimDisk::new(prng.next_u64());
    let mut run =
        Run { prng, options, mutant, disk, oracle: Oracle::default(), seen: Seen::default(), hour: 0 };
    for life in 0..LIVES {
        run.life().map_err(|broken| format!("life {life} of seed {seed}: {broken}"))?;
    }
    run.seen.disk = run.disk.counters();
    run.seen.trace = run.disk.trace_hash();
    Ok(run.seen)
}

struct Run {
    prng: Prng,
    options: StoreOptions,
    mutant: Mutant,
    disk: SimDisk,
    oracle: Oracle,
    seen: Seen,
    /// How far the wall clock has come.
    hour: u64,
}

impl Run {
    /// From one start of the process to its end.
    fn life(&mut self) -> Result<(), String> {
        self.set_faults();
        if let Some((store, recovery)) = self.open()? {
            self.seen.unfinished += recovery.unfinished;
            self.seen.superseded += recovery.superseded;
            self.seen.came_back += recovery.expired;
            if !self.disk.is_off() {
                self.oracle.check_opened(&store, &recovery, &self.disk)?;
                self.work(&store)?;
            }
        }
        // Without a cut it was only the process that ended: the page cache stays as it is.
        if self.disk.is_off() || !self.prng.once_in(6) {
            self.disk.power_cut(self.prng.next_u64());
        } else {
            self.seen.restarts += 1;
        }
        Ok(())
    }

    fn set_faults(&mut self) {
        let prng = &mut self.prng;
        // A quarter of the cuts come so early that they hit opening.
        let soon = if prng.once_in(4) { 8 } else { 70 };
        let cut_at = (!prng.once_in(6)).then(|| prng.below(soon));
        let error_at = prng.once_in(4).then(|| prng.below(60));
        let room = 2_000 + prng.below(20_000);
        let capacity_bytes = prng.once_in(4).then(|| self.disk.used_bytes() + room);
        self.disk.set_faults(Faults { cut_at, error_at, capacity_bytes });
    }

    /// Opens the store; `None` when the power went meanwhile.
    fn open(&mut self) -> Result<Option<(Store, StoreRecovery)>, String> {
        loop {
            let disk = MutantDisk { disk: self.disk.clone(), mutant: self.mutant };
            let errors = self.disk.counters().errors;
            match Store::open(Arc::new(disk), Path::new(""), self.options) {
                Ok(opened) => return Ok(Some(opened)),
                Err(_) if self.disk.is_off() => {
                    self.seen.cuts_in_recovery += 1;
                    return Ok(None);
                }
                // An error of the disk comes once: the process is started again.
                Err(_) if self.disk.counters().errors > errors => {}
                Err(error) => return Err(format!("the store does not open: {error}")),
            }
        }
    }

    fn work(&mut self, store: &Store) -> Result<(), String> {
        let mirror = Mirror::of(store);
        for _ in 0..self.prng.between(1, 30) {
            if self.disk.is_off() {
                return Ok(());
            }
            let was_poisoned = store.poison().reason().is_some();
            match self.prng.below(20) {
                0 => self.expire(store, was_poisoned)?,
                1 => {
                    let room = self.prng.below(3_000);
                    let some = self.prng.once_in(3);
                    self.disk.set_capacity(some.then(|| self.disk.used_bytes() + room));
                }
                2 => self.cut_out(store)?,
                6 => self.let_go(store, was_poisoned)?,
                3..6 => self.compact(store)?,
                _ => self.accept(store, was_poisoned)?,
            }
            let is_poisoned = store.poison().reason().is_some();
            self.seen.poisoned += u64::from(is_poisoned && !was_poisoned && !self.disk.is_off());
            self.oracle.check(store)?;
            mirror.check(store)?;
        }
        Ok(())
    }

    /// Offers an origin, now and then spoilt or beside another one.
    fn accept(&mut self, store: &Store, was_poisoned: bool) -> Result<(), String> {
        let place = self.prng.below(pool().len() as u64) as usize;
        let beside = self.prng.once_in(4).then(|| self.prng.below(pool().len() as u64) as usize);
        let other = beside.map(|other| (other, store.incoming(pool()[other].expected.clone())));
        self.take(store, place, was_poisoned, None)?;
        match other {
            Some((other, Ok(Offer::Wanted(incoming)))) if self.prng.once_in(2) => {
                self.take(store, other, was_poisoned, Some(*incoming))
            }
            _ => Ok(()),
        }
    }

    fn take(
        &mut self,
        store: &Store,
        place: usize,
        was_poisoned: bool,
        begun: Option<Incoming>,
    ) -> Result<(), String> {
        let offered = &pool()[place];
        let mut file = offered.file.clone();
        let spoilt = self.prng.once_in(6);
        if spoilt {
            let at = self.prng.below(file.len() as u64) as usize;
            if self.prng.once_in(3) { file.truncate(at) } else { file[at] ^= 1 << self.prng.below(8) }
        }
        let answer = self.send(store, place, &file, begun);
        let sent_at_all = !matches!(answer, Ok(Some((_, false))));
        match answer {
            Ok(None) => self.seen.given_up += 1,
            Ok(Some((Accepted::Kept, _))) if spoilt => {
                return Err(format!("a spoilt transfer was accepted: {}", offered.expected.name));
            }
            Ok(Some(_)) if was_poisoned && sent_at_all => {
                return Err("confirmed after a failed sync".to_owned());
            }
            Ok(Some((accepted, _))) => {
                match accepted {
                    Accepted::Kept => self.seen.kept += 1,
                    Accepted::Already => self.seen.already += 1,
                    Accepted::Expired => self.seen.came_expired += 1,
                }
                if accepted != Accepted::Expired {
                    self.oracle.confirm(place);
                }
            }
            Err(AcceptError::Wrong { .. }) if spoilt => self.seen.refused += 1,
            Err(error @ AcceptError::Wrong { .. }) => return Err(error.to_string()),
            Err(AcceptError::Full) => self.seen.full_answers += 1,
            // The disk failed, or the same origin comes in beside this one.
            Err(_) => {}
        }
        Ok(())
    }

    /// Sends a file; `None` when it was given up half way. Says also whether anything had to be sent.
    fn send(
        &mut self,
        store: &Store,
        place: usize,
        file: &[u8],
        begun: Option<Incoming>,
    ) -> Result<Option<(Accepted, bool)>, AcceptError> {
        let mut incoming = match begun {
            Some(incoming) => incoming,
            None => match store.incoming(pool()[place].expected.clone())? {
                Offer::Wanted(incoming) => *incoming,
                Offer::Settled(accepted) => return Ok(Some((accepted, false))),
            },
        };
        let part_bytes = self.prng.between(1, 2_000) as usize;
        let gives_up = self.prng.once_in(12);
        for part in file.chunks(part_bytes) {
            incoming.write(part)?;
            if gives_up && self.prng.once_in(2) {
                return Ok(None);
            }
        }
        incoming.finish().map(|accepted| Some((accepted, true)))
    }

    fn compact(&mut self, store: &Store) -> Result<(), String> {
        let now_ms = if self.prng.once_in(4) { 0 } else { u64::MAX };
        let work = if self.prng.once_in(3) { CompactWork::Settle } else { CompactWork::Merge };
        let budget = CompactBudget { work, now_ms, payload_bytes_max: u64::MAX };
        let blocks = if self.prng.once_in(5) { self.prng.below(6) } else { u64::MAX };
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > blocks
        };
        match store.compact_step(budget, &stop) {
            Ok(Compaction::Merged(_)) => self.seen.merges += 1,
            Ok(Compaction::Stopped) => self.seen.stopped += 1,
            Ok(Compaction::NoRoom) => self.seen.no_room += 1,
            Ok(Compaction::GivenUp) => {
                // Reading fails only when there is no power.
                if !self.disk.is_off() {
                    return Err("a merge was given up".to_owned());
                }
            }
            Ok(Compaction::Nothing) | Err(StoreError::Io { .. } | StoreError::Poisoned(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn expire(&mut self, store: &Store, was_poisoned: bool) -> Result<(), String> {
        if self.prng.once_in(2) {
            self.hour = (self.hour + 1).min(HOURS - 1);
        }
        let bytes_max = if self.prng.once_in(6) { store.bytes() / 2 } else { u64::MAX };
        let rules = ExpiryRules {
            now_ms: self.hour * HOUR_MS + HOUR_MS,
            default_age_ms: HOUR_MS,
            classes: BTreeMap::from([("debug".to_owned(), HOUR_MS / 2)]),
            bytes_max,
        };
        for class in CLASSES {
            let by_age = rules.now_ms - if class == "debug" { HOUR_MS / 2 } else { HOUR_MS };
            let held = store.units().into_iter().filter(|unit| unit.class() == class);
            let newest = held.map(|unit| unit.start_ms() + unit.bucket_ms()).max().unwrap_or(0);
            self.oracle.ask(class, if bytes_max < u64::MAX { by_age.max(newest) } else { by_age });
        }
        let full = self.disk.counters().full;
        match store.expire(&rules) {
            Ok(_) if was_poisoned => return Err("expired after a failed sync".to_owned()),
            Ok(expired) => {
                self.seen.expired += expired.segments;
                if self.disk.counters().full == full {
                    self.oracle.keep(store);
                }
            }
            Err(_) => {}
        }
        if self.disk.counters().full > full {
            self.oracle.forgive(store);
        }
        Ok(())
    }

    /// Lets go of some origins of a unit, as if other stores had them.
    fn let_go(&mut self, store: &Store, was_poisoned: bool) -> Result<(), String> {
        let holdings = store.holdings();
        if holdings.is_empty() {
            return Ok(());
        }
        let unit = holdings[self.prng.below(holdings.len() as u64) as usize].unit.clone();
        let is_all = self.prng.once_in(2);
        let held = holdings.iter().filter(|held| held.unit == unit);
        let names: OriginSet =
            held.filter(|_| is_all || self.prng.once_in(2)).map(|held| held.origin.name).collect();
        match store.drop_origins(&unit, &names) {
            Ok(_) if was_poisoned => return Err("let go after a failed sync".to_owned()),
            Ok(dropped) => self.seen.dropped += dropped.segments,
            Err(_) => {}
        }
        // Those that are served no more may be back after a cut, or not.
        self.oracle.let_go(&unit, |name| names.contains(name) && store.find(&unit, name).is_none());
        Ok(())
    }

    fn cut_out(&mut self, store: &Store) -> Result<(), String> {
        let holdings = store.holdings();
        if holdings.is_empty() {
            return Ok(());
        }
        let held = &holdings[self.prng.below(holdings.len() as u64) as usize];
        let mut file = match store.cut(&held.unit, held.origin.name) {
            Ok(file) => file,
            Err(CutError::Full | CutError::Store(_)) => return Ok(()),
            Err(_) if self.disk.is_off() => return Ok(()),
            Err(error) => return Err(format!("cannot be cut out: {error}")),
        };
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).is_err() {
            return Ok(());
        }
        // Another store takes it like any other.
        let mut expected = pool().iter().map(|offered| offered.expected.clone());
        let expected = expected.find(|one| one.unit == held.unit && one.name == held.origin.name);
        let mut expected = expected.ok_or("invented")?;
        expected.bytes = bytes.len() as u64;
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let opened = Store::open(disk, Path::new(""), self.options).map_err(|error| error.to_string())?;
        let Ok(Offer::Wanted(mut incoming)) = opened.0.incoming(expected) else {
            return Err("an empty store does not want an origin".to_owned());
        };
        let taken = incoming.write(&bytes).and_then(|()| incoming.finish());
        self.seen.cut_out += 1;
        taken.map(|_| ()).map_err(|error| format!("what was cut out is refused: {error}"))
    }
}
