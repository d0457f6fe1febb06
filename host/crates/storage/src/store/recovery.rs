//! Bringing a store into order after whatever happened to it.
//!
//! Can be cut off at any point and run again. Deletes only what is unfinished, expired, or served whole by
//! other segments; everything else that does not belong here is moved aside.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_segment::{Origin, OriginName, SegmentName, Unit};

use crate::disk::Disk;
use crate::quarantine::{Quarantined, move_aside};
use crate::segment_file::{SegmentFile, SegmentFileError};
use crate::store::damage::{DAMAGED, SOUND};
use crate::store::segment::{Served, StoredSegment};
use crate::store::watermark::{WATERMARK_FILE, Watermarks};
use crate::store::{StoreError, verify};

/// What opening a store found.
#[derive(Debug, Clone, Default)]
pub struct StoreRecovery {
    /// Segments that are held.
    pub segments: u64,
    /// Origins that are served.
    pub origins: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Unfinished files that a crash has left; removed.
    pub unfinished: u64,
    /// Segments whose every origin was in others, as a crash during compaction leaves them; removed.
    pub superseded: u64,
    /// Segments of units that had expired already; removed.
    pub expired: u64,
    /// Origins that a segment holds and another one serves, beyond those of `superseded`.
    pub ignored_origins: u64,
    /// Whole names of origins that are held twice with different records; one of them is served.
    pub conflicts: Vec<String>,
    /// Segments in which damage was found before.
    pub damaged: Vec<DamagedSegment>,
    /// Files that were moved aside, and why.
    pub quarantined: Vec<Quarantined>,
}

/// A segment with damage in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSegment {
    /// The file.
    pub path: PathBuf,
    /// Origins that are lost in it, unless another segment has them.
    pub lost: Vec<OriginName>,
}

/// A store in order.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<StoredSegment>,
    pub(crate) watermarks: Watermarks,
    pub(crate) report: StoreRecovery,
}

/// Brings the store in `dir` into order.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, quarantine: &Path) -> Result<Recovered, StoreError> {
    let mut run = Run { disk, dir, quarantine, report: StoreRecovery::default() };
    let names = disk.list(dir).map_err(StoreError::io("cannot list", dir))?;
    // Also when no name changes now: a process that was killed may have left changes unsynced, and what is
    // announced from here on must outlast the power.
    disk.sync_dir(dir).map_err(StoreError::io("cannot sync", dir))?;
    let watermarks = run.watermarks(&names)?;
    let mut units: BTreeMap<Unit, Vec<Found>> = BTreeMap::new();
    for name in names.iter().filter(|name| *name != WATERMARK_FILE) {
        if let Some(found) = run.file(name, &watermarks)? {
            units.entry(found.name.unit.clone()).or_default().push(found);
        }
    }
    let mut segments = Vec::new();
    for (unit, found) in units {
        segments.extend(run.unit(&unit, found)?);
    }
    let mut report = run.report;
    if report.unfinished + report.superseded + report.expired > 0 {
        disk.sync_dir(dir).map_err(StoreError::io("cannot sync", dir))?;
    }
    report.segments = segments.len() as u64;
    report.bytes = segments.iter().map(|segment| segment.file.bytes()).sum();
    for (_, origin) in segments.iter().flat_map(StoredSegment::origins) {
        report.origins += 1;
        report.records += origin.count;
    }
    Ok(Recovered { segments, watermarks, report })
}

struct Run<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    quarantine: &'a Path,
    report: StoreRecovery,
}

/// A segment that can be opened.
struct Found {
    name: SegmentName,
    file: SegmentFile,
    /// With the numbers of the origins that are lost, of a file that is named as damaged.
    damage: Option<Vec<u32>>,
}

impl Run<'_> {
    fn watermarks(&mut self, names: &[std::ffi::OsString]) -> Result<Watermarks, StoreError> {
        if !names.iter().any(|name| name == WATERMARK_FILE) {
            return Ok(Watermarks::default());
        }
        let path = self.dir.join(WATERMARK_FILE);
        let read = Watermarks::read(self.disk, &path).map_err(StoreError::io("cannot read", &path))?;
        if let Some(marks) = read {
            return Ok(marks);
        }
        // Without it expired units may come back; the next expiry takes them again.
        self.move_aside(&path, "not the watermarks of expiry".to_owned())?;
        Ok(Watermarks::default())
    }

    /// Takes one file up, or away.
    fn file(&mut self, name: &OsStr, marks: &Watermarks) -> Result<Option<Found>, StoreError> {
        let path = self.dir.join(name);
        if self.disk.list(&path).is_ok() {
            self.move_aside(&path, "a directory".to_owned())?;
            return Ok(None);
        }
        if Path::new(name).extension().is_some_and(|extension| extension == "tmp") {
            self.disk.remove(&path).map_err(StoreError::io("cannot delete", &path))?;
            self.report.unfinished += 1;
            return Ok(None);
        }
        let Some((parsed, is_damaged)) = name.to_str().and_then(parse) else {
            self.move_aside(&path, "not the name of a segment".to_owned())?;
            return Ok(None);
        };
        if marks.covers(&parsed.unit) {
            self.disk.remove(&path).map_err(StoreError::io("cannot delete", &path))?;
            self.report.expired += 1;
            return Ok(None);
        }
        let file = match SegmentFile::open(self.disk, &path) {
            Ok(file) if file.footer().name() == parsed => file,
            Ok(file) => {
                self.move_aside(&path, format!("its content is that of {}", file.footer().name()))?;
                return Ok(None);
            }
            Err(SegmentFileError::Io { source, .. }) if !is_of_the_file(&source) => {
                return Err(StoreError::io("cannot read", &path)(source));
            }
            Err(SegmentFileError::Io { source, .. }) => {
                self.move_aside(&path, source.to_string())?;
                return Ok(None);
            }
            Err(SegmentFileError::Segment { source, .. }) => {
                self.move_aside(&path, source.to_string())?;
                return Ok(None);
            }
        };
        let damage = if is_damaged {
            Some(verify::examine(&file).map_err(|_| StoreError::Memory)?.touched)
        } else {
            None
        };
        Ok(Some(Found { name: parsed, file, damage }))
    }

    /// Decides which segment of a unit serves which origin; see [`Store::open`](super::Store::open).
    fn unit(&mut self, unit: &Unit, mut found: Vec<Found>) -> Result<Vec<StoredSegment>, StoreError> {
        found.sort_by_cached_key(|found| {
            let origins = found.file.footer().lineage().len();
            (found.damage.is_some(), Reverse(origins), found.name.to_string())
        });
        let mut taken: BTreeMap<OriginName, Origin> = BTreeMap::new();
        let mut segments = Vec::new();
        for Found { file, damage, .. } in found {
            let mut left_out = damage.clone().unwrap_or_default();
            let mut same = 0;
            for (number, origin) in file.footer().lineage().iter().enumerate() {
                if damage.as_ref().is_some_and(|lost| lost.binary_search(&(number as u32)).is_ok()) {
                    continue;
                }
                let Some(other) = taken.get(&origin.name) else {
                    taken.insert(origin.name, *origin);
                    continue;
                };
                left_out.push(number as u32);
                same += usize::from(other == origin);
                if other != origin {
                    self.report.conflicts.push(origin.name.with_unit(unit));
                }
            }
            if damage.is_none() && same == file.footer().lineage().len() {
                self.disk.remove(file.path()).map_err(StoreError::io("cannot delete", file.path()))?;
                self.report.superseded += 1;
                continue;
            }
            self.report.ignored_origins += same as u64;
            let path = file.path().to_owned();
            let names = |lost: Vec<u32>| {
                lost.iter().map(|&number| file.footer().lineage()[number as usize].name).collect()
            };
            let lost: Option<Vec<OriginName>> = damage.map(names);
            left_out.sort_unstable();
            let mut segment = StoredSegment::new(Arc::new(file), Served::all_but(left_out));
            if let Some(lost) = lost {
                segment = segment.damaged(segment.served.clone(), &path);
                self.report.damaged.push(DamagedSegment { path, lost });
            }
            segments.push(segment);
        }
        Ok(segments)
    }

    fn move_aside(&mut self, path: &Path, reason: String) -> Result<(), StoreError> {
        let moved = move_aside(self.disk, path, self.quarantine, reason)
            .map_err(StoreError::io("cannot move aside", path))?;
        self.report.quarantined.push(moved);
        Ok(())
    }
}

/// The segment that a file claims to be, and whether it is known to be damaged.
fn parse(name: &str) -> Option<(SegmentName, bool)> {
    if let Some(stem) = name.strip_suffix(DAMAGED) {
        return Some((format!("{stem}{SOUND}").parse().ok()?, true));
    }
    Some((name.parse().ok()?, false))
}

/// Whether an error says something of the file itself, and not of the moment: then it is moved aside, and the
/// node starts.
fn is_of_the_file(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(EIO)
}
