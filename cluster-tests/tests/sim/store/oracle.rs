//! What a store must hold, and what it must not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use weir_segment::{OriginName, RecordDigest, Unit, Verifier};
use weir_storage::disk::Disk;
use weir_storage::disk::sim::SimDisk;
use weir_storage::store::{Change, Expected};
use weir_storage::{SegmentFile, Store, StoreRecovery};

use super::pool::{CLASSES, pool};

/// Everything that was confirmed, and what expiry was asked for.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// By place in the pool.
    confirmed: Vec<bool>,
    /// Per class the highest mark that any expiry could have set.
    asked: BTreeMap<&'static str, u64>,
    /// Per class the highest mark that is durable for certain.
    kept: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// Notes that a store has said that it holds an origin.
    pub(crate) fn confirm(&mut self, place: usize) {
        self.confirmed.resize(pool().len(), false);
        self.confirmed[place] = true;
    }

    /// Notes what an expiry may do before it is asked for.
    pub(crate) fn ask(&mut self, class: &'static str, mark_ms: u64) {
        let asked = self.asked.entry(class).or_default();
        *asked = mark_ms.max(*asked);
    }

    /// Notes marks that are durable.
    pub(crate) fn keep(&mut self, store: &Store) {
        for class in CLASSES {
            self.kept.insert(class, store.expired_before(class));
        }
    }

    /// Notes that origins of a unit were let go of.
    pub(crate) fn let_go(&mut self, unit: &Unit, is_gone: impl Fn(OriginName) -> bool) {
        for (confirmed, offered) in self.confirmed.iter_mut().zip(pool()) {
            let Expected { unit: of, name, .. } = &offered.expected;
            *confirmed &= of != unit || !is_gone(*name);
        }
    }

    /// What has expired while there was no room to say so on disk need not be there, whatever is said later.
    pub(crate) fn forgive(&mut self, store: &Store) {
        for (confirmed, offered) in self.confirmed.iter_mut().zip(pool()) {
            let unit = &offered.expected.unit;
            *confirmed &= unit.start_ms() + unit.bucket_ms() > store.expired_before(unit.class());
        }
    }

    /// Checks a store that was just opened, and every file of it.
    pub(crate) fn check_opened(
        &self,
        store: &Store,
        recovery: &StoreRecovery,
        disk: &SimDisk,
    ) -> Result<(), String> {
        if let Some(moved) = recovery.quarantined.first() {
            return Err(format!("a file of our own was moved aside: {moved}"));
        }
        if !recovery.damaged.is_empty() || !recovery.conflicts.is_empty() || recovery.ignored_origins > 0 {
            return Err(format!("not what power cuts do: {recovery:?}"));
        }
        let names = disk.list(Path::new("store")).map_err(|error| error.to_string())?;
        let files = names.iter().filter(|name| *name != "expired").count();
        let segments = store.snapshot().segments;
        if files != segments.len() {
            return Err(format!("{files} files, {} are served", segments.len()));
        }
        segments.iter().try_for_each(|segment| prove(&segment.file))?;
        self.check(store)
    }

    /// Checks what a store serves at this moment.
    pub(crate) fn check(&self, store: &Store) -> Result<(), String> {
        for class in CLASSES {
            let mark = store.expired_before(class);
            if mark > self.asked.get(class).copied().unwrap_or(0) {
                return Err(format!("{class} is expired up to {mark}, which nobody asked for"));
            }
            if mark < self.kept.get(class).copied().unwrap_or(0) {
                return Err(format!("the watermark of {class} went back to {mark}"));
            }
        }
        let mut served: BTreeMap<(Unit, OriginName), RecordDigest> = BTreeMap::new();
        for segment in &store.snapshot().segments {
            for (_, origin) in segment.origins() {
                let key = (segment.unit().clone(), origin.name);
                if served.insert(key, origin.digest).is_some() {
                    return Err(format!("served twice: {}", origin.name.with_unit(segment.unit())));
                }
            }
        }
        for (place, offered) in pool().iter().enumerate() {
            let expected = &offered.expected;
            let whole = || expected.name.with_unit(&expected.unit);
            let end_ms = expected.unit.start_ms() + expected.unit.bucket_ms();
            let expired = end_ms <= store.expired_before(expected.unit.class());
            match served.remove(&(expected.unit.clone(), expected.name)) {
                Some(_) if expired => return Err(format!("served although expired: {}", whole())),
                Some(digest) if digest != expected.digest => return Err(format!("altered: {}", whole())),
                None if self.confirmed.get(place) == Some(&true) && !expired => {
                    return Err(format!("lost: {}", whole()));
                }
                _ => {}
            }
        }
        served.pop_first().map_or(Ok(()), |(key, _)| Err(format!("invented: {key:?}")))
    }
}

/// Reads a file whole, every record and digest of it.
fn prove(file: &SegmentFile) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.path().display());
    let footer = file.footer();
    let mut verifier = Verifier::new(footer).map_err(|error| told(&error))?;
    let mut buffer = Vec::new();
    for entry in footer.blocks() {
        file.read_block(entry, &mut buffer).map_err(|error| told(&error))?;
        verifier.block(&buffer).map_err(|error| told(&error))?;
    }
    for (index, entry) in footer.parts().iter().enumerate() {
        file.read_part(entry, &mut buffer).map_err(|error| told(&error))?;
        verifier.part(index, &buffer).map_err(|error| told(&error))?;
    }
    verifier.finish().first().map_or(Ok(()), |error| Err(told(error)))
}

/// What somebody knows who only listens to the changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mirror(Arc<Mutex<BTreeMap<(Unit, OriginName), RecordDigest>>>);

impl Mirror {
    /// Begins to listen.
    pub(crate) fn of(store: &Store) -> Mirror {
        let mirror = Mirror::default();
        let held = Arc::clone(&mirror.0);
        store.watch(move |change| {
            let mut held = held.lock().unwrap_or_else(|error| panic!("{error}"));
            match change {
                Change::Added(holding) => {
                    let before = held.insert((holding.unit, holding.origin.name), holding.origin.digest);
                    assert_eq!(before, None, "added twice");
                }
                Change::Gone { unit, name, digest, .. } => {
                    assert_eq!(held.remove(&(unit, name)), Some(digest), "gone, and not there before");
                }
            }
        });
        mirror
    }

    /// Compares with what the store holds.
    pub(crate) fn check(&self, store: &Store) -> Result<(), String> {
        let holdings = store.holdings().into_iter();
        let held: BTreeMap<_, _> =
            holdings.map(|held| ((held.unit, held.origin.name), held.origin.digest)).collect();
        let mirrored = self.0.lock().unwrap_or_else(|error| panic!("{error}"));
        if *mirrored == held {
            Ok(())
        } else {
            Err("the changes told are not those that happened".to_owned())
        }
    }
}
