//! Bounds of what operators live with: stopping, stalls, snapshots, the node's own log, configuration files.

/// Time from the first signal to the end of the process.
pub const STOP_MS_MAX: u64 = 10_000;
/// What of it sources, requests and roles have together; the rest is for closing the log and saying good-bye.
pub const STOP_DRAIN_MS_MAX: u64 = 8_500;
/// How far apart the beats of an event loop are.
pub const HEART_BEAT_MS: u64 = 500;
/// How often it is looked whether it has beaten.
pub const HEART_LOOK_MS: u64 = 500;
/// Looks without a beat after which an event loop counts as stalled: 5 s in which this process had the processor.
pub const HEART_LOOKS_MAX: u32 = 10;
/// Kinds of threads that are told of a process that stalls.
pub const STALL_THREADS_TOLD_MAX: usize = 48;
/// Text of one message to a supervisor.
pub const NOTIFY_BYTES_MAX: usize = 4096;

/// Attempts to catch a moment in which nothing moves from the log to the store.
pub const SNAPSHOT_TRIES_MAX: usize = 64;
/// Name of a snapshot, in bytes.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 64;
/// The list of files of a snapshot.
pub const SNAPSHOT_MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// What is copied of a file at once.
pub const SNAPSHOT_COPY_BYTES: usize = 1 << 20;
/// Problems of one snapshot that are told one by one.
pub const SNAPSHOT_PROBLEMS_TOLD_MAX: usize = 100;
/// Longest wait of a client for a snapshot: what cannot be linked is copied.
pub const SNAPSHOT_WAIT_MS_MAX: u64 = 6 * 3600 * 1000;
/// Lines of the node's own log that wait to be kept in its topic; more are dropped and counted.
pub const OWN_LOG_LINES_MAX: usize = 4096;
/// One such line; the rest is cut.
pub const OWN_LOG_LINE_BYTES_MAX: usize = 16 << 10;
/// Lines that are stored at once.
pub const OWN_LOG_BATCH_LINES_MAX: usize = 512;
/// Pause after lines could not be stored, so that trouble with the log does not make the log longer and longer.
pub const OWN_LOG_PAUSE_MS: u64 = 1_000;
/// Files beside the configuration file.
pub const CONFIG_PARTS_MAX: usize = 256;
/// Longest wait of a snapshot until what is in the log is sealed.
pub const SNAPSHOT_SEAL_MS_MAX: u64 = 15_000;
