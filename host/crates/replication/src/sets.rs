//! Units of another node that are known by the digest of their set of origins rather than by name.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_record::limits::{NODE_NAMES_ORIGINS_MAX, NODE_NAMES_UNITS_MAX};
use weir_segment::{OriginName, Unit};

use crate::catalog::{bucket, ends_ms};
use crate::origin_set::OriginSet;
use crate::quiet::{Quiet, Whole};
use crate::ranges::TimeRange;

/// What has changed in a unit since it was told as quiet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Since {
    pub(crate) added: OriginSet,
    pub(crate) removed: OriginSet,
}

/// A unit that is known by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    quiet: Quiet,
    /// Nothing has when there is nothing here.
    since: Option<Box<Since>>,
}

impl Told {
    /// What it was told to be; `None` when that has changed since.
    pub fn whole(&self) -> Option<&Quiet> {
        self.since.is_none().then_some(&self.quiet)
    }

    /// What it was told to be when it was last told as a whole.
    pub fn quiet(&self) -> &Quiet {
        &self.quiet
    }

    /// How many origins it has now.
    pub fn origins(&self) -> u64 {
        let (added, removed) =
            self.since.as_ref().map_or((0, 0), |since| (since.added.len(), since.removed.len()));
        (self.quiet.whole.origins + added).saturating_sub(removed)
    }

    /// Which names it was told with, if it has these now: proven by the digest.
    pub(crate) fn proven_by(&self, names: &OriginSet) -> Option<OriginSet> {
        let told = match &self.since {
            None => names.clone(),
            Some(since) => {
                if !since.added.is_subset(names) || !since.removed.intersection(names).is_empty() {
                    return None;
                }
                names.difference(&since.added).union(&since.removed)
            }
        };
        self.quiet.whole.is(&told).then_some(told)
    }

    fn change(&mut self, change: impl FnOnce(&mut Since)) {
        let mut since = self.since.take().unwrap_or_default();
        change(&mut since);
        let is_as_told = since.added.is_empty() && since.removed.is_empty();
        self.since = (!is_as_told).then_some(since);
    }
}

/// What is known of a unit beside the names of its origins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// It is quiet, and this was told of it: the names need not be kept.
    quiet: Option<Quiet>,
    /// As what it was told when it was last quiet, and the names of that.
    before: Option<Box<(Whole, OriginSet)>>,
}

/// Units by digest. A unit takes some 150 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sets {
    units: BTreeMap<Unit, Told>,
    /// Of some units that are known by name.
    named: BTreeMap<Unit, Named>,
    /// See [`Catalog`](crate::Catalog).
    bucket_ms_max: u64,
}

impl Sets {
    /// How many units are known by digest alone.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// A unit.
    pub fn get(&self, unit: &Unit) -> Option<&Told> {
        self.units.get(unit)
    }

    /// The first of these units of which the names may be asked for in one request, and how many origins they have.
    pub fn askable<'a>(&self, units: impl Iterator<Item = &'a Unit>) -> (Vec<Unit>, u64) {
        let (mut asked, mut sum) = (Vec::new(), 0);
        for unit in units.take(NODE_NAMES_UNITS_MAX) {
            let origins = self.get(unit).map_or(0, Told::origins);
            if !asked.is_empty() && sum + origins > NODE_NAMES_ORIGINS_MAX {
                break;
            }
            asked.push(unit.clone());
            sum += origins;
        }
        (asked, sum)
    }

    /// All units, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Unit, &Told)> {
        self.units.iter()
    }

    /// The units whose buckets reach into a range.
    pub fn units_in(&self, range: TimeRange) -> impl Iterator<Item = (&Unit, &Told)> {
        let from_ms = range.from_ms.saturating_sub(self.bucket_ms_max);
        let first = crate::catalog::first_unit_at(from_ms);
        let rest = match &first {
            Some(first) => self.units.range(first..),
            None => self.units.range::<Unit, _>(..),
        };
        rest.take_while(move |(unit, _)| unit.start_ms() <= range.to_ms)
            .filter(move |(unit, _)| bucket(unit).meets(range))
    }

    /// Whether a unit is known by digest, by name as well or not.
    pub fn is_told(&self, unit: &Unit) -> bool {
        self.units.contains_key(unit) || self.quiet_named(unit).is_some()
    }

    /// What was told of a unit that is known by name and quiet.
    pub fn quiet_named(&self, unit: &Unit) -> Option<&Quiet> {
        self.named.get(unit)?.quiet.as_ref()
    }

    /// As what a unit that is known by name was told when it was last quiet, and the names of that.
    pub fn before(&self, unit: &Unit) -> Option<&(Whole, OriginSet)> {
        self.named.get(unit)?.before.as_deref()
    }

    /// A unit is told as a whole, and is not known by name.
    pub(crate) fn insert(&mut self, unit: Unit, quiet: Quiet) {
        self.bucket_ms_max = self.bucket_ms_max.max(unit.bucket_ms());
        self.named.remove(&unit);
        self.units.insert(unit, Told { quiet, since: None });
    }

    /// A unit that is known by name is told as a whole.
    pub(crate) fn insert_named(&mut self, unit: Unit, quiet: Quiet) {
        self.units.remove(&unit);
        self.named.insert(unit, Named { quiet: Some(quiet), before: None });
    }

    /// An origin has come to a unit that is known by digest alone; `false` when there is no such unit.
    pub(crate) fn add(&mut self, unit: &Unit, name: OriginName) -> bool {
        let Some(told) = self.units.get_mut(unit) else { return false };
        told.change(|since| {
            if !since.removed.remove(name) {
                since.added.insert(name);
            }
        });
        true
    }

    /// An origin has gone from such a unit; `false` when there is no such unit.
    pub(crate) fn remove(&mut self, unit: &Unit, name: OriginName) -> bool {
        let Some(told) = self.units.get_mut(unit) else { return false };
        told.change(|since| {
            if !since.added.remove(name) {
                since.removed.insert(name);
            }
        });
        if told.origins() == 0 {
            self.units.remove(unit);
        }
        true
    }

    /// A unit that is known by name changes from what it has been: it is quiet no more.
    pub(crate) fn wake(&mut self, unit: &Unit, names: &OriginSet) {
        if let Some(named) = self.named.get_mut(unit)
            && let Some(quiet) = named.quiet.take()
        {
            named.before = Some(Box::new((quiet.whole, names.clone())));
        }
    }

    /// A unit has become known by name; `told` are those that it was told with.
    pub(crate) fn name(&mut self, unit: &Unit, told: OriginSet) {
        let Some((unit, Told { quiet, since })) = self.units.remove_entry(unit) else { return };
        let named = match since {
            None => Named { quiet: Some(quiet), before: None },
            Some(_) => Named { quiet: None, before: Some(Box::new((quiet.whole, told))) },
        };
        self.named.insert(unit, named);
    }

    /// The names of a quiet unit are given up; `false` when it is not quiet, or has none.
    pub(crate) fn unname(&mut self, unit: &Unit) -> bool {
        let Some(quiet) = self.quiet_named(unit).copied() else { return false };
        self.insert(unit.clone(), quiet);
        true
    }

    /// Nothing is held of a unit any more.
    pub(crate) fn forget(&mut self, unit: &Unit) {
        self.units.remove(unit);
        self.named.remove(unit);
    }

    /// Takes out the units of a class that ended at or before a time; gives those known by digest alone.
    pub(crate) fn remove_below(&mut self, class: &str, below_ms: u64) -> Vec<Unit> {
        let is_old = |unit: &Unit| unit.class() == class && ends_ms(unit) <= below_ms;
        let old: Vec<Unit> =
            self.units.keys().take_while(|unit| unit.start_ms() < below_ms).cloned().collect();
        let old: Vec<Unit> = old.into_iter().filter(is_old).collect();
        for unit in &old {
            self.units.remove(unit);
        }
        self.named.retain(|unit, _| !is_old(unit));
        old
    }
}
