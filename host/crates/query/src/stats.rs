//! What an answer cost, and whether it is whole.

use alloc::string::String;
use alloc::vec::Vec;

use weir_record::RecordId;
use weir_record::limits::QUERY_MISSING_MAX;

/// What a query looked at, and whether its answer is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Records that were tested. A record read twice counts twice.
    pub records_scanned: u64,
    /// Records that were sent; in a count, the records that match.
    pub records_matched: u64,
    /// Records left out because the same one, id and bytes, was in the answer already. What a limit cut off
    /// early is not looked at closely enough to be counted here.
    pub repeats: u64,
    /// Records sent that have the id of the one before them and other bytes.
    pub conflicts: u64,
    /// Payload bytes of the records that were tested.
    pub bytes_scanned: u64,
    /// Payload bytes that were passed over because of their time or stream, because of the limit, because a
    /// filter excluded them, or because their number was all that was asked for.
    pub bytes_skipped: u64,
    /// Those of the bytes skipped that a filter excluded.
    pub bytes_pruned: u64,
    /// Pieces of the log that were read.
    pub pieces_scanned: u64,
    /// Pieces of the log that were not.
    pub pieces_skipped: u64,
    /// Segments of which a block was read.
    pub segments_scanned: u64,
    /// Segments of which none was. Those that were not even planned for, because their unit lies outside of the
    /// range, are not known here.
    pub segments_skipped: u64,
    /// Those of the segments skipped that lie outside of the range.
    pub segments_skipped_time: u64,
    /// Those of the segments skipped that have no stream that is asked for.
    pub segments_skipped_streams: u64,
    /// Those of the segments skipped of which filters excluded every block that was looked at.
    pub segments_pruned: u64,
    /// Batches, and blocks of segments, with records that were tested.
    pub batches_scanned: u64,
    /// Batches and blocks that were passed over.
    pub batches_skipped: u64,
    /// Those of the batches and blocks skipped that a filter excluded.
    pub batches_pruned: u64,
    /// Filters that could not be read: what they might have excluded was searched.
    pub filters_unreadable: u64,
    /// Records on which a stage of the query has failed, and which went on or were left out as the operator wants it.
    pub unjudged: u64,
    /// From the start of the query to its end.
    pub duration_ms: u64,
    /// Where the time went.
    pub stages: Stages,
    /// Whether the limit ended the search: there may be more records.
    pub limited: bool,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is missing, at most [`QUERY_MISSING_MAX`] entries.
    pub missing: Vec<Missing>,
    /// How many more entries there were.
    pub missing_more: u64,
}

/// Where the time of a query went, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stages {
    /// Waiting for other queries to end before this one began.
    pub queue_us: u64,
    /// Choosing and ordering the pieces.
    pub plan_us: u64,
    /// Reading and testing, summed over all workers: the three that follow.
    pub scan_us: u64,
    /// Asking filters, and the columns of blocks, which blocks must be read.
    pub filter_us: u64,
    /// Reading and decoding.
    pub decode_us: u64,
    /// Testing records, and copying or counting those that match.
    pub match_us: u64,
    /// Waiting for workers, including time they spent on other queries.
    pub wait_us: u64,
    /// Merging and copying rows.
    pub merge_us: u64,
    /// Handing rows on: how slow the reader of the answer is.
    pub send_us: u64,
}

/// Records that should be in an answer and could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The node that should have them; empty for the one that answers.
    pub node: String,
    /// Where they should be: a file and a place in it.
    pub place: String,
    /// Their first possible id.
    pub from: RecordId,
    /// Their last possible id, inclusive.
    pub to: RecordId,
    /// Why they could not be read.
    pub why: String,
}

impl Stages {
    fn add(&mut self, other: Stages) {
        self.queue_us += other.queue_us;
        self.plan_us += other.plan_us;
        self.scan_us += other.scan_us;
        self.filter_us += other.filter_us;
        self.decode_us += other.decode_us;
        self.match_us += other.match_us;
        self.wait_us += other.wait_us;
        self.merge_us += other.merge_us;
        self.send_us += other.send_us;
    }
}

impl Default for Stats {
    /// Nothing scanned, and nothing missing.
    fn default() -> Stats {
        Stats {
            records_scanned: 0,
            records_matched: 0,
            repeats: 0,
            conflicts: 0,
            bytes_scanned: 0,
            bytes_skipped: 0,
            bytes_pruned: 0,
            pieces_scanned: 0,
            pieces_skipped: 0,
            segments_scanned: 0,
            segments_skipped: 0,
            segments_skipped_time: 0,
            segments_skipped_streams: 0,
            segments_pruned: 0,
            batches_scanned: 0,
            batches_skipped: 0,
            batches_pruned: 0,
            filters_unreadable: 0,
            unjudged: 0,
            duration_ms: 0,
            stages: Stages::default(),
            limited: false,
            complete: true,
            missing: Vec::new(),
            missing_more: 0,
        }
    }
}

impl Stats {
    /// Notes that something is missing: the answer is no longer whole.
    pub fn miss(&mut self, missing: Missing) {
        self.complete = false;
        if self.missing.len() < QUERY_MISSING_MAX {
            self.missing.push(missing);
        } else {
            self.missing_more += 1;
        }
    }

    /// Adds what a node did for its part of the same query; what is missing there is named with the node.
    /// Whoever merges the answers of nodes knows better than the sums how many records were sent, were repeats
    /// or conflicts, and whether the limit was reached: it sets those itself.
    pub fn merge(&mut self, node: &str, mut other: Stats) {
        for missing in other.missing.iter_mut().filter(|missing| missing.node.is_empty()) {
            missing.node.push_str(node);
        }
        self.add(other);
    }

    /// Adds what was done for the context of hits: work, and what is missing. Its records are no hits, and what it
    /// lacks may be known to be missing already.
    pub fn add_context(&mut self, mut other: Stats) {
        other.missing.retain(|missing| !self.missing.contains(missing));
        (other.records_matched, other.repeats, other.conflicts, other.limited) = (0, 0, 0, false);
        self.add(other);
    }

    /// Adds what another part of the same query did. Durations do not add up: the longer one counts.
    pub fn add(&mut self, other: Stats) {
        self.records_scanned += other.records_scanned;
        self.records_matched += other.records_matched;
        self.repeats += other.repeats;
        self.conflicts += other.conflicts;
        self.bytes_scanned += other.bytes_scanned;
        self.bytes_skipped += other.bytes_skipped;
        self.bytes_pruned += other.bytes_pruned;
        self.pieces_scanned += other.pieces_scanned;
        self.pieces_skipped += other.pieces_skipped;
        self.segments_scanned += other.segments_scanned;
        self.segments_skipped += other.segments_skipped;
        self.segments_skipped_time += other.segments_skipped_time;
        self.segments_skipped_streams += other.segments_skipped_streams;
        self.segments_pruned += other.segments_pruned;
        self.batches_scanned += other.batches_scanned;
        self.batches_skipped += other.batches_skipped;
        self.batches_pruned += other.batches_pruned;
        self.filters_unreadable += other.filters_unreadable;
        self.unjudged += other.unjudged;
        self.duration_ms = self.duration_ms.max(other.duration_ms);
        self.stages.add(other.stages);
        self.limited |= other.limited;
        self.complete &= other.complete;
        self.missing_more += other.missing_more;
        other.missing.into_iter().for_each(|missing| self.miss(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_makes_an_answer_incomplete_and_stays_bounded() {
        let missing = Missing {
            node: String::new(),
            place: "log/1 at byte 7".into(),
            from: RecordId::MIN,
            to: RecordId::MAX,
            why: "checksum".into(),
        };
        let mut one = Stats { records_scanned: 1, duration_ms: 5, ..Stats::default() };
        assert!(one.complete);
        let mut other = Stats { records_scanned: 2, duration_ms: 3, ..Stats::default() };
        (0..=QUERY_MISSING_MAX).for_each(|_| other.miss(missing.clone()));
        one.add(other);
        assert_eq!((one.records_scanned, one.duration_ms, one.complete), (3, 5, false));
        assert_eq!((one.missing.len(), one.missing_more), (QUERY_MISSING_MAX, 1));
    }

    #[test]
    fn what_a_node_lacks_is_named_with_the_node() {
        let part = |node: &str| Missing {
            node: node.into(),
            place: "x.zst, block 3".into(),
            from: RecordId::MIN,
            to: RecordId::MAX,
            why: "checksum".into(),
        };
        let mut other = Stats { batches_pruned: 2, ..Stats::default() };
        other.miss(part(""));
        other.miss(part("c"));
        let mut all = Stats { batches_pruned: 1, ..Stats::default() };
        all.merge("b", other);
        assert_eq!((all.complete, all.batches_pruned), (false, 3));
        assert_eq!(all.missing, [part("b"), part("c")]);
    }
}
