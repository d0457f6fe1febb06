//! Bounds of filters in queries.

use crate::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, NODE_FRAME_BYTES_MAX, NODE_KNOWN_MAX, PLUGIN_COPY_BYTES_MAX,
    PLUGIN_FILE_BYTES_MAX, RECORD_BYTES_MAX,
};

/// Pipes of a query.
pub const QUERY_STAGES_MAX: usize = 8;
/// Arguments of one pipe.
pub const QUERY_STAGE_ARGS_MAX: usize = 64;
/// The parameters of a filter as they go to other nodes, in bytes of JSON.
pub const FILTER_PARAMS_BYTES_MAX: usize = 16 << 10;
/// Records that a filter is given at a time.
pub const FILTER_BATCH_RECORDS_MAX: usize = 4096;
/// Payload of the records that a filter is given at a time; one record may be larger.
pub const FILTER_BATCH_BYTES_MAX: usize = 1 << 20;
/// Milliseconds that a call of a filter may take, unless configured otherwise.
pub const FILTER_CALL_MS_DEFAULT: u64 = 1_000;
/// Traps after which a query that goes on without the filter (`on_trap`) does not open it again.
pub const FILTER_TRAPS_PER_QUERY_MAX: u32 = 16;
/// State of an aggregate as it goes to other nodes, in bytes. Also what it may hand over in one call.
pub const AGGREGATE_PARTIAL_BYTES_MAX: usize = 16 << 20;
/// Records that may lie on several nodes, which an aggregate is given on the node that was asked: so many at a time.
pub const AGGREGATE_SUSPECTS_MAX: usize = 16_384;
/// What those of one go may take, from all nodes together; a query with more is refused.
pub const AGGREGATE_SUSPECTS_BYTES_MAX: usize = 256 << 20;
/// Name of a component that is sent from node to node.
pub const FILTER_NAME_BYTES_MAX: usize = 64;
/// Components that a node keeps in memory because others have sent them; the one that was asked for longest ago goes first.
pub const FILTERS_SENT_MAX: usize = 32;
/// Their files, all together, in bytes.
pub const FILTERS_SENT_BYTES_MAX: usize = 128 << 20;
/// How long a node that was sent a component may take to compile it, in milliseconds.
pub const FILTER_COMPILE_MS_MAX: u64 = 60_000;
/// Words and literals that a filter may hint at, all together.
pub const FILTER_HINTS_MAX: usize = 64;

const _: () = assert!(FILTERS_SENT_BYTES_MAX >= 2 * PLUGIN_FILE_BYTES_MAX);
const _: () = assert!(FILTER_BATCH_RECORDS_MAX <= BATCH_RECORDS_MAX);
const _: () = assert!(FILTER_BATCH_BYTES_MAX + RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(AGGREGATE_SUSPECTS_MAX <= NODE_KNOWN_MAX / 2);
const _: () = assert!(AGGREGATE_PARTIAL_BYTES_MAX <= NODE_FRAME_BYTES_MAX);
const _: () = assert!(AGGREGATE_PARTIAL_BYTES_MAX <= PLUGIN_COPY_BYTES_MAX);
