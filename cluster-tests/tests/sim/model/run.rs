//! One run: a node that takes records, seals, stores, merges, expires and restarts, and is asked in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_segment::{OriginName, Unit};
use weir_storage::disk::Disk as _;
use weir_storage::disk::sim::prng::Prng;
use weir_storage::disk::sim::{Faults, SimDisk};
use weir_storage::store::{
    Accepted, CompactBudget, CompactWork, Compaction, ExpiryRules, Offer, StoreExpired,
};
use weir_storage::{Entry, Moment, SegmentFile};

use super::check::check;
use super::mutant::Mutant;
use super::node::{Node, Pin, expected};
use super::oracle::{Oracle, Sent};
use super::queries::Ask;
use super::seen::Seen;
use super::writer::Writer;
use super::{BUCKET_MS, START_MS, Settings, class_of};

/// A snapshot that somebody plans to search later.
struct Held {
    pin: Pin,
    there: Vec<usize>,
    merges: u64,
    expired: u64,
}

struct Run {
    prng: Prng,
    settings: Settings,
    mutant: Mutant,
    disk: SimDisk,
    node: Node,
    writer: Writer,
    oracle: Oracle,
    held: Vec<Held>,
    /// An origin that may or may not be in the store: the power went while it came.
    coming: Option<(OriginName, Unit)>,
    seen: Seen,
}

/// Runs one seed. The error says which answer was wrong.
pub(crate) fn run(seed: u64, mutant: Mutant) -> Result<Seen, String> {
    let mut prng = Prng::new(seed);
    let settings = Settings::draw(&mut prng);
    let disk = SimDisk::new(prng.next_u64());
    let node = Node::open(&disk, &settings, 1)?;
    let mut run = Run {
        prng,
        settings,
        mutant,
        disk,
        node,
        writer: Writer::new(),
        oracle: Oracle::default(),
        held: Vec::new(),
        coming: None,
        seen: Seen::default(),
    };
    let steps = run.prng.between(20, 70);
    for step in 0..steps {
        run.step().map_err(|broken| format!("step {step} of seed {seed} ({settings:?}): {broken}"))?;
    }
    Ok(run.seen)
}

impl Run {
    fn step(&mut self) -> Result<(), String> {
        match self.prng.below(40) {
            0..21 => self.on_a_bad_disk(12, Run::work)?,
            21..30 => self.commit()?,
            30 => self.expire()?,
            31 | 32 => self.merge_all()?,
            33 => self.expire_log()?,
            34 | 35 => self.restart()?,
            36 | 37 => self.hold()?,
            _ => self.ask_held()?,
        }
        if self.prng.once_in(4) { self.ask() } else { Ok(()) }
    }

    /// Something that changes no answer.
    fn work(&mut self) -> Result<(), String> {
        match self.prng.below(20) {
            0 if self.settings.completed_once_in < 20 => {
                self.node.log.complete_piece().map_err(|error| error.to_string())
            }
            0..9 => self.seal(),
            9..14 => self.hand_over(),
            19 if self.prng.once_in(4) => self.compact(CompactWork::Settle),
            _ => self.compact(CompactWork::Merge),
        }
    }

    /// Does something, and once in so many times the power goes meanwhile.
    fn on_a_bad_disk(
        &mut self,
        times: u64,
        work: impl FnOnce(&mut Run) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.prng.once_in(times) {
            let cut_at = Some(self.prng.below(14));
            self.disk.set_faults(Faults { cut_at, ..Faults::default() });
        }
        let worked = work(self);
        if self.disk.is_off() {
            self.seen.cuts_at_work += 1;
            return self.restart();
        }
        self.disk.set_faults(Faults::default());
        worked
    }

    fn commit(&mut self) -> Result<(), String> {
        let drafts: Vec<_> =
            (0..self.prng.between(1, 3)).map(|_| self.writer.draft(&self.settings, &mut self.prng)).collect();
        let batches = drafts.iter().map(|draft| draft.batch(self.mutant)).collect();
        let log = &mut self.node.log;
        log.append(&Entry { checkpoint: None, batches }).map_err(|error| error.to_string())?;
        let committed = log.commit().map_err(|error| error.to_string())?;
        let piece = (self.node.epoch, committed.piece.ok_or("nothing was committed")?);
        for draft in drafts {
            self.seen.repeats += u64::from(draft.is_repeat);
            let kind = draft.kind(self.mutant);
            for (id, line) in draft.records {
                self.seen.records += 1;
                self.oracle.sent.push(Sent {
                    id,
                    line,
                    stream: Arc::clone(&draft.stream),
                    kind,
                    piece,
                    in_ingest: true,
                    was_removed: false,
                    in_store: false,
                });
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), String> {
        let Node { log, sealer, backlog, store, epoch, .. } = &mut self.node;
        if self.prng.once_in(self.settings.completed_once_in) {
            log.complete_filled_piece().map_err(|error| error.to_string())?;
        }
        let moment = Moment {
            now_ms: if self.prng.once_in(2) { 0 } else { u64::MAX },
            partitions: self.settings.partitions,
        };
        let mut pin = self.prng.once_in(3).then(Pin::default);
        let sealed = sealer.step(moment, |pieces| {
            let released = log.release(&pieces);
            if let Some(pin) = &mut pin {
                pin.add_ingest(*epoch, &log.reader(), backlog);
                pin.add_store(store);
            }
            released
        });
        let Some(sealed) = sealed.map_err(|error| error.to_string())? else { return Ok(()) };
        if sealed.lost_records > 0 || sealed.spoilt.is_some() {
            return Err(format!("damage in a log that was only cut: {:?}", sealed.spoilt));
        }
        self.seen.sealed += 1;
        if let Some(pin) = pin.filter(|pin| !pin.leaving.is_empty()) {
            self.seen.asked_while_leaving += 1;
            self.keep(pin, self.oracle.there());
        }
        Ok(())
    }

    /// A store takes an origin, or all that wait, and the ingest node deletes them.
    fn hand_over(&mut self) -> Result<(), String> {
        let mut origins = self.node.backlog.settled();
        if !origins.is_empty() && self.prng.once_in(3) {
            let place = self.prng.below(origins.len() as u64) as usize;
            origins = vec![origins.swap_remove(place)];
        }
        for origin in origins {
            let expected = expected(&origin);
            let (name, unit) = (expected.name, expected.unit.clone());
            if self.mutant == Mutant::RemovedEarly {
                self.oracle.of_origin(name, &unit).for_each(|sent| sent.in_store = true);
            } else {
                self.coming = Some((name, unit.clone()));
                let accepted = self.accept(&origin)?;
                self.coming = None;
                for sent in self.oracle.of_origin(name, &unit) {
                    sent.in_store = accepted != Accepted::Expired;
                }
                self.seen.already += u64::from(accepted == Accepted::Already);
                self.seen.came_expired += u64::from(accepted == Accepted::Expired);
            }
            if self.prng.once_in(4) {
                continue;
            }
            self.oracle.of_origin(name, &unit).for_each(|sent| sent.was_removed = true);
            self.node.backlog.remove(name, &unit).map_err(|error| error.to_string())?;
            self.oracle.of_origin(name, &unit).for_each(|sent| sent.in_ingest = false);
        }
        Ok(())
    }

    fn accept(&mut self, origin: &SegmentFile) -> Result<Accepted, String> {
        let store = &self.node.store;
        if self.prng.once_in(2) {
            self.seen.accepted_files += 1;
            return store.accept_file(expected(origin), origin.path()).map_err(|error| error.to_string());
        }
        let mut incoming = match store.incoming(expected(origin)).map_err(|error| error.to_string())? {
            Offer::Wanted(incoming) => incoming,
            Offer::Settled(accepted) => return Ok(accepted),
        };
        let file = self.disk.open(origin.path()).map_err(|error| error.to_string())?;
        let mut bytes = vec![0; origin.bytes() as usize];
        file.read_at(&mut bytes, 0).map_err(|error| error.to_string())?;
        self.seen.accepted_transfers += 1;
        incoming.write(&bytes).and_then(|()| incoming.finish()).map_err(|error| error.to_string())
    }

    fn compact(&mut self, work: CompactWork) -> Result<(), String> {
        let budget = CompactBudget { work, now_ms: u64::MAX, payload_bytes_max: u64::MAX };
        let sections: BTreeMap<Unit, usize> = self.sections();
        let compacted = self.node.store.compact_step(budget, &|| false).map_err(|error| error.to_string())?;
        let merged = match compacted {
            Compaction::Nothing => return Ok(()),
            Compaction::Merged(merged) => merged,
            other => return Err(format!("a merge came to nothing: {other:?}")),
        };
        let after = self.sections();
        let [before, after] = [sections, after].map(|of| of.get(&merged.unit).copied().unwrap_or(0));
        match work {
            CompactWork::Merge if after > before => self.seen.concatenated += 1,
            CompactWork::Merge => self.seen.merged_anew += 1,
            CompactWork::Settle => {
                self.seen.settled += 1;
                self.seen.settled_sections += u64::from(before > 0 && after < before);
            }
        }
        Ok(())
    }

    /// Per unit the sections beyond the first of its segments.
    fn sections(&self) -> BTreeMap<Unit, usize> {
        let mut sections = BTreeMap::new();
        for segment in self.node.store.snapshot().segments {
            let more = segment.file.footer().sections().len() - 1;
            *sections.entry(segment.unit().clone()).or_default() += more;
        }
        sections
    }

    /// Everything that can be goes to the store and is merged there.
    fn merge_all(&mut self) -> Result<(), String> {
        for _ in 0..4 {
            self.seal()?;
        }
        self.hand_over()?;
        self.on_a_bad_disk(4, |run| {
            for _ in 0..4 {
                run.compact(CompactWork::Merge)?;
            }
            if run.prng.once_in(2) { run.compact(CompactWork::Settle) } else { Ok(()) }
        })
    }

    fn expire(&mut self) -> Result<(), String> {
        if !self.settings.expires {
            return Ok(());
        }
        let store = &self.node.store;
        let now_ms = START_MS + self.prng.below(self.settings.units + 1) * BUCKET_MS;
        let rules = ExpiryRules {
            now_ms: now_ms + 2 * BUCKET_MS,
            default_age_ms: 2 * BUCKET_MS,
            classes: BTreeMap::from([(class_of("debug").to_owned(), BUCKET_MS)]),
            bytes_max: if self.prng.once_in(6) { store.bytes() / 2 } else { u64::MAX },
        };
        let StoreExpired { segments, .. } = store.expire(&rules).map_err(|error| error.to_string())?;
        let any = self.oracle.expire(|class| store.expired_before(class));
        self.seen.expired += segments;
        if any && segments == 0 { Err("expired without a trace".to_owned()) } else { Ok(()) }
    }

    fn expire_log(&mut self) -> Result<(), String> {
        if !self.prng.once_in(2) {
            return Ok(());
        }
        let log = &mut self.node.log;
        let pieces = |log: &weir_storage::IngestLog| -> BTreeSet<(u64, u64)> {
            let pieces = log.reader().snapshot().pieces;
            pieces.iter().map(|piece| (piece.identity().epoch, piece.number())).collect()
        };
        let before = pieces(log);
        let bytes_max = self.prng.below(20_000);
        log.expire(weir_record::RecordId::MIN, bytes_max).map_err(|error| error.to_string())?;
        let after = pieces(log);
        let gone: BTreeSet<_> = before.difference(&after).collect();
        for sent in self.oracle.sent.iter_mut().filter(|sent| gone.contains(&sent.piece)) {
            (sent.in_ingest, sent.was_removed) = (false, true);
        }
        self.seen.expired_in_log += gone.len() as u64;
        Ok(())
    }

    /// The process ends, with the power or without, and starts again.
    fn restart(&mut self) -> Result<(), String> {
        if self.disk.is_off() {
            self.held.clear();
        }
        self.ask_held()?;
        self.held.clear();
        if self.disk.is_off() || self.prng.once_in(2) {
            self.seen.cuts += 1;
            self.disk.power_cut(self.prng.next_u64());
        } else {
            self.seen.restarts += 1;
        }
        let mut epoch = self.node.epoch / 2 + 1;
        if self.prng.once_in(4) {
            let cut_at = Some(self.prng.below(10));
            self.disk.set_faults(Faults { cut_at, ..Faults::default() });
        }
        self.node = loop {
            match Node::open(&self.disk, &self.settings, epoch) {
                _ if self.disk.is_off() => {
                    self.seen.cuts_in_recovery += 1;
                    self.disk.power_cut(self.prng.next_u64());
                }
                opened => break opened?,
            }
            epoch += 1;
        };
        self.disk.set_faults(Faults::default());
        self.seen.superseded += self.node.recovery.superseded;
        self.compare()
    }

    /// What is where after a restart.
    fn compare(&mut self) -> Result<(), String> {
        let Node { log, backlog, store, .. } = &self.node;
        let pieces = log.reader().snapshot().pieces;
        let pieces = pieces.iter().map(|piece| (piece.identity().epoch, piece.number())).collect();
        let origins: Vec<_> = backlog
            .snapshot()
            .iter()
            .map(|origin| (origin.footer().lineage()[0].name, origin.footer().unit().clone()))
            .collect();
        let coming = self.coming.take();
        self.oracle.expire(|class| store.expired_before(class));
        self.oracle.reopened(&pieces, &origins)?;
        let holdings = store.holdings();
        for sent in &mut self.oracle.sent {
            let is_held = holdings.iter().any(|held| sent.is_of(held.origin.name, &held.unit));
            let may_be = coming.as_ref().is_some_and(|(name, unit)| sent.is_of(*name, unit));
            if is_held != sent.in_store && !may_be {
                return Err(format!("in the store after a restart: {is_held}, before: {}", sent.in_store));
            }
            sent.in_store = is_held;
        }
        Ok(())
    }

    fn keep(&mut self, pin: Pin, there: Vec<usize>) {
        self.held.push(Held { pin, there, merges: self.seen.merges(), expired: self.seen.expired });
    }

    /// Takes a snapshot to be searched later: first of log and backlog, then, when things have moved on, of the
    /// store.
    fn hold(&mut self) -> Result<(), String> {
        let mut pin = Pin::default();
        let there = self.oracle.there();
        let Node { epoch, log, backlog, store, .. } = &self.node;
        if self.mutant == Mutant::StoreFirst {
            pin.add_store(store);
        } else {
            pin.add_ingest(*epoch, &log.reader(), backlog);
        }
        for _ in 0..self.prng.below(8) {
            if self.prng.once_in(4) { self.commit()? } else { self.work()? }
        }
        if self.mutant == Mutant::StoreFirst {
            let Node { epoch, log, backlog, .. } = &self.node;
            pin.add_ingest(*epoch, &log.reader(), backlog);
        } else {
            pin.add_store(&self.node.store);
        }
        self.keep(pin, there);
        Ok(())
    }

    fn ask(&mut self) -> Result<(), String> {
        let mut pin = Pin::default();
        let Node { epoch, log, backlog, store, .. } = &self.node;
        pin.add_ingest(*epoch, &log.reader(), backlog);
        pin.add_store(store);
        let there = self.oracle.there();
        self.ask_of(&pin, &there)
    }

    fn ask_held(&mut self) -> Result<(), String> {
        for held in std::mem::take(&mut self.held) {
            self.seen.asked_before_merge += u64::from(held.merges < self.seen.merges());
            self.seen.asked_before_expiry += u64::from(held.expired < self.seen.expired);
            self.ask_of(&held.pin, &held.there)?;
        }
        Ok(())
    }

    fn ask_of(&mut self, pin: &Pin, there: &[usize]) -> Result<(), String> {
        self.seen.asked_of_sections += u64::from(pin.sections_max() > 1);
        let over = pin.all(self.mutant);
        let ask = Ask::draw(&mut self.prng, &self.oracle.sent);
        check(&self.oracle, there, &over, &ask, self.mutant, &mut self.seen)
    }
}
