//! What a search for neighbours asks: mode 4 of a [search](super::search).
//!
//! In order: v how many older ones, v how many newer ones, v how far away in ms; v streams, each with its length (v)
//! before it, in canonical form; v anchors, each an id (16, big-endian) and v the number of its stream.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::{Anchor, Around};
use weir_record::codec::{Reader, decode_stream, encode_stream, put_varint};
use weir_record::{RecordId, Stream, limits};

use super::search::SearchCodecError;

/// Appends a question for neighbours.
pub(super) fn put(out: &mut Vec<u8>, around: &Around) {
    put_varint(out, around.before as u64);
    put_varint(out, around.after as u64);
    put_varint(out, around.reach_ms);
    let mut numbers: HashMap<&Arc<Stream>, u64> = HashMap::new();
    let mut streams: Vec<&Arc<Stream>> = Vec::new();
    for anchor in &around.anchors {
        numbers.entry(&anchor.stream).or_insert_with(|| {
            streams.push(&anchor.stream);
            streams.len() as u64 - 1
        });
    }
    put_varint(out, streams.len() as u64);
    let mut encoded = Vec::new();
    for stream in streams {
        encoded.clear();
        encode_stream(&mut encoded, stream);
        put_varint(out, encoded.len() as u64);
        out.extend_from_slice(&encoded);
    }
    put_varint(out, around.anchors.len() as u64);
    for anchor in &around.anchors {
        out.extend_from_slice(&anchor.id.to_bytes());
        put_varint(out, numbers.get(&anchor.stream).copied().unwrap_or(0));
    }
}

/// Reads what [`put`] wrote.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Around, SearchCodecError> {
    // The node that asks wants one more than it shows, to know whether there is a gap.
    let before = reader.bounded("older neighbours", limits::QUERY_CONTEXT_RECORDS_MAX + 1)?;
    let after = reader.bounded("newer neighbours", limits::QUERY_CONTEXT_RECORDS_MAX + 1)?;
    let reach_ms = reader.varint("reach")?;
    let mut streams = Vec::new();
    for _ in 0..reader.bounded("streams", limits::NODE_ANCHORS_MAX)? {
        let bytes = reader.prefixed("stream", limits::STREAM_BYTES_MAX)?;
        streams.push(Arc::new(decode_stream(bytes)?));
    }
    let mut anchors = Vec::new();
    for _ in 0..reader.bounded("anchors", limits::NODE_ANCHORS_MAX)? {
        let id = RecordId::from_bytes(reader.array("anchor")?);
        let number = reader.varint("stream of an anchor")?;
        let stream = usize::try_from(number).ok().and_then(|number| streams.get(number));
        let stream = stream.ok_or(SearchCodecError::Value("stream of an anchor"))?;
        anchors.push(Anchor { id, stream: Arc::clone(stream) });
    }
    Ok(Around { before, after, reach_ms, anchors })
}
