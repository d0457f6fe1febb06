//! Snapshots: of this node while it runs, of one that is stopped, and back again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use weir_api::backend::{ApiError, ErrorKind, SnapshotAnswer};
use weir_record::limits::SNAPSHOT_SEAL_MS_MAX;
use weir_storage::backup::{Live, Making, is_name, take_live, take_stopped};
use weir_storage::disk::is_full;
use weir_storage::disk::real::RealDisk;
use weir_storage::{DataDir, Disk as _};

use crate::clock;
use crate::handover::Handover;
use crate::snapshots::Holder;

pub use weir_storage::backup::{BackupError, Made, Restored, Verified};

/// Pause between two looks whether all is sealed.
const SEAL_LOOK: Duration = Duration::from_millis(20);

/// A node that can be asked for one.
pub(crate) struct Snapshotting {
    pub(crate) holder: Holder,
    pub(crate) data_dir: DataDirPaths,
    pub(crate) version: &'static str,
    /// Who seals what is in the log, with the ingest role.
    pub(crate) handover: Option<Arc<Handover>>,
    /// One at a time: each reads what others write.
    pub(crate) turn: Arc<Mutex<()>>,
}

/// Where things lie.
#[derive(Debug, Clone)]
pub(crate) struct DataDirPaths {
    pub(crate) data_dir: std::path::PathBuf,
    pub(crate) snapshots: std::path::PathBuf,
}

impl Snapshotting {
    /// Makes one. It goes on when the request is given up.
    pub(crate) async fn make(&self, name: String) -> Result<SnapshotAnswer, ApiError> {
        if !is_name(&name) {
            return Err(refused(&BackupError::Name(name)));
        }
        let turn = self.turn.clone().try_lock_owned().map_err(|_| {
            ApiError::new(ErrorKind::Conflict, "snapshot_running", "another snapshot is being made")
                .hint("wait until it is there")
        })?;
        let (holder, paths, version) = (self.holder.clone(), self.data_dir.clone(), self.version);
        let handover = self.handover.clone();
        let making = tokio::spawn(async move {
            let up_to_piece = sealed(&holder, handover.as_deref()).await;
            let work = move || of_running(&holder, &paths, version, &name, up_to_piece);
            let made = tokio::task::spawn_blocking(work).await;
            drop(turn);
            if let Ok(Ok(made)) = &made {
                tell(&made.path, made.linked_bytes, made.copied_bytes, made.not_linked);
            }
            made
        });
        let made = making.await.and_then(|made| made);
        let made = made.map_err(|_| ApiError::internal("making a snapshot has panicked"))?;
        made.map_err(|error| refused(&error))
    }
}

/// Has what is in the log sealed, and gives the number of the last piece with acknowledged records. An origin has its
/// final name then: what other nodes' stores have of it, now or later, is the same. Where sealing takes too long the
/// piece itself is taken.
async fn sealed(holder: &Holder, handover: Option<&Handover>) -> u64 {
    let (Some(held), Some(handover)) = (&holder.ingest, handover) else { return u64::MAX };
    let Some(last) = held.log.snapshot().pieces.last().map(|piece| piece.number()) else { return 0 };
    handover.wanted.notify_one();
    let left = async {
        while held.log.snapshot().pieces.first().is_some_and(|piece| piece.number() <= last) {
            tokio::time::sleep(SEAL_LOOK).await;
        }
    };
    if tokio::time::timeout(Duration::from_millis(SNAPSHOT_SEAL_MS_MAX), left).await.is_err() {
        tracing::warn!("the log is not sealed in time: the snapshot has it as it is");
    }
    last
}

fn of_running(
    holder: &Holder,
    paths: &DataDirPaths,
    version: &str,
    name: &str,
    up_to_piece: u64,
) -> Result<SnapshotAnswer, BackupError> {
    let disk = RealDisk;
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { what, path, source }
    };
    disk.create_dir(&paths.snapshots).map_err(io("cannot make", &paths.snapshots))?;
    disk.sync_dir(&paths.data_dir).map_err(io("cannot sync", &paths.data_dir))?;
    let to = paths.snapshots.join(name);
    let live = Live {
        ingest: holder.ingest.as_ref().map(|held| (&held.log, &*held.backlog)),
        store: holder.store.as_ref(),
        up_to_piece,
    };
    let cut = take_live(&disk, &paths.data_dir, live)?;
    let making = Making { to: &to, node: holder.node, made_ms: clock::now_ms(), version };
    let Made { linked, linked_bytes, copied, copied_bytes, not_linked } = making.write(&disk, &cut)?;
    let path = to.display().to_string();
    Ok(SnapshotAnswer { name: name.into(), path, linked, linked_bytes, copied, copied_bytes, not_linked })
}

fn tell(path: &str, linked_bytes: u64, copied_bytes: u64, not_linked: u64) {
    tracing::info!(path, linked_bytes, copied_bytes, "snapshot made");
    if not_linked > 0 {
        tracing::warn!(
            path,
            not_linked,
            "its file system gives no links to these files, so they were copied"
        );
    }
}

fn refused(error: &BackupError) -> ApiError {
    let text = error.to_string();
    match error {
        BackupError::Name(_) => ApiError::bad_request("bad_parameter", text),
        BackupError::Exists(_) => ApiError::new(ErrorKind::Conflict, "snapshot_exists", text),
        BackupError::Busy => ApiError::new(ErrorKind::Unavailable, "busy", text),
        BackupError::Io { source, .. } if is_full(source) => {
            ApiError::new(ErrorKind::DiskFull, "disk_full", text)
                .hint("remove snapshots that were copied away")
        }
        _ => ApiError::internal(text.clone()).hint(text),
    }
}

/// Makes a snapshot of a node that does not run, in a folder that must not be there.
pub fn of_stopped(data_dir: &Path, to: &Path, version: &str) -> Result<Made, BackupError> {
    let disk = RealDisk;
    if disk.open(&data_dir.join("node-id")).and_then(|file| file.len()).is_err() {
        return Err(BackupError::NoDataDir(data_dir.to_owned()));
    }
    // Locked until it is done.
    let data_dir = DataDir::open(data_dir, fastrand::u64(..))?;
    let cut = take_stopped(&disk, data_dir.path())?;
    Making { to, node: data_dir.node(), made_ms: clock::now_ms(), version }.write(&disk, &cut)
}

/// Reads every byte of a snapshot.
pub fn verify(dir: &Path) -> Result<Verified, BackupError> {
    weir_storage::backup::verify(&RealDisk, dir)
}

/// Makes a data directory of a snapshot.
pub fn restore(snapshot: &Path, data_dir: &Path) -> Result<Restored, BackupError> {
    weir_storage::backup::restore(&RealDisk, snapshot, data_dir)
}
