//! Lines that become one record.

use weir_plugin_sdk::batch::Part;

use crate::frame::Entry;
use crate::frame::rules::Trace;

/// One record to be, and where its lines are.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) lane: usize,
    /// Where its first line begins.
    pub(crate) start: usize,
    /// Where its last one ends.
    pub(crate) end: usize,
    /// How it goes on with the record before.
    pub(crate) entry: Entry,
    pub(crate) text: Vec<u8>,
    pub(crate) time: Option<u64>,
    /// What the rules made of its last line.
    pub(crate) trace: Trace,
    /// Nothing will be added any more.
    pub(crate) part: Option<Part>,
}

impl Group {
    /// Ends it. `goes_on`: what follows is the same record.
    pub(crate) fn close(&mut self, goes_on: bool) {
        let part = match (self.entry, goes_on) {
            (Entry::Clean, false) => Part::Whole,
            (Entry::Clean, true) => Part::First,
            (_, true) => Part::Middle,
            (_, false) => Part::Last,
        };
        self.part.get_or_insert(part);
    }
}
