//! Bounds of tokens, and of what may be tried without one.

use crate::limits::{QUERY_BYTES_MAX, TOPIC_BYTES_MAX};

/// Tokens in one file. Each request is compared with all of them.
pub const TOKENS_MAX: usize = 1000;
/// The file of tokens.
pub const TOKENS_FILE_BYTES_MAX: usize = 1 << 20;
/// A file that holds one secret.
pub const SECRET_FILE_BYTES_MAX: u64 = 4 << 10;
/// Name of a token.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Patterns over topics of one token.
pub const TOKEN_TOPICS_MAX: usize = 32;
/// All of them as they stand in a query, beside which the query itself must have its place.
pub const TOKEN_TOPICS_BYTES_MAX: usize = 4 << 10;
/// The first line of a connection that sends lines, where tokens are asked for.
pub const TOKEN_LINE_BYTES_MAX: usize = 256;
/// Wrong tokens that an address may show at once before it is told to wait; valid ones of the same address go on.
pub const TOKEN_FAILURES_MAX: u64 = 20;
/// How soon an address may show one more.
pub const TOKEN_FAILURE_MS: u64 = 1_000;
/// Addresses whose wrong tokens are counted one by one; those of all others are counted together.
pub const TOKEN_ADDRESSES_MAX: usize = 10_000;
/// Requests that a token may make per second, if the configuration does not say otherwise.
pub const TOKEN_REQUESTS_PER_S_DEFAULT: u64 = 2_000;
/// How many seconds of them it may make at once.
pub const TOKEN_BURST_S: u64 = 2;
/// Queries of one token at once, if the configuration does not say otherwise.
pub const TOKEN_QUERIES_DEFAULT: usize = 64;
/// How much either of the two may be set to.
pub const TOKEN_RATE_MAX: u64 = 1_000_000;

const _: () = assert!(TOKEN_TOPICS_BYTES_MAX >= TOPIC_BYTES_MAX && TOKEN_TOPICS_BYTES_MAX < QUERY_BYTES_MAX);
