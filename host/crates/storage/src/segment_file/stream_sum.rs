//! What a segment has of each of its streams: columns say it, footers do not.

use weir_record::RecordId;
use weir_segment::{Decoder, SegmentError};

use super::{SegmentFile, SegmentFileError};

/// Sums over the records of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSum {
    /// How many.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The lowest id.
    pub low: RecordId,
    /// The highest id.
    pub high: RecordId,
}

/// Sums over the columns of all blocks.
pub(super) fn sum(file: &SegmentFile) -> Result<Vec<StreamSum>, SegmentFileError> {
    let footer = file.footer();
    let none = StreamSum { records: 0, payload_bytes: 0, low: RecordId::MAX, high: RecordId::MIN };
    let mut sums = vec![none; footer.streams().len()];
    let wrong = |source: SegmentError| SegmentFileError::Segment { path: file.path().to_owned(), source };
    let mut decoder = Decoder::new().map_err(wrong)?;
    let mut side = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        let path = || file.path().to_owned();
        file.read_side(entry, &mut side).map_err(|source| SegmentFileError::Io { path: path(), source })?;
        let columns = decoder.columns(footer, index, &side).map_err(wrong)?;
        let mut at = 0;
        for run in columns.streams() {
            let end = at + run.count as usize;
            // A run is not empty, and ids ascend.
            let (low, high) = (columns.ids()[at], columns.ids()[end - 1]);
            let sum = &mut sums[run.index as usize];
            sum.records += u64::from(run.count);
            sum.low = sum.low.min(low);
            sum.high = sum.high.max(high);
            at = end;
        }
        for (stream, bytes) in columns.stream_bytes() {
            sums[stream as usize].payload_bytes += bytes;
        }
    }
    Ok(sums)
}
