//! Expiry: whole units go, by age and by total size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use weir_record::limits::STORE_WATERMARK_STEP_MS;

use crate::disk::is_full;
use crate::store::watermark::{Watermarks, end_ms};
use crate::store::{Inner, Store, StoreError};

/// What is kept how long. The caller must be sure of its clock: a watermark never goes back.
#[derive(Debug, Clone)]
pub struct ExpiryRules {
    /// The wall clock, Unix time.
    pub now_ms: u64,
    /// Age, counted from the end of a unit, at which it expires when its class has no age of its own.
    pub default_age_ms: u64,
    /// Ages per retention class.
    pub classes: BTreeMap<String, u64>,
    /// Bytes that all segments together may take; the oldest units go first, whatever their class.
    pub bytes_max: u64,
}

/// What expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreExpired {
    /// Files.
    pub segments: u64,
    /// Origins that they served.
    pub origins: u64,
    /// Records in those.
    pub records: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Whether the watermarks in memory are those on disk.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The disk was full when they should have been written.
    lags: bool,
}

impl Store {
    /// Removes what the rules do not keep: units that ended longer ago than their class says, then the oldest
    /// while all together take more than `bytes_max`. Snapshots that hold a segment go on reading it. A crash can
    /// bring files back; the next start, which knows the watermarks, removes them.
    pub fn expire(&self, rules: &ExpiryRules) -> Result<StoreExpired, StoreError> {
        let inner = &*self.inner;
        let mut kept = inner.expiring.lock().unwrap_or_else(PoisonError::into_inner);
        inner.check_poison()?;
        let (before, marks) = inner.raised(rules);
        if marks != before || kept.lags {
            kept.lags = !inner.keep(&marks)?;
        }
        let doomed = {
            let mut catalog = inner.catalog();
            catalog.watermarks = marks.clone();
            catalog.expire()
        };
        let mut expired = StoreExpired::default();
        for segment in &doomed {
            expired.segments += 1;
            expired.bytes += segment.file.bytes();
            for (_, origin) in segment.origins() {
                expired.origins += 1;
                expired.records += origin.count;
            }
        }
        inner.remove(&doomed)?;
        if kept.lags {
            // There may be room now.
            kept.lags = !inner.keep(&marks)?;
        }
        if expired.segments > 0 {
            tracing::info!(expired.segments, expired.records, expired.bytes, "expired");
        }
        Ok(expired)
    }

    /// The watermark of a retention class in Unix milliseconds: units of it that end at or before this moment
    /// are expired here, whether or not this store ever held them. 0 when there is none. Never goes back.
    pub fn expired_before(&self, class: &str) -> u64 {
        self.inner.catalog().watermarks.of(class)
    }

    /// All watermarks, by retention class. For units of classes that are not named here nothing is said.
    pub fn watermarks(&self) -> BTreeMap<String, u64> {
        self.inner.catalog().watermarks.classes().clone()
    }
}

impl Inner {
    /// The watermarks as they are, and as the rules want them.
    fn raised(&self, rules: &ExpiryRules) -> (Watermarks, Watermarks) {
        let catalog = self.catalog();
        let before = catalog.watermarks.clone();
        let mut marks = before.clone();
        let mut classes: BTreeSet<&str> = BTreeSet::from(["default"]);
        classes.extend(rules.classes.keys().map(String::as_str));
        classes.extend(catalog.units().map(weir_segment::Unit::class));
        for class in classes {
            let age_ms = rules.classes.get(class).copied().unwrap_or(rules.default_age_ms);
            let mark_ms = rules.now_ms.saturating_sub(age_ms);
            marks.raise(class, mark_ms - mark_ms % STORE_WATERMARK_STEP_MS);
        }
        // Per end of a unit and class, for a watermark covers all units of its class: what its removal frees.
        let mut ends: BTreeMap<(u64, &str), u64> = BTreeMap::new();
        for (unit, segments) in catalog.segments().filter(|(unit, _)| !marks.covers(unit)) {
            let bytes: u64 = segments.iter().map(|segment| segment.file.bytes()).sum();
            *ends.entry((end_ms(unit), unit.class())).or_default() += bytes;
        }
        let mut bytes: u64 = ends.values().sum();
        let by_size: Vec<_> = ends
            .into_iter()
            .take_while(|(_, freed)| {
                let too_many = bytes > rules.bytes_max;
                bytes -= freed;
                too_many
            })
            .collect();
        for ((end_ms, class), _) in by_size {
            marks.raise(class, end_ms);
        }
        (before, marks)
    }

    /// Makes watermarks durable; false when there is no room: expiry goes on, for it is what makes room.
    fn keep(&self, marks: &Watermarks) -> Result<bool, StoreError> {
        match marks.write(&self.disk, &self.dir) {
            Ok(()) => self.sync_dir().map(|()| true),
            Err((true, error)) => Err(self.poisoned(&self.dir, &error)),
            Err((false, error)) if is_full(&error) => {
                tracing::warn!(%error, "the watermarks of expiry are not kept yet: the disk is full");
                Ok(false)
            }
            Err((false, error)) => Err(StoreError::io("cannot write the watermarks in", &self.dir)(error)),
        }
    }
}
