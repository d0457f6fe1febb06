//! Records laid out flat, and the builder that keeps to the host's rules.

use crate::failure::Failure;
use crate::limits::{
    KEY_BYTES_MAX, LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, PLUGIN_STREAMS_MAX,
    RECORD_BYTES_MAX,
};
use crate::source::Budget;

/// Label on the parts of a record that was longer than a record may be. The only name with a leading
/// underscore that the host takes from a plugin.
pub const PART_LABEL: &str = "_part";

/// Labels of one stream, beside those that the operator configured.
pub type Labels = Vec<(String, String)>;

/// Records in one flat buffer. Record `i` is `arena[ends[i - 1]..ends[i]]`, `ends[-1]` counting as 0.
/// Made by a [`Builder`]; made by hand it is checked by the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// All payloads, one after the other.
    pub arena: Vec<u8>,
    /// Where each payload ends.
    pub ends: Vec<u32>,
    /// Unix nanoseconds of each record, 0 for none; empty: none has one.
    pub times: Vec<u64>,
    /// Index into `streams` of each record; empty: all belong to the first, or to the configured stream.
    pub stream_of: Vec<u16>,
    /// Label sets.
    pub streams: Vec<Labels>,
    /// What makes each record the same on redelivery, empty for nothing; empty list: nothing for all.
    pub keys: Vec<Vec<u8>>,
}

impl Batch {
    /// Number of records.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// Which part of a longer record this is. All parts put together are that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The record is whole.
    Whole,
    /// The first part of several.
    First,
    /// Neither first nor last.
    Middle,
    /// The last part.
    Last,
}

impl Part {
    /// Value of [`PART_LABEL`], `None` when whole.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Part::Whole => None,
            Part::First => Some("first"),
            Part::Middle => Some("middle"),
            Part::Last => Some("last"),
        }
    }
}

/// Something that does not go into a batch. The batch is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The batch has its fill: hand it over, go on in the next poll.
    #[error("the batch is full")]
    Full,
    /// A record longer than [`RECORD_BYTES_MAX`]: cut it with [`lines::Cutter`](crate::lines::Cutter).
    #[error("a record of {0} bytes is longer than {RECORD_BYTES_MAX}, cut it into parts")]
    RecordTooLong(usize),
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("a key of {0} bytes is longer than {KEY_BYTES_MAX}")]
    KeyTooLong(usize),
    /// A label that the host would refuse, and why.
    #[error("label {0:?} {1}")]
    Label(String, &'static str),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        Failure::restart("batch.invalid", error)
    }
}

/// A stream of the batch under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId(u16);

/// Consecutive records of one stream.
#[derive(Debug)]
struct Run {
    stream: u16,
    count: u32,
}

/// Builds a batch within a budget, without an allocation per record.
#[derive(Debug)]
pub struct Builder {
    budget: Budget,
    batch: Batch,
    runs: Vec<Run>,
    /// Hashes of `batch.streams`, to find one among a thousand without comparing paths.
    stream_hashes: Vec<u64>,
}

impl Builder {
    /// An empty batch that takes as much as `budget` says. Allocates nothing yet.
    pub fn new(budget: Budget) -> Builder {
        Builder { budget, batch: Batch::default(), runs: Vec::new(), stream_hashes: Vec::new() }
    }

    /// Number of records so far.
    pub fn count(&self) -> usize {
        self.batch.ends.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.batch.ends.is_empty()
    }

    /// Number of records that the budget has room for, those that are there included.
    pub fn records_max(&self) -> usize {
        self.budget.records
    }

    /// Payload bytes that still fit.
    pub fn bytes_left(&self) -> usize {
        if self.batch.ends.len() < self.budget.records {
            self.budget.bytes.saturating_sub(self.batch.arena.len())
        } else {
            0
        }
    }

    /// Whether one more record of `bytes` fits.
    #[inline]
    pub fn fits(&self, bytes: usize) -> bool {
        self.batch.ends.len() < self.budget.records && self.batch.arena.len() + bytes <= self.budget.bytes
    }

    /// The stream with these labels beside the configured ones; the same labels in the same order give the
    /// same stream. No labels: the configured stream.
    ///
    /// # Errors
    /// [`BuildError::Full`] when the batch has 1,024 streams, [`BuildError::Label`] for what the host
    /// would refuse.
    pub fn stream(&mut self, labels: &[(&str, &str)]) -> Result<StreamId, BuildError> {
        self.stream_of(labels, Part::Whole)
    }

    /// As [`stream`](Builder::stream), for parts of longer records: the label `_part` is added.
    ///
    /// # Errors
    /// As [`stream`](Builder::stream).
    pub fn stream_of(&mut self, labels: &[(&str, &str)], part: Part) -> Result<StreamId, BuildError> {
        labels.iter().try_for_each(|(name, value)| check_label(name, value))?;
        if labels.len() + 1 > LABELS_MAX {
            return Err(BuildError::Label(labels[0].0.into(), "is one of too many"));
        }
        let marked = part.label().map(|value| (PART_LABEL, value));
        let labels = || labels.iter().copied().chain(marked);
        let hash = hash_labels(labels());
        for (index, other) in self.stream_hashes.iter().enumerate() {
            let same = || labels().eq(self.batch.streams[index].iter().map(|(n, v)| (&**n, &**v)));
            if *other == hash && same() {
                return Ok(StreamId(index as u16));
            }
        }
        if self.stream_hashes.len() == PLUGIN_STREAMS_MAX {
            return Err(BuildError::Full);
        }
        self.stream_hashes.push(hash);
        self.batch.streams.push(labels().map(|(name, value)| (name.into(), value.into())).collect());
        Ok(StreamId((self.stream_hashes.len() - 1) as u16))
    }

    /// Adds one record.
    ///
    /// # Errors
    /// [`BuildError::Full`] or [`BuildError::RecordTooLong`].
    #[inline]
    pub fn push(&mut self, stream: StreamId, payload: &[u8]) -> Result<(), BuildError> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(BuildError::RecordTooLong(payload.len()));
        }
        if !self.fits(payload.len()) {
            return Err(BuildError::Full);
        }
        if self.batch.arena.capacity() == 0 {
            self.batch.arena.reserve_exact(self.budget.bytes);
        }
        self.batch.arena.extend_from_slice(payload);
        self.batch.ends.push(self.batch.arena.len() as u32);
        match self.runs.last_mut() {
            Some(run) if run.stream == stream.0 => run.count += 1,
            _ => self.runs.push(Run { stream: stream.0, count: 1 }),
        }
        Ok(())
    }

    /// Sets the event time of the record added last.
    pub fn set_time(&mut self, unix_ns: u64) {
        self.batch.times.resize(self.batch.ends.len().saturating_sub(1), 0);
        if !self.batch.ends.is_empty() {
            self.batch.times.push(unix_ns);
        }
    }

    /// Sets what makes the record added last the same on redelivery.
    ///
    /// # Errors
    /// [`BuildError::KeyTooLong`].
    pub fn set_key(&mut self, key: &[u8]) -> Result<(), BuildError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(BuildError::KeyTooLong(key.len()));
        }
        self.batch.keys.resize(self.batch.ends.len().saturating_sub(1), Vec::new());
        if !self.batch.ends.is_empty() {
            self.batch.keys.push(key.into());
        }
        Ok(())
    }

    /// The batch, in the form that the host takes.
    pub fn finish(self) -> Batch {
        let Builder { mut batch, runs, .. } = self;
        let count = batch.ends.len();
        if !batch.times.is_empty() {
            batch.times.resize(count, 0);
        }
        if !batch.keys.is_empty() {
            batch.keys.resize(count, Vec::new());
        }
        if batch.streams.len() == 1 && batch.streams[0].is_empty() {
            batch.streams.clear();
        }
        if batch.streams.len() > 1 {
            batch.stream_of.reserve_exact(count);
            for run in runs {
                batch.stream_of.resize(batch.stream_of.len() + run.count as usize, run.stream);
            }
        }
        batch
    }
}

fn check_label(name: &str, value: &str) -> Result<(), BuildError> {
    let refuse = |why| Err(BuildError::Label(name.chars().take(80).collect(), why));
    let first_fits = name.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
    let all_fit = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'));
    if !first_fits || !all_fit || name.len() > LABEL_NAME_BYTES_MAX {
        return refuse("is not a letter followed by letters, digits, _, - or ., at most 64 bytes in all");
    }
    if value.len() > LABEL_VALUE_BYTES_MAX {
        return refuse("has a value longer than 4096 bytes");
    }
    if value.chars().any(char::is_control) {
        return refuse("has control characters in its value");
    }
    Ok(())
}

fn hash_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let bytes = labels.flat_map(|(name, value)| name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { records: 4, bytes: RECORD_BYTES_MAX, wait_ms: 0 };

    #[test]
    fn records_of_several_streams_keep_their_order_and_labels() {
        let mut builder = Builder::new(BUDGET);
        let a = builder.stream(&[("path", "/a")]).unwrap();
        let b = builder.stream(&[("path", "/b")]).unwrap();
        let part = builder.stream_of(&[("path", "/b")], Part::First).unwrap();
        assert_eq!(builder.stream(&[("path", "/a")]), Ok(a));
        assert_eq!(builder.stream_of(&[("path", "/b")], Part::First), Ok(part));
        for (stream, payload) in [(a, "1"), (b, ""), (b, "3"), (a, "4")] {
            builder.push(stream, payload.as_bytes()).unwrap();
        }
        assert_eq!(builder.push(a, b""), Err(BuildError::Full));
        let batch = builder.finish();
        assert_eq!(
            (batch.arena, batch.ends, batch.stream_of),
            (b"134".to_vec(), vec![1, 1, 2, 3], vec![0, 1, 1, 0])
        );
        assert_eq!(batch.streams[2], [("path".into(), "/b".into()), ("_part".into(), "first".into())]);
    }

    #[test]
    fn times_and_keys_stand_beside_the_records_they_were_given_for() {
        let mut builder = Builder::new(BUDGET);
        let stream = builder.stream(&[]).unwrap();
        for (payload, time, key) in [("a", None, None), ("b", Some(5), Some("k")), ("c", None, None)] {
            builder.push(stream, payload.as_bytes()).unwrap();
            if let (Some(time), Some(key)) = (time, key) {
                builder.set_time(time);
                builder.set_key(str::as_bytes(key)).unwrap();
            }
        }
        let batch = builder.finish();
        assert_eq!(batch.times, [0, 5, 0]);
        assert_eq!(batch.keys, [&b""[..], b"k", b""]);
        assert_eq!((batch.streams, batch.stream_of), (vec![], vec![]));
    }

    #[test]
    fn what_the_host_would_refuse_is_refused_here() {
        let mut builder = Builder::new(BUDGET);
        for (name, value) in [("_part", "x"), ("", "x"), ("1a", "x"), ("a b", "x"), ("a", "x\n")] {
            assert!(
                matches!(builder.stream(&[(name, value)]), Err(BuildError::Label(..))),
                "{name:?} {value:?}"
            );
        }
        let stream = builder.stream(&[]).unwrap();
        let long = vec![0; RECORD_BYTES_MAX + 1];
        assert_eq!(builder.push(stream, &long), Err(BuildError::RecordTooLong(long.len())));
        builder.push(stream, &long[1..]).unwrap();
        assert_eq!(builder.push(stream, b"x"), Err(BuildError::Full));
        builder.push(stream, b"").unwrap();
        assert!(matches!(builder.set_key(&[0; KEY_BYTES_MAX + 1]), Err(BuildError::KeyTooLong(_))));
        let mut many = Builder::new(BUDGET);
        for n in 0..PLUGIN_STREAMS_MAX {
            many.stream(&[("n", &n.to_string())]).unwrap();
        }
        assert_eq!(many.stream(&[("n", "one more")]), Err(BuildError::Full));
        assert!(many.stream(&[("n", "7")]).is_ok());
    }
}
