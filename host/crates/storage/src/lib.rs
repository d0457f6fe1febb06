//! What weir keeps on disk, and how it comes back after a crash.
//!
//! - [`disk`]: the only way to the file system, a trait with a real and a simulated implementation.
//! - [`data_dir`]: the directory of one node: its lock, its id, its folders.
//! - [`ingest_log`]: the write-ahead log of an ingest node, which is the source journal as well.
//! - [`committer`]: a thread that commits entries to the log in groups.
//! - [`seal`], [`sealer`]: complete pieces become origins, in the final format.
//! - [`backlog`]: the origins that wait for stores; [`ingest_snapshot`]: log and backlog together.
//! - [`store`]: the segments that a store node keeps.
//! - [`backup`]: snapshots of a data directory, and a data directory from a snapshot.
//!
//! Invariants: no socket and no async runtime in here; only `disk/real.rs` calls fsync and rename;
//! nothing read from a file can cause a panic; what was acknowledged is found after a power cut.

#![forbid(unsafe_code)]

pub mod backlog;
pub mod backup;
pub mod committer;
pub mod data_dir;
pub mod disk;
pub mod ingest_log;
pub mod ingest_snapshot;
pub mod key_file;
pub mod poison;
pub mod quarantine;
pub mod seal;
pub mod sealer;
pub mod segment_file;
pub mod space;
pub mod store;

pub use backlog::{Backlog, BacklogError, BacklogRecovery, BacklogSums};
pub use committer::{CommitError, Committer, CommitterOptions};
pub use data_dir::{DataDir, DataDirError};
pub use disk::{Disk, DiskFile};
pub use ingest_log::reader::{BatchEntry, Damage, LogReader, Piece, Snapshot, StreamEntry, Views};
pub use ingest_log::{Checkpoint, Entry, IngestLog, Leaving, LogError, LogOptions, Recovery, Released};
pub use ingest_snapshot::IngestSnapshot;
pub use key_file::{KeyFile, KeyFileError};
pub use seal::{Moment, OriginsDir, SealError, Sealed, UnitRules};
pub use sealer::{Sealer, SealerError};
pub use segment_file::{SegmentFile, SegmentFileError, StreamSum};
pub use store::{Store, StoreError, StoreOptions, StoreRecovery, StoreSnapshot, StoredSegment};
