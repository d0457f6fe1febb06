//! Bounds of what OK Log's clients, stores and forwarders meet.

/// Line of a text segment for a store of OK Log, with its id and newline. One of 64 KiB stops such a store for
/// ever: longer records are cut into several lines that say so.
pub const OKLOG_LINE_BYTES_MAX: usize = (64 << 10) - 1;
/// Time in which a claimed piece must be committed before others may claim it.
pub const OKLOG_CLAIM_MS_MAX: u64 = 60_000;
/// Claims open at once.
pub const OKLOG_CLAIMS_MAX: usize = 1024;
/// Pieces remembered because they came back; above it those that have left the backlog are looked for.
pub const OKLOG_SUSPECTS_MAX: usize = 4096;
/// Pause before a piece that came back is offered again: the first, and the longest after doubling.
pub const OKLOG_SUSPECT_PAUSE_MS_MIN: u64 = 1_000;
/// See [`OKLOG_SUSPECT_PAUSE_MS_MIN`].
pub const OKLOG_SUSPECT_PAUSE_MS_MAX: u64 = 10 * 60 * 1000;
/// Longest time in which nothing is offered before such a piece, so that it goes alone, and again beside it.
pub const OKLOG_SUSPECT_ALONE_MS_MAX: u64 = 5_000;
/// Segments that one node takes away from one ingester of OK Log at once, in bytes: those that are read and not yet
/// committed.
pub const OKLOG_CONSUMED_BYTES_MAX: usize = 128 << 20;
/// What each of them counts at least, so that their number is bounded, too.
pub const OKLOG_CONSUMED_BYTES_MIN: usize = 128 << 10;
/// Segments that are remembered as stored here although their commit did not reach the ingester; above it the oldest
/// are forgotten, and stored a second time when they come again.
pub const OKLOG_UNCOMMITTED_MAX: usize = 4096;
/// Time in which a segment of OK Log must be read: less than the ingester leaves for reading and committing it.
pub const OKLOG_READ_MS_MAX: u64 = 45_000;
/// Pause before an ingester that had nothing is asked again: the first, and the longest after doubling.
pub const OKLOG_IDLE_MS_MIN: u64 = 100;
/// See [`OKLOG_IDLE_MS_MIN`].
pub const OKLOG_IDLE_MS_MAX: u64 = 1_000;
/// Longest pause, after doubling, before an ingester that failed is asked again.
pub const OKLOG_FAILED_MS_MAX: u64 = 10_000;
/// Window of a live stream in which a record is sent once: the default, the least and the most.
pub const OKLOG_WINDOW_MS_DEFAULT: u64 = 3_000;
/// See [`OKLOG_WINDOW_MS_DEFAULT`].
pub const OKLOG_WINDOW_MS_MIN: u64 = 100;
/// See [`OKLOG_WINDOW_MS_DEFAULT`].
pub const OKLOG_WINDOW_MS_MAX: u64 = 60_000;
/// Records of one live stream that wait to be put in order, in bytes; above it they are sent as they are.
pub const OKLOG_STREAM_HELD_BYTES_MAX: usize = 4 << 20;
/// Records of one live stream that are remembered as sent.
pub const OKLOG_STREAM_SENT_MAX: usize = 65_536;

/// Pause of a forwarder to line ports before it tries the next one: the first, and the longest after doubling.
pub const FORWARD_LINES_BACKOFF_MS_MIN: u64 = 16;
/// See [`FORWARD_LINES_BACKOFF_MS_MIN`].
pub const FORWARD_LINES_BACKOFF_MS_MAX: u64 = 1_024;
/// Longest wait for a line port to end its side once all lines are sent.
pub const FORWARD_LINES_END_MS_MAX: u64 = 10_000;
