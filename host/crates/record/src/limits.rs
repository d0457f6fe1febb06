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
/// Smallest and largest piece that may be configured.
pub const PIECE_BYTES_MIN: u64 = 64 << 10;
/// See [`PIECE_BYTES_MIN`].
pub const PIECE_BYTES_MAX: u64 = 1 << 30;
/// Batches in one entry of the ingest log.
pub const ENTRY_BATCHES_MAX: usize = 4096;
/// Streams of one entry, in their encoded form, a stream counted once per batch.
pub const ENTRY_STREAM_BYTES_MAX: usize = 4 << 20;
/// Batches in one piece of the ingest log: what its index in memory may hold.
pub const PIECE_BATCHES_MAX: usize = 65_536;
/// Distinct streams in one piece of the ingest log, in their encoded form.
pub const PIECE_STREAM_BYTES_MAX: usize = 4 << 20;
/// Damaged ranges that the footer of a piece names one by one.
pub const PIECE_HOLES_MAX: usize = 1024;
/// Cursors of all sources of a node together, with their names: every piece carries them.
pub const LOG_CURSORS_BYTES_MAX: usize = 4 << 20;
/// Bytes that are written and synced at once, unless a single entry is larger.
pub const COMMIT_GROUP_BYTES_MAX: usize = 8 << 20;
/// Submissions that may wait for the next group commit, in number and in payload bytes.
pub const COMMIT_QUEUE_ENTRIES_MAX: usize = 1024;
/// See [`COMMIT_QUEUE_ENTRIES_MAX`].
pub const COMMIT_QUEUE_BYTES_MAX: usize = 32 << 20;
/// Used share of the disk, in percent, above which the node refuses new records.
pub const DISK_FULL_AT_PERCENT_DEFAULT: u64 = 95;
/// How far below that share it must fall before they are accepted again.
pub const DISK_RESUME_BELOW_PERCENT: u64 = 2;
/// Free space below which the node refuses new records, whatever the percentage says.
pub const DISK_RESERVE_BYTES: u64 = 64 << 20;

/// Partitions of a unit: a power of two.
pub const UNIT_PARTITIONS_MAX: u16 = 64;
/// Raw bytes of one block of a segment, payloads and newlines, unless a single record is larger.
pub const SEGMENT_BLOCK_BYTES_DEFAULT: usize = 1 << 20;
/// The least that may be asked for in place of it; a smaller last block is no exception to speak of.
pub const SEGMENT_BLOCK_BYTES_MIN: usize = 1 << 10;
/// Raw bytes of the largest block: one record and its newline.
pub const SEGMENT_BLOCK_BYTES_MAX: usize = RECORD_BYTES_MAX + 1;
/// Records in one block of a segment.
pub const SEGMENT_BLOCK_RECORDS_MAX: usize = 65_536;
/// Side columns of one block, before compression: ids, streams, origins, groups and lengths, a few bytes each.
pub const SEGMENT_COLUMNS_BYTES_MAX: usize = SEGMENT_BLOCK_RECORDS_MAX * 64;
/// Blocks in one segment.
pub const SEGMENT_BLOCKS_MAX: usize = 65_536;
/// Payload of one segment.
pub const SEGMENT_PAYLOAD_BYTES_MAX: u64 = 16 << 30;
/// Distinct streams in one segment.
pub const SEGMENT_STREAMS_MAX: usize = 65_536;
/// Those streams in their encoded form.
pub const SEGMENT_STREAM_BYTES_MAX: usize = 16 << 20;
/// Origins in the lineage of one segment.
pub const SEGMENT_ORIGINS_MAX: usize = 262_144;
/// Footer of a segment, before compression.
pub const SEGMENT_FOOTER_BYTES_MAX: usize = 64 << 20;
/// Payload after which a part of the segment's filter is closed.
pub const SEGMENT_FILTER_PART_BYTES: u64 = 16 << 20;
/// Distinct words after which it is closed, too: what building it may hold in memory.
pub const SEGMENT_FILTER_PART_WORDS: usize = 1 << 20;
/// One filter as bytes: the words of a full part and those of one more block, at two bytes each.
pub const SEGMENT_FILTER_BYTES_MAX: usize = 4 << 20;

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
/// Connections the kernel may hold before they are accepted.
pub const HTTP_BACKLOG: u32 = 1024;
/// Pause before the next accept when the process is out of descriptors.
pub const HTTP_ACCEPT_PAUSE_MS: u64 = 100;
/// Slowest request body, on average, once [`HTTP_BODY_IDLE_TIMEOUT_MS`] has passed.
pub const HTTP_BODY_BYTES_PER_S_MIN: usize = 16 << 10;
/// Bytes that one byte of a compressed body may become, once there are [`HTTP_DECODED_BYTES_FREE`].
pub const HTTP_DECODED_RATIO_MAX: usize = 256;
/// Decompressed bytes of a body that are never counted as a bomb: a full batch of one line again and again,
/// as a service that crashes in a loop writes it, goes through.
pub const HTTP_DECODED_BYTES_FREE: usize = BATCH_BYTES_MAX;
/// Window of a zstd body, as a power of two: 8 MiB, what RFC 9659 allows.
pub const HTTP_ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Body of a request that is no ingest: a query, or a body that nobody asked for.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// Longest time in which a client takes no byte of its answer.
pub const HTTP_WRITE_STALL_MS_MAX: u64 = 120_000;
/// Longest wait for a client to read the last answer of a connection that is being closed.
pub const HTTP_LINGER_MS_MAX: u64 = 1_000;
/// Time that open requests have to end when the node stops.
pub const HTTP_DRAIN_MS_MAX: u64 = 8_000;
/// Longest wait for the first rows of a query before the head of its answer is sent.
pub const HTTP_QUERY_HEAD_WAIT_MS_MAX: u64 = 250;
/// Time in which a client must reach a node.
pub const HTTP_CLIENT_CONNECT_TIMEOUT_MS: u64 = 5_000;
/// Longest time in which a client waits for the next byte of an answer.
pub const HTTP_CLIENT_IDLE_TIMEOUT_MS: u64 = 60_000;
/// Connections that a client keeps for later; shorter than [`HTTP_HEAD_TIMEOUT_MS`], for then they close.
pub const HTTP_CLIENT_POOL_MS_MAX: u64 = 4_000;
/// An answer that a client takes as a whole.
pub const HTTP_CLIENT_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Bodies of ingest requests that may be in memory at once, in bytes.
pub const HTTP_INGEST_INFLIGHT_BYTES_MAX: usize = 128 << 20;
/// Answers to `Idempotency-Key`s kept, and for how long.
pub const IDEMPOTENCY_KEYS_MAX: usize = 65_536;
/// See [`IDEMPOTENCY_KEYS_MAX`].
pub const IDEMPOTENCY_KEY_AGE_MS_MAX: u64 = 24 * 3600 * 1000;
/// An `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// The file that knows them, before it is written anew.
pub const IDEMPOTENCY_FILE_BYTES_MAX: u64 = 64 << 20;

/// Connections open at once on one port for lines, and from one address.
pub const LINES_CONNECTIONS_MAX: usize = 4096;
/// See [`LINES_CONNECTIONS_MAX`].
pub const LINES_CONNECTIONS_PER_IP_MAX: usize = 2048;
/// Connections of one port for lines that are read from at once; the others wait in the kernel's buffers.
pub const LINES_READING_MAX: usize = 128;
/// One read from a connection that sends lines.
pub const LINES_READ_BYTES: usize = 64 << 10;
/// Bytes after which the lines read so far are handed on although there are more: fast and durable. A
/// durable connection waits for an fsync after each, so it takes more at once.
pub const LINES_FAST_TURN_BYTES: usize = 256 << 10;
/// See [`LINES_FAST_TURN_BYTES`].
pub const LINES_DURABLE_TURN_BYTES: usize = 1 << 20;
/// Memory for unfinished lines of all connections of one port; above it they are stored in parts.
pub const LINES_REST_BYTES_MAX: usize = 64 << 20;
/// What each connection may keep of an unfinished line beside that.
pub const LINES_REST_BYTES_FREE: usize = 4 << 10;
/// Silence after which a connection that sends lines is closed. Long: a sender learns of it by losing a line,
/// for the protocol has no answers. Dead peers are found by TCP's keep-alive.
pub const LINES_IDLE_MS_MAX: u64 = 24 * 3600 * 1000;

/// Text of a query.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// Nesting of parentheses in a query.
pub const QUERY_DEPTH_MAX: usize = 64;
/// Terms in a query.
pub const QUERY_TERMS_MAX: usize = 512;
/// Regular expressions in a query.
pub const QUERY_REGEXES_MAX: usize = 32;
/// Compiled size of one regular expression.
pub const REGEX_BYTES_MAX: usize = 1 << 20;
/// Queries that run at once; more wait.
pub const QUERIES_RUNNING_MAX: usize = 16;
/// Queries that wait; more are refused with 429.
pub const QUERIES_WAITING_MAX: usize = 256;
/// Entries about what is missing that one answer lists; the rest is counted.
pub const QUERY_MISSING_MAX: usize = 1000;
/// Memory that the rows of one query may take before it is refused.
pub const QUERY_MEMORY_BYTES_MAX: usize = 256 << 20;
/// Rows that are handed on at once: a chunk is sent when it has at least so many bytes.
pub const QUERY_CHUNK_BYTES: usize = 512 << 10;
/// What a worker reads at once, if one batch is not larger: it stays in the cache while it is searched.
pub const QUERY_PORTION_BYTES: usize = 512 << 10;
/// What a worker searches before it looks whether the query was cancelled.
pub const QUERY_STRIDE_BYTES: usize = 256 << 10;
/// The least memory with which a piece is searched: its largest record fits four times.
pub const QUERY_SCAN_BYTES_MIN: usize = 4 * RECORD_BYTES_MAX + (64 << 10);
/// The most memory with which a piece is searched: its rows are addressed with 32 bits.
pub const QUERY_SCAN_BYTES_MAX: usize = 1 << 30;
/// Streams whose matchers a query remembers.
pub const QUERY_STREAMS_CACHED_MAX: usize = 4096;

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
/// The most that may be configured in place of [`PLUGIN_CALL_MS_DEFAULT`].
pub const PLUGIN_CALL_MS_MAX: u64 = 60_000;
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
/// Pause before a plugin is tried again: the first one, doubled each time up to the last one.
pub const PLUGIN_BACKOFF_MS_MIN: u64 = 1_000;
/// See [`PLUGIN_BACKOFF_MS_MIN`].
pub const PLUGIN_BACKOFF_MS_MAX: u64 = 5 * 60 * 1000;
/// How long a plugin must run without a failure for its back-off to start over.
pub const PLUGIN_HEALTHY_AFTER_MS: u64 = 60_000;
/// Memory that the configuration may give one plugin instance.
pub const PLUGIN_MEMORY_BYTES_MAX: usize = 1 << 30;
/// What one call of a plugin may make the host copy: a full batch with its side lists.
pub const PLUGIN_COPY_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX + (64 << 10);
/// Plugin instances that may be alive at once in one process.
pub const PLUGIN_INSTANCES_ALIVE_MAX: u32 = 256;
/// Stack of a plugin, and of the fiber it runs on; the difference is the host's own.
pub const PLUGIN_STACK_BYTES_MAX: usize = 512 << 10;
/// See [`PLUGIN_STACK_BYTES_MAX`].
pub const PLUGIN_FIBER_BYTES: usize = 2 << 20;
/// What `close` may take.
pub const PLUGIN_CLOSE_MS_MAX: u64 = 10_000;
/// Pause a source may ask for between two polls.
pub const PLUGIN_IDLE_MS_MIN: u32 = 10;
/// See [`PLUGIN_IDLE_MS_MIN`].
pub const PLUGIN_IDLE_MS_MAX: u32 = 60_000;
/// Message and code of a failure that a plugin reports; the rest is cut.
pub const PLUGIN_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Fields of one log line of a plugin; more are left out.
pub const PLUGIN_LOG_FIELDS_MAX: usize = 16;
/// Compiled plugins kept on disk; the least recently written go first.
pub const PLUGIN_ARTIFACTS_MAX: usize = 64;

/// One read of a file or of standard input on behalf of a plugin. More than a record: a source that reads
/// again what is no whole line yet must see that a line is too long, or it would never get past it.
pub const CAPABILITY_READ_BYTES_MAX: usize = 4 << 20;
/// Directory entries that one scan of a grant looks at.
pub const FILES_SCAN_ENTRIES_MAX: usize = 200_000;
/// Files that one scan of a grant returns.
pub const FILES_SCAN_FILES_MAX: usize = 16_384;
/// Directories below each other that a scan follows.
pub const FILES_SCAN_DEPTH_MAX: usize = 64;
/// Directories of one plugin instance that are watched for changes.
pub const FILES_WATCHES_MAX: usize = 4096;
/// Standard input read ahead of the plugin that takes it.
pub const STDIN_BUFFER_BYTES_MAX: usize = 4 << 20;
/// Batches a source may have in flight before it is polled no more.
pub const SOURCE_INFLIGHT_BATCHES_MAX: usize = 4;

/// A configuration file.
pub const CONFIG_FILE_BYTES_MAX: usize = 1 << 20;
/// Sources of one node.
pub const SOURCES_MAX: usize = 1024;
/// Pause of a forwarder after all ingest nodes refused: the first, and the longest after doubling.
pub const FORWARD_BACKOFF_MS_MIN: u64 = 200;
/// See [`FORWARD_BACKOFF_MS_MIN`].
pub const FORWARD_BACKOFF_MS_MAX: u64 = 10_000;
/// Requests that a forwarder has under way at once.
pub const FORWARD_INFLIGHT_MAX: usize = 4;
/// Frames of the journal that one of them carries, in bytes, unless a single frame is larger.
pub const FORWARD_PARCEL_BYTES: u64 = 2 << 20;
/// Batches that one of them carries, unless a single frame holds more.
pub const FORWARD_PARCEL_BATCHES: usize = 4096;
/// Smallest spool: what is under way at once, the piece being written and one more entry fit twice, so that the
/// oldest can always be dropped.
pub const FORWARD_SPOOL_BYTES_MIN: u64 = 16 << 20;
/// Pieces into which a full spool is divided, unless they become larger than those of an ingest log.
pub const FORWARD_SPOOL_PIECES: u64 = 8;
/// What a batch is counted beyond its payloads in a spool: its head, and so much per record.
pub const FORWARD_BATCH_BYTES: u64 = 128;
/// See [`FORWARD_BATCH_BYTES`].
pub const FORWARD_RECORD_BYTES: u64 = 3;
/// How often a forwarder writes down how far its journal was acknowledged.
pub const FORWARD_CHECKPOINT_MS: u64 = 1_000;
/// How far the clocks of the nodes may be off before a forwarder goes by theirs: what they say comes in whole
/// seconds, and takes its time.
pub const FORWARD_CLOCK_TOLERANCE_MS: u64 = 5_000;
/// Longest wait for the clocks of the nodes before the first id is made.
pub const FORWARD_CLOCK_WAIT_MS: u64 = 2_000;
/// How often a forwarder repeats that something goes on being wrong.
pub const FORWARD_SAY_MS: u64 = 60_000;

const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(STREAM_BYTES_MAX >= TOPIC_BYTES_MAX + LABEL_VALUE_BYTES_MAX);
// A full batch with its ids, lengths, stream and cursor fits one frame.
const _: () = assert!(
    BATCH_BYTES_MAX + BATCH_RECORDS_MAX * (20 + 5) + CURSOR_BYTES_MAX + STREAM_BYTES_MAX <= FRAME_BYTES_MAX
);
// Any entry fits an empty piece, and the footer of a full piece fits one frame.
const _: () =
    assert!(ENTRY_BATCHES_MAX <= PIECE_BATCHES_MAX && ENTRY_STREAM_BYTES_MAX <= PIECE_STREAM_BYTES_MAX);
const _: () = assert!(
    PIECE_BATCHES_MAX * (55 + 3) + PIECE_STREAM_BYTES_MAX + LOG_CURSORS_BYTES_MAX + PIECE_HOLES_MAX * 20 + 64
        <= FRAME_BYTES_MAX
);
const _: () = assert!(BATCH_BYTES_MAX <= COMMIT_QUEUE_BYTES_MAX);
const _: () = assert!(QUERY_SCAN_BYTES_MIN * 4 <= QUERY_MEMORY_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX <= HTTP_BODY_BYTES_MAX);
const _: () = assert!(HTTP_BODY_BYTES_MAX <= HTTP_INGEST_INFLIGHT_BYTES_MAX);
const _: () = assert!(
    2 * (IDEMPOTENCY_KEYS_MAX * (IDEMPOTENCY_KEY_BYTES_MAX + 64)) as u64 <= IDEMPOTENCY_FILE_BYTES_MAX
);
const _: () = assert!(FRAME_BYTES_MAX as u64 + FORWARD_PARCEL_BYTES <= HTTP_BODY_BYTES_MAX as u64);
const _: () = assert!(2 * FORWARD_PARCEL_BYTES * (FORWARD_INFLIGHT_MAX as u64) <= FORWARD_SPOOL_BYTES_MIN);
const _: () = assert!(FORWARD_CLOCK_TOLERANCE_MS < EVENT_TIME_AHEAD_MS_MAX);
const _: () = assert!(LINES_DURABLE_TURN_BYTES + LINES_READ_BYTES <= BATCH_BYTES_MAX);
const _: () = assert!(LINES_FAST_TURN_BYTES <= LINES_DURABLE_TURN_BYTES);
const _: () = assert!(QUERY_BYTES_MAX < HTTP_SMALL_BODY_BYTES_MAX);
const _: () = assert!(HTTP_CLIENT_POOL_MS_MAX < HTTP_HEAD_TIMEOUT_MS);
const _: () = assert!(PLUGIN_DESCRIBE_MS_MAX >= PLUGIN_EPOCH_TICK_MS);
const _: () = assert!(PLUGIN_STACK_BYTES_MAX < PLUGIN_FIBER_BYTES);
const _: () = assert!(PIECE_BYTES_MIN <= PIECE_BYTES_DEFAULT && PIECE_BYTES_DEFAULT <= PIECE_BYTES_MAX);
const _: () = assert!(PLUGIN_MEMORY_BYTES_DEFAULT <= PLUGIN_MEMORY_BYTES_MAX);
// A full batch with an end, a time and a stream number per record can be handed over.
const _: () =
    assert!(BATCH_BYTES_MAX + BATCH_RECORDS_MAX * (4 + 8 + 2) + CURSOR_BYTES_MAX <= PLUGIN_COPY_BYTES_MAX);
const _: () = assert!(2 * RECORD_BYTES_MAX <= CAPABILITY_READ_BYTES_MAX);
// Any block, part or footer of a segment fits the 32 bits of a skippable frame, and the words of a part its filter.
const _: () = assert!(SEGMENT_BLOCK_BYTES_DEFAULT <= SEGMENT_BLOCK_BYTES_MAX);
const _: () = assert!(SEGMENT_FILTER_PART_WORDS + SEGMENT_BLOCK_BYTES_MAX / 2 < SEGMENT_FILTER_BYTES_MAX / 2);
const _: () = assert!(
    SEGMENT_STREAM_BYTES_MAX + SEGMENT_STREAMS_MAX * 3 + SEGMENT_ORIGINS_MAX * 47 + SEGMENT_BLOCKS_MAX * 96
        <= SEGMENT_FOOTER_BYTES_MAX
);
