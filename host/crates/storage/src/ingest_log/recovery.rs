//! Bringing a log into order after whatever happened to it.
//!
//! Can be cut off at any point and run again. Reads the footers of complete pieces and scans only what
//! has none. Never refuses to start because of what a file contains, and deletes only what provably never
//! held a record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_record::RecordId;
use weir_record::limits::PIECE_HOLES_MAX;

use crate::disk::{Disk, DiskFile};
use crate::ingest_log::complete::{Incomplete, Outcome};
use crate::ingest_log::footer::{Carried, Footer, Hole, TAIL_BYTES, read_tail, start_bytes};
use crate::ingest_log::frame::{FRAME_HEADER_BYTES, FrameCodec};
use crate::ingest_log::header::{HEADER_BYTES, Header, HeaderError};
use crate::ingest_log::index::PieceIndex;
use crate::ingest_log::name::{PieceName, State};
use crate::ingest_log::reader::{Identity, Piece};
use crate::ingest_log::scan::{Scan, Tail};
use crate::ingest_log::{DamagedBytes, LogError, LogOptions, Recovery, io_error};
use crate::quarantine::move_aside;

/// A log in order.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) pieces: Vec<Arc<Piece>>,
    pub(crate) carried: Carried,
    pub(crate) next_number: u64,
    pub(crate) report: Recovery,
    /// A piece that is still incomplete, for want of room.
    pub(crate) leftover: Option<Incomplete>,
}

/// Brings the log in `dir` into order.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    quarantine: &Path,
    options: LogOptions,
) -> Result<Recovered, LogError> {
    let mut recovery = Run {
        disk,
        dir,
        quarantine,
        options,
        carried: Carried::default(),
        pieces: Vec::new(),
        report: Recovery::default(),
        leftover: None,
    };
    let found = recovery.find()?;
    let next_number = found.last().map_or(1, |file| file.name.number + 1);
    let count = found.len();
    for (place, file) in found.iter().enumerate() {
        // A piece is begun only after the one before it was synced to its end, and complete ones were, too.
        let growing = place + 1 == count && file.name.state == State::Active;
        let tail = if growing { Tail::MayBeTorn } else { Tail::WasSynced };
        recovery.piece(file, tail)?;
    }
    // Also when no name has changed now: a process that was killed may have left changes unsynced.
    disk.sync_dir(dir).map_err(io_error("cannot sync", dir))?;
    let Run { carried, pieces, mut report, leftover, .. } = recovery;
    report.highest_id = carried.highest_id;
    report.cursors.clone_from(&carried.cursors);
    report.pieces = pieces.len() as u64;
    report.records = pieces.iter().map(|piece| piece.records()).sum();
    Ok(Recovered { pieces, carried, next_number, report, leftover })
}

struct Run<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    quarantine: &'a Path,
    options: LogOptions,
    carried: Carried,
    pieces: Vec<Arc<Piece>>,
    report: Recovery,
    leftover: Option<Incomplete>,
}

/// A file that has the name of a piece and may well be one.
struct Candidate {
    name: PieceName,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    header: Result<Header, HeaderError>,
}

impl Candidate {
    fn codec(&self, options: &LogOptions) -> FrameCodec {
        FrameCodec::new(options.checksum, self.name.epoch, self.name.number)
    }
}

impl Run<'_> {
    /// The pieces in the order in which they were written; what is none is moved aside.
    fn find(&mut self) -> Result<Vec<Candidate>, LogError> {
        let mut names = Vec::new();
        for name in self.disk.list(self.dir).map_err(io_error("cannot list", self.dir))? {
            match name.to_str().and_then(PieceName::parse) {
                Some(parsed) => names.push(parsed),
                None => self.move_aside(&self.dir.join(name), "not the name of a piece of a log".into())?,
            }
        }
        names.sort_unstable();
        let mut found: Vec<Candidate> = Vec::new();
        for name in names {
            let path = self.dir.join(name.to_string());
            let twin = found.last().is_some_and(|before| before.name == name.completed());
            if twin {
                self.move_aside(&path, "the same piece is there in a complete state".into())?;
                continue;
            }
            match self.candidate(name, &path)? {
                Ok(candidate) => found.push(candidate),
                Err(reason) => self.move_aside(&path, reason)?,
            }
        }
        Ok(found)
    }

    /// Opens a file and checks that it is the piece that its name says, as far as it is readable.
    fn candidate(&self, name: PieceName, path: &Path) -> Result<Result<Candidate, String>, LogError> {
        let file = match self.disk.open(path) {
            Ok(file) => file,
            Err(error) => match error.kind() {
                io::ErrorKind::IsADirectory => return Ok(Err("a directory".into())),
                io::ErrorKind::PermissionDenied => return Ok(Err(format!("cannot be opened: {error}"))),
                // Such as too many open files: no fault of the file.
                _ => return Err(io_error("cannot open", path)(error)),
            },
        };
        let bytes = file.len().map_err(io_error("cannot read the length of", path))?;
        let mut head = [0; HEADER_BYTES];
        let read = file.read_at(&mut head, 0);
        let header = match read {
            Ok(HEADER_BYTES) => Header::decode(&head, self.options.checksum),
            Ok(_) | Err(_) => Err(HeaderError::Magic),
        };
        match &header {
            Err(HeaderError::Version(_)) => {
                return Ok(Err(header.err().map(|error| error.to_string()).unwrap_or_default()));
            }
            Ok(header) if (header.epoch, header.number) != (name.epoch, name.number) => {
                return Ok(Err(format!(
                    "its header is that of piece {:016x}-{:08}",
                    header.epoch, header.number
                )));
            }
            _ => {}
        }
        Ok(Ok(Candidate { name, path: path.to_owned(), file, bytes, header }))
    }

    fn piece(&mut self, file: &Candidate, tail: Tail) -> Result<(), LogError> {
        let codec = file.codec(&self.options);
        if let Some(footer) = read_footer(&*file.file, file.bytes, codec) {
            if file.name.state == State::Active {
                self.complete(file, file.bytes, Vec::new())?;
            }
            let highest_id = self.carried.highest_id.max(footer.carried.highest_id);
            self.carried = Carried { highest_id, ..footer.carried };
            let end = footer_offset(&*file.file, file.bytes, codec).unwrap_or(file.bytes);
            self.keep(file, footer.index, &footer.holes, end);
            return Ok(());
        }
        self.report.scanned += 1;
        let scan = Scan::run(&*file.file, file.bytes, codec);
        if scan.is_empty() {
            return self.empty(file);
        }
        let judged = scan.judge(tail, &mut self.carried);
        let mut holes = judged.holes;
        if file.name.state == State::Active {
            if judged.end < file.bytes {
                self.truncate(file, judged.end)?;
            }
            merge(&mut holes);
            let footer = Footer { carried: self.carried.clone(), index: judged.index, holes };
            let bytes = footer.encode(codec, judged.end).unwrap_or_default();
            self.complete(file, judged.end, bytes)?;
            self.keep(file, footer.index, &footer.holes, judged.end);
        } else {
            self.keep(file, judged.index, &holes, judged.end);
        }
        Ok(())
    }

    /// A piece of which no frame can be read. One that a crash cut off while it was made is no longer
    /// than its start, so that no record was ever in it; all others are moved aside.
    fn empty(&mut self, file: &Candidate) -> Result<(), LogError> {
        if file.name.state == State::Active && file.bytes <= start_bytes(&self.carried) {
            self.disk.remove(&file.path).map_err(io_error("cannot remove", &file.path))?;
            self.report.unfinished += 1;
            return Ok(());
        }
        let why = file.header.as_ref().err().map_or("no frame can be read".into(), ToString::to_string);
        self.move_aside(&file.path, why)
    }

    /// Cuts a torn tail off, for good before anything is written in its place.
    fn truncate(&mut self, file: &Candidate, end: u64) -> Result<(), LogError> {
        file.file.set_len(end).map_err(io_error("cannot cut the torn tail of", &file.path))?;
        file.file.sync_all().map_err(io_error("cannot sync", &file.path))?;
        self.report.truncated_bytes += file.bytes - end;
        Ok(())
    }

    /// Completes a piece. On a full disk it stays as it is, to be read, and is completed when there is
    /// room, before the next piece is begun: only the last one may ever be incomplete.
    fn complete(&mut self, file: &Candidate, end: u64, footer: Vec<u8>) -> Result<(), LogError> {
        let (name, handle) = (file.name, Arc::clone(&file.file));
        let incomplete = Incomplete { name, file: handle, end, footer, rewrite: true };
        let outcome = incomplete.complete(self.disk, self.dir);
        match outcome.map_err(|(what, error)| io_error(what, &file.path)(error))? {
            Outcome::Completed => self.report.completed += 1,
            Outcome::NoRoom => {
                tracing::warn!(file = %file.path.display(), "no room to complete a piece; it stays as it is");
                self.leftover = Some(incomplete);
            }
        }
        Ok(())
    }

    fn keep(&mut self, file: &Candidate, index: PieceIndex, holes: &[Hole], end: u64) {
        let path = self.dir.join(file.name.completed().to_string());
        let header = file.header.as_ref().err().map(|_| Hole { offset: 0, bytes: HEADER_BYTES as u64 });
        let mut damaged_bytes = 0;
        for hole in header.iter().chain(holes) {
            damaged_bytes += hole.bytes;
            let damaged = DamagedBytes { file: path.clone(), offset: hole.offset, bytes: hole.bytes };
            tracing::error!(file = %path.display(), offset = hole.offset, bytes = hole.bytes, "damaged");
            self.report.damaged.push(damaged);
        }
        let node = file.header.as_ref().map_or(self.options.node, |header| header.node);
        let PieceName { epoch, number, .. } = file.name;
        self.pieces.push(Arc::new(Piece {
            identity: Identity { node, epoch, number },
            name: file.name.completed().to_string().into(),
            file: Arc::clone(&file.file),
            codec: file.codec(&self.options),
            index,
            committed_bytes: end,
            damaged_bytes,
        }));
    }

    fn move_aside(&mut self, path: &Path, reason: String) -> Result<(), LogError> {
        let moved = move_aside(self.disk, path, self.quarantine, reason)
            .map_err(io_error("cannot move aside", path))?;
        self.report.quarantined.push(moved);
        Ok(())
    }
}

/// So many holes that they do not fit a footer become one from the last that fits on.
fn merge(holes: &mut Vec<Hole>) {
    if let Some(last) = holes.last().copied()
        && holes.len() > PIECE_HOLES_MAX
    {
        holes.truncate(PIECE_HOLES_MAX);
        if let Some(merged) = holes.last_mut() {
            merged.bytes = last.offset + last.bytes - merged.offset;
        }
    }
}

fn footer_offset(file: &dyn DiskFile, file_bytes: u64, codec: FrameCodec) -> Option<u64> {
    let mut tail = [0; TAIL_BYTES];
    let at = file_bytes.checked_sub(TAIL_BYTES as u64)?;
    if file.read_at(&mut tail, at).ok()? != TAIL_BYTES {
        return None;
    }
    read_tail(codec, tail, file_bytes)
}

/// The footer of a complete piece; `None` when there is none, or none that is sound.
fn read_footer(file: &dyn DiskFile, file_bytes: u64, codec: FrameCodec) -> Option<Footer> {
    let offset = footer_offset(file, file_bytes, codec)?;
    let mut head = [0; FRAME_HEADER_BYTES];
    file.read_at(&mut head, offset).ok()?;
    let head = codec.head(&head, offset).ok()?;
    if offset + (head.frame_bytes() + TAIL_BYTES) as u64 != file_bytes {
        return None;
    }
    let mut body = vec![0; head.body_bytes];
    file.read_at(&mut body, offset + FRAME_HEADER_BYTES as u64).ok()?;
    codec.check_body(head, &body).ok()?;
    Footer::read(&body, offset).ok()?
}

impl Default for Recovery {
    fn default() -> Recovery {
        Recovery {
            highest_id: RecordId::MIN,
            cursors: std::collections::BTreeMap::new(),
            pieces: 0,
            records: 0,
            quarantined: Vec::new(),
            truncated_bytes: 0,
            damaged: Vec::new(),
            unfinished: 0,
            completed: 0,
            scanned: 0,
        }
    }
}
