//! Bounds of all queries together, and of those with context.

use crate::limits::{NODE_REQUEST_BYTES_MAX, QUERY_MEMORY_BYTES_MAX};

/// Memory that the rows of all queries of a node may take together; a query that can go on with no less is refused.
pub const QUERIES_MEMORY_BYTES_MAX: usize = 1 << 30;
/// Records of context on either side of a hit; more are refused with 400.
pub const QUERY_CONTEXT_RECORDS_MAX: usize = 1000;
/// Hits of a query with context. It ends there as at its limit, and says so; a larger limit is refused with 400.
pub const QUERY_CONTEXT_HITS_MAX: u64 = 10_000;
/// How far from a hit its context may lie. It may lie outside of the range of the query.
pub const QUERY_CONTEXT_REACH_MS: u64 = 24 * 3600 * 1000;
/// Memory of the hits of one query with context, and as much again of what is known around them. A query that
/// needs more is refused.
pub const QUERY_CONTEXT_BYTES_MAX: usize = 64 << 20;
/// Hits whose context is asked for at a time; fewer when it is much.
pub const QUERY_CONTEXT_WINDOW_HITS: usize = 64;
/// Records of context that are asked for at a time, if one hit has no more.
pub const QUERY_CONTEXT_WINDOW_RECORDS: usize = 8192;
/// Records whose neighbours one node asks another for at once.
pub const NODE_ANCHORS_MAX: usize = 256;
/// Records that may lie on several nodes and are counted once by whoever asks: so many go out to all others at a
/// time, at 33 bytes each. More are counted in several goes.
pub const NODE_KNOWN_MAX: usize = 100_000;

const _: () = assert!(QUERY_MEMORY_BYTES_MAX <= QUERIES_MEMORY_BYTES_MAX);
const _: () = assert!(QUERY_CONTEXT_WINDOW_HITS <= NODE_ANCHORS_MAX);
// One hit with all its context is a window.
const _: () = assert!(QUERY_CONTEXT_WINDOW_RECORDS > 2 * QUERY_CONTEXT_RECORDS_MAX);
// Half of a request is left for units and their origins.
const _: () = assert!(33 * NODE_KNOWN_MAX <= NODE_REQUEST_BYTES_MAX / 2);
