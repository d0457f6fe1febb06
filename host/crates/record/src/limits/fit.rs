//! How limits hang together: a change that breaks one of these relations does not compile.

#[allow(clippy::wildcard_imports, reason = "all of them, and nothing else")]
use super::*;

// Any entry fits an empty piece, and the footer of a full piece fits one frame.
const _: () =
    assert!(ENTRY_BATCHES_MAX <= PIECE_BATCHES_MAX && ENTRY_STREAM_BYTES_MAX <= PIECE_STREAM_BYTES_MAX);
// A full batch with an end, a time and a stream number per record can be handed over.
const _: () =
    assert!(BATCH_BYTES_MAX + BATCH_RECORDS_MAX * (4 + 8 + 2) + CURSOR_BYTES_MAX <= PLUGIN_COPY_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(STREAM_BYTES_MAX >= TOPIC_BYTES_MAX + LABEL_VALUE_BYTES_MAX);
// A full batch with its ids, lengths, stream and cursor fits one frame.
const _: () = assert!(
    BATCH_BYTES_MAX + BATCH_RECORDS_MAX * (20 + 5) + CURSOR_BYTES_MAX + STREAM_BYTES_MAX <= FRAME_BYTES_MAX
);
const _: () = assert!(
    PIECE_BATCHES_MAX * (55 + 3) + PIECE_STREAM_BYTES_MAX + LOG_CURSORS_BYTES_MAX + PIECE_HOLES_MAX * 20 + 64
        <= FRAME_BYTES_MAX
);
const _: () = assert!(BATCH_BYTES_MAX <= COMMIT_QUEUE_BYTES_MAX);
const _: () = assert!(QUERY_SCAN_BYTES_MIN * 4 <= QUERY_MEMORY_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX <= HTTP_BODY_BYTES_MAX);
const _: () = assert!(HTTP_BODY_BYTES_MAX <= HTTP_INGEST_INFLIGHT_BYTES_MAX);
const _: () = assert!(LINES_DURABLE_TURN_BYTES + LINES_READ_BYTES <= BATCH_BYTES_MAX);
const _: () = assert!(LINES_FAST_TURN_BYTES <= LINES_DURABLE_TURN_BYTES);
const _: () = assert!(QUERY_BYTES_MAX < HTTP_SMALL_BODY_BYTES_MAX);
const _: () = assert!(TAIL_TOKEN_NODES_MAX * (8 + 8 + 10 + 10 + 5) + 8 <= TAIL_TOKEN_BYTES_MAX);
const _: () = assert!(TAIL_TOKEN_BYTES_MAX * 4 / 3 + QUERY_BYTES_MAX <= HTTP_HEAD_BYTES_MAX);
const _: () = assert!(6 * (TAIL_CHUNK_BYTES + QUERY_STRIDE_BYTES + RECORD_BYTES_MAX) < TAIL_CLIENT_BYTES_MAX);
const _: () = assert!(TAIL_HEARTBEAT_MS * 2 < HTTP_CLIENT_IDLE_TIMEOUT_MS);
const _: () = assert!(HTTP_CLIENT_POOL_MS_MAX < HTTP_HEAD_TIMEOUT_MS);
// One lost heartbeat is no silence; any record with its stream fits a frame, and so do the counts of a histogram.
const _: () = assert!(3 * NODE_HEARTBEAT_MS < NODE_SILENCE_MS_MAX);
const _: () = assert!(RECORD_BYTES_MAX + STREAM_BYTES_MAX + 64 <= NODE_FRAME_BYTES_MAX);
const _: () = assert!(NODE_BUCKETS_MAX * 5 * 10 + 10 <= NODE_FRAME_BYTES_MAX);
const _: () = assert!(NODE_REQUEST_BYTES_MAX <= HTTP_BODY_BYTES_MAX);
const _: () = assert!(PLUGIN_DESCRIBE_MS_MAX >= PLUGIN_EPOCH_TICK_MS);
const _: () = assert!(PLUGIN_STACK_BYTES_MAX < PLUGIN_FIBER_BYTES);
const _: () = assert!(PIECE_BYTES_MIN <= PIECE_BYTES_DEFAULT && PIECE_BYTES_DEFAULT <= PIECE_BYTES_MAX);
const _: () = assert!(PLUGIN_MEMORY_BYTES_DEFAULT <= PLUGIN_MEMORY_BYTES_MAX);
const _: () = assert!(2 * RECORD_BYTES_MAX <= CAPABILITY_READ_BYTES_MAX);
// Any block, part or footer of a segment fits the 32 bits of a skippable frame, and the words of a part its filter.
const _: () = assert!(
    SEGMENT_BLOCK_BYTES_DEFAULT <= SEGMENT_BLOCK_BYTES_MAX && RECORD_BYTES_MAX < SEGMENT_BLOCK_BYTES_MAX
);
const _: () = assert!(SEGMENT_FILTER_PART_WORDS + SEGMENT_BLOCK_BYTES_MAX / 2 < SEGMENT_FILTER_BYTES_MAX / 2);
const _: () = assert!(
    SEGMENT_STREAM_BYTES_MAX
        + SEGMENT_STREAMS_MAX * 3
        + SEGMENT_ORIGINS_MAX * 50
        + SEGMENT_BLOCKS_MAX * 112
        + SEGMENT_LEAVES_MAX * 36
        + SEGMENT_SECTION_STREAMS_MAX * 3
        + SEGMENT_SECTIONS_MAX * 12
        <= SEGMENT_FOOTER_BYTES_MAX
);
const _: () = assert!(2 <= STORE_COMPACT_INPUTS_MIN && STORE_COMPACT_INPUTS_MIN <= STORE_COMPACT_INPUTS_MAX);
const _: () = assert!(STORE_COMPACT_INPUTS_MIN <= STORE_COMPACT_OVERLAP_MAX);
const _: () = assert!(STORE_SEGMENT_BYTES_MIN <= STORE_SEGMENT_BYTES_DEFAULT);
const _: () = assert!(STORE_SEGMENT_BYTES_DEFAULT <= STORE_SEGMENT_BYTES_MAX);
const _: () = assert!(STORE_SEGMENT_BYTES_MAX <= SEGMENT_PAYLOAD_BYTES_MAX);
// Every retention class fits the first page of a listing, and an event of any kind does many times over.
const _: () = assert!(WATERMARKS_MAX * (NAME_BYTES_MAX + 16) <= CHANGES_BYTES_MAX / 8);
const _: () = assert!(TRANSFER_BACKOFF_MS_MIN <= TRANSFER_BACKOFF_MS_MAX && TAKEOVER_MS <= CLAIM_MS);
const _: () = assert!(
    2 * (IDEMPOTENCY_KEYS_MAX * (IDEMPOTENCY_KEY_BYTES_MAX + 64)) as u64 <= IDEMPOTENCY_FILE_BYTES_MAX
);
const _: () = assert!(FRAME_BYTES_MAX as u64 + FORWARD_PARCEL_BYTES <= HTTP_BODY_BYTES_MAX as u64);
const _: () = assert!(2 * FORWARD_PARCEL_BYTES * (FORWARD_INFLIGHT_MAX as u64) <= FORWARD_SPOOL_BYTES_MIN);
const _: () = assert!(FORWARD_CLOCK_TOLERANCE_MS < EVENT_TIME_AHEAD_MS_MAX);
const _: () = assert!(FORWARD_LINES_BACKOFF_MS_MIN <= FORWARD_LINES_BACKOFF_MS_MAX);
// A store of OK Log reads lines into 64 KiB.
const _: () = assert!(OKLOG_LINE_BYTES_MAX < 64 << 10);
const _: () = assert!(OKLOG_SUSPECT_PAUSE_MS_MIN <= OKLOG_SUSPECT_PAUSE_MS_MAX);
const _: () = assert!(OKLOG_SUSPECT_ALONE_MS_MAX < OKLOG_CLAIM_MS_MAX);
const _: () =
    assert!(HTTP_BODY_BYTES_MAX <= OKLOG_CONSUMED_BYTES_MAX && OKLOG_READ_MS_MAX < OKLOG_CLAIM_MS_MAX);
const _: () = assert!(OKLOG_IDLE_MS_MIN <= OKLOG_IDLE_MS_MAX && OKLOG_IDLE_MS_MAX <= OKLOG_FAILED_MS_MAX);
const _: () =
    assert!(OKLOG_WINDOW_MS_MIN <= OKLOG_WINDOW_MS_DEFAULT && OKLOG_WINDOW_MS_DEFAULT <= OKLOG_WINDOW_MS_MAX);
// Ingest nodes and other stores together never crowd a store.
const _: () = assert!(PULLS_MAX + REPAIR_FETCHES_MAX <= STORE_INCOMING_MAX);
const _: () =
    assert!(REPAIR_AFTER_MS_MIN <= REPAIR_AFTER_MS_DEFAULT && REPAIR_AFTER_MS_DEFAULT <= REPAIR_AFTER_MS_MAX);
// A record of gossip fits beside any header, and a full memory fits its file.
const _: () = assert!(GOSSIP_RECORD_BYTES_MAX * 4 < GOSSIP_DATAGRAM_BYTES_MAX);
const _: () = assert!(GOSSIP_URL_BYTES_MAX + GOSSIP_ZONE_BYTES_MAX + 80 <= GOSSIP_RECORD_BYTES_MAX);
const _: () = assert!(
    KNOWN_NODES_MAX * (GOSSIP_RECORD_BYTES_MAX + 64) + GOSSIP_GONE_MAX * 32 + 64 <= GOSSIP_MEMORY_BYTES_MAX
);
// What drains leaves time for the log to be closed, and requests end before they are cut off.
const _: () = assert!(HTTP_DRAIN_MS_MAX < STOP_DRAIN_MS_MAX && STOP_DRAIN_MS_MAX + 1_000 < STOP_MS_MAX);
// One late beat is no stall.
const _: () = assert!(HEART_LOOK_MS * HEART_LOOKS_MAX as u64 >= 4 * HEART_BEAT_MS);
