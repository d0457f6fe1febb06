//! `POST /api/v1/node/tail`: records as they arrive at a node.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_query::Rows;
use weir_record::codec::{CodecError, Reader, put_varint};

use super::text::base64_or_null;

/// Asks for all records that match, from now on or from where an earlier answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailRequest {
    /// The query, in the language of weir.
    pub query: String,
    /// The last position that an earlier answer of the same node gave; `None` begins now.
    #[serde(with = "base64_or_null", default)]
    pub resume: Option<Bytes>,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailEvent {
    /// Records, in the order in which they arrived.
    Rows(Rows),
    /// Where the answer has come to: who resumes there gets everything after what was sent, and nothing of
    /// it. Comes after rows, and now and then without, when nothing matched. Opaque, not empty, at most
    /// [`weir_record::limits::TAIL_POSITION_BYTES_MAX`].
    Position(Bytes),
    /// Records were left out.
    Gap(Gap),
}

/// Why records were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The reader was too slow: so many records were dropped.
    Dropped(u64),
    /// The position to resume at is not known here any more: how many is not known.
    Lost,
}

/// Appends a gap: v, 0 for a lost position, else the number of records dropped.
pub(super) fn put_gap(out: &mut Vec<u8>, gap: Gap) {
    put_varint(
        out,
        match gap {
            Gap::Dropped(records) => records.max(1),
            Gap::Lost => 0,
        },
    );
}

pub(super) fn read_gap(body: &[u8]) -> Result<Gap, CodecError> {
    let mut reader = Reader::new(body);
    let gap = match reader.varint("gap")? {
        0 => Gap::Lost,
        records => Gap::Dropped(records),
    };
    reader.finish()?;
    Ok(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_gaps_survive_the_way_over_the_wire() {
        for (resume, json) in [
            (None, r#"{"query":"a","resume":null}"#),
            (Some(Bytes::from_static(b"\0\xff")), r#"{"query":"a","resume":"AP8="}"#),
        ] {
            let request = TailRequest { query: "a".into(), resume };
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(serde_json::from_str::<TailRequest>(json).unwrap(), request);
        }
        assert_eq!(serde_json::from_str::<TailRequest>(r#"{"query":"a"}"#).unwrap().resume, None);
        for gap in [Gap::Lost, Gap::Dropped(1), Gap::Dropped(u64::MAX)] {
            let mut body = Vec::new();
            put_gap(&mut body, gap);
            assert_eq!(read_gap(&body), Ok(gap));
        }
        assert!(read_gap(&[]).is_err() && read_gap(&[1, 1]).is_err());
    }
}
