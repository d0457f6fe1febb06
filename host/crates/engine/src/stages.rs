//! What records go through between matching and being found: the engine's side of filters in queries.

use std::fmt;
use std::sync::Arc;

use weir_query::{Missing, Rows, Stats};
use weir_record::limits::{FILTER_BATCH_BYTES_MAX, FILTER_BATCH_RECORDS_MAX};
use weir_record::{RecordId, Stream};

/// Stages of a query: one after the other, many records at a time. Called by all workers at once.
pub trait Stages: fmt::Debug + Send + Sync {
    /// Takes records that match: some thousands at most, not in the order of the answer, and one that lies in several
    /// places as often. Tells `keep` which are left, by their number among `rows`, going up, and what each is now. What is
    /// told before an error is not used.
    fn run(&self, rows: &Rows, keep: &mut dyn FnMut(usize, &[u8])) -> Result<(), StageFailure>;

    /// What became of records that stages could not judge, since it was asked last.
    fn unjudged(&self) -> Unjudged {
        Unjudged::default()
    }
}

/// Records on which a stage has failed, and which are to go on or be left out instead of ending the query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unjudged {
    /// How many there were, counted once for each stage that failed on them.
    pub records: u64,
    /// Those that were left out: the answer is not whole.
    pub left_out: Vec<Missing>,
}

impl Unjudged {
    /// Adds them to what is said of an answer.
    pub fn tell(self, stats: &mut Stats) {
        stats.unjudged += self.records;
        self.left_out.into_iter().for_each(|missing| stats.miss(missing));
    }
}

/// A stage that failed, in words for whoever asked: the query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StageFailure(pub String);

/// Records on their way to stages.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) stages: Arc<dyn Stages>,
    pub(crate) rows: Rows,
    /// Per record the number of its stream where it was found.
    pub(crate) numbers: Vec<u32>,
    // Per such number its number in `rows`, `u32::MAX` before its first record.
    places: Vec<u32>,
}

impl Staged {
    pub(crate) fn new(stages: Arc<dyn Stages>) -> Staged {
        Staged { stages, rows: Rows::new(), numbers: Vec::new(), places: Vec::new() }
    }

    pub(crate) fn push(&mut self, id: RecordId, number: u32, stream: &Arc<Stream>, payload: &[u8]) {
        if self.places.len() <= number as usize {
            self.places.resize(number as usize + 1, u32::MAX);
        }
        let place = &mut self.places[number as usize];
        if *place == u32::MAX {
            *place = self.rows.add_stream(Arc::clone(stream));
        }
        self.rows.push(id, *place, payload);
        self.numbers.push(number);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.count() >= FILTER_BATCH_RECORDS_MAX || self.rows.payload_bytes() >= FILTER_BATCH_BYTES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.numbers.clear();
        self.places.fill(u32::MAX);
    }
}
