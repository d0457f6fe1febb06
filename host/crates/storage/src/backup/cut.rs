//! Which files belong to one moment.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::limits::SNAPSHOT_TRIES_MAX;
use weir_segment::{OriginName, Unit};

use super::{BackupError, failed};
use crate::backlog::Backlog;
use crate::disk::{Disk, DiskFile};
use crate::ingest_log::name::{PieceName, State};
use crate::ingest_log::reader::{Identity, LogReader};
use crate::ingest_snapshot::IngestSnapshot;
use crate::seal::{ORIGINS_DIR, origin_name};
use crate::segment_file::SegmentFile;
use crate::store::{STORE_DIR, Store};

const LOG_DIR: &str = "log";
/// The journal of a forwarder.
const FORWARD_DIR: &str = "forward";
/// Files at the top of a data directory, in this order: an answer that is remembered has its records in the log that
/// is looked at afterwards.
const SMALL: [&str; 5] = ["keys", "jobs", "known-origins", "known-members", "node-id"];
/// The file of the watermarks of a store.
const EXPIRED: &str = "expired";

/// What of a node is running.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    /// Log and backlog of the ingest role.
    pub ingest: Option<(&'a LogReader, &'a Backlog)>,
    /// The store.
    pub store: Option<&'a Store>,
    /// The number of the last piece of the log whose records must be in it. Of a later one that is being written only its
    /// beginning is taken, which says where sources stand: else a restored node would seal what it has of that piece
    /// under the name that all of it has in other nodes' stores.
    pub up_to_piece: u64,
}

/// One file of the cut.
pub(super) struct Item {
    /// Below the data directory and below the snapshot, with `/`.
    pub(super) path: String,
    /// Where it lay when it was looked at.
    pub(super) from: PathBuf,
    /// Readable whatever becomes of the name; opened when its turn comes where nothing can happen to it.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    /// How much of it counts; all of it where nothing is said.
    pub(super) bytes: Option<u64>,
    pub(super) kind: Kind,
}

/// What may be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never changes, and its name has its digest.
    Segment,
    /// Never changes.
    Final,
    /// Changes, or may.
    Changing,
}

/// The files of a running node, all of one moment. Blocks, for some milliseconds.
pub fn take_live(disk: &dyn Disk, data_dir: &Path, live: Live<'_>) -> Result<Cut, BackupError> {
    let mut items = small(disk, data_dir)?;
    items.extend(log(disk, data_dir, &[FORWARD_DIR, LOG_DIR])?);
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let before = live.ingest.map(|(log, backlog)| IngestSnapshot::take(log, backlog));
        let mut those =
            live.store.map(|store| stored(disk, data_dir, store)).transpose()?.unwrap_or_default();
        if let (Some(before), Some((reader, backlog))) = (before, live.ingest) {
            let mut pieces = log(disk, data_dir, &[LOG_DIR])?;
            let after = IngestSnapshot::take(reader, backlog);
            if !all_still_there(&before, &after) {
                continue;
            }
            for item in pieces.iter_mut().filter(|item| item.kind == Kind::Changing) {
                item.bytes = durable_bytes(item, &after, live.up_to_piece).or(item.bytes);
            }
            those.append(&mut pieces);
            those
                .extend(after.origins.iter().map(|origin| segment(ORIGINS_DIR, origin.path(), Some(origin))));
        }
        items.append(&mut those);
        return Ok(Cut { items });
    }
    Err(BackupError::Busy)
}

/// The files of a node that does not run.
pub fn take_stopped(disk: &dyn Disk, data_dir: &Path) -> Result<Cut, BackupError> {
    let mut items = small(disk, data_dir)?;
    items.extend(log(disk, data_dir, &[LOG_DIR])?);
    items.extend(log(disk, data_dir, &[FORWARD_DIR, LOG_DIR])?);
    for dir in [ORIGINS_DIR, STORE_DIR] {
        for name in names(disk, &data_dir.join(dir))? {
            let from = data_dir.join(dir).join(&name);
            match Path::new(&name).extension().and_then(|extension| extension.to_str()) {
                Some("zst") => items.push(segment(dir, &from, None)),
                Some("damaged") => items.push(Item { kind: Kind::Segment, ..segment(dir, &from, None) }),
                _ if name == EXPIRED => items.extend(opened(disk, &format!("{dir}/{name}"), from)?),
                // Unfinished, or not ours.
                _ => {}
            }
        }
    }
    Ok(Cut { items })
}

/// All files of one moment; as long as it is held a running node's can be read.
pub struct Cut {
    pub(super) items: Vec<Item>,
}

/// How much counts of a piece that may be written on: what is behind it was never acknowledged. `None` for one without
/// records.
fn durable_bytes(item: &Item, after: &IngestSnapshot, up_to_piece: u64) -> Option<u64> {
    let name = PieceName::parse(item.from.file_name()?.to_str()?)?;
    let is_it = |piece: &Identity| (piece.number, piece.epoch) == (name.number, name.epoch);
    let piece = after.log.pieces.iter().find(|piece| is_it(&piece.identity()))?;
    if piece.number() <= up_to_piece {
        return Some(piece.committed_bytes());
    }
    Some(piece.batches().first()?.frame_offset)
}

/// Whether nothing of the first look has left this node, or is free to, at the second.
fn all_still_there(before: &IngestSnapshot, after: &IngestSnapshot) -> bool {
    let of = |origin: &Arc<SegmentFile>| (origin.footer().lineage()[0].name, origin.footer().unit().clone());
    let origins: BTreeSet<(OriginName, Unit)> = after.origins.iter().map(of).collect();
    let in_log: BTreeSet<OriginName> =
        after.log.pieces.iter().map(|piece| origin_name(piece.identity())).collect();
    let leaving: BTreeSet<OriginName> = after
        .leaving
        .iter()
        .map(|origin| origin.footer().lineage()[0].name)
        .map(|name| OriginName { epoch: name.log_epoch(), ..name })
        .collect();
    let pieces = before.log.pieces.iter().map(|piece| origin_name(piece.identity()));
    pieces.into_iter().all(|piece| in_log.contains(&piece) || leaving.contains(&piece))
        && before.origins.iter().all(|origin| {
            let (name, unit) = of(origin);
            let log_name = OriginName { epoch: name.log_epoch(), ..name };
            in_log.contains(&log_name) || origins.contains(&(name, unit))
        })
}

fn stored(disk: &dyn Disk, data_dir: &Path, store: &Store) -> Result<Vec<Item>, BackupError> {
    let mut items: Vec<Item> = store
        .snapshot()
        .segments
        .iter()
        .map(|stored| segment(STORE_DIR, stored.path(), Some(&stored.file)))
        .collect();
    items.extend(opened(disk, &format!("{STORE_DIR}/{EXPIRED}"), data_dir.join(STORE_DIR).join(EXPIRED))?);
    Ok(items)
}

fn segment(dir: &str, from: &Path, open: Option<&Arc<SegmentFile>>) -> Item {
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    Item {
        path: format!("{dir}/{name}"),
        from: from.to_owned(),
        file: open.map(|open| Arc::clone(open.handle())),
        bytes: open.map(|open| open.bytes()),
        kind: Kind::Segment,
    }
}

fn small(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<Item>, BackupError> {
    let mut items = Vec::new();
    for name in SMALL {
        items.extend(opened(disk, name, data_dir.join(name))?);
    }
    Ok(items)
}

/// All pieces of a log, opened at once: each is complete but the newest one.
fn log(disk: &dyn Disk, data_dir: &Path, dirs: &[&str]) -> Result<Vec<Item>, BackupError> {
    let dir = dirs.iter().fold(data_dir.to_owned(), |path, part| path.join(part));
    'again: for _ in 0..SNAPSHOT_TRIES_MAX {
        let mut items = Vec::new();
        for name in names(disk, &dir)? {
            let Some(piece) = PieceName::parse(&name) else { continue };
            let path = format!("{}/{name}", dirs.join("/"));
            match opened(disk, &path, dir.join(&name))? {
                Some(item) if piece.state == State::Complete => {
                    items.push(Item { kind: Kind::Final, ..item });
                }
                Some(item) => items.push(item),
                // It was completed, or has left the log.
                None => continue 'again,
            }
        }
        return Ok(items);
    }
    Err(BackupError::Busy)
}

/// A file as long as it is now; none where there is none.
fn opened(disk: &dyn Disk, path: &str, from: PathBuf) -> Result<Option<Item>, BackupError> {
    let file = match disk.open(&from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("cannot open", &from)(error)),
    };
    let bytes = file.len().map_err(failed("cannot read", &from))?;
    let path = path.to_owned();
    Ok(Some(Item { path, from, file: Some(file), bytes: Some(bytes), kind: Kind::Changing }))
}

/// Names in a folder; none where there is no folder.
fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, BackupError> {
    match disk.list(dir) {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("cannot list", dir)(error)),
    }
}
