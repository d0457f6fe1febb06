//! Entries: what is committed in one piece or not at all.

use weir_record::codec::{self, Reader, put_varint};
use weir_record::limits::{
    CURSOR_BYTES_MAX, ENTRY_BATCHES_MAX, ENTRY_STREAM_BYTES_MAX, FRAME_BYTES_MAX, NAME_BYTES_MAX,
    STREAM_BYTES_MAX,
};
use weir_record::{Batch, BatchView, CodecError};

use crate::ingest_log::LogError;
use crate::ingest_log::frame::{FRAME_HEADER_BYTES, Kind};

/// Where a source stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the source, 1 to [`NAME_BYTES_MAX`] bytes.
    pub source: String,
    /// What the plugin is handed at the next open, up to [`CURSOR_BYTES_MAX`] bytes.
    pub cursor: Vec<u8>,
}

/// One commit of one writer: its batches, and for a source where it stands after them. An entry is one
/// frame, so that after a crash all of it is found or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Where the source of the batches stands once they are stored. The last one of a source counts.
    pub checkpoint: Option<Checkpoint>,
    /// The records, up to [`ENTRY_BATCHES_MAX`] batches.
    pub batches: Vec<Batch>,
}

/// Where a batch came to lie in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlacedBatch {
    /// From the start of the frame, header included.
    pub(crate) offset: u32,
}

impl Entry {
    /// Bytes that the entry takes in memory and about what it takes in the log.
    pub fn bytes(&self) -> usize {
        let checkpoint = self.checkpoint.as_ref().map_or(0, |c| c.source.len() + c.cursor.len());
        let batches: usize = self.batches.iter().map(batch_bytes).sum();
        checkpoint + batches
    }

    /// Records in all batches.
    pub fn records(&self) -> u64 {
        self.batches.iter().map(|batch| batch.count() as u64).sum()
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.payload_bytes() as u64).sum()
    }

    /// Checks what can be checked before encoding.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        let too_large = |what, got, max| Err(LogError::TooLarge { what, got: got as u64, max: max as u64 });
        if self.batches.len() > ENTRY_BATCHES_MAX {
            return too_large("batches of an entry", self.batches.len(), ENTRY_BATCHES_MAX);
        }
        if let Some(checkpoint) = &self.checkpoint {
            if checkpoint.source.is_empty() || checkpoint.source.len() > NAME_BYTES_MAX {
                return too_large("bytes of a source name", checkpoint.source.len(), NAME_BYTES_MAX);
            }
            if checkpoint.cursor.len() > CURSOR_BYTES_MAX {
                return too_large("bytes of a cursor", checkpoint.cursor.len(), CURSOR_BYTES_MAX);
            }
        }
        // An upper bound, so that nothing is encoded in vain.
        let bytes = self.bytes() + 64;
        if bytes > FRAME_BYTES_MAX {
            return too_large("bytes of an entry", bytes, FRAME_BYTES_MAX);
        }
        Ok(())
    }

    /// Appends the body of a frame; tells where each batch lies. In order:
    ///
    /// | field | size | meaning |
    /// |---|---|---|
    /// | kind | u8 | 1 |
    /// | group | v | bytes from the start of the group commit to the start of this frame |
    /// | source | v + … | its length, 0 when there is no checkpoint; then the name |
    /// | cursor | v + … | only with a source: length, bytes |
    /// | batch count | v | |
    /// | batches | … | each as `weir_record::codec` has it |
    ///
    /// `group` proves what was synced: a group is written only after all before it was synced. A hole
    /// before the start of a later group is damage; a hole inside the last group is a torn write.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, group_bytes: u64) -> Vec<PlacedBatch> {
        let frame = out.len() - FRAME_HEADER_BYTES;
        out.push(Kind::Entry as u8);
        put_varint(out, group_bytes);
        match &self.checkpoint {
            Some(checkpoint) => {
                put_varint(out, checkpoint.source.len() as u64);
                out.extend_from_slice(checkpoint.source.as_bytes());
                put_varint(out, checkpoint.cursor.len() as u64);
                out.extend_from_slice(&checkpoint.cursor);
            }
            None => put_varint(out, 0),
        }
        put_varint(out, self.batches.len() as u64);
        let mut placed = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            placed.push(PlacedBatch { offset: (out.len() - frame) as u32 });
            codec::encode_batch(out, batch);
        }
        placed
    }
}

/// Upper bound of a batch in its encoded form.
fn batch_bytes(batch: &Batch) -> usize {
    let stream = batch.stream();
    let labels: usize = stream.labels().map(|(name, value)| name.len() + value.len() + 6).sum();
    batch.payload_bytes() + batch.count() * 3 + batch.runs().len() * 19 + stream.topic().len() + labels + 32
}

/// Checks that the streams of an entry fit the table of one piece. `bytes` is their encoded length.
pub(crate) fn check_streams(bytes: usize) -> Result<(), LogError> {
    const { assert!(STREAM_BYTES_MAX <= ENTRY_STREAM_BYTES_MAX) };
    if bytes <= ENTRY_STREAM_BYTES_MAX {
        return Ok(());
    }
    Err(LogError::TooLarge {
        what: "bytes of the streams of an entry",
        got: bytes as u64,
        max: ENTRY_STREAM_BYTES_MAX as u64,
    })
}

/// An entry read in place.
#[derive(Debug, Clone)]
pub(crate) struct EntryView<'a> {
    pub(crate) group_bytes: u64,
    /// Source and cursor.
    pub(crate) checkpoint: Option<(&'a str, &'a [u8])>,
    /// Offset of each batch from the start of the frame, and the batch.
    pub(crate) batches: Vec<(u32, BatchView<'a>)>,
}

impl<'a> EntryView<'a> {
    /// Reads the body of a frame; `None` when it is of another kind.
    pub(crate) fn read(body: &'a [u8]) -> Result<Option<EntryView<'a>>, CodecError> {
        let mut reader = Reader::new(body);
        let [kind] = reader.array("frame kind")?;
        if kind != Kind::Entry as u8 {
            return Ok(None);
        }
        let group_bytes = reader.varint("group")?;
        let source = reader.prefixed("source", NAME_BYTES_MAX)?;
        let checkpoint = if source.is_empty() {
            None
        } else {
            let source = std::str::from_utf8(source).map_err(|_| CodecError::NotCanonical)?;
            Some((source, reader.prefixed("cursor", CURSOR_BYTES_MAX)?))
        };
        let count = reader.bounded("batch count", ENTRY_BATCHES_MAX)?;
        let mut batches = Vec::with_capacity(count.min(body.len() / 16));
        for _ in 0..count {
            let offset = FRAME_HEADER_BYTES + body.len() - reader.rest().len();
            batches.push((offset as u32, BatchView::read(&mut reader)?));
        }
        reader.finish()?;
        Ok(Some(EntryView { group_bytes, checkpoint, batches }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest_log::frame::FrameCodec;
    use crate::ingest_log::tests::entry;

    #[test]
    fn an_entry_survives_the_way_to_bytes_and_back() {
        for (source, payloads) in [
            (None, vec![]),
            (Some(("files", &b"cursor"[..])), vec![]),
            (Some(("s", &b""[..])), vec!["a", "", "c"]),
        ] {
            let entry = entry(source, 5, &payloads);
            let mut out = Vec::new();
            FrameCodec::begin(&mut out);
            let placed = entry.encode(&mut out, 300);
            assert!(out.len() <= FRAME_HEADER_BYTES + entry.bytes() + 64);
            let view = EntryView::read(&out[FRAME_HEADER_BYTES..]).unwrap().unwrap();
            assert_eq!((view.group_bytes, view.checkpoint), (300, source));
            assert_eq!(view.batches.len(), placed.len());
            for (((offset, view), placed), batch) in view.batches.iter().zip(&placed).zip(&entry.batches) {
                assert_eq!(*offset, placed.offset);
                assert_eq!(view.to_batch().unwrap(), *batch);
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_name() {
        let long = Checkpoint { source: "s".into(), cursor: vec![0; CURSOR_BYTES_MAX + 1] };
        let entry = Entry { checkpoint: Some(long), batches: vec![] };
        let message = entry.check().unwrap_err().to_string();
        assert_eq!(message, "65537 bytes of a cursor are more than 65536");
        let entry =
            Entry { checkpoint: Some(Checkpoint { source: String::new(), cursor: vec![] }), batches: vec![] };
        assert!(matches!(entry.check(), Err(LogError::TooLarge { what: "bytes of a source name", .. })));
    }
}
