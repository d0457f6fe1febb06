//! The order of a live stream: records wait a moment, leave in the order of their ids, each once.
//!
//! OK Log's clients ask for a window. Within it a record that comes twice is sent once. Records come from several
//! nodes with different delays, so each waits for a tenth of the window before it is sent, in the order of ids:
//! what is later than that is out of order, never lost. Bounded: above a limit the lowest are sent early, and the
//! oldest of what was sent is forgotten.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use weir_record::RecordId;
use weir_record::limits::{OKLOG_STREAM_HELD_BYTES_MAX, OKLOG_STREAM_SENT_MAX};

/// Records of one client's stream that were not sent yet, and names of those that were. Times are passed in, in
/// milliseconds of any clock that does not go back.
#[derive(Debug)]
pub struct Window {
    length_ms: u64,
    held: BTreeMap<RecordId, Vec<Vec<u8>>>,
    held_bytes: usize,
    /// Arrivals of what is held, oldest first; of what has left meanwhile as well.
    arrivals: VecDeque<(u64, RecordId)>,
    known: HashSet<(RecordId, u64)>,
    /// The known ones by time.
    ages: VecDeque<(u64, (RecordId, u64))>,
}

impl Window {
    /// An empty window of so many milliseconds.
    pub fn new(window_ms: u64) -> Window {
        Window {
            length_ms: window_ms,
            held: BTreeMap::new(),
            held_bytes: 0,
            arrivals: VecDeque::new(),
            known: HashSet::new(),
            ages: VecDeque::new(),
        }
    }

    /// Takes a record, unless the same one came within the window. Equal ids with other bytes are two records.
    pub fn push(&mut self, now_ms: u64, id: RecordId, payload: &[u8]) {
        self.forget(now_ms);
        let mut hash = DefaultHasher::new();
        payload.hash(&mut hash);
        let name = (id, hash.finish());
        if !self.known.insert(name) {
            return;
        }
        self.ages.push_back((now_ms, name));
        self.arrivals.push_back((now_ms, id));
        self.held_bytes += payload.len() + Self::RECORD_BYTES;
        self.held.entry(id).or_default().push(payload.to_vec());
    }

    /// What a held record takes beside its payload, roughly, in bytes.
    const RECORD_BYTES: usize = 128;

    /// Hands out, in the order of ids, what has waited long enough and all that is lower; and what is too much to
    /// be held.
    pub fn take(&mut self, now_ms: u64, mut send: impl FnMut(RecordId, &[u8])) {
        let wait_ms = self.wait_ms();
        let mut up_to = None;
        while let Some((arrived_ms, id)) = self.arrivals.front() {
            if now_ms < arrived_ms + wait_ms && self.arrivals.len() <= OKLOG_STREAM_SENT_MAX {
                break;
            }
            up_to = up_to.max(Some(*id));
            self.arrivals.pop_front();
        }
        while let Some(first) = self.held.first_entry() {
            if up_to < Some(*first.key()) && self.held_bytes <= OKLOG_STREAM_HELD_BYTES_MAX {
                break;
            }
            let (id, all) = first.remove_entry();
            for payload in all {
                self.held_bytes -= payload.len() + Self::RECORD_BYTES;
                send(id, &payload);
            }
        }
        while self.arrivals.front().is_some_and(|(_, id)| !self.held.contains_key(id)) {
            self.arrivals.pop_front();
        }
    }

    /// When [`Window::take`] has something again; `None` while nothing is held.
    pub fn due_ms(&self) -> Option<u64> {
        self.arrivals.front().map(|(arrived_ms, _)| arrived_ms + self.wait_ms())
    }

    /// Hands out all that is held: the stream has ended.
    pub fn finish(&mut self, mut send: impl FnMut(RecordId, &[u8])) {
        self.arrivals.clear();
        self.held_bytes = 0;
        for (id, all) in std::mem::take(&mut self.held) {
            for payload in &all {
                send(id, payload);
            }
        }
    }

    fn wait_ms(&self) -> u64 {
        self.length_ms / 10
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((at_ms, name)) = self.ages.front() {
            if self.ages.len() < OKLOG_STREAM_SENT_MAX && now_ms <= at_ms + self.length_ms {
                break;
            }
            self.known.remove(name);
            self.ages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> RecordId {
        RecordId::from_u128(n)
    }

    /// What leaves at a time, as text.
    fn taken(window: &mut Window, now_ms: u64) -> String {
        let mut out = Vec::new();
        window.take(now_ms, |_, payload| out.push(String::from_utf8(payload.to_vec()).unwrap()));
        out.join(" ")
    }

    #[test]
    fn records_wait_a_tenth_of_the_window_and_leave_in_order() {
        let mut window = Window::new(1_000);
        assert_eq!(window.due_ms(), None);
        window.push(0, id(3), b"c");
        window.push(10, id(1), b"a");
        window.push(50, id(2), b"b");
        window.push(60, id(4), b"d");
        assert_eq!(window.due_ms(), Some(100));
        assert_eq!(taken(&mut window, 99), "");
        assert_eq!(taken(&mut window, 100), "a b c", "all that is lower goes with it");
        assert_eq!(window.due_ms(), Some(160));
        window.push(101, id(1), b"late");
        assert_eq!(taken(&mut window, 160), "late d", "late is out of order, not lost");
        assert_eq!(window.due_ms(), None);
    }

    #[test]
    fn a_record_is_sent_once_in_a_window_and_equal_ids_with_other_bytes_are_two() {
        let mut window = Window::new(1_000);
        for (now_ms, payload) in [(0, b"a"), (1, b"a"), (2, b"b")] {
            window.push(now_ms, id(1), payload);
        }
        assert_eq!(taken(&mut window, 200), "a b");
        window.push(900, id(1), b"a");
        window.push(1_001, id(1), b"a");
        assert_eq!(taken(&mut window, 2_000), "a", "outside the window it is news");
    }

    #[test]
    fn the_end_of_the_stream_sends_what_is_held() {
        let mut window = Window::new(1_000);
        window.push(0, id(2), b"b");
        window.push(0, id(1), b"a");
        let mut out = Vec::new();
        window.finish(|id, _| out.push(id.to_u128()));
        assert_eq!((out, window.due_ms()), (vec![1, 2], None));
    }

    #[test]
    fn above_the_bounds_records_leave_early_and_none_is_lost() {
        let mut window = Window::new(60_000);
        let payload = vec![b'x'; 1 << 20];
        let mut sent = 0;
        for n in 0..20 {
            window.push(n, id(20 - u128::from(n)), &payload);
            window.take(n, |_, _| sent += 1);
            assert!(window.held_bytes <= OKLOG_STREAM_HELD_BYTES_MAX);
        }
        window.finish(|_, _| sent += 1);
        assert_eq!(sent, 20);
        for n in 0..200_000_u128 {
            window.push(20, id(n), b"");
            window.take(20, |_, _| sent += 1);
            assert!(
                window.known.len() <= OKLOG_STREAM_SENT_MAX && window.arrivals.len() <= OKLOG_STREAM_SENT_MAX
            );
        }
        window.finish(|_, _| sent += 1);
        assert_eq!(sent, 200_020);
    }

    /// Three peers, 255 records each sent by all of them, shuffled: each once, in order.
    #[test]
    fn copies_from_several_peers_become_one_ordered_stream() {
        let mut window = Window::new(1_000);
        let mut out = Vec::new();
        let mut state = 1_u64;
        let mut copies: Vec<u128> = (0..255).chain(0..255).chain(0..255).collect();
        for at in (1..copies.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            copies.swap(at, (state >> 33) as usize % (at + 1));
        }
        for (n, copy) in copies.iter().enumerate() {
            // All arrive within a tenth of the window.
            window.push(n as u64 / 10, id(*copy), b"");
        }
        window.take(200, |id, _| out.push(id.to_u128()));
        assert_eq!(out, (0..255).collect::<Vec<_>>());
    }
}
