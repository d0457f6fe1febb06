//! Reading the segment of OK Log: lines of `ULID SP payload LF`, as its stores send them to each other.
//!
//! All or nothing: a body that is torn, or no segment at all, gives no record. The ids are the sender's. They are
//! taken as keys ([`BatchFlags::KEYED`]): the same record may come twice, from one sender that got no answer or
//! from two that both hold it, to one node or to several, and must be one record wherever it is counted.

use weir_record::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use weir_record::lines::Payloads;
use weir_record::mint::push_id;
use weir_record::stream::DEFAULT_TOPIC;
use weir_record::{Batch, BatchError, BatchFlags, IdRun, RecordId, Stream};

/// Characters of an id.
const ID_BYTES: usize = 26;

/// A body that is no text segment. Nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The last line has no newline: the body was torn.
    #[error("line {0} has no newline at its end: the segment is torn")]
    Torn(usize),
    /// Fewer bytes than an id and a space.
    #[error("line {line} has {bytes} bytes, fewer than a ULID and a space")]
    Short {
        /// Which line, from 1.
        line: usize,
        /// How long it is.
        bytes: usize,
    },
    /// No id in front.
    #[error("line {0} does not begin with a ULID and a space")]
    NoId(usize),
    /// A payload longer than a record may be.
    #[error("line {line} has a payload of {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    Long {
        /// Which line, from 1.
        line: usize,
        /// How long its payload is.
        bytes: usize,
    },
    /// Parts that do not fit each other: a defect of weir.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// The records of a text segment as batches of the default topic, in the order of the lines. None for an empty
/// body.
pub fn read_text(body: &[u8]) -> Result<Vec<Batch>, TextError> {
    let mut batches = Vec::new();
    let mut open = Open::default();
    let mut from = 0;
    let mut line = 0;
    for newline in memchr::memchr_iter(b'\n', body) {
        line += 1;
        let (id, payload) = record(line, &body[from..newline])?;
        from = newline + 1;
        if !open.payloads.fits(payload.len()) {
            batches.push(std::mem::take(&mut open).close()?);
        }
        open.payloads.push(payload);
        push_id(&mut open.runs, id);
    }
    if from < body.len() {
        return Err(TextError::Torn(line + 1));
    }
    if !open.payloads.is_empty() {
        batches.push(open.close()?);
    }
    Ok(batches)
}

fn record(number: usize, line: &[u8]) -> Result<(RecordId, &[u8]), TextError> {
    let Some((head, payload)) = line.split_at_checked(ID_BYTES + 1) else {
        return Err(TextError::Short { line: number, bytes: line.len() });
    };
    let id = head.strip_suffix(b" ").and_then(|id| std::str::from_utf8(id).ok());
    let id = id.and_then(|id| id.parse().ok()).ok_or(TextError::NoId(number))?;
    if payload.len() > RECORD_BYTES_MAX {
        return Err(TextError::Long { line: number, bytes: payload.len() });
    }
    Ok((id, payload))
}

/// A batch that is being filled.
#[derive(Default)]
struct Open {
    runs: Vec<IdRun>,
    payloads: Payloads,
}

impl Open {
    fn close(self) -> Result<Batch, TextError> {
        // Always a stream: a name that is no topic would be one of ours.
        let Ok(stream) = Stream::new(DEFAULT_TOPIC, [("", ""); 0]) else {
            return Err(TextError::Batch(BatchError::Records(0)));
        };
        assert!(self.payloads.count() <= BATCH_RECORDS_MAX && self.payloads.arena.len() <= BATCH_BYTES_MAX);
        Ok(Batch::new(stream, BatchFlags::KEYED, self.runs, self.payloads.ends, self.payloads.arena)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAA";
    const B: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAB";

    #[test]
    fn every_byte_behind_the_space_is_payload() {
        let body = format!("{B} 100% l\r\n{A} \n{A} a  b\0\u{fc}\n");
        let [batch] = read_text(body.as_bytes()).unwrap().try_into().unwrap();
        let records: Vec<_> =
            batch.records().map(|(id, payload)| (id.to_string(), payload.to_vec())).collect();
        let expected = [(B, &b"100% l\r"[..]), (A, b""), (A, "a  b\0\u{fc}".as_bytes())]
            .map(|(id, p)| (id.to_owned(), p.to_vec()));
        assert_eq!(records, expected);
        assert_eq!((batch.stream().topic(), batch.flags()), (DEFAULT_TOPIC, BatchFlags::KEYED));
        assert_eq!(read_text(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_segment_is_refused_by_line() {
        let long = format!("{A} {}\n", "x".repeat(RECORD_BYTES_MAX + 1));
        for (body, expected) in [
            (format!("{A} x\n{B} y"), TextError::Torn(2)),
            (A.to_owned(), TextError::Torn(1)),
            (format!("{A} x\n{B}\n"), TextError::Short { line: 2, bytes: 26 }),
            ("\n".to_owned(), TextError::Short { line: 1, bytes: 0 }),
            (format!("{A} x\n{B}y z\n"), TextError::NoId(2)),
            (format!("8{} x\n", &A[1..]), TextError::NoId(1)),
            ("{\"a\":\"a line of json, long enough\"}\n".to_owned(), TextError::NoId(1)),
            ("\u{1}".repeat(40) + "\n", TextError::NoId(1)),
            (long, TextError::Long { line: 1, bytes: RECORD_BYTES_MAX + 1 }),
        ] {
            assert_eq!(read_text(body.as_bytes()).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_large_segment_becomes_as_many_batches_as_it_takes() {
        let many = format!("{A} x\n").repeat(BATCH_RECORDS_MAX + 1);
        let counts = |body: &str| -> Vec<usize> {
            read_text(body.as_bytes()).unwrap().iter().map(Batch::count).collect()
        };
        assert_eq!(counts(&many), [BATCH_RECORDS_MAX, 1]);
        let large = format!("{A} {}\n", "x".repeat(RECORD_BYTES_MAX)).repeat(9);
        assert_eq!(counts(&large), [8, 1]);
    }
}
