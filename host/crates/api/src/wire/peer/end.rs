//! How a search ended: statistics, what is missing, and what must be read elsewhere.
//!
//! In order: u8 flags (bit 0 complete, bit 1 limited; others 0); v each: records scanned, records matched,
//! repeats, conflicts, bytes scanned, bytes skipped, bytes pruned, pieces scanned, pieces skipped, segments scanned,
//! segments skipped, batches scanned, batches skipped, batches pruned, filters unreadable, duration (ms), then in µs: planning, scanning, waiting, merging, sending; v missing parts, per part
//! node (text), place (text), first id (16), last id (16), why (text); v how many more; the units and origins
//! that were not read, as in [`search`](super::search); v further statistics, v each, of which a reader takes as
//! many as it knows: segments skipped because of the time, because of their streams, because of filters, then in µs
//! queueing, filtering, decoding, matching, then records unjudged. What an older node does not say is 0.

use weir_query::stats::Stages;
use weir_query::{Missing, Stats};
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::{RecordId, limits};

use super::search::{SearchCodecError, UnitOrigins, put_text, put_units, read_units, text};

/// Further statistics that a newer node may send.
const FURTHER_MAX: usize = 256;

/// How a search ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchEnd {
    /// What was looked at, and what is missing.
    pub stats: Stats,
    /// What was assigned and could not be read, or not wholly: it is gone from the snapshot, or damaged. The
    /// node that asked takes it from another holder. Empty when everything was read.
    pub unread: Vec<UnitOrigins>,
}

impl SearchEnd {
    pub(super) fn encode(&self) -> Vec<u8> {
        let stats = &self.stats;
        let mut out = Vec::with_capacity(256);
        out.push(u8::from(stats.complete) | u8::from(stats.limited) << 1);
        for value in [
            stats.records_scanned,
            stats.records_matched,
            stats.repeats,
            stats.conflicts,
            stats.bytes_scanned,
            stats.bytes_skipped,
            stats.bytes_pruned,
            stats.pieces_scanned,
            stats.pieces_skipped,
            stats.segments_scanned,
            stats.segments_skipped,
            stats.batches_scanned,
            stats.batches_skipped,
            stats.batches_pruned,
            stats.filters_unreadable,
            stats.duration_ms,
            stats.stages.plan_us,
            stats.stages.scan_us,
            stats.stages.wait_us,
            stats.stages.merge_us,
            stats.stages.send_us,
        ] {
            put_varint(&mut out, value);
        }
        // Whoever made the statistics, the peer takes no more than this.
        let listed = &stats.missing[..stats.missing.len().min(limits::QUERY_MISSING_MAX)];
        put_varint(&mut out, listed.len() as u64);
        for part in listed {
            put_text(&mut out, shorten(&part.node));
            put_text(&mut out, shorten(&part.place));
            out.extend_from_slice(&part.from.to_bytes());
            out.extend_from_slice(&part.to.to_bytes());
            put_text(&mut out, shorten(&part.why));
        }
        put_varint(&mut out, stats.missing_more + (stats.missing.len() - listed.len()) as u64);
        put_units(&mut out, &self.unread);
        let further = [
            stats.segments_skipped_time,
            stats.segments_skipped_streams,
            stats.segments_pruned,
            stats.stages.queue_us,
            stats.stages.filter_us,
            stats.stages.decode_us,
            stats.stages.match_us,
            stats.unjudged,
        ];
        put_varint(&mut out, further.len() as u64);
        for value in further {
            put_varint(&mut out, value);
        }
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<SearchEnd, SearchCodecError> {
        let mut reader = Reader::new(body);
        let [flags] = reader.array("flags")?;
        if flags & !3 != 0 {
            return Err(SearchCodecError::Value("flags"));
        }
        let mut value = || reader.varint("statistics");
        let mut stats = Stats {
            records_scanned: value()?,
            records_matched: value()?,
            repeats: value()?,
            conflicts: value()?,
            bytes_scanned: value()?,
            bytes_skipped: value()?,
            bytes_pruned: value()?,
            pieces_scanned: value()?,
            pieces_skipped: value()?,
            segments_scanned: value()?,
            segments_skipped: value()?,
            batches_scanned: value()?,
            batches_skipped: value()?,
            batches_pruned: value()?,
            filters_unreadable: value()?,
            duration_ms: value()?,
            stages: Stages {
                plan_us: value()?,
                scan_us: value()?,
                wait_us: value()?,
                merge_us: value()?,
                send_us: value()?,
                ..Stages::default()
            },
            limited: flags & 2 != 0,
            complete: flags & 1 != 0,
            ..Stats::default()
        };
        let count = reader.bounded("missing parts", limits::QUERY_MISSING_MAX)?;
        for _ in 0..count {
            stats.missing.push(read_missing(&mut reader)?);
        }
        stats.missing_more = reader.varint("more missing parts")?;
        let unread = read_units(&mut reader)?;
        if !reader.rest().is_empty() {
            let count = reader.bounded("further statistics", FURTHER_MAX)?;
            let mut known = further(&mut stats).into_iter();
            for _ in 0..count {
                let value = reader.varint("further statistics")?;
                if let Some(place) = known.next() {
                    *place = value;
                }
            }
        }
        reader.finish()?;
        if stats.complete && (count > 0 || stats.missing_more > 0) {
            return Err(SearchCodecError::Value("complete"));
        }
        Ok(SearchEnd { stats, unread })
    }
}

/// Statistics that came later, in their order on the wire: new ones go to the end.
fn further(stats: &mut Stats) -> [&mut u64; 8] {
    [
        &mut stats.segments_skipped_time,
        &mut stats.segments_skipped_streams,
        &mut stats.segments_pruned,
        &mut stats.stages.queue_us,
        &mut stats.stages.filter_us,
        &mut stats.stages.decode_us,
        &mut stats.stages.match_us,
        &mut stats.unjudged,
    ]
}

fn read_missing(reader: &mut Reader<'_>) -> Result<Missing, SearchCodecError> {
    let node = text(reader, "node", limits::NODE_TEXT_BYTES_MAX)?.to_owned();
    let place = text(reader, "place", limits::NODE_TEXT_BYTES_MAX)?.to_owned();
    let id = |reader: &mut Reader<'_>| Ok::<_, CodecError>(RecordId::from_bytes(reader.array("id")?));
    let (from, to) = (id(reader)?, id(reader)?);
    let why = text(reader, "why", limits::NODE_TEXT_BYTES_MAX)?.to_owned();
    Ok(Missing { node, place, from, to, why })
}

/// A text as far as a peer takes it.
pub(super) fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::NODE_TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::arbitrary::units;
    use proptest::prelude::*;

    fn ends() -> impl Strategy<Value = SearchEnd> {
        let missing = (".{0,20}", ".{0,20}", any::<u128>(), any::<u128>(), ".{0,20}").prop_map(
            |(node, place, from, to, why)| {
                let (from, to) = (RecordId::from_u128(from), RecordId::from_u128(to));
                Missing { node, place, from, to, why }
            },
        );
        let missing = prop::collection::vec(missing, 0..4);
        (any::<[u64; 29]>(), any::<bool>(), any::<u32>(), missing, units()).prop_map(
            |(values, limited, missing_more, missing, unread)| {
                let stats = Stats {
                    records_scanned: values[0],
                    records_matched: values[1],
                    repeats: values[2],
                    conflicts: values[3],
                    bytes_scanned: values[4],
                    bytes_skipped: values[5],
                    bytes_pruned: values[16],
                    segments_scanned: values[17],
                    segments_skipped: values[18],
                    batches_pruned: values[19],
                    filters_unreadable: values[20],
                    unjudged: values[28],
                    pieces_scanned: values[6],
                    pieces_skipped: values[7],
                    batches_scanned: values[8],
                    batches_skipped: values[9],
                    duration_ms: values[10],
                    stages: Stages {
                        plan_us: values[11],
                        scan_us: values[12],
                        wait_us: values[13],
                        merge_us: values[14],
                        send_us: values[15],
                        queue_us: values[24],
                        filter_us: values[25],
                        decode_us: values[26],
                        match_us: values[27],
                    },
                    segments_skipped_time: values[21],
                    segments_skipped_streams: values[22],
                    segments_pruned: values[23],
                    limited,
                    complete: missing.is_empty() && missing_more == 0,
                    missing,
                    missing_more: u64::from(missing_more),
                };
                SearchEnd { stats, unread }
            },
        )
    }

    proptest! {
        #[test]
        fn an_end_survives_and_damage_never_panics(
            end in ends(), at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut body = end.encode();
            prop_assert_eq!(SearchEnd::decode(&body), Ok(end.clone()));
            // An older node ends before the further statistics, a newer one has more of them.
            let mut older = end.clone();
            for value in further(&mut older.stats) {
                *value = 0;
            }
            let older_bytes = older.encode().len() - 9;
            for cut in (0..body.len()).filter(|cut| *cut != older_bytes) {
                prop_assert!(SearchEnd::decode(&body[..cut]).is_err());
            }
            prop_assert_eq!(SearchEnd::decode(&body[..older_bytes]), Ok(older));
            let mut newer = body.clone();
            newer[older_bytes] += 1;
            newer.push(5);
            prop_assert_eq!(SearchEnd::decode(&newer), Ok(end));
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            let _ = SearchEnd::decode(&body);
        }
    }

    #[test]
    fn whatever_a_node_says_the_end_fits_and_tells_no_lies() {
        let part = Missing {
            node: String::new(),
            place: "é".repeat(limits::NODE_TEXT_BYTES_MAX),
            from: RecordId::MIN,
            to: RecordId::MAX,
            why: "gone".into(),
        };
        let missing = vec![part; limits::QUERY_MISSING_MAX + 5];
        let stats = Stats { complete: false, missing, missing_more: 2, ..Stats::default() };
        let mut body = SearchEnd { stats, unread: Vec::new() }.encode();
        let back = SearchEnd::decode(&body).unwrap().stats;
        assert_eq!((back.missing.len(), back.missing_more), (limits::QUERY_MISSING_MAX, 7));
        assert!(back.missing[0].place.len() <= limits::NODE_TEXT_BYTES_MAX);
        body[0] = 1;
        assert_eq!(SearchEnd::decode(&body), Err(SearchCodecError::Value("complete")));
        body[0] = 4;
        assert_eq!(SearchEnd::decode(&body), Err(SearchCodecError::Value("flags")));
    }
}
