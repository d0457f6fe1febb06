//! Bringing the backlog into order after whatever happened to it.
//!
//! Can be cut off at any point and run again. Deletes only what is unfinished or is still in the log.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_segment::{OriginName, SegmentName};

use super::Backlog;
use crate::disk::Disk;
use crate::ingest_log::reader::LogReader;
use crate::quarantine::{Quarantined, move_aside};
use crate::seal::{UNFINISHED, origin_name};
use crate::segment_file::{SegmentFile, SegmentFileError};

/// What opening a backlog found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BacklogRecovery {
    /// Origins that can be read.
    pub origins: u64,
    /// Records in them.
    pub records: u64,
    /// Files that a crash left while they were written; removed.
    pub unfinished: u64,
    /// Origins of pieces that had not left the log; removed, for the piece is sealed again.
    pub still_in_log: u64,
    /// Files that were moved aside, and why.
    pub quarantined: Vec<Quarantined>,
}

/// A file or folder that cannot be used while the backlog is opened. Nothing is lost; try again.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", path.display())]
pub struct BacklogError {
    /// What failed, as a phrase.
    pub what: &'static str,
    /// Which file or folder.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// What is to become of a file.
enum Judged {
    Keep(Box<SegmentFile>),
    Unfinished,
    StillInLog,
    MoveAside(String),
}

impl Backlog {
    /// Opens the folder `origins` of a data directory, made if it is not there, and brings it into order. To be
    /// called after the log was opened and before anything of it is sealed.
    pub fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        log: &LogReader,
    ) -> Result<(Backlog, BacklogRecovery), BacklogError> {
        let backlog = Backlog::empty(disk, data_dir);
        for dir in [&backlog.dir, &backlog.quarantine] {
            backlog.disk.create_dir(dir).map_err(error("cannot make", dir))?;
        }
        backlog.disk.sync_dir(data_dir).map_err(error("cannot sync", data_dir))?;
        // Whether the log found them damaged.
        let pieces = log.complete();
        let in_log: BTreeMap<OriginName, bool> =
            pieces.iter().map(|piece| (origin_name(piece.identity()), piece.damaged_bytes() > 0)).collect();
        let mut report = BacklogRecovery::default();
        for name in backlog.disk.list(&backlog.dir).map_err(error("cannot list", &backlog.dir))? {
            let path = backlog.dir.join(&name);
            let judged = backlog.judge(&name, &path, &in_log)?;
            backlog.settle_file(judged, &path, &mut report)?;
        }
        // Also when nothing was removed now: a process that was killed may have left changes unsynced.
        backlog.disk.sync_dir(&backlog.dir).map_err(error("cannot sync", &backlog.dir))?;
        let sums = backlog.sums();
        (report.origins, report.records) = (sums.origins, sums.records);
        Ok((backlog, report))
    }

    fn judge(
        &self,
        name: &OsStr,
        path: &Path,
        in_log: &BTreeMap<OriginName, bool>,
    ) -> Result<Judged, BacklogError> {
        let text = name.to_str().unwrap_or_default();
        if text.strip_suffix(UNFINISHED).and_then(OriginName::parse).is_some() {
            return Ok(Judged::Unfinished);
        }
        let Ok(name) = text.parse::<SegmentName>() else {
            return Ok(Judged::MoveAside("not the name of a segment".into()));
        };
        let segment = match SegmentFile::open(&*self.disk, path) {
            Ok(segment) => segment,
            Err(SegmentFileError::Io { source, .. }) => {
                return match source.kind() {
                    io::ErrorKind::IsADirectory => Ok(Judged::MoveAside("a directory".into())),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::UnexpectedEof => {
                        Ok(Judged::MoveAside(format!("cannot be read: {source}")))
                    }
                    // Such as too many open files: no fault of the file.
                    _ => Err(error("cannot open", path)(source)),
                };
            }
            Err(SegmentFileError::Segment { source, .. }) => {
                return Ok(Judged::MoveAside(source.to_string()));
            }
        };
        if segment.footer().name() != name {
            return Ok(Judged::MoveAside(format!("its footer is that of {}", segment.footer().name())));
        }
        let &[origin] = segment.footer().lineage() else {
            return Ok(Judged::MoveAside("it has the records of several origins".into()));
        };
        let log_name = OriginName { epoch: origin.name.log_epoch(), ..origin.name };
        match in_log.get(&log_name) {
            Some(false) => return Ok(Judged::StillInLog),
            // What is lost in the piece may be whole in here.
            Some(true) => return Ok(Judged::MoveAside("its piece is still in the log, and damaged".into())),
            None => {}
        }
        if self.find(origin.name, segment.footer().unit()).is_some() {
            return Ok(Judged::MoveAside(format!("origin {} is there already", origin.name)));
        }
        Ok(Judged::Keep(Box::new(segment)))
    }

    fn settle_file(
        &self,
        judged: Judged,
        path: &Path,
        report: &mut BacklogRecovery,
    ) -> Result<(), BacklogError> {
        match judged {
            Judged::Keep(segment) => {
                self.lock().insert(Arc::new(*segment), true);
            }
            Judged::Unfinished => {
                self.disk.remove(path).map_err(error("cannot remove", path))?;
                report.unfinished += 1;
            }
            Judged::StillInLog => {
                self.disk.remove(path).map_err(error("cannot remove", path))?;
                report.still_in_log += 1;
            }
            Judged::MoveAside(reason) => {
                let moved = move_aside(&*self.disk, path, &self.quarantine, reason);
                report.quarantined.push(moved.map_err(error("cannot move aside", path))?);
            }
        }
        Ok(())
    }
}

fn error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BacklogError {
    move |source| BacklogError { what, path: path.to_owned(), source }
}
