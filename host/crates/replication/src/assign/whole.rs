//! Units that are read as a whole: all who have them have the same set, and nobody needs to know its names.

use core::cmp::Reverse;

use alloc::vec::Vec;

use weir_segment::Unit;

use super::{Assignment, LogPart, Read, Reading, Which};
use crate::forms::{Form, Forms};
use crate::hash;
use crate::owed::Owed;
use crate::quiet::{Quiet, Whole};
use crate::ranges::TimeRange;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) range: TimeRange,
    pub(super) preferred: Option<u64>,
    pub(super) owed: Option<&'a Owed>,
}

impl Asked<'_> {
    /// What is to be done with a set that all have who have any: whether it is read; `None` when that takes names.
    fn reads(&self, unit: &Unit, quiet: &Quiet, logs: &[(u64, &LogPart)]) -> Option<bool> {
        let times = quiet.times.within(self.range);
        if times.is_empty() {
            return Some(false);
        }
        if logs.iter().any(|(_, log)| log.meets(times)) {
            return None;
        }
        self.owed.map_or(Some(true), |owed| owed.share_of(unit, quiet))
    }
}

/// How a unit is planned.
pub(super) enum Planned {
    /// It has to be planned by name; what has no names was said to be out of reach.
    ByName,
    /// Nothing of it is read.
    Nothing,
    /// A node reads all of it. Repeats among it have these times.
    Whole(u64, Reading, Option<TimeRange>),
}

/// Plans a unit as a whole, if that can be.
pub(super) fn plan(
    plan: &mut Assignment,
    forms: &Forms<'_>,
    logs: &[(u64, &LogPart)],
    unit: &Unit,
    asked: &Asked<'_>,
) -> Planned {
    let agreed = forms.agreed().and_then(|quiet| Some((quiet, asked.reads(unit, quiet, logs)?)));
    let Some((quiet, is_read)) = agreed else {
        let unnamed = forms.of.iter().filter_map(|(_, form)| match form {
            Form::Whole(quiet) if forms.names_of(&quiet.whole).is_none() => {
                (!quiet.times.within(asked.range).is_empty()).then_some(quiet.whole)
            }
            Form::Changed(whole) => Some(*whole),
            Form::Whole(_) | Form::Names(_) => None,
        });
        let unnamed: Vec<Whole> = unnamed.collect();
        plan.unreachable.extend(unnamed.into_iter().map(|whole| (unit.clone(), Which::Whole(whole))));
        return Planned::ByName;
    };
    if !is_read {
        return Planned::Nothing;
    }
    let by = hash::of_unit(unit);
    let rank = |node: &u64| (asked.preferred == Some(*node), Reverse(hash::fold(by, *node)));
    let Some(reader) = forms.of.iter().map(|(node, _)| *node).max_by_key(rank) else {
        return Planned::Nothing;
    };
    plan.origins += quiet.whole.origins;
    let reading = Reading {
        unit: unit.clone(),
        read: Read::All,
        origins: Which::Whole(quiet.whole),
        has_suspects: !unit.is_keyed() && quiet.has_repeats,
        is_counted: true,
    };
    Planned::Whole(reader, reading, quiet.has_repeats.then(|| quiet.times.within(asked.range)))
}
