//! Groups that are not handed over yet, in the order in which they began.

use std::collections::VecDeque;

use weir_plugin_sdk::batch::{BuildError, Builder, Part, StreamId};

use crate::frame::envelope::Line;
use crate::frame::group::Group;
use crate::frame::rules::{Trace, Verdict};
use crate::frame::{Ahead, Cut, Entries, Entry, Envelope, Framing, LANE_LABEL, LANE_NAMES, LANES};

/// Groups that wait for one before them; more, and that one is closed.
const WAITING_MAX: usize = 1024;

/// What is known of a lane.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// How its next line goes on with what was added last.
    entry: Entry,
    /// Its last group takes lines.
    open: bool,
}

/// The groups of one call.
pub(crate) struct Knot<'a> {
    framing: &'a Framing,
    labels: Vec<(&'a str, &'a str)>,
    now_unix_ns: u64,
    /// Groups that one batch takes whole.
    waiting_max: usize,
    groups: VecDeque<Group>,
    lanes: [Lane; LANES],
    /// Behind the last line that was added.
    at: usize,
    /// Behind the last group that was handed over.
    used: usize,
    streams: [[Option<StreamId>; 4]; LANES],
    /// Buffers of groups that were handed over.
    spare: Vec<Vec<u8>>,
}

impl<'a> Knot<'a> {
    pub(crate) fn new(
        framing: &'a Framing,
        entries: Entries,
        labels: &'a [(String, String)],
        now_unix_ns: u64,
        batch: &Builder,
    ) -> Knot<'a> {
        Knot {
            waiting_max: batch.records_max().min(WAITING_MAX),
            framing,
            labels: labels.iter().map(|(name, value)| (&**name, &**value)).collect(),
            now_unix_ns,
            groups: VecDeque::new(),
            lanes: entries.0.map(|entry| Lane { entry, open: false }),
            at: 0,
            used: 0,
            streams: [[None; 4]; LANES],
            spare: Vec::new(),
        }
    }

    /// Whether the last line of a lane has no end yet.
    pub(crate) fn is_in_line(&self, lane: usize) -> bool {
        self.lanes[lane].entry == Entry::Middle
    }

    /// Adds a line, or a piece of one, that stands between `start` and `end`. One too long for a record is
    /// cut; since no position can stand within it, its parts are handed over together.
    pub(crate) fn add(&mut self, line: &Line<'_>, start: usize, end: usize) {
        self.at = end;
        let mut rest: &[u8] = &line.text;
        if rest.len() > self.record_bytes_max() {
            let piece_bytes = self.record_bytes_max().max(rest.len().div_ceil(self.waiting_max));
            if self.groups.len() + rest.len().div_ceil(piece_bytes) > self.waiting_max {
                self.close_all(false);
            }
            while rest.len() > piece_bytes {
                let (piece, more) = rest.split_at(piece_bytes);
                self.add_piece(&Line { ends: false, text: piece.into(), ..*line }, start, end);
                rest = more;
            }
        }
        self.add_piece(&Line { text: rest.into(), ..*line }, start, end);
    }

    fn add_piece(&mut self, line: &Line<'_>, start: usize, end: usize) {
        let entry = self.lanes[line.lane].entry;
        let trace = self.last(line.lane).map_or(Trace::None, |group| group.trace);
        let (goes_on, trace) = match (entry, &self.framing.rules) {
            (Entry::Middle, _) => (true, trace),
            (Entry::Clean, None) => (false, Trace::None),
            (Entry::Clean, Some(rules)) => match rules.judge(trace, &line.text) {
                Verdict::Begins(trace) => (false, trace),
                Verdict::GoesOn(trace) => (self.lanes[line.lane].open, trace),
            },
            (Entry::Next, rules) => {
                let trace =
                    rules.as_ref().map_or(Trace::None, |rules| rules.judge(trace, &line.text).trace());
                (true, trace)
            }
        };
        let glue: &[u8] = if goes_on && entry != Entry::Middle { b"\n" } else { b"" };
        let bytes = glue.len() + line.text.len();
        let joins = goes_on && self.lanes[line.lane].open && self.fits(line.lane, bytes);
        if !joins {
            let was_open = self.lanes[line.lane].open;
            self.close(line.lane, goes_on);
            let entry = match (goes_on, entry) {
                (false, _) => Entry::Clean,
                (true, Entry::Clean) if was_open => Entry::Next,
                (true, entry) => entry,
            };
            if self.groups.len() >= self.waiting_max {
                self.close_all(false);
            }
            self.open(line, entry, start);
        }
        let ends = line.ends;
        let grouping = self.framing.rules.is_some();
        if let Some(group) = self.last_mut(line.lane) {
            group.text.extend_from_slice(glue);
            group.text.extend_from_slice(&line.text);
            group.end = end;
            group.trace = trace;
        }
        self.lanes[line.lane].entry = if ends { Entry::Clean } else { Entry::Middle };
        if ends && !grouping {
            self.close(line.lane, false);
        } else if !ends
            && self.last(line.lane).is_some_and(|group| group.text.len() >= self.record_bytes_max())
        {
            self.close(line.lane, true);
        }
    }

    fn record_bytes_max(&self) -> usize {
        self.framing.record_bytes_max
    }

    fn fits(&self, lane: usize, bytes: usize) -> bool {
        self.last(lane).is_some_and(|group| group.text.len() + bytes <= self.record_bytes_max())
    }

    fn last(&self, lane: usize) -> Option<&Group> {
        self.groups.iter().rev().find(|group| group.lane == lane)
    }

    fn last_mut(&mut self, lane: usize) -> Option<&mut Group> {
        self.groups.iter_mut().rev().find(|group| group.lane == lane)
    }

    fn open(&mut self, line: &Line<'_>, entry: Entry, start: usize) {
        let time = line.time.or_else(|| {
            let times = self.framing.times.as_ref()?;
            (entry == Entry::Clean).then(|| times.find(&line.text, self.now_unix_ns)).flatten()
        });
        let text = self.spare.pop().unwrap_or_default();
        let lane = line.lane;
        let group = Group { lane, start, end: start, entry, text, time, trace: Trace::None, part: None };
        self.groups.push_back(group);
        self.lanes[lane].open = true;
    }

    fn close(&mut self, lane: usize, goes_on: bool) {
        if std::mem::take(&mut self.lanes[lane].open)
            && let Some(group) = self.last_mut(lane)
        {
            group.close(goes_on);
        }
    }

    /// Closes what is open; a line without an end goes on later, unless nothing will ever come.
    pub(crate) fn close_all(&mut self, for_good: bool) {
        for lane in 0..LANES {
            let goes_on = self.is_in_line(lane) && !for_good;
            self.close(lane, goes_on);
        }
    }

    /// Whether more bytes would not help: nothing can be handed over of all that there is room for.
    pub(crate) fn is_stuck(&self, ahead: Ahead) -> bool {
        ahead == Ahead::More && self.used == 0
    }

    /// Hands over the groups at the front that are closed, together with all that began before their ends.
    pub(crate) fn hand_over(&mut self, batch: &mut Builder) -> Result<(), BuildError> {
        while let Some((count, used)) = self.next_whole() {
            self.push(batch, count)?;
            self.used = used;
        }
        Ok(())
    }

    /// The fewest groups at the front behind which a position can stand, and that position.
    fn next_whole(&self) -> Option<(usize, usize)> {
        let mut end = 0;
        for (index, group) in self.groups.iter().enumerate() {
            group.part?;
            end = end.max(group.end);
            let next = self.groups.get(index + 1).map_or(self.at, |group| group.start);
            if end <= next {
                return Some((index + 1, next));
            }
        }
        None
    }

    /// All of them, or none.
    fn push(&mut self, batch: &mut Builder, count: usize) -> Result<(), BuildError> {
        let bytes: usize = self.groups.iter().take(count).map(|group| group.text.len()).sum();
        if batch.count() + count > batch.records_max() || bytes > batch.bytes_left() {
            assert!(!batch.is_empty(), "what waits together fits an empty batch");
            return Err(BuildError::Full);
        }
        let mut ids = Vec::with_capacity(if count > 1 { count } else { 0 });
        let first = self.stream(batch, 0)?;
        for index in 1..count {
            ids.push(self.stream(batch, index)?);
        }
        for id in std::iter::once(first).chain(ids) {
            let Some(mut group) = self.groups.pop_front() else { break };
            batch.push(id, &group.text)?;
            // Parts keep together, in the order of their arrival.
            if let Some(time) = group.time.filter(|_| group.part == Some(Part::Whole)) {
                batch.set_time(time);
            }
            group.text.clear();
            self.spare.push(group.text);
        }
        Ok(())
    }

    fn stream(&mut self, batch: &mut Builder, index: usize) -> Result<StreamId, BuildError> {
        let Some(group) = self.groups.get(index) else { return Err(BuildError::Full) };
        let part = group.part.unwrap_or(Part::Whole);
        let slot = &mut self.streams[group.lane][part as usize];
        if let Some(id) = slot {
            return Ok(*id);
        }
        let mut labels = self.labels.clone();
        if self.framing.envelope != Envelope::None {
            labels.push((LANE_LABEL, LANE_NAMES[group.lane]));
        }
        Ok(*slot.insert(batch.stream_of(&labels, part)?))
    }

    /// Where the next call begins.
    pub(crate) fn cut(&self, full: bool) -> Cut {
        let entries = std::array::from_fn(|lane| {
            let next = self.groups.iter().find(|group| group.lane == lane);
            next.map_or(self.lanes[lane].entry, |group| group.entry)
        });
        Cut { used: self.used, entries: Entries(entries), full, held: !self.groups.is_empty() && !full }
    }
}
