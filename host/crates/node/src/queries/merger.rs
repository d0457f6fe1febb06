//! The answers of several nodes, each in order, become one: merged by id, repeats dropped, bounded in memory by
//! one chunk of each.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::{Order, Rows};
use weir_record::limits::QUERY_CHUNK_BYTES;
use weir_record::merge::{Merge, Place, Run};
use weir_record::{RecordId, Stream};

/// Merges answers. Rows come in with [`Merger::push`] and go out with [`Merger::next`]; in between
/// [`Merger::waits_for`] tells whose rows are needed to go on.
pub(crate) struct Merger {
    order: Order,
    merge: Merge<Part>,
    answers: Vec<Answer>,
    parts: u64,
    out: Out,
    conflicts: u64,
}

/// How far one answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// More may come, nothing before this key. See [`Order::key`].
    From(u128),
    /// All of it is here.
    Whole,
}

/// Rows that are not in the order that was asked for: the node that sent them is broken. The merger must be
/// dropped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows came out of order: {id} after what came before it")]
pub(crate) struct OutOfOrder {
    id: RecordId,
}

impl Merger {
    /// A merger of no answers.
    pub(crate) fn new(order: Order) -> Merger {
        Merger {
            order,
            merge: Merge::new(order),
            answers: Vec::new(),
            parts: 0,
            out: Out::default(),
            conflicts: 0,
        }
    }

    /// One answer more, whose number is that of those before it. Nothing of it comes before an id.
    pub(crate) fn add(&mut self, from: Option<RecordId>) {
        self.answers.push(Answer::From(from.map_or(0, |id| self.order.key(id))));
    }

    /// The last id that has come of an answer which has not ended.
    pub(crate) fn reached(&self, answer: usize) -> Option<RecordId> {
        match self.answers[answer] {
            Answer::From(key) if key > 0 => Some(self.order.id(key)),
            Answer::From(_) | Answer::Whole => None,
        }
    }

    /// The next rows of an answer.
    pub(crate) fn push(&mut self, answer: usize, rows: Rows) -> Result<(), OutOfOrder> {
        let Answer::From(mut last) = self.answers[answer] else { return Ok(()) };
        for &id in rows.ids() {
            let key = self.order.key(id);
            if key < last {
                return Err(OutOfOrder { id });
            }
            last = key;
        }
        self.answers[answer] = Answer::From(last);
        self.parts += 1;
        self.merge.push(Part { number: self.parts, rows });
        Ok(())
    }

    /// Nothing more comes of an answer.
    pub(crate) fn end(&mut self, answer: usize) {
        self.answers[answer] = Answer::Whole;
    }

    /// The answer without whose next rows nothing can be sent; `None` when all are whole.
    pub(crate) fn waits_for(&self) -> Option<usize> {
        let open = self.answers.iter().enumerate().filter_map(|(number, answer)| match answer {
            Answer::From(key) => Some((*key, number)),
            Answer::Whole => None,
        });
        open.min().map(|(_, number)| number)
    }

    /// At most `limit` rows that are final, in order; none when more must come in first.
    pub(crate) fn next(&mut self, limit: u64) -> Rows {
        let frontier = self.waits_for().map(|number| match self.answers[number] {
            Answer::From(key) => key,
            Answer::Whole => 0,
        });
        let mut left = limit;
        while left > 0 && self.out.rows.bytes() < QUERY_CHUNK_BYTES {
            let Some(step) = self.merge.step(frontier, &mut |_| {}) else { break };
            self.conflicts += u64::from(step.conflict);
            left -= 1;
            if let Some(part) = self.merge.run(step.slot) {
                self.out.push(part, step.index);
            }
        }
        self.out.take()
    }

    /// Repeats passed over so far.
    pub(crate) fn repeats(&self) -> u64 {
        self.merge.repeats()
    }

    /// Records sent that have the id of the one before and other bytes.
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts
    }
}

/// One chunk of one answer.
struct Part {
    number: u64,
    rows: Rows,
}

impl Run for Part {
    fn count(&self) -> usize {
        self.rows.count()
    }

    fn id(&self, index: usize) -> RecordId {
        self.rows.ids()[index]
    }

    fn place(&self, index: usize) -> Place<'_> {
        let stream = &self.rows.streams()[self.rows.stream_of()[index] as usize];
        Place { id: self.rows.ids()[index], payload: self.rows.payload(index), stream }
    }
}

/// Rows on their way out, each stream said once.
#[derive(Default)]
struct Out {
    rows: Rows,
    /// Number of a stream of a part in `rows`.
    known: HashMap<(u64, u32), u32>,
    by_content: HashMap<Arc<Stream>, u32>,
    last: Option<(u64, u32, u32)>,
}

impl Out {
    fn push(&mut self, part: &Part, row: usize) {
        let of_part = part.rows.stream_of()[row];
        let number = match self.last {
            Some((number, stream, out)) if (number, stream) == (part.number, of_part) => out,
            _ => self.number(part, of_part),
        };
        self.rows.push(part.rows.ids()[row], number, part.rows.payload(row));
    }

    fn number(&mut self, part: &Part, of_part: u32) -> u32 {
        let number = *self.known.entry((part.number, of_part)).or_insert_with(|| {
            let stream = &part.rows.streams()[of_part as usize];
            *self
                .by_content
                .entry(Arc::clone(stream))
                .or_insert_with(|| self.rows.add_stream(Arc::clone(stream)))
        });
        self.last = Some((part.number, of_part, number));
        number
    }

    fn take(&mut self) -> Rows {
        self.known.clear();
        self.by_content.clear();
        self.last = None;
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(records: &[(u64, &str)]) -> Rows {
        let mut rows = Rows::new();
        let stream = rows.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
        for (time, payload) in records {
            rows.push(RecordId::lowest_at(*time), stream, payload.as_bytes());
        }
        rows
    }

    fn of_two(order: Order) -> Merger {
        let mut merger = Merger::new(order);
        merger.add(None);
        merger.add(None);
        merger
    }

    fn drain(merger: &mut Merger) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let rows = merger.next(u64::MAX);
            if rows.is_empty() {
                return all;
            }
            all.extend(rows.iter().map(|row| String::from_utf8(row.payload.to_vec()).unwrap()));
        }
    }

    #[test]
    fn nothing_is_sent_before_every_answer_has_come_so_far() {
        let mut merger = of_two(Order::Asc);
        merger.push(0, rows(&[(1, "a"), (3, "c"), (5, "e")])).unwrap();
        assert_eq!(drain(&mut merger), [""; 0]);
        assert_eq!(merger.waits_for(), Some(1));
        merger.push(1, rows(&[(2, "b"), (4, "d")])).unwrap();
        assert_eq!(drain(&mut merger), ["a", "b", "c"]);
        assert_eq!(merger.waits_for(), Some(1));
        merger.end(1);
        assert_eq!(drain(&mut merger), ["d"]);
        merger.end(0);
        assert_eq!(drain(&mut merger), ["e"]);
        assert_eq!(merger.waits_for(), None);
    }

    #[test]
    fn repeats_are_dropped_also_across_chunks_and_conflicts_are_kept() {
        let mut merger = of_two(Order::Asc);
        merger.push(0, rows(&[(1, "a"), (2, "x")])).unwrap();
        merger.push(1, rows(&[(2, "x"), (2, "y")])).unwrap();
        assert_eq!(drain(&mut merger), ["a"]);
        merger.push(0, rows(&[(2, "y"), (3, "z")])).unwrap();
        merger.end(0);
        merger.end(1);
        assert_eq!(drain(&mut merger), ["x", "y", "z"]);
        assert_eq!((merger.repeats(), merger.conflicts()), (2, 1));
    }

    #[test]
    fn another_answer_goes_on_where_one_has_failed() {
        let mut merger = of_two(Order::Asc);
        merger.push(0, rows(&[(1, "a"), (3, "c")])).unwrap();
        merger.push(1, rows(&[(2, "b"), (9, "z")])).unwrap();
        assert_eq!(drain(&mut merger), ["a", "b"]);
        assert_eq!(
            (merger.reached(0), merger.reached(1)),
            (Some(RecordId::lowest_at(3)), Some(RecordId::lowest_at(9)))
        );
        merger.add(merger.reached(0));
        merger.end(0);
        assert_eq!(merger.waits_for(), Some(2));
        merger.push(2, rows(&[(3, "c"), (3, "d"), (4, "e")])).unwrap();
        merger.end(2);
        assert_eq!(drain(&mut merger), ["c", "d", "e"]);
        merger.end(1);
        assert_eq!((drain(&mut merger), merger.repeats()), (vec!["z".to_owned()], 1));
    }

    #[test]
    fn the_newest_come_first_when_asked_for_and_a_limit_is_kept() {
        let mut merger = of_two(Order::Desc);
        merger.push(0, rows(&[(5, "e"), (1, "a")])).unwrap();
        merger.push(1, rows(&[(4, "d")])).unwrap();
        merger.end(0);
        merger.end(1);
        assert_eq!(merger.next(2).count(), 2);
        assert_eq!(drain(&mut merger), ["a"]);
    }

    #[test]
    fn an_answer_out_of_order_is_refused() {
        let mut merger = of_two(Order::Asc);
        assert!(merger.push(0, rows(&[(2, "b"), (1, "a")])).is_err());
        let mut merger = of_two(Order::Asc);
        merger.push(0, rows(&[(2, "b")])).unwrap();
        assert!(merger.push(0, rows(&[(1, "a")])).is_err());
    }
}
