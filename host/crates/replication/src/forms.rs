//! What the nodes that answer have of a unit: by name, or as a whole of which only the digest is known; and whether that
//! is enough to plan by.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use weir_segment::Unit;

use crate::assign::Answering;
use crate::catalog::UnitOrigins;
use crate::completeness::Knowledge;
use crate::held::Held;
use crate::mirror::Mirror;
use crate::origin_set::OriginSet;
use crate::owed::Owed;
use crate::quiet::{Quiet, Whole};
use crate::ranges::TimeRange;
use crate::sets::Told;

/// What one node has of a unit, in one of its places.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    Names(&'a UnitOrigins),
    Whole(&'a Quiet),
    /// It has changed since it was told as this, and its names are not known.
    Changed(Whole),
}

impl<'a> Form<'a> {
    fn told(told: &'a Told) -> Form<'a> {
        let changed = Whole { origins: told.origins(), ..told.quiet().whole };
        told.whole().map_or(Form::Changed(changed), Form::Whole)
    }
}

/// What is known of a unit.
#[derive(Debug, Default)]
pub(crate) struct Forms<'a> {
    /// By node.
    pub(crate) of: Vec<(u64, Form<'a>)>,
    /// Sets that are known by name beside those that are held now.
    before: Vec<&'a (Whole, OriginSet)>,
    is_unreadable: bool,
}

impl<'a> Forms<'a> {
    /// What is known of every unit of which somebody has something in a range.
    pub(crate) fn all(answering: &'a [Answering<'a>], range: TimeRange) -> BTreeMap<&'a Unit, Forms<'a>> {
        let mut all: BTreeMap<&Unit, Forms<'a>> = BTreeMap::new();
        for node in answering {
            for catalog in &node.catalogs {
                for (unit, origins) in catalog.units_in(range) {
                    let forms = all.entry(unit).or_default();
                    forms.of.push((node.node, Form::Names(origins)));
                    forms.before.extend(node.sets.and_then(|sets| sets.before(unit)));
                }
            }
            for (unit, told) in node.sets.iter().flat_map(|sets| sets.units_in(range)) {
                all.entry(unit).or_default().of.push((node.node, Form::told(told)));
            }
            for unit in node.unreadable.keys() {
                if let Some(forms) = all.get_mut(unit) {
                    forms.is_unreadable = true;
                }
            }
        }
        all
    }

    /// What is known of one unit.
    fn one(answering: &'a [Answering<'a>], unit: &'a Unit) -> Forms<'a> {
        let mut forms = Forms::default();
        for node in answering {
            for origins in node.catalogs.iter().filter_map(|catalog| catalog.unit(unit)) {
                forms.of.push((node.node, Form::Names(origins)));
            }
            let told = node.sets.and_then(|sets| sets.get(unit));
            forms.of.extend(told.map(|told| (node.node, Form::told(told))));
            forms.before.extend(node.sets.and_then(|sets| sets.before(unit)));
        }
        forms
    }

    /// Whether all of it is known by name.
    pub(crate) fn is_named(&self) -> bool {
        self.of.iter().all(|(_, form)| matches!(form, Form::Names(_)))
    }

    /// The names of a set, if somebody has told them.
    pub(crate) fn names_of(&self, whole: &Whole) -> Option<&'a OriginSet> {
        let held = self.of.iter().filter_map(|(_, form)| match form {
            Form::Names(origins) => Some(origins.names()),
            Form::Whole(_) | Form::Changed(_) => None,
        });
        let before = self.before.iter().find(|(known, _)| known == whole).map(|(_, names)| names);
        before.or_else(|| held.into_iter().find(|names| whole.is(names)))
    }

    /// Whether somebody has just this set.
    pub(crate) fn has(&self, whole: &Whole) -> bool {
        self.of.iter().any(|(_, form)| match form {
            Form::Names(origins) => whole.is(origins.names()),
            Form::Whole(quiet) => quiet.whole == *whole,
            Form::Changed(_) => false,
        })
    }

    /// The set that all of the nodes have that have any, if that is one and the same, and there is nothing that would have
    /// to be left out of it.
    pub(crate) fn agreed(&self) -> Option<&'a Quiet> {
        let quiet = self.of.iter().find_map(|(_, form)| match form {
            Form::Whole(quiet) => Some(*quiet),
            Form::Names(_) | Form::Changed(_) => None,
        })?;
        let is_same = |form: &Form<'_>| match form {
            Form::Names(origins) => quiet.whole.is(origins.names()),
            Form::Whole(other) => other.whole == quiet.whole,
            Form::Changed(_) => false,
        };
        let is_once = self.of.windows(2).all(|two| two[0].0 != two[1].0);
        let is_agreed = is_once && self.of.iter().all(|(_, form)| is_same(form));
        (is_agreed && !self.is_unreadable).then_some(quiet)
    }

    /// Whose names would have to be known for all to be: of each set somebody's.
    fn unnamed(&self) -> Vec<u64> {
        let mut seen = BTreeSet::new();
        let mut is_wanted = |form: &Form<'_>| match form {
            Form::Names(_) => false,
            Form::Whole(quiet) => self.names_of(&quiet.whole).is_none() && seen.insert(quiet.whole),
            Form::Changed(_) => true,
        };
        self.of.iter().filter(|(_, form)| is_wanted(form)).map(|(node, _)| *node).collect()
    }
}

/// What a plan needs the names of before it can be made: units, and nodes to ask for what they hold of them. What cannot
/// be had makes a plan that says that it lacks something.
///
/// Names are needed where the nodes that answer differ, or do not have what is known to exist; where a log has records of
/// the same times; and of what is owed by name.
pub fn wanted(
    answering: &[Answering<'_>],
    range: TimeRange,
    owed: Option<&Owed>,
    knowledge: &Knowledge,
) -> BTreeMap<u64, BTreeSet<Unit>> {
    let mut wanted: BTreeMap<u64, BTreeSet<Unit>> = BTreeMap::new();
    for (unit, forms) in Forms::all(answering, range).into_iter().filter(|(_, forms)| !forms.is_named()) {
        let is_clear = forms.agreed().is_some_and(|quiet| {
            let times = quiet.times.within(range);
            let in_log = answering.iter().filter_map(|node| node.log.as_ref()).any(|log| log.meets(times));
            let is_owed = owed.is_none_or(|owed| owed.share_of(unit, quiet).is_some());
            !in_log && is_owed && knowledge.agrees(unit, &quiet.whole)
        });
        if !is_clear {
            for node in forms.unnamed() {
                wanted.entry(node).or_default().insert(unit.clone());
            }
        }
    }
    wanted
}

/// The names without which it cannot be told later what of these units exists: where nodes that answer have different sets
/// of one, or not what is known to exist. Units, and nodes to ask for what they hold of them.
pub fn wanted_of<'a>(
    answering: &[Answering<'_>],
    units: impl Iterator<Item = &'a Unit>,
    knowledge: &Knowledge,
) -> BTreeMap<u64, BTreeSet<Unit>> {
    let mut wanted: BTreeMap<u64, BTreeSet<Unit>> = BTreeMap::new();
    for unit in units {
        let forms = Forms::one(answering, unit);
        if forms.agreed().is_none_or(|quiet| !knowledge.agrees(unit, &quiet.whole)) {
            for node in forms.unnamed() {
                wanted.entry(node).or_default().insert(unit.clone());
            }
        }
    }
    wanted
}

/// The names of a set have come to be known: whoever has just this set of the unit has these, and each of them is missed by
/// itself.
pub fn named<'a>(
    knowledge: &mut Knowledge,
    mirrors: impl Iterator<Item = &'a mut Mirror>,
    unit: &Unit,
    origins: &[Held],
) {
    for mirror in mirrors {
        if mirror.name(unit, origins.iter()).is_ok() {
            if let Some((_, names)) = mirror.sets().before(unit) {
                knowledge.named(unit, names);
            }
            if let Some(held) = mirror.catalog().unit(unit) {
                knowledge.named(unit, held.names());
            }
        }
    }
}

/// Gives up the names of a unit where they are needed no more: all of these nodes that have any of it are quiet there and
/// have one set, and that is all that is known to exist. Whether that was so.
pub fn settle(knowledge: &mut Knowledge, mirrors: &mut [&mut Mirror], unit: &Unit) -> bool {
    let mut stores = Vec::new();
    let mut set = None;
    for mirror in mirrors.iter().filter(|mirror| mirror.holds(unit)) {
        let told = mirror.sets().get(unit).and_then(Told::whole).or(mirror.sets().quiet_named(unit));
        let Some(quiet) = told.filter(|quiet| set.is_none_or(|set| set == quiet.whole)) else { return false };
        set = Some(quiet.whole);
        stores.push(mirror.node());
    }
    let is_settled = set.is_some_and(|set| knowledge.settle(unit, &set, &stores));
    if is_settled {
        for mirror in mirrors.iter_mut() {
            mirror.unname(unit);
        }
    }
    is_settled
}

#[cfg(test)]
mod tests;
