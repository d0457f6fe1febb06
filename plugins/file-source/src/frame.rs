//! From the bytes of a file to records: lines, out of their envelopes, joined to groups.
//!
//! A function of the bytes from a position on, of what the position says, and of what is known to follow.
//! It keeps nothing between two calls: what is not a record yet is read again, so a position always stands
//! behind everything that was handed over and before everything that was not.
//!
//! Lines of two lanes (standard output and standard error of a container) may be interleaved; each lane has
//! its own groups. Records come in the order in which they begin, and those that are interleaved go into
//! one batch, since no position could tell them apart.

mod envelope;
mod group;
mod knot;
mod pieces;
mod rules;

use std::borrow::Cow;

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::batch::{BuildError, Builder};
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::lines::Cutter;

pub(crate) use self::envelope::Envelope;
pub(crate) use self::pieces::Encoding;
pub(crate) use self::rules::{Multiline, Rules, compile};

use self::envelope::Line;
use self::knot::Knot;
use self::pieces::Pieces;
use crate::time::Times;

/// Lines that are told apart by where they were written to: standard output (or all of them), and standard
/// error.
pub(crate) const LANES: usize = 2;
/// The label of the lane, for lines that come in an envelope.
const LANE_LABEL: &str = "stream";
const LANE_NAMES: [&str; LANES] = ["stdout", "stderr"];

/// How the next line of a lane goes on with records that were handed over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Entry {
    /// Not at all.
    #[default]
    Clean,
    /// It is the rest of a line of which a part is a record.
    Middle,
    /// It is the next line of a group of which a part is a record.
    Next,
}

/// How lines go on at a position, of each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entries(pub(crate) [Entry; LANES]);

impl Entries {
    /// Every lane begins anew.
    pub(crate) const CLEAN: Entries = Entries([Entry::Clean; LANES]);

    /// Whether parts of what comes are records already.
    pub(crate) fn is_inside(self) -> bool {
        self != Entries::CLEAN
    }

    /// As four bits.
    pub(crate) fn to_bits(self) -> u64 {
        self.0.iter().rev().fold(0, |bits, entry| bits << 2 | *entry as u64)
    }

    /// From four bits; what no release has written counts as clean.
    pub(crate) fn from_bits(bits: u64) -> Entries {
        Entries(std::array::from_fn(|lane| match bits >> (2 * lane) & 3 {
            1 => Entry::Middle,
            2 => Entry::Next,
            _ => Entry::Clean,
        }))
    }
}

/// What is known of the bytes behind those at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// There are more.
    More,
    /// None so far.
    Nothing,
    /// None for so long that the lines that are there make whole groups.
    Quiet,
    /// None for so long that the line without an end is handed over as it is.
    TailQuiet,
    /// There never will be any.
    End,
}

/// How lines become records. One for all files of a source.
#[derive(Debug)]
pub(crate) struct Framing {
    /// A longer record is handed over in parts.
    pub(crate) record_bytes_max: usize,
    /// How characters are encoded.
    pub(crate) encoding: Encoding,
    /// What lines are wrapped in.
    pub(crate) envelope: Envelope,
    /// Which lines belong together.
    pub(crate) rules: Option<Rules>,
    /// Where the time of a record is.
    pub(crate) times: Option<Times>,
}

/// How far a framing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Bytes that are records of the batch now.
    pub(crate) used: usize,
    /// How lines go on there.
    pub(crate) entries: Entries,
    /// The batch took no more.
    pub(crate) full: bool,
    /// Lines behind `used` wait for what follows them.
    pub(crate) held: bool,
}

impl Framing {
    /// Whether lines are all there is to it.
    fn is_plain(&self) -> bool {
        self.encoding == Encoding::Bytes
            && self.envelope == Envelope::None
            && self.rules.is_none()
            && self.times.is_none()
    }

    /// Bytes of one piece of a line. An envelope is looked at whole.
    fn piece_bytes_max(&self) -> usize {
        match self.envelope {
            Envelope::None => self.encoding.raw_bytes_max(self.record_bytes_max),
            Envelope::Docker | Envelope::Cri => RECORD_BYTES_MAX,
        }
    }

    /// Moves what can be moved from the front of `bytes` into the batch. `now_unix_ns` bounds event times.
    pub(crate) fn cut(
        &self,
        bytes: &[u8],
        entries: Entries,
        ahead: Ahead,
        batch: &mut Builder,
        labels: &[(String, String)],
        now_unix_ns: u64,
    ) -> Result<Cut, Failure> {
        if self.is_plain() && ahead != Ahead::TailQuiet && entries.0[0] != Entry::Next {
            return self.cut_plain(bytes, entries, ahead, batch, labels);
        }
        let mut knot = Knot::new(self, entries, labels, now_unix_ns, batch);
        match self.cut_groups(bytes, ahead, batch, &mut knot) {
            Ok(()) => Ok(knot.cut(false)),
            Err(BuildError::Full) => Ok(knot.cut(true)),
            Err(other) => Err(other.into()),
        }
    }

    fn cut_plain(
        &self,
        bytes: &[u8],
        entries: Entries,
        ahead: Ahead,
        batch: &mut Builder,
        labels: &[(String, String)],
    ) -> Result<Cut, Failure> {
        let mut cutter = Cutter::resumed(self.record_bytes_max, entries.is_inside());
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let cut = cutter.cut(bytes, ahead == Ahead::End, batch, &labels)?;
        let entry = if cutter.inside() { Entry::Middle } else { Entry::Clean };
        let entries = Entries([entry, Entry::Clean]);
        Ok(Cut { used: cut.used, entries, full: cut.full, held: cut.used < bytes.len() && !cut.full })
    }

    fn cut_groups(
        &self,
        bytes: &[u8],
        ahead: Ahead,
        batch: &mut Builder,
        knot: &mut Knot<'_>,
    ) -> Result<(), BuildError> {
        let mut pieces = Pieces::new(bytes, self.encoding, self.piece_bytes_max(), ahead);
        while let Some(piece) = pieces.next() {
            // A piece of a line is no envelope.
            let unwrap = piece.begins && piece.ends;
            let line = if unwrap { self.envelope.open(&piece.text) } else { None };
            let bare = || Line { lane: 0, ends: piece.ends, time: None, text: Cow::Borrowed(&piece.text) };
            knot.add(&line.unwrap_or_else(bare), piece.start, piece.end);
            knot.hand_over(batch)?;
        }
        if matches!(ahead, Ahead::Quiet | Ahead::TailQuiet | Ahead::End) || knot.is_stuck(ahead) {
            knot.close_all(ahead == Ahead::End);
            knot.hand_over(batch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
