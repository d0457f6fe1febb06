//! Records as a plugin hands them over, and the one check that everything from a plugin passes.
//!
//! wasmtime checks pointers and lengths; what the numbers mean is checked here, before anything is
//! indexed by them. A batch that breaks a rule is refused whole.

use weir_record::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, KEY_BYTES_MAX, PLUGIN_STREAMS_MAX, RECORD_BYTES_MAX,
};
use weir_record::stream::PART_LABEL;
use weir_record::{Stream, StreamError};

/// The label sets of the streams of a batch, as the plugin gave them.
pub type Labels = Vec<(String, String)>;

/// The parts of a batch, unchecked: the shape of `types.batch` without `ids`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawBatch {
    /// All payloads, one after the other.
    pub arena: Vec<u8>,
    /// Where each payload ends.
    pub ends: Vec<u32>,
    /// Unix nanoseconds per record, 0 = not given; or empty.
    pub times: Vec<u64>,
    /// Index into `streams` per record; or empty.
    pub stream_of: Vec<u16>,
    /// Label sets beside the configured ones.
    pub streams: Vec<Labels>,
    /// Key per record, empty = none; or empty.
    pub keys: Vec<Vec<u8>>,
}

/// How much a batch may hold. The host's own bounds hold whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records, at most [`BATCH_RECORDS_MAX`].
    pub records: usize,
    /// Bytes of all payloads, at most [`BATCH_BYTES_MAX`].
    pub bytes: usize,
}

impl BatchLimits {
    /// As much as any batch may hold.
    pub const MAX: BatchLimits = BatchLimits { records: BATCH_RECORDS_MAX, bytes: BATCH_BYTES_MAX };
}

/// Which rule a batch breaks. Nothing of the batch is used; the instance that made it is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginBatchError {
    /// More records than were asked for.
    #[error("{got} records, asked for at most {max}")]
    Records {
        /// Records in the batch.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// More payload than was asked for.
    #[error("{got} bytes of records, asked for at most {max}")]
    Bytes {
        /// Bytes in the batch.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// An end below the one before it.
    #[error("the end of record {0} lies before its start")]
    EndsGoDown(usize),
    /// The last end is not the length of the arena.
    #[error("the ends cover {covered} bytes of an arena of {arena}")]
    Uncovered {
        /// The last end.
        covered: usize,
        /// Length of the arena.
        arena: usize,
    },
    /// A record longer than [`RECORD_BYTES_MAX`].
    #[error("record {index} has {bytes} bytes, more than {RECORD_BYTES_MAX}; the plugin has to split it")]
    Record {
        /// Which record.
        index: usize,
        /// How long it is.
        bytes: usize,
    },
    /// A side list that is neither empty nor as long as `ends`.
    #[error("{list} has {got} entries for {records} records")]
    SideList {
        /// Which list.
        list: &'static str,
        /// Its length.
        got: usize,
        /// Records in the batch.
        records: usize,
    },
    /// More streams than [`PLUGIN_STREAMS_MAX`].
    #[error("{0} streams, at most {PLUGIN_STREAMS_MAX} are taken in one batch")]
    Streams(usize),
    /// A record of a stream that is not there.
    #[error("record {record} is of stream {stream}, of {streams}")]
    NoStream {
        /// Which record.
        record: usize,
        /// What it names.
        stream: u16,
        /// Streams in the batch.
        streams: usize,
    },
    /// A label that breaks a rule of streams.
    #[error("stream {stream}: {error}")]
    Label {
        /// Which stream.
        stream: usize,
        /// What is wrong with it.
        error: StreamError,
    },
    /// `_part` with another value than `first`, `middle` and `last`.
    #[error("stream {stream}: {PART_LABEL} is `first`, `middle` or `last`")]
    Part {
        /// Which stream.
        stream: usize,
    },
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("the key of record {record} has {bytes} bytes, more than {KEY_BYTES_MAX}")]
    Key {
        /// Which record.
        record: usize,
        /// How long it is.
        bytes: usize,
    },
    /// Ids from a plugin that has none to give.
    #[error("a source gives no ids, the host makes them")]
    Ids,
    /// A cursor longer than [`CURSOR_BYTES_MAX`](weir_record::limits::CURSOR_BYTES_MAX).
    #[error("a cursor of {got} bytes, more than {max}")]
    Cursor {
        /// How long it is.
        got: usize,
        /// The limit.
        max: usize,
    },
}

/// Records of a plugin that keep the rules. May be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginBatch(RawBatch);

/// Records of one stream out of a [`PluginBatch`], in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecords {
    /// Where they come from.
    pub stream: Stream,
    /// Where each payload ends; at least one.
    pub ends: Vec<u32>,
    /// All payloads, one after the other.
    pub arena: Vec<u8>,
    /// Unix nanoseconds per record, 0 = not given; empty = none given.
    pub times: Vec<u64>,
    /// Key per record, empty = none; empty = none given.
    pub keys: Vec<Vec<u8>>,
    /// Which records of the batch these are; empty = all of them.
    pub indices: Vec<u32>,
}

impl PluginBatch {
    /// The batch, if it keeps every rule.
    pub fn new(raw: RawBatch, limits: BatchLimits) -> Result<PluginBatch, PluginBatchError> {
        validate(&raw, limits)?;
        Ok(PluginBatch(raw))
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// Bytes of all payloads.
    pub fn payload_bytes(&self) -> usize {
        self.0.arena.len()
    }

    /// The parts, which keep the rules.
    pub fn parts(&self) -> &RawBatch {
        &self.0
    }

    /// The records by stream, in order of each stream's first record. `configured` gives the topic and
    /// the labels that win over the plugin's. Buffers move as they are when there is but one stream.
    ///
    /// # Errors
    /// When a stream has too many labels together with the configured ones.
    pub fn into_streams(self, configured: &Stream) -> Result<Vec<StreamRecords>, PluginBatchError> {
        let PluginBatch(raw) = self;
        if raw.ends.is_empty() {
            return Ok(Vec::new());
        }
        let streams = merged(&raw.streams, configured)?;
        let Some(&first) = raw.stream_of.first() else {
            return Ok(vec![whole(raw, &streams, 0)]);
        };
        if raw.stream_of.iter().all(|&of| of == first) {
            return Ok(vec![whole(raw, &streams, usize::from(first))]);
        }
        Ok(split(&raw, &streams))
    }
}

fn merged(sets: &[Labels], configured: &Stream) -> Result<Vec<Stream>, PluginBatchError> {
    if sets.is_empty() {
        return Ok(vec![configured.clone()]);
    }
    let merge = |(stream, labels): (usize, &Labels)| {
        let own = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.filter(|(name, _)| configured.label(name).is_none());
        Stream::with_reserved(configured.topic(), configured.labels().chain(own))
            .map_err(|error| PluginBatchError::Label { stream, error })
    };
    sets.iter().enumerate().map(merge).collect()
}

fn whole(raw: RawBatch, streams: &[Stream], of: usize) -> StreamRecords {
    let RawBatch { arena, ends, times, keys, .. } = raw;
    StreamRecords { stream: streams[of].clone(), ends, arena, times, keys, indices: Vec::new() }
}

fn split(raw: &RawBatch, streams: &[Stream]) -> Vec<StreamRecords> {
    let mut place: Vec<Option<usize>> = vec![None; streams.len()];
    let mut all: Vec<StreamRecords> = Vec::new();
    let mut from = 0;
    for (index, &end) in raw.ends.iter().enumerate() {
        let of = usize::from(raw.stream_of[index]);
        let at = *place[of].get_or_insert(all.len());
        if at == all.len() {
            let stream = streams[of].clone();
            all.push(StreamRecords {
                stream,
                ends: Vec::new(),
                arena: Vec::new(),
                times: Vec::new(),
                keys: Vec::new(),
                indices: Vec::new(),
            });
        }
        let records = &mut all[at];
        records.arena.extend_from_slice(&raw.arena[from..end as usize]);
        records.ends.push(records.arena.len() as u32);
        records.times.extend(raw.times.get(index));
        records.keys.extend(raw.keys.get(index).cloned());
        records.indices.push(index as u32);
        from = end as usize;
    }
    all
}

/// Every rule of `types.batch`, in the order in which later ones need earlier ones.
pub(crate) fn validate(raw: &RawBatch, limits: BatchLimits) -> Result<(), PluginBatchError> {
    let records = raw.ends.len();
    let records_max = limits.records.min(BATCH_RECORDS_MAX);
    let bytes_max = limits.bytes.min(BATCH_BYTES_MAX);
    if records > records_max {
        return Err(PluginBatchError::Records { got: records, max: records_max });
    }
    if raw.arena.len() > bytes_max {
        return Err(PluginBatchError::Bytes { got: raw.arena.len(), max: bytes_max });
    }
    check_ends(&raw.ends, raw.arena.len())?;
    let side = [("times", raw.times.len()), ("stream-of", raw.stream_of.len()), ("keys", raw.keys.len())];
    if let Some(&(list, got)) = side.iter().find(|(_, got)| *got != 0 && *got != records) {
        return Err(PluginBatchError::SideList { list, got, records });
    }
    let streams = raw.streams.len();
    if streams > PLUGIN_STREAMS_MAX {
        return Err(PluginBatchError::Streams(streams));
    }
    if let Some(record) = raw.stream_of.iter().position(|&of| usize::from(of) >= streams) {
        return Err(PluginBatchError::NoStream { record, stream: raw.stream_of[record], streams });
    }
    raw.streams.iter().enumerate().try_for_each(|(stream, labels)| check_labels(stream, labels))?;
    match raw.keys.iter().enumerate().find(|(_, key)| key.len() > KEY_BYTES_MAX) {
        Some((record, key)) => Err(PluginBatchError::Key { record, bytes: key.len() }),
        None => Ok(()),
    }
}

fn check_ends(ends: &[u32], arena: usize) -> Result<(), PluginBatchError> {
    let mut from = 0;
    for (index, &end) in ends.iter().enumerate() {
        let bytes = end.checked_sub(from).ok_or(PluginBatchError::EndsGoDown(index))? as usize;
        if bytes > RECORD_BYTES_MAX {
            return Err(PluginBatchError::Record { index, bytes });
        }
        from = end;
    }
    if from as usize != arena {
        return Err(PluginBatchError::Uncovered { covered: from as usize, arena });
    }
    Ok(())
}

fn check_labels(stream: usize, labels: &Labels) -> Result<(), PluginBatchError> {
    let error = |error| PluginBatchError::Label { stream, error };
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Stream::with_reserved(weir_record::stream::DEFAULT_TOPIC, pairs).map_err(error)?;
    for (name, value) in labels.iter().filter(|(name, _)| name.starts_with('_')) {
        if name != PART_LABEL {
            return Err(error(StreamError::Reserved(name.clone())));
        }
        if !matches!(value.as_str(), "first" | "middle" | "last") {
            return Err(PluginBatchError::Part { stream });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
