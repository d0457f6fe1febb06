//! Statistics as they go out: the last line of an answer, or its trailer.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use weir_query::Stats;
use weir_query::stats::Stages;
use weir_record::RecordId;

use crate::access::Caller;
use crate::format::rfc3339_ms;

/// `{"stats":{…}}`: the last line of an answer in JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsLine {
    /// The statistics.
    pub stats: QueryStats,
}

/// What a query looked at, and whether its answer is whole. Unknown fields are left alone, so that an older
/// client reads a newer node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryStats {
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is missing.
    pub missing: Vec<MissingPart>,
    /// How many more parts are missing than are listed.
    pub missing_more: u64,
    /// Whether the limit ended the search: there may be more records.
    pub limited: bool,
    /// The beginning of the range searched, resolved; `null` when it had none.
    pub from: Option<String>,
    /// The end of the range searched, exclusive; `null` when it had none.
    pub to: Option<String>,
    /// Records sent.
    pub records_matched: u64,
    /// Records tested.
    pub records_scanned: u64,
    /// Records left out because the same one was in the answer already.
    pub repeats: u64,
    /// Records sent that share their id with other bytes.
    pub conflicts: u64,
    /// Payload bytes tested.
    pub bytes_scanned: u64,
    /// Payload bytes passed over.
    pub bytes_skipped: u64,
    /// Those of them that a filter excluded.
    pub bytes_pruned: u64,
    /// Pieces read.
    pub pieces_scanned: u64,
    /// Pieces passed over.
    pub pieces_skipped: u64,
    /// Segments read.
    pub segments_scanned: u64,
    /// Segments passed over.
    pub segments_skipped: u64,
    /// Those of them that lie outside of the range.
    pub segments_skipped_time: u64,
    /// Those of them that have none of the streams asked for.
    pub segments_skipped_streams: u64,
    /// Those of them that filters excluded.
    pub segments_pruned: u64,
    /// Batches and blocks read.
    pub batches_scanned: u64,
    /// Batches and blocks passed over.
    pub batches_skipped: u64,
    /// Those of them that a filter excluded.
    pub batches_pruned: u64,
    /// Filters that could not be read.
    pub filters_unreadable: u64,
    /// From the start of the query to its end.
    pub duration_ms: u64,
    /// Where the time went.
    pub stages: QueryStages,
}

/// Where the time of a query went, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryStages {
    /// Waiting for other queries to end.
    pub queue_us: u64,
    /// Choosing and ordering the pieces.
    pub plan_us: u64,
    /// Reading and testing, summed over all workers: the three that follow.
    pub scan_us: u64,
    /// Asking filters which blocks must be read.
    pub filter_us: u64,
    /// Reading and decoding.
    pub decode_us: u64,
    /// Testing records.
    pub match_us: u64,
    /// Waiting for workers.
    pub wait_us: u64,
    /// Merging and copying rows.
    pub merge_us: u64,
    /// Handing rows on.
    pub send_us: u64,
}

/// Records that should be in an answer and are not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MissingPart {
    /// The node that should have them; empty for the one that answers.
    pub node: String,
    /// Where they should be.
    pub place: String,
    /// The time of the first of them; `null` for no lower end.
    pub from: Option<String>,
    /// The time of the last of them; `null` for no upper end.
    pub to: Option<String>,
    /// Why they are missing.
    pub why: String,
}

impl QueryStages {
    fn of(stages: &Stages) -> QueryStages {
        let Stages { queue_us, plan_us, scan_us, filter_us, decode_us, match_us, wait_us, merge_us, send_us } =
            *stages;
        QueryStages { queue_us, plan_us, scan_us, filter_us, decode_us, match_us, wait_us, merge_us, send_us }
    }
}

impl QueryStats {
    /// The same without names of files, units and classes, which may be those of topics, where these are not to be seen.
    pub(crate) fn for_caller(mut self, caller: &Caller) -> QueryStats {
        if caller.topics().is_restricted() {
            for part in &mut self.missing {
                part.place.clear();
                "it cannot be read now".clone_into(&mut part.why);
            }
        }
        self
    }

    /// The statistics of a query over a range.
    pub fn of(stats: &Stats, from: RecordId, to: RecordId) -> QueryStats {
        let missing = stats.missing.iter().map(|part| MissingPart {
            node: part.node.clone(),
            place: part.place.clone(),
            from: time_of(part.from),
            to: time_of(part.to),
            why: part.why.clone(),
        });
        QueryStats {
            complete: stats.complete,
            missing: missing.collect(),
            missing_more: stats.missing_more,
            limited: stats.limited,
            from: time_of(from),
            to: time_of(to),
            records_matched: stats.records_matched,
            records_scanned: stats.records_scanned,
            repeats: stats.repeats,
            conflicts: stats.conflicts,
            bytes_scanned: stats.bytes_scanned,
            bytes_skipped: stats.bytes_skipped,
            bytes_pruned: stats.bytes_pruned,
            pieces_scanned: stats.pieces_scanned,
            pieces_skipped: stats.pieces_skipped,
            segments_scanned: stats.segments_scanned,
            segments_skipped: stats.segments_skipped,
            segments_skipped_time: stats.segments_skipped_time,
            segments_skipped_streams: stats.segments_skipped_streams,
            segments_pruned: stats.segments_pruned,
            batches_scanned: stats.batches_scanned,
            batches_skipped: stats.batches_skipped,
            batches_pruned: stats.batches_pruned,
            filters_unreadable: stats.filters_unreadable,
            duration_ms: stats.duration_ms,
            stages: QueryStages::of(&stats.stages),
        }
    }

    /// The statistics as JSON in ASCII of at most `bytes_max` bytes, as a header can hold them: what is
    /// missing is cut to what fits, and counted.
    pub(crate) fn to_header(&self, bytes_max: usize) -> String {
        let mut shown = self.clone();
        loop {
            let text = to_ascii_json(&shown);
            if text.len() <= bytes_max || shown.missing.is_empty() {
                return text;
            }
            let kept = shown.missing.len() / 2;
            shown.missing_more += (shown.missing.len() - kept) as u64;
            shown.missing.truncate(kept);
        }
    }
}

/// JSON whose strings escape everything beyond ASCII: the value of a header.
pub(crate) fn to_ascii_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    if text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// The time of an end of a range, unless the range has no such end.
fn time_of(id: RecordId) -> Option<String> {
    (id != RecordId::MIN && id != RecordId::MAX).then(|| rfc3339_ms(id.time_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Topics;
    use weir_query::Missing;

    #[test]
    fn what_is_missing_has_no_names_for_whoever_is_limited_to_topics() {
        let part = MissingPart {
            node: "http://a:7650".into(),
            place: "unit t-debug".into(),
            why: "t-debug.zst is damaged".into(),
            ..MissingPart::default()
        };
        let stats = QueryStats { missing: vec![part], ..QueryStats::default() };
        let limited = Caller::restricted(Topics::parse(["shop"]).unwrap());
        let told = serde_json::to_string(&stats.clone().for_caller(&limited)).unwrap();
        assert!(told.contains("http://a:7650") && !told.contains("debug"), "{told}");
        assert_eq!(stats.clone().for_caller(&Caller::default()), stats);
    }

    #[test]
    fn a_header_names_what_fits_and_counts_the_rest() {
        let mut stats = Stats::default();
        for index in 0..50 {
            stats.miss(Missing {
                node: "nöde".into(),
                place: format!("log/{index}"),
                from: RecordId::from_parts(1_000, 0),
                to: RecordId::MAX,
                why: "checksum".into(),
            });
        }
        let line = QueryStats::of(&stats, RecordId::MIN, RecordId::from_parts(2_000, 0));
        assert_eq!((line.from.as_deref(), line.to.as_deref()), (None, Some("1970-01-01T00:00:02.000Z")));
        let header = line.to_header(2_000);
        assert!(header.len() <= 2_000 && header.is_ascii());
        let back: QueryStats = serde_json::from_str(&header).unwrap();
        assert_eq!(back.missing.len() as u64 + back.missing_more, 50);
        assert_eq!(back.missing[0].node, "nöde");
        assert!(!back.complete);
    }
}
