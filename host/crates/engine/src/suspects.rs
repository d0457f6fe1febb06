//! Records that may lie in several places, so that a count has to look at them one by one.
//!
//! Nearly no record is one: minted ids are drawn once, and the origins of a first sending hold nothing that
//! another origin holds. So a count takes what may be repeated apart: the origins flagged as such, all of the
//! keyed units (equal keys have equal ids), and batches of the log whose ids lie among those of others. Their
//! matches are collected first, by id and fingerprint, each once; then everything else is counted without
//! them, and most of it needs no look at its ids at all.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use weir_query::{Fingerprint, Rows};
use weir_record::RecordId;
use weir_record::limits::QUERY_SUSPECTS_MAX;
use weir_segment::OriginFlags;

use crate::findings::fingerprint;
use crate::item::Item;
use crate::searchable::{Searchable, SegmentPiece, Share};

/// What of each searchable may be repeated, and what cannot be.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) repeated: Vec<Share>,
    pub(crate) single: Vec<Share>,
}

impl Split {
    /// Divides what was asked for of the searchables, as far as it has ids from `from` to `to`, both
    /// inclusive.
    pub(crate) fn find(sources: &[Searchable], from: RecordId, to: RecordId) -> Split {
        let meeting = meeting_batches(sources, from, to);
        let mut split = Split { repeated: Vec::new(), single: Vec::new() };
        for (source, meeting) in sources.iter().zip(meeting) {
            let (repeated, single) = match source {
                Searchable::Log(_) => {
                    let single = meeting.iter().map(|meets| !meets).collect();
                    (Share::of(meeting), Share::of(single))
                }
                Searchable::Segment(segment) => of_segment(segment, source.share()),
            };
            split.repeated.push(repeated);
            split.single.push(single);
        }
        split
    }

    /// Divides searchables of one node among several: what other nodes may hold as well has been told apart by its
    /// flags already, so that equal records of one keyed unit are all that is left to be looked for here.
    pub(crate) fn keyed(sources: &[Searchable]) -> Split {
        let mut split = Split { repeated: Vec::new(), single: Vec::new() };
        for source in sources {
            let (repeated, single) = match source {
                Searchable::Log(_) => (Share::Nothing, Share::All),
                Searchable::Segment(segment) => {
                    let share = source.share();
                    if segment.file().footer().unit().is_keyed() {
                        (share, Share::Nothing)
                    } else {
                        (Share::Nothing, of_segment(segment, share).1)
                    }
                }
            };
            split.repeated.push(repeated);
            split.single.push(single);
        }
        split
    }

    pub(crate) fn has_repeated(&self) -> bool {
        self.repeated.iter().any(|share| !share.is_nothing())
    }
}

/// What of each searchable another node may hold as well: all that is given of keyed units and of the log, flagged
/// origins of the rest.
pub(crate) fn held_elsewhere(sources: &[Searchable]) -> Vec<Share> {
    let share = |source: &Searchable| match source {
        Searchable::Log(_) => Share::All,
        Searchable::Segment(segment) => of_segment(segment, source.share()).0,
    };
    sources.iter().map(share).collect()
}

fn of_segment(segment: &SegmentPiece, asked: Share) -> (Share, Share) {
    let footer = segment.file().footer();
    if footer.unit().is_keyed() {
        return (asked, Share::Nothing);
    }
    let flagged = |number: usize| footer.lineage()[number].flags.has(OriginFlags::MAYBE_REPEATED);
    let origins = 0..footer.lineage().len();
    if !origins.clone().any(flagged) {
        return (Share::Nothing, asked);
    }
    let wanted = |number: usize| match &asked {
        Share::All => true,
        Share::Only(wanted) => wanted[number],
        Share::Nothing => false,
    };
    let part = |of_flagged: bool| {
        Share::of(origins.clone().map(|number| wanted(number) && flagged(number) == of_flagged).collect())
    };
    (part(true), part(false))
}

/// Per searchable and batch, whether its range of ids meets that of another batch or of a part of a segment.
fn meeting_batches(sources: &[Searchable], from: RecordId, to: RecordId) -> Vec<Vec<bool>> {
    let batch_count = |source: &Searchable| match source {
        Searchable::Log(piece) => piece.batch_count(),
        Searchable::Segment(_) => 0,
    };
    let mut meets: Vec<Vec<bool>> = sources.iter().map(|source| vec![false; batch_count(source)]).collect();
    if meets.iter().all(Vec::is_empty) {
        return meets;
    }
    // Low, high, searchable, batch; parts of segments only serve to be met.
    let mut ranges: Vec<(RecordId, RecordId, usize, usize)> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        match source {
            Searchable::Log(piece) => {
                let batches = (0..piece.batch_count()).map(|place| (piece.batch(place), place));
                ranges.extend(batches.map(|(batch, place)| (batch.low, batch.high, number, place)));
            }
            Searchable::Segment(_) => {
                ranges.extend(
                    Item::of(number, source).iter().map(|item| (item.low, item.high, number, item.part)),
                );
            }
        }
    }
    ranges.retain(|(low, high, ..)| *low <= to && *high >= from);
    ranges.sort_unstable_by_key(|range| range.0);
    let mut mark = |number: usize, place: usize| {
        if let Some(batch) = meets[number].get_mut(place) {
            *batch = true;
        }
    };
    // The range that reaches highest so far; whoever begins below its end meets it.
    let mut reach: Option<(RecordId, usize, usize)> = None;
    for (low, high, number, place) in ranges {
        if let Some((end, other_number, other_place)) = reach
            && low <= end
        {
            mark(number, place);
            mark(other_number, other_place);
        }
        if reach.is_none_or(|(end, ..)| high > end) {
            reach = Some((high, number, place));
        }
    }
    meets
}

/// Records that may be repeated and match, each once, sorted by id.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    records: Vec<(RecordId, Fingerprint)>,
}

/// More records with one id than are looked at together.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Suspects {
    /// Adds rows that carry fingerprints, which come in the order of their ids, each once. `false` when there
    /// are too many.
    pub(crate) fn extend(&mut self, rows: &Rows) -> bool {
        let records = rows.iter().filter_map(|row| Some((row.id, Fingerprint::read(row.payload)?)));
        self.records.extend(records);
        self.records.len() <= QUERY_SUSPECTS_MAX
    }

    /// Drops what is too much, and all other records of the id at the cut: that id.
    pub(crate) fn cut(&mut self) -> Result<Option<RecordId>, TooMany> {
        let Some(&(id, _)) = self.records.get(QUERY_SUSPECTS_MAX) else { return Ok(None) };
        self.records.truncate(self.records.partition_point(|record| record.0 < id));
        if self.records.is_empty() { Err(TooMany) } else { Ok(Some(id)) }
    }

    /// Of records that are sorted by id.
    pub(crate) fn known(records: Vec<(RecordId, Fingerprint)>) -> Suspects {
        Suspects { records }
    }

    /// Whether a record is one of them.
    pub(crate) fn contains(&self, (id, print): (RecordId, Fingerprint)) -> bool {
        self.records[self.between(id, id)].iter().any(|known| known.1 == print)
    }

    pub(crate) fn records(&self) -> &[(RecordId, Fingerprint)] {
        &self.records
    }

    /// Those with ids from `low` to `high`, both inclusive.
    pub(crate) fn between(&self, low: RecordId, high: RecordId) -> Range<usize> {
        let from = self.records.partition_point(|record| record.0 < low);
        from..from + self.records[from..].partition_point(|record| record.0 <= high)
    }

    /// Whether a record is one of some of them.
    pub(crate) fn have(&self, among: &Range<usize>, id: RecordId, payload: &[u8]) -> bool {
        let among = &self.records[among.clone()];
        let print = OnceCell::new();
        let same_id =
            among[among.partition_point(|record| record.0 < id)..].iter().take_while(|record| record.0 == id);
        same_id.into_iter().any(|record| record.1 == *print.get_or_init(|| fingerprint(payload)))
    }
}

/// Shared by the scans of a count.
pub(crate) type SharedSuspects = Arc<Suspects>;
