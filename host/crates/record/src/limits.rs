//! Every bound in weir, in one place, with its unit in the name.
//!
//! A limit that an operator may change has its default here and is passed on from the configuration;
//! all others are fixed. The assertions at the end hold the relations between them.

/// Payload of one record. Longer input is split into parts that say so.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records in one batch.
pub const BATCH_RECORDS_MAX: usize = 65_536;
/// Payload bytes in one batch: what one poll, one frame, one ack may carry.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Topic of a stream, in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 255;
/// Labels of a stream.
pub const LABELS_MAX: usize = 32;
/// Name of a label, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 64;
/// Value of a label, in bytes of UTF-8. A file path fits.
pub const LABEL_VALUE_BYTES_MAX: usize = 4096;
/// A stream in its encoded form.
pub const STREAM_BYTES_MAX: usize = 16 << 10;
/// Distinct streams in one batch of a plugin.
pub const PLUGIN_STREAMS_MAX: usize = 1024;

/// How far ahead of the node's clock an event time may lie before arrival time takes its place.
pub const EVENT_TIME_AHEAD_MS_MAX: u64 = 10 * 60 * 1000;

/// What a plugin may ask to be stored as its position.
pub const CURSOR_BYTES_MAX: usize = 64 << 10;
/// Name of a source or plugin instance, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Key of one record as a plugin gives it (AMQP: a message-id).
pub const KEY_BYTES_MAX: usize = 1024;

/// Frame of the ingest log: its body, without the frame header.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Payload after which a piece of the ingest log is closed and the next one opened.
pub const PIECE_BYTES_DEFAULT: u64 = 16 << 20;
/// Submissions that may wait for the next group commit, in number and in payload bytes.
pub const COMMIT_QUEUE_ENTRIES_MAX: usize = 1024;
/// See [`COMMIT_QUEUE_ENTRIES_MAX`].
pub const COMMIT_QUEUE_BYTES_MAX: usize = 32 << 20;
/// Free space below which the node refuses new records, whatever the percentage says.
pub const DISK_RESERVE_BYTES: u64 = 64 << 20;

/// Body of one HTTP request, as it comes over the wire and after decompression.
pub const HTTP_BODY_BYTES_MAX: usize = 64 << 20;
/// Head of one HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 << 10;
/// Time in which the head of a request must arrive.
pub const HTTP_HEAD_TIMEOUT_MS: u64 = 5_000;
/// Longest pause between two parts of a request body.
pub const HTTP_BODY_IDLE_TIMEOUT_MS: u64 = 10_000;
/// Connections open at once, and from one address.
pub const HTTP_CONNECTIONS_MAX: usize = 4096;
/// See [`HTTP_CONNECTIONS_MAX`].
pub const HTTP_CONNECTIONS_PER_IP_MAX: usize = 2048;
/// Bodies of ingest requests that may be in memory at once, in bytes.
pub const HTTP_INGEST_INFLIGHT_BYTES_MAX: usize = 128 << 20;
/// Answers to `Idempotency-Key`s kept, and for how long.
pub const IDEMPOTENCY_KEYS_MAX: usize = 65_536;
/// See [`IDEMPOTENCY_KEYS_MAX`].
pub const IDEMPOTENCY_KEY_AGE_MS_MAX: u64 = 24 * 3600 * 1000;
/// An `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// Text of a query.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// Nesting of parentheses in a query.
pub const QUERY_DEPTH_MAX: usize = 64;
/// Terms in a query.
pub const QUERY_TERMS_MAX: usize = 512;
/// Compiled size of one regular expression.
pub const REGEX_BYTES_MAX: usize = 1 << 20;
/// Queries that run at once; more wait.
pub const QUERIES_RUNNING_MAX: usize = 16;
/// Queries that wait; more are refused with 429.
pub const QUERIES_WAITING_MAX: usize = 256;
/// Memory that the rows of one query may take before it is refused.
pub const QUERY_MEMORY_BYTES_MAX: usize = 256 << 20;

/// Memory of one plugin instance, summed over its linear memories.
pub const PLUGIN_MEMORY_BYTES_DEFAULT: usize = 64 << 20;
/// Elements in one plugin instance, summed over its tables.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 20_000;
/// Linear memories, tables and core instances of one plugin.
pub const PLUGIN_MEMORIES_MAX: usize = 4;
/// See [`PLUGIN_MEMORIES_MAX`].
pub const PLUGIN_TABLES_MAX: usize = 16;
/// See [`PLUGIN_MEMORIES_MAX`].
pub const PLUGIN_INSTANCES_MAX: usize = 300;
/// Resource handles a plugin may hold.
pub const PLUGIN_HANDLES_MAX: usize = 1024;
/// A component file.
pub const PLUGIN_FILE_BYTES_MAX: usize = 32 << 20;
/// Longest wait the host lets one poll take.
pub const PLUGIN_POLL_WAIT_MS_MAX: u32 = 1_000;
/// What a call may take beyond the wait it was given.
pub const PLUGIN_CALL_MS_DEFAULT: u64 = 2_000;
/// What `describe` may take.
pub const PLUGIN_DESCRIBE_MS_MAX: u64 = 200;
/// What `describe` may return.
pub const PLUGIN_DESCRIBE_BYTES_MAX: usize = 64 << 10;
/// Tick of the clock that interrupts plugins.
pub const PLUGIN_EPOCH_TICK_MS: u64 = 10;
/// One log line of a plugin; the rest is cut.
pub const PLUGIN_LOG_LINE_BYTES_MAX: usize = 4 << 10;
/// Log lines of one plugin per second, and at once.
pub const PLUGIN_LOG_LINES_PER_S: u32 = 50;
/// See [`PLUGIN_LOG_LINES_PER_S`].
pub const PLUGIN_LOG_LINES_BURST: u32 = 200;
/// Metrics one plugin may define.
pub const PLUGIN_METRICS_MAX: usize = 32;
/// Restarts within a minute after which a plugin is quarantined.
pub const PLUGIN_RESTARTS_PER_MIN_MAX: u32 = 5;
/// Batches a source may have in flight before it is polled no more.
pub const SOURCE_INFLIGHT_BATCHES_MAX: usize = 4;

const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(STREAM_BYTES_MAX >= TOPIC_BYTES_MAX + LABEL_VALUE_BYTES_MAX);
// A full batch with its ids, lengths, stream and cursor fits one frame.
const _: () = assert!(
    BATCH_BYTES_MAX + BATCH_RECORDS_MAX * (20 + 5) + CURSOR_BYTES_MAX + STREAM_BYTES_MAX <= FRAME_BYTES_MAX
);
const _: () = assert!(BATCH_BYTES_MAX <= COMMIT_QUEUE_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX <= HTTP_BODY_BYTES_MAX);
const _: () = assert!(HTTP_BODY_BYTES_MAX <= HTTP_INGEST_INFLIGHT_BYTES_MAX);
const _: () = assert!(PLUGIN_DESCRIBE_MS_MAX >= PLUGIN_EPOCH_TICK_MS);
