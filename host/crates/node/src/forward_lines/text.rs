//! Batches as the lines that go over the wire.

use weir_api::format::push_escaped;
use weir_record::split::Part;
use weir_record::stream::PART_LABEL;
use weir_record::{Batch, RecordId};

/// The lines of one entry. The buffer is kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    /// Where each record ends in it.
    ends: Vec<usize>,
    /// The line that was written last has not ended: its next part is still to come.
    inside: bool,
}

impl Text {
    /// Replaces the lines by those of batches, in the order of their ids. The parts of a long line become one
    /// line again. A newline inside a payload is escaped: the peer would take what follows for another record.
    pub(crate) fn fill<'a>(&mut self, batches: &'a [Batch]) {
        self.bytes.clear();
        self.ends.clear();
        if let [batch] = batches {
            let part = mark(batch);
            batch.records().for_each(|(_, payload)| self.push(part, payload));
            return;
        }
        let of = |batch: &'a Batch| batch.records().map(move |(id, payload)| (id, mark(batch), payload));
        // What one source gave in an order has ids in that order, whatever stream it belongs to.
        let mut all: Vec<(RecordId, Part, &[u8])> = batches.iter().flat_map(of).collect();
        all.sort_by_key(|(id, ..)| *id);
        for (_, part, payload) in all {
            self.push(part, payload);
        }
    }

    /// All lines.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the record begins that holds the byte at `at`: those before it are out.
    pub(crate) fn line_at(&self, at: usize) -> usize {
        let before = self.ends.partition_point(|end| *end <= at);
        before.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    fn push(&mut self, part: Part, payload: &[u8]) {
        let goes_on = matches!(part, Part::Middle | Part::Last);
        if self.inside && !goes_on {
            self.bytes.push(b'\n');
        }
        push_escaped(&mut self.bytes, payload);
        self.inside = matches!(part, Part::First | Part::Middle);
        if !self.inside {
            self.bytes.push(b'\n');
        }
        self.ends.push(self.bytes.len());
    }
}

fn mark(batch: &Batch) -> Part {
    match batch.stream().label(PART_LABEL) {
        Some("first") => Part::First,
        Some("middle") => Part::Middle,
        Some("last") => Part::Last,
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_record::{BatchFlags, IdRun, Stream};

    fn batch(first: u128, part: Part, payloads: &[&[u8]]) -> Batch {
        let stream = Stream::new("t", [("", ""); 0]).unwrap();
        let stream = part.label().map_or(stream.clone(), |label| stream.marked(PART_LABEL, label));
        let run = IdRun { first: RecordId::from_u128(first), count: payloads.len() as u32 };
        let mut end = 0;
        let ends = payloads.iter().map(|payload| {
            end += payload.len() as u32;
            end
        });
        Batch::new(stream, BatchFlags::NONE, vec![run], ends.collect(), payloads.concat()).unwrap()
    }

    fn filled(text: &mut Text, batches: &[Batch]) -> Vec<u8> {
        text.fill(batches);
        text.bytes().to_vec()
    }

    #[test]
    fn records_are_lines_and_the_bytes_stay_as_they_are() {
        let mut text = Text::default();
        let one = batch(1, Part::Whole, &[b"100% l\r", b"", b"\0\xff", b"a\nb"]);
        assert_eq!(filled(&mut text, &[one]), b"100% l\r\n\n\0\xff\na\\nb\n");
        assert_eq!(filled(&mut text, &[]), b"");
    }

    #[test]
    fn streams_of_a_batch_go_out_in_the_order_of_their_ids() {
        let mut text = Text::default();
        let batches = [
            batch(1, Part::Whole, &[b"1"]),
            batch(6, Part::Whole, &[b"6"]),
            batch(2, Part::First, &[b"a"]),
            batch(3, Part::Middle, &[b"b", b"c"]),
            batch(5, Part::Last, &[b"d"]),
        ];
        assert_eq!(filled(&mut text, &batches), b"1\nabcd\n6\n");
    }

    #[test]
    fn a_long_line_goes_on_from_one_entry_to_the_next_and_is_ended_where_it_breaks_off() {
        let mut text = Text::default();
        assert_eq!(filled(&mut text, &[batch(1, Part::First, &[b"a"])]), b"a");
        assert_eq!(filled(&mut text, &[batch(2, Part::Last, &[b"b"])]), b"b\n");
        assert_eq!(filled(&mut text, &[batch(3, Part::First, &[b"c"])]), b"c");
        assert_eq!(filled(&mut text, &[batch(4, Part::Whole, &[b"d"])]), b"\nd\n");
    }

    #[test]
    fn what_broke_off_is_found_by_its_first_byte() {
        let mut text = Text::default();
        text.fill(&[batch(1, Part::Whole, &[b"ab", b"", b"cde"])]);
        let begins: Vec<_> = (0..8).map(|at| text.line_at(at)).collect();
        assert_eq!(begins, [0, 0, 0, 3, 4, 4, 4, 4]);
        assert_eq!(text.line_at(8), 8);
    }
}
