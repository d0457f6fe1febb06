//! Bounds of plugins, of what they may call, and of sources.

use crate::limits::BATCH_BYTES_MAX;

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
/// The file with the signature of a component.
pub const SIGNATURE_BYTES_MAX: u64 = 1 << 10;
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
