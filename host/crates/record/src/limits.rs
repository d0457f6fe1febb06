//! Every bound in weir, in one place, with its unit in the name.
//!
//! A limit that an operator may change has its default here and is passed on from the configuration;
//! all others are fixed. `fit.rs` holds the relations between them.

mod access;
mod amqp;
mod export;
mod filters;
mod fit;
mod gossip;
mod holdings;
mod oklog;
mod plugins;
mod queries;
mod repair;
mod segment;

pub use access::*;
pub use amqp::*;
pub use export::*;
pub use filters::*;
pub use gossip::*;
pub use holdings::*;
pub use oklog::*;
pub use plugins::*;
pub use queries::*;
pub use repair::*;
pub use segment::*;

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

/// Time bucket of a unit.
pub const UNIT_BUCKET_MS: u64 = 3_600_000;
/// How long ago a bucket must have ended for its records to come so seldom that one partition is enough.
pub const UNIT_LATE_AFTER_MS: u64 = 3_600_000;
/// Partitions of a unit: a power of two.
pub const UNIT_PARTITIONS_MAX: u16 = 64;
/// Partitions of keyed records: the same everywhere and for ever, or equal keys would not meet.
pub const UNIT_KEYED_PARTITIONS: u16 = 16;
/// What is read of a piece at once while it is sealed; more when a single frame is larger.
pub const SEAL_PORTION_BYTES: u64 = 1 << 20;
/// Bytes of an origin that are gathered before they are written.
pub const SEAL_WRITE_BYTES: usize = 1 << 20;

/// Payload of a segment that compaction aims at: about a quarter of it on disk. From half of it on a segment
/// counts as full and is not merged any more.
pub const STORE_SEGMENT_BYTES_DEFAULT: u64 = 512 << 20;
/// What may be asked for in place of it.
pub const STORE_SEGMENT_BYTES_MIN: u64 = 16 << 20;
/// See [`STORE_SEGMENT_BYTES_MIN`].
pub const STORE_SEGMENT_BYTES_MAX: u64 = 8 << 30;
/// Least segments of one size class that are merged at once: each merge lifts its records a class.
pub const STORE_COMPACT_INPUTS_MIN: usize = 8;
/// Most segments that are merged at once.
pub const STORE_COMPACT_INPUTS_MAX: usize = 16;
/// Most sections of what is merged that may have ids in common: one block of each is in memory, of some 6 MiB at most.
pub const STORE_COMPACT_OVERLAP_MAX: usize = 16;
/// Blocks' worth of payload from which on a segment is put behind others as it is; smaller ones are written anew, so
/// that blocks and parts of filters become large.
pub const STORE_COPY_BLOCKS_MIN: u64 = 1;
/// How long after the end of its bucket little is expected for a unit any more, so that its rest is merged.
pub const STORE_SETTLED_AFTER_MS: u64 = 3_600_000;
/// Origins that a store takes at once; more are asked to come again.
pub const STORE_INCOMING_MAX: usize = 64;
/// What is collected before it is written to a file of the store.
pub const STORE_WRITE_BYTES: usize = 256 << 10;
/// Steps in which the watermark of expiry moves: each is a durable write.
pub const STORE_WATERMARK_STEP_MS: u64 = 60_000;
/// The file of the watermarks.
pub const STORE_WATERMARK_FILE_BYTES_MAX: usize = 1 << 20;
/// Damages of one segment that are told one by one.
pub const STORE_DAMAGES_TOLD_MAX: usize = 16;
/// Copies of every origin that can be asked for.
pub const REPLICATION_MAX: usize = 16;
/// Time that a store has to fetch, verify and keep an origin before others may.
pub const CLAIM_MS: u64 = 30_000;
/// Age at which an origin that its first stores have not confirmed becomes the business of the next one in
/// rank; the one after that takes over after twice that time, and so on.
pub const TAKEOVER_MS: u64 = 5_000;
/// Pause after which a store confirms again what is still offered: the ingest node may have been restarted.
pub const RECONFIRM_MS: u64 = 5 * 60 * 1000;
/// Origins that were handed over and deleted, and whose late confirmations are still understood.
pub const OFFERS_DONE_MAX: usize = 65_536;
/// Pause before a transfer that failed is tried again: the first one, doubled each time up to the last one.
pub const TRANSFER_BACKOFF_MS_MIN: u64 = 200;
/// See [`TRANSFER_BACKOFF_MS_MIN`].
pub const TRANSFER_BACKOFF_MS_MAX: u64 = 60_000;
/// Failures of one origin after which it is called poison and named.
pub const POISON_FAILURES: u32 = 3;
/// What is said about a failed transfer; the rest is cut.
pub const TRANSFER_WHY_BYTES_MAX: usize = 256;
/// Confirmations that a store sends at once.
pub const CONFIRMS_MAX: usize = 1024;
/// How old a record may be when it comes to an ingest node that takes no event times.
pub const ARRIVAL_LATE_MS_MAX: u64 = 10 * 60 * 1000;

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

/// A cluster key, decoded: the least that keeps a secret, and more than anybody needs.
pub const CLUSTER_KEY_BYTES_MIN: usize = 32;
/// See [`CLUSTER_KEY_BYTES_MIN`].
pub const CLUSTER_KEY_BYTES_MAX: usize = 1024;
/// How far the clock of a node that asks may be off that of the node that answers.
pub const NODE_CLOCK_OFF_MS_MAX: u64 = 10 * 60 * 1000;
/// Signed requests that a node remembers, so that it takes none twice. When there are more within
/// [`NODE_CLOCK_OFF_MS_MAX`], the oldest are forgotten and nothing as old as they is taken.
pub const NODE_NONCES_MAX: usize = 262_144;
/// Body of a request between nodes: what is assigned in a search above all.
pub const NODE_REQUEST_BYTES_MAX: usize = 8 << 20;
/// Units that one search names.
pub const NODE_SEARCH_UNITS_MAX: usize = 65_536;
/// Origins that one search names.
pub const NODE_SEARCH_ORIGINS_MAX: usize = 262_144;
/// Origins confirmed in one request.
pub const NODE_CONFIRMATIONS_MAX: usize = 4096;
/// Text about what went wrong that one node tells another; the rest is cut.
pub const NODE_TEXT_BYTES_MAX: usize = 4 << 10;
/// Body of one frame of an answer between nodes.
pub const NODE_FRAME_BYTES_MAX: usize = 16 << 20;
/// Streams that the reader of an answer remembers, in their encoded form.
pub const NODE_STREAMS_CACHED_BYTES_MAX: usize = 4 << 20;
/// A listing of all that a node holds, in bytes.
pub const NODE_CHANGES_BYTES_MAX: usize = 128 << 20;
/// One sealed origin as a file.
pub const NODE_ORIGIN_BYTES_MAX: u64 = 2 << 30;
/// Time buckets of one histogram.
pub const NODE_BUCKETS_MAX: usize = 65_536;
/// Longest wait for news that one request may ask for.
pub const NODE_WAIT_MS_MAX: u64 = 30_000;
/// Silence in a streamed answer after which a heartbeat is sent.
pub const NODE_HEARTBEAT_MS: u64 = 3_000;
/// Silence in a streamed answer after which the node that asked gives up.
pub const NODE_SILENCE_MS_MAX: u64 = 15_000;
/// A position in the arrival of records, in bytes.
pub const TAIL_POSITION_BYTES_MAX: usize = 1024;

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
/// Name of a field in a query.
pub const QUERY_FIELD_NAME_BYTES_MAX: usize = 256;
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
/// Payload of the blocks of a segment that one worker searches in turn, unless one block has more.
pub const QUERY_ITEM_BYTES: usize = 4 << 20;
/// Rows of a query that are found ahead of those being sent, while these can be sent.
pub const QUERY_AHEAD_BYTES: usize = 32 << 20;
/// What a worker searches before it looks whether the query was cancelled.
pub const QUERY_STRIDE_BYTES: usize = 256 << 10;
/// The least memory with which a piece is searched: its largest record fits four times.
pub const QUERY_SCAN_BYTES_MIN: usize = 4 * RECORD_BYTES_MAX + (64 << 10);
/// The most memory with which a piece is searched: its rows are addressed with 32 bits.
pub const QUERY_SCAN_BYTES_MAX: usize = 1 << 30;
/// How soon after a piece was sealed another one is completed because somebody waits for copies.
pub const SEAL_WANTED_MS_MIN: u64 = 100;
/// Payload bytes that one step of compaction merges.
pub const COMPACT_STEP_BYTES: u64 = 1 << 30;
/// Origins that a store fetches at the same time.
pub const PULLS_MAX: usize = 8;
/// How often a node asks another one who it is and how it does.
pub const PEER_INFO_MS: u64 = 2_000;
/// Up to so many nodes; with more of them each is asked less often.
pub const PEER_INFO_NODES: u64 = 32;
/// How long a node that is asked for a plan may take before it counts as silent.
pub const PLAN_TIMEOUT_MS: u64 = 3_000;
/// How often a query is planned anew because what it was planned on is gone.
pub const PLANS_MAX: usize = 8;
/// How long a node may take with its share of a query before others are asked for it, too, if they have it.
pub const HEDGE_MS: u64 = 1_500;
/// How long a node that was gone may take to say that it is back, before what it holds is said to be missing.
pub const PEER_BACK_MS: u64 = 250;
/// Snapshots that a node keeps for searches that were planned on them.
pub const SNAPSHOTS_MAX: usize = 256;
/// How long it keeps one.
pub const SNAPSHOT_AGE_MS_MAX: u64 = 60_000;
/// Buckets of one histogram.
pub const HISTOGRAM_BUCKETS_MAX: usize = 10_000;
/// Records that may be repeats which a count looks at together, at some 50 bytes each. More are counted in
/// several goes.
pub const QUERY_SUSPECTS_MAX: usize = 1 << 18;
/// Streams whose matchers a query remembers.
pub const QUERY_STREAMS_CACHED_MAX: usize = 4096;
/// Buckets of a histogram when nobody says how many.
pub const HISTOGRAM_BUCKETS_DEFAULT: usize = 60;

/// Clients of one node that get live records at once; more are refused with 429.
pub const TAIL_CLIENTS_MAX: usize = 128;
/// Live records that are handed to a client at once: so many bytes, and as much as one stride of the search and
/// one record more.
pub const TAIL_CHUNK_BYTES: usize = 128 << 10;
/// Chunks that wait for one client; a client that takes none is not searched for.
pub const TAIL_CHUNKS_MAX: usize = 2;
/// What arrived last and can still be sent: payload bytes, pieces of the log, their batches, and time since a
/// piece was written. A client that is further behind is told of a gap.
pub const TAIL_KEPT_BYTES_MAX: u64 = 64 << 20;
/// See [`TAIL_KEPT_BYTES_MAX`].
pub const TAIL_KEPT_PIECES_MAX: usize = 256;
/// See [`TAIL_KEPT_BYTES_MAX`]. What is known of a batch takes some 60 bytes of memory.
pub const TAIL_KEPT_BATCHES_MAX: usize = 262_144;
/// See [`TAIL_KEPT_BYTES_MAX`].
pub const TAIL_KEPT_MS_MAX: u64 = 5 * 60 * 1000;
/// Shortest time between two looks at the log for live records: many commits are one look.
pub const TAIL_LOOK_MS_MIN: u64 = 10;
/// After how long a client whose query matches nothing gets a new token.
pub const TAIL_IDLE_MS: u64 = 5_000;
/// A token with which a tail is taken up again: one place per ingest node. Fits the head of a request, base64
/// and all.
pub const TAIL_TOKEN_BYTES_MAX: usize = 12 << 10;
/// Ingest nodes in such a token.
pub const TAIL_TOKEN_NODES_MAX: usize = 256;
/// Streams whose matchers are remembered for one client.
pub const TAIL_STREAMS_CACHED_MAX: usize = 256;
/// What a client takes between two ids of a tail, and its longest line. A record of control characters takes six
/// times its size.
pub const TAIL_CLIENT_BYTES_MAX: usize = 64 << 20;
/// Silence after which a client of live records is sent a comment, so that no proxy closes the connection.
pub const TAIL_HEARTBEAT_MS: u64 = 15_000;

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
