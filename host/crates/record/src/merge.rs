//! Sorted runs of records become one: merged by id, repeats shown once, conflicts kept and counted.
//!
//! The order of an answer is total: by id in the direction asked for, then by payload, then by stream,
//! both ascending. Repeats (equal id, equal payload) are thus neighbours wherever they came from, and the
//! answer does not depend on how the records were cut into runs. Of repeats that differ in their stream
//! (one message taken from a broker by two nodes) the lowest stream is shown.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::str::FromStr;

use crate::id::RecordId;
use crate::stream::Stream;

/// The direction of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

impl Order {
    /// A number that ascends in the direction of the order. Its own inverse: see [`Order::id`].
    pub const fn key(self, id: RecordId) -> u128 {
        match self {
            Order::Asc => id.to_u128(),
            Order::Desc => !id.to_u128(),
        }
    }

    /// The first and the last key of a range of ids, both inclusive.
    pub const fn keys(self, low: RecordId, high: RecordId) -> (u128, u128) {
        match self {
            Order::Asc => (self.key(low), self.key(high)),
            Order::Desc => (self.key(high), self.key(low)),
        }
    }

    /// The id of a [`key`](Order::key).
    pub const fn id(self, key: u128) -> RecordId {
        match self {
            Order::Asc => RecordId::from_u128(key),
            Order::Desc => RecordId::from_u128(!key),
        }
    }
}

/// Text that names no order. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order is asc (oldest first) or desc (newest first)")]
pub struct NotAnOrder;

impl FromStr for Order {
    type Err = NotAnOrder;

    fn from_str(text: &str) -> Result<Order, NotAnOrder> {
        match text {
            "asc" => Ok(Order::Asc),
            "desc" => Ok(Order::Desc),
            _ => Err(NotAnOrder),
        }
    }
}

/// What places a record in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The id.
    pub id: RecordId,
    /// The payload, looked at only when ids are equal.
    pub payload: &'a [u8],
    /// The stream, looked at only when id and payload are equal.
    pub stream: &'a Stream,
}

impl Place<'_> {
    /// The total order of an answer.
    pub fn compare(&self, other: &Place<'_>, order: Order) -> Ordering {
        order
            .key(self.id)
            .cmp(&order.key(other.id))
            .then_with(|| self.payload.cmp(other.payload))
            .then_with(|| self.stream.cmp(other.stream))
    }

    /// Whether both are the same record.
    pub fn repeats(&self, other: &Place<'_>) -> bool {
        self.id == other.id && self.payload == other.payload
    }
}

/// Records sorted by [`Place::compare`], addressed by their number.
pub trait Run {
    /// How many.
    fn count(&self) -> usize;
    /// The id of one. Asked for more often than the rest.
    fn id(&self, index: usize) -> RecordId;
    /// One record.
    fn place(&self, index: usize) -> Place<'_>;
}

/// One step of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which run, for [`Merge::run`].
    pub slot: usize,
    /// Which record of the run.
    pub index: usize,
    /// Whether the record before had the same id and other bytes: one of them is not what its id says.
    pub conflict: bool,
}

/// Merges sorted runs. Runs may be added while it goes on, as long as what they hold lies behind the
/// records already taken.
#[derive(Debug)]
pub struct Merge<R> {
    order: Order,
    slots: Vec<Option<Slot<R>>>,
    // A binary heap, lowest first. Keys are kept beside the slots so that most comparisons touch no run.
    heap: Vec<Head>,
    last: Option<(usize, usize)>,
    repeats: u64,
}

#[derive(Debug)]
struct Slot<R> {
    run: R,
    // Whether the heap holds a record of the run.
    live: bool,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    key: u128,
    slot: usize,
    index: usize,
}

impl<R: Run> Merge<R> {
    /// A merge of nothing yet.
    pub fn new(order: Order) -> Merge<R> {
        Merge { order, slots: Vec::new(), heap: Vec::new(), last: None, repeats: 0 }
    }

    /// Adds a run; an empty one comes back at once.
    ///
    /// # Panics
    /// When the run holds a record that belongs before one already taken: a programming error.
    pub fn push(&mut self, run: R) -> Option<R> {
        if run.count() == 0 {
            return Some(run);
        }
        let key = self.order.key(run.id(0));
        let taken = self.last.and_then(|(slot, index)| Some(self.order.key(self.run(slot)?.id(index))));
        assert!(taken.is_none_or(|taken| taken <= key), "a run begins before what was taken");
        let slot = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(Slot { run, live: true });
        self.heap.push(Head { key, slot, index: 0 });
        self.sift_up(self.heap.len() - 1);
        None
    }

    /// The key of the next record, `None` when all are taken. See [`Order::key`].
    pub fn next_key(&self) -> Option<u128> {
        self.heap.first().map(|head| head.key)
    }

    /// A run that has records left, or whose last record was taken by the latest step.
    pub fn run(&self, slot: usize) -> Option<&R> {
        self.slots.get(slot)?.as_ref().map(|slot| &slot.run)
    }

    /// How many repeats were passed over.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Takes the next record whose key lies below `end` (`None`: any), passing over repeats. Runs that are
    /// used up are handed to `done`.
    pub fn step(&mut self, end: Option<u128>, done: &mut dyn FnMut(R)) -> Option<Step> {
        while let Some(&head) = self.heap.first().filter(|head| end.is_none_or(|end| head.key < end)) {
            let (same_id, same) = self.against_last(head);
            self.advance(head);
            if same {
                self.repeats += 1;
                self.release_unless_last(head.slot, done);
                continue;
            }
            let before = self.last.replace((head.slot, head.index));
            if let Some((slot, _)) = before {
                self.release_unless_last(slot, done);
            }
            return Some(Step { slot: head.slot, index: head.index, conflict: same_id });
        }
        None
    }

    /// Whether a record has the id, and all of the identity, of the one taken last.
    fn against_last(&self, head: Head) -> (bool, bool) {
        let Some((slot, index)) = self.last else { return (false, false) };
        let (Some(last), Some(run)) = (self.run(slot), self.run(head.slot)) else { return (false, false) };
        if last.id(index) != run.id(head.index) {
            return (false, false);
        }
        (true, last.place(index).repeats(&run.place(head.index)))
    }

    fn advance(&mut self, head: Head) {
        let index = head.index + 1;
        let next = self.run(head.slot).filter(|run| index < run.count()).map(|run| run.id(index));
        if let Some(id) = next {
            let key = self.order.key(id);
            debug_assert!(key >= head.key, "a run is sorted");
            self.heap[0] = Head { key, slot: head.slot, index };
        } else {
            self.heap.swap_remove(0);
            if let Some(slot) = &mut self.slots[head.slot] {
                slot.live = false;
            }
        }
        self.sift_down();
    }

    /// Hands a run over that has no record left, unless the latest step still refers to it.
    fn release_unless_last(&mut self, slot: usize, done: &mut dyn FnMut(R)) {
        let is_last = self.last.is_some_and(|(last, _)| last == slot);
        if !is_last && let Some(used_up) = self.slots[slot].take_if(|slot| !slot.live) {
            done(used_up.run);
        }
    }

    fn less(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a], self.heap[b]);
        if a.key != b.key {
            return a.key < b.key;
        }
        match (self.run(a.slot), self.run(b.slot)) {
            (Some(x), Some(y)) => x.place(a.index).compare(&y.place(b.index), self.order).is_lt(),
            _ => false,
        }
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 && self.less(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                return;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.less(right, left) { right } else { left };
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(child, at);
            at = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Record(u128, Vec<u8>, Stream);

    impl Record {
        fn place(&self) -> Place<'_> {
            Place { id: RecordId::from_u128(self.0), payload: &self.1, stream: &self.2 }
        }
    }

    impl Run for Vec<Record> {
        fn count(&self) -> usize {
            self.len()
        }

        fn id(&self, index: usize) -> RecordId {
            RecordId::from_u128(self[index].0)
        }

        fn place(&self, index: usize) -> Place<'_> {
            self[index].place()
        }
    }

    fn record(id: u128, payload: &str, topic: &str) -> Record {
        let none: [(&str, &str); 0] = [];
        Record(id, payload.as_bytes().to_vec(), Stream::new(topic, none).unwrap())
    }

    /// Merges everything; returns records, conflicts, repeats.
    fn merged(runs: Vec<Vec<Record>>, order: Order) -> (Vec<Record>, u64, u64) {
        let mut merge = Merge::new(order);
        let mut released = 0;
        let mut pushed = 0;
        for mut run in runs {
            run.sort_by(|a, b| a.place().compare(&b.place(), order));
            if merge.push(run).is_none() {
                pushed += 1;
            }
        }
        let (mut out, mut conflicts) = (Vec::new(), 0);
        while let Some(step) = merge.step(None, &mut |_| released += 1) {
            out.push(merge.run(step.slot).unwrap()[step.index].clone());
            conflicts += u64::from(step.conflict);
        }
        assert!(released <= pushed && pushed - released <= 1, "only the run of the last record is held");
        (out, conflicts, merge.repeats())
    }

    #[test]
    fn repeats_are_shown_once_and_conflicts_are_kept() {
        let runs = vec![
            vec![record(1, "a", "t"), record(2, "b", "t"), record(2, "b", "t")],
            vec![record(2, "c", "t"), record(3, "d", "t")],
            vec![record(2, "b", "s"), record(3, "d", "t")],
            vec![],
        ];
        let (asc, conflicts, repeats) = merged(runs.clone(), Order::Asc);
        let shown = [record(1, "a", "t"), record(2, "b", "s"), record(2, "c", "t"), record(3, "d", "t")];
        assert_eq!((asc, conflicts, repeats), (shown.to_vec(), 1, 3));
        let (desc, conflicts, repeats) = merged(runs, Order::Desc);
        let shown = [record(3, "d", "t"), record(2, "b", "s"), record(2, "c", "t"), record(1, "a", "t")];
        assert_eq!((desc, conflicts, repeats), (shown.to_vec(), 1, 3));
    }

    #[test]
    fn steps_stop_at_the_end_they_are_given_and_go_on_with_later_runs() {
        let mut merge = Merge::new(Order::Asc);
        assert!(merge.push(vec![record(1, "a", "t"), record(5, "e", "t")]).is_none());
        let mut drop_run = |_| ();
        assert!(merge.step(Some(5), &mut drop_run).is_some());
        assert_eq!(merge.step(Some(5), &mut drop_run), None);
        assert!(merge.push(vec![record(3, "c", "t")]).is_none());
        let step = merge.step(Some(6), &mut drop_run).unwrap();
        assert_eq!(merge.run(step.slot).unwrap()[step.index].0, 3);
        assert_eq!(merge.next_key(), Some(5));
    }

    #[test]
    fn orders_have_names_and_keys() {
        assert_eq!("asc".parse(), Ok(Order::Asc));
        assert_eq!("desc".parse(), Ok(Order::Desc));
        assert_eq!("up".parse::<Order>(), Err(NotAnOrder));
        let id = RecordId::from_u128(7);
        for order in [Order::Asc, Order::Desc] {
            assert_eq!(order.id(order.key(id)), id);
            let (first, last) = order.keys(RecordId::MIN, id);
            assert!(first < last);
        }
    }

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_the_cut_into_runs(
            records in prop::collection::vec((0..12_u128, 0..3_u8, 0..2_u8, 0..5_usize), 0..40),
            newest_first: bool,
        ) {
            let order = if newest_first { Order::Desc } else { Order::Asc };
            let mut runs = vec![Vec::new(); 5];
            let mut all = Vec::new();
            for (id, payload, topic, run) in records {
                let one = record(id, ["", "x", "y"][payload as usize], ["s", "t"][topic as usize]);
                runs[run].push(one.clone());
                all.push(one);
            }
            let count = all.len() as u64;
            all.sort_by(|a, b| a.place().compare(&b.place(), order));
            all.dedup_by(|b, a| a.place().repeats(&b.place()));
            let expected_conflicts = all.windows(2).filter(|w| w[0].0 == w[1].0).count() as u64;
            let (out, conflicts, repeats) = merged(runs, order);
            prop_assert_eq!(repeats, count - all.len() as u64);
            prop_assert_eq!(conflicts, expected_conflicts);
            prop_assert_eq!(out, all);
        }
    }
}
