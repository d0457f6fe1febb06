//! What weir keeps on disk, and how it comes back after a crash.
//!
//! - [`disk`]: the only way to the file system, a trait with a real and a simulated implementation.
//! - [`data_dir`]: the directory of one node: its lock, its id, its folders.
//! - [`ingest_log`]: the write-ahead log of an ingest node, which is the source journal as well.
//! - [`committer`]: a thread that commits entries to the log in groups.
//!
//! Invariants: no socket and no async runtime in here; only `disk/real.rs` calls fsync and rename;
//! nothing read from a file can cause a panic; what was acknowledged is found after a power cut.

#![forbid(unsafe_code)]

pub mod committer;
pub mod data_dir;
pub mod disk;
pub mod ingest_log;
pub mod key_file;
pub mod poison;
pub mod quarantine;
pub mod segment_file;
pub mod space;

pub use committer::{CommitError, Committer, CommitterOptions};
pub use data_dir::{DataDir, DataDirError};
pub use disk::{Disk, DiskFile};
pub use ingest_log::reader::{BatchEntry, Damage, LogReader, Piece, Snapshot, StreamEntry, Views};
pub use ingest_log::{Checkpoint, Entry, IngestLog, LogError, LogOptions, Recovery};
pub use key_file::{KeyFile, KeyFileError};
pub use segment_file::{SegmentFile, SegmentFileError};
