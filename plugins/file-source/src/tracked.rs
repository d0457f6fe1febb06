//! One file and one turn of reading it.

use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::files::{self, Entry};
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::{Failure, log};

use crate::config::Settings;
use crate::content::{Behind, Chunk, Content};
use crate::cursor::Saved;
use crate::frame::Ahead;
use crate::naming::Labels;
use crate::origin::Probe;
use crate::position::{HASH_START, HEAD_BYTES, Position, hash};
use crate::window::{TURN_BYTES, Window};

/// How far back the start of the line at the end of a file is looked for. Even, for UTF-16.
const ANCHOR_BYTES: u64 = 64 << 10;
/// Bytes that are no record yet and are kept in memory, in case the file is truncated before they are one.
const TAIL_BYTES_MAX: usize = 64 << 10;

/// How long a file has been the same when its writer seems to be done.
const SETTLED_MS: u64 = 1_000;

const _: () = assert!(TURN_BYTES > RECORD_BYTES_MAX, "a turn that sees a line less than whole gets nowhere");

/// Identity of a file as the table knows it: a hash of the host's opaque id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

impl Key {
    /// Of what is in no file any more, but perhaps in a copy of it.
    pub(crate) const NOBODY: Key = Key(0);

    /// Two 32-bit hashes, of the id and of the id behind its own hash.
    pub(crate) fn of(id: &[u8]) -> Key {
        let low = hash(HASH_START, id);
        let high = hash(hash(HASH_START, &low.to_le_bytes()), id);
        Key((u64::from(high) << 32 | u64::from(low)).max(1))
    }
}

/// The clocks, as they were at the start of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) ms: u64,
    pub(crate) unix_ns: u64,
}

/// What is known of a file.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nothing: it may be the copy of another one. If it is not, it is read from `at_end`, where it ended when
    /// the source was started for the first time.
    Fresh { at_end: Option<u64>, since_ms: u64, probe: Option<Probe> },
    /// It begins as another one that is followed: that one is read.
    Shadow(Key),
    /// It is read.
    Reading,
    /// There is nothing in it that should be read.
    Done,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All lines that are there were taken.
    AtEnd,
    /// Lines wait: another turn at this time, if nothing happens before.
    Until(u64),
    /// More may be there.
    More,
    /// The batch took no more.
    Full,
    /// What stood before the position does not any more.
    Truncated,
    /// The path names another file now.
    Moved,
    /// It was taken to its last byte, and there will not be more.
    Over,
}

/// A file that is followed.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and they change on their own")]
pub(crate) struct Tracked {
    pub(crate) key: Key,
    /// Where it is now.
    pub(crate) path: String,
    /// Made of where it was found: a rotation does not cut its stream in two.
    pub(crate) labels: Labels,
    /// Hash of that path.
    pub(crate) name: u32,
    pub(crate) position: Position,
    pub(crate) stage: Stage,
    pub(crate) content: Option<Content>,
    pub(crate) size: u64,
    pub(crate) modified_unix_ns: u64,
    /// It has been the same for a while.
    pub(crate) settled: bool,
    changed_ms: u64,
    /// The last scan showed it.
    pub(crate) listed: bool,
    /// When a scan did last.
    pub(crate) seen_ms: u64,
    /// Since when it is renamed or gone.
    pub(crate) rotated_ms: Option<u64>,
    /// It waits for a turn.
    pub(crate) queued: bool,
    /// The last attempt to read it failed, and that was said.
    pub(crate) failing: bool,
    /// It was truncated; what is to be done about it waits for a scan.
    pub(crate) cut: bool,
    /// Turns that it let pass since.
    pub(crate) cut_turns: u8,
    /// What is in it is compressed.
    pub(crate) is_packed: bool,
    /// It has a position that was read in another file.
    pub(crate) is_copy: bool,
    /// When lines of it have waited long enough.
    pub(crate) due_ms: Option<u64>,
    /// When it had its last turn.
    pub(crate) turn_ms: u64,
    /// What is no record yet.
    pub(crate) tail: Option<Window>,
    /// Where it ended at its last turn, and since when.
    end: u64,
    grown_ms: u64,
}

impl Tracked {
    pub(crate) fn new(entry: &Entry, name: u32, labels: Labels, now_ms: u64, at_end: bool) -> Tracked {
        let at_end = Some(entry.identity.size).filter(|size| at_end && *size > 0);
        Tracked {
            key: Key::of(&entry.identity.id),
            path: entry.path.clone(),
            labels,
            name,
            position: Position::START,
            stage: Stage::Fresh { at_end, since_ms: now_ms, probe: None },
            content: None,
            size: entry.identity.size,
            modified_unix_ns: entry.identity.modified_unix_ns,
            settled: false,
            changed_ms: now_ms,
            listed: true,
            seen_ms: now_ms,
            rotated_ms: None,
            queued: false,
            failing: false,
            cut: false,
            cut_turns: 0,
            is_packed: false,
            is_copy: false,
            due_ms: None,
            turn_ms: 0,
            tail: None,
            end: 0,
            grown_ms: now_ms,
        }
    }

    /// The value of its label `path`.
    pub(crate) fn label(&self) -> &str {
        self.labels.first().map_or("", |(_, path)| path)
    }

    pub(crate) fn saved(&self) -> Saved {
        Saved { key: self.key, name: self.name, position: self.position }
    }

    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.stage, Stage::Reading)
    }

    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.stage, Stage::Fresh { .. })
    }

    /// Whether what a scan shows may be another file with the same identity: nothing of this one was read, and it is
    /// not open, so that its inode may have been used again.
    pub(crate) fn may_be_another(&self, entry: &Entry) -> bool {
        let identity = &entry.identity;
        let same = identity.size == self.size && identity.modified_unix_ns == self.modified_unix_ns;
        self.content.is_none()
            && match self.stage {
                Stage::Fresh { .. } => self.position.offset == 0,
                Stage::Shadow(_) => true,
                Stage::Done => self.position.is_skipped() && !same,
                Stage::Reading => false,
            }
    }

    /// Goes on at a position.
    pub(crate) fn read_on(&mut self, position: Position) {
        self.position = position;
        self.tail = None;
        self.stage = if position.is_skipped() { Stage::Done } else { Stage::Reading };
    }

    /// There is nothing to be read in it.
    pub(crate) fn finish(&mut self) {
        self.stage = Stage::Done;
        self.content = None;
    }

    /// Takes in what a scan says. True: there is something to read, or to look after.
    pub(crate) fn see(&mut self, entry: &Entry, now_ms: u64) -> bool {
        let identity = &entry.identity;
        let same = identity.size == self.size && identity.modified_unix_ns == self.modified_unix_ns;
        if !same {
            self.changed_ms = now_ms;
        }
        self.settled = now_ms.saturating_sub(self.changed_ms) >= SETTLED_MS;
        let changed = identity.size != self.end || !same;
        self.size = identity.size;
        self.modified_unix_ns = identity.modified_unix_ns;
        self.listed = true;
        self.seen_ms = now_ms;
        let moved = self.path != entry.path;
        if moved {
            self.path.clone_from(&entry.path);
            self.rotated_ms = Some(now_ms);
        }
        match self.stage {
            // Its identity is all that is known of it, and an inode may be used again.
            Stage::Shadow(_) if !same || moved => self.start_over(now_ms),
            Stage::Done if !same && self.position.is_skipped() => self.start_over(now_ms),
            Stage::Done if !same => {
                self.stage = Stage::Reading;
                self.content = None;
            }
            _ => {}
        }
        changed || self.failing || self.rotated_ms.is_some() || self.is_fresh()
    }

    /// Whatever was known of it may not be true any more.
    fn start_over(&mut self, now_ms: u64) {
        if self.position.is_skipped() {
            self.position = Position::START;
        }
        self.stage = Stage::Fresh { at_end: None, since_ms: now_ms, probe: None };
        self.content = None;
    }

    /// Opens the file if it is not. False: its path names another one now.
    pub(crate) fn open(&mut self) -> Result<bool, Failure> {
        if self.content.is_some() {
            return Ok(true);
        }
        let content = match Content::open(&self.path) {
            Ok(content) => content,
            Err(failure) if files::is_gone(&failure) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let same = Key::of(&content.stat()?.id) == self.key;
        if same {
            self.is_packed = content.is_packed();
            self.content = Some(content);
        }
        Ok(same)
    }

    /// One turn: takes the lines of at most one chunk into the batch. `kept` is the chunk of the file that
    /// filled the last batch, and becomes that of this one if it is filled.
    pub(crate) fn turn(
        &mut self,
        batch: &mut Builder,
        kept: &mut Option<Window>,
        settings: &Settings,
        now: Now,
    ) -> Result<Turn, Failure> {
        self.turn_ms = now.ms;
        let mut window = match kept.take_if(|window| window.belongs_to(self.key)) {
            // It was read some time ago: what it ends with need not be the end any more.
            Some(window) => Window { behind: Behind::More, ..window },
            None => match self.read(settings)? {
                Read::Window(window) => window,
                Read::OnTheWay => return Ok(Turn::More),
                Read::Truncated => return Ok(Turn::Truncated),
            },
        };
        (self.cut, self.cut_turns) = (false, 0);
        self.is_copy = false;
        self.tail = None;
        if self.position.after_cut && !self.skip_hole(&mut window, settings) {
            return Ok(if window.behind == Behind::More { Turn::More } else { Turn::AtEnd });
        }
        let end = self.position.offset + window.unread().len() as u64;
        if end != self.end {
            self.end = end;
            self.grown_ms = now.ms;
        }
        self.size = self.size.max(end);

        let ahead = self.ahead(window.behind, settings, now.ms);
        let (full, held) = self.take(&mut window, ahead, batch, settings, now)?;
        let unread = window.unread().len();
        Ok(if full {
            *kept = Some(window);
            Turn::Full
        } else if ahead == Ahead::More {
            Turn::More
        } else if ahead == Ahead::End {
            Turn::Over
        } else {
            self.tail = (unread > 0 && unread <= TAIL_BYTES_MAX).then(|| window.trimmed(self.position));
            self.next_look(ahead, held || unread > 0, settings).map_or(Turn::AtEnd, Turn::Until)
        })
    }

    /// Moves records from the window into the batch: whether that is full, and whether lines wait.
    pub(crate) fn take(
        &mut self,
        window: &mut Window,
        ahead: Ahead,
        batch: &mut Builder,
        settings: &Settings,
        now: Now,
    ) -> Result<(bool, bool), Failure> {
        let entries = self.position.entries;
        let cut = settings.framing.cut(window.unread(), entries, ahead, batch, &self.labels, now.unix_ns)?;
        self.position = self.position.advanced(&window.bytes, window.at, cut.used, cut.entries);
        window.at += cut.used;
        Ok((cut.full, cut.held))
    }

    /// What is to be thought of the bytes behind a window.
    fn ahead(&self, behind: Behind, settings: &Settings, now_ms: u64) -> Ahead {
        let idle_ms = now_ms.saturating_sub(self.grown_ms);
        let rotated = self.rotated_ms.is_some_and(|rotated_ms| {
            now_ms.saturating_sub(rotated_ms.max(self.grown_ms)) >= settings.rotate_wait_ms
        });
        match behind {
            Behind::More => Ahead::More,
            Behind::End => Ahead::End,
            Behind::Nothing if rotated || settings.once => Ahead::End,
            Behind::Nothing if settings.flush_tail_ms > 0 && idle_ms >= settings.flush_tail_ms => {
                Ahead::TailQuiet
            }
            Behind::Nothing if idle_ms >= settings.flush_ms => Ahead::Quiet,
            Behind::Nothing => Ahead::Nothing,
        }
    }

    /// When what waits is to be looked at again.
    fn next_look(&self, ahead: Ahead, waits: bool, settings: &Settings) -> Option<u64> {
        let groups = (ahead == Ahead::Nothing).then_some(settings.flush_ms);
        let tail = Some(settings.flush_tail_ms).filter(|ms| *ms > 0 && ahead != Ahead::TailQuiet);
        let wait_ms = groups.into_iter().chain(tail).min()?;
        waits.then(|| self.grown_ms + wait_ms)
    }

    /// Skips the hole that a truncation left to a writer that did not notice it. False: it is all there is.
    fn skip_hole(&mut self, window: &mut Window, settings: &Settings) -> bool {
        let unread = window.unread();
        let hole = unread.iter().take_while(|byte| **byte == 0).count();
        // Half a character of UTF-16 may be such a byte.
        let hole = settings.framing.encoding.whole_units(hole);
        let all = hole == unread.len() && hole > 0;
        self.position = self.position.advanced(&window.bytes, window.at, hole, self.position.entries);
        self.position.after_cut |= all;
        window.at += hole;
        !all
    }

    /// The next chunk, with the frontier before it.
    fn read(&mut self, settings: &Settings) -> Result<Read, Failure> {
        let Some(content) = &mut self.content else {
            return Err(Failure::restart("file-source.not-open", "a file had its turn without being open"));
        };
        // Twice: at the start of a line that begins too early in the tail, the second look sees enough.
        for _ in 0..2 {
            if self.position.hashes.is_none() {
                let tail_bytes = self.position.offset.min(ANCHOR_BYTES);
                let head = content.read_at(0, HEAD_BYTES as usize)?;
                let tail = content.read_at(self.position.offset - tail_bytes, tail_bytes as usize)?;
                let (Chunk::Bytes(head, _), Chunk::Bytes(tail, _)) = (head, tail) else {
                    return Ok(Read::OnTheWay);
                };
                if tail.len() as u64 != tail_bytes {
                    return Ok(Read::Truncated);
                }
                self.position = self.position.anchored(&head, &tail, settings.framing.encoding);
            }
        }
        if self.position.hashes.is_none() {
            return Ok(Read::Truncated);
        }
        let at = self.position.frontier_bytes();
        let from = self.position.offset - at as u64;
        let (bytes, behind) = match content.read_at(from, at + TURN_BYTES)? {
            Chunk::Bytes(bytes, behind) => (bytes, behind),
            Chunk::OnTheWay => return Ok(Read::OnTheWay),
        };
        if !bytes.get(..at).is_some_and(|before| self.position.frontier_is(before)) {
            return Ok(Read::Truncated);
        }
        let window = Window { key: self.key, bytes, at, behind };
        // Where nothing was taken yet there is no frontier to tell by.
        let was_there = |tail: &Window| window.unread().starts_with(tail.unread());
        if self.tail.as_ref().is_some_and(|tail| !was_there(tail)) {
            return Ok(Read::Truncated);
        }
        Ok(Read::Window(window))
    }

    /// Whether what stands before the position is still there. What is compressed is believed until it is read.
    pub(crate) fn is_what_it_was(&mut self) -> Result<bool, Failure> {
        let position = self.position;
        let Some(content) = self.content.as_mut().filter(|content| !content.is_packed()) else {
            return Ok(true);
        };
        if position.hashes.is_none() {
            return Ok(true);
        }
        let at = position.frontier_bytes();
        let before = content.read_at(position.offset - at as u64, at)?;
        Ok(matches!(before, Chunk::Bytes(before, _) if position.frontier_is(&before)))
    }

    /// Starts over in a file that was truncated, or is another one with the same identity.
    pub(crate) fn restart(&mut self, now_ms: u64) {
        let lost = self.unread_bytes();
        log::warn!(
            "{} was truncated or written anew, reading it from its start; {lost} bytes of it were seen and not \
             read, a copy that the grant shows brings them",
            self.label()
        );
        self.position = Position::AFTER_CUT;
        self.stage = Stage::Fresh { at_end: None, since_ms: now_ms, probe: None };
        self.end = 0;
        (self.cut, self.cut_turns) = (false, 0);
        self.rotated_ms = None;
        self.tail = None;
    }

    /// Bytes that are known to be, or to have been, behind the position.
    pub(crate) fn unread_bytes(&self) -> u64 {
        let known = if self.is_packed || self.position.is_skipped() { 0 } else { self.size.max(self.end) };
        known.saturating_sub(self.position.offset)
    }

    /// Says once that it cannot be read.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if !self.failing {
            log::warn!("{} cannot be read, trying again at every scan: {failure}", self.path);
        }
        self.failing = true;
        self.content = None;
    }
}

/// What reading came to.
enum Read {
    Window(Window),
    OnTheWay,
    Truncated,
}
