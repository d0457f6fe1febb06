//! One file and one turn of reading it.

use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::files::{self, Entry, File};
use weir_plugin_sdk::limits::{LABEL_VALUE_BYTES_MAX, RECORD_BYTES_MAX};
use weir_plugin_sdk::lines::Cutter;
use weir_plugin_sdk::{Failure, log};

use crate::GRANT;
use crate::config::Config;
use crate::position::{FRONTIER_BYTES, HASH_START, HEAD_BYTES, Position, hash};

/// Bytes of one turn: a byte more than a line may have, so that a turn always gets somewhere.
const TURN_BYTES: usize = RECORD_BYTES_MAX + 1;
/// How far back the start of the line at the end of a file is looked for.
const ANCHOR_BYTES: u64 = 64 << 10;

/// Identity of a file as the table knows it: a hash of the host's opaque id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

impl Key {
    /// Two 32-bit hashes, of the id and of the id behind its own hash.
    pub(crate) fn of(id: &[u8]) -> Key {
        let low = hash(HASH_START, id);
        let high = hash(hash(HASH_START, &low.to_le_bytes()), id);
        Key(u64::from(high) << 32 | u64::from(low))
    }
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All lines that are there were taken.
    AtEnd,
    /// More may be there.
    More,
    /// The batch took no more.
    Full,
    /// What stood before the position does not any more.
    Truncated,
    /// The path names another file now.
    Moved,
    /// The file was rotated, does not grow any more, and was taken to its last byte.
    Over,
}

/// Bytes of a file from its frontier on, some of them taken already.
#[derive(Debug)]
pub(crate) struct Window {
    key: Key,
    bytes: Vec<u8>,
    /// Where the file's position is in `bytes`.
    at: usize,
    /// The file may have more behind `bytes`.
    more: bool,
}

impl Window {
    pub(crate) fn belongs_to(&self, key: Key) -> bool {
        self.key == key
    }
}

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) key: Key,
    /// Where it is now.
    pub(crate) path: String,
    /// Where it was when it was found: a rotation does not cut its stream in two.
    label: String,
    pub(crate) position: Position,
    pub(crate) handle: Option<File>,
    pub(crate) size: u64,
    pub(crate) modified_unix_ns: u64,
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
    /// When it had its last turn.
    pub(crate) turn_ms: u64,
    /// Where it ended then, and since when.
    end: u64,
    grown_ms: u64,
}

impl Tracked {
    pub(crate) fn new(entry: &Entry, position: Position, now_ms: u64) -> Tracked {
        Tracked {
            key: Key::of(&entry.identity.id),
            path: entry.path.clone(),
            label: label(&entry.path),
            position,
            handle: None,
            size: entry.identity.size,
            modified_unix_ns: entry.identity.modified_unix_ns,
            listed: true,
            seen_ms: now_ms,
            rotated_ms: None,
            queued: false,
            failing: false,
            turn_ms: 0,
            end: 0,
            grown_ms: 0,
        }
    }

    /// The value of its label `path`.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Takes in what a scan says. True: there is something to read, or to look after.
    pub(crate) fn see(&mut self, entry: &Entry, now_ms: u64) -> bool {
        let identity = &entry.identity;
        let changed = identity.size != self.end || identity.modified_unix_ns != self.modified_unix_ns;
        self.size = identity.size;
        self.modified_unix_ns = identity.modified_unix_ns;
        self.listed = true;
        self.seen_ms = now_ms;
        if self.path != entry.path {
            self.path.clone_from(&entry.path);
            self.rotated_ms = Some(now_ms);
        }
        changed || self.failing || self.rotated_ms.is_some()
    }

    /// Opens the file. False: its path names another one now.
    pub(crate) fn open(&mut self) -> Result<bool, Failure> {
        let file = match File::open(GRANT, &self.path) {
            Ok(file) => file,
            Err(failure) if files::is_gone(&failure) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let same = Key::of(&file.stat()?.id) == self.key;
        if same {
            self.handle = Some(file);
        }
        Ok(same)
    }

    /// One turn: takes the lines of at most one chunk into the batch. `kept` is the chunk of the file that
    /// filled the last batch, and becomes that of this one if it is filled.
    pub(crate) fn turn(
        &mut self,
        batch: &mut Builder,
        kept: &mut Option<Window>,
        config: &Config,
        now_ms: u64,
    ) -> Result<Turn, Failure> {
        self.turn_ms = now_ms;
        let window = match kept.take_if(|window| window.belongs_to(self.key)) {
            // It was read some time ago: what it ends with need not be the end any more.
            Some(window) => Some(Window { more: true, ..window }),
            None => self.read()?,
        };
        let Some(mut window) = window else { return Ok(Turn::Truncated) };

        let end = self.position.offset + (window.bytes.len() - window.at) as u64;
        if end != self.end {
            self.end = end;
            self.grown_ms = now_ms;
        }
        self.size = self.size.max(end);
        let quiet_since_ms = self.rotated_ms.map(|rotated_ms| rotated_ms.max(self.grown_ms));
        let over = !window.more
            && quiet_since_ms
                .is_some_and(|quiet_ms| now_ms.saturating_sub(quiet_ms) >= config.rotate_wait_ms);

        let mut cutter = Cutter::resumed(config.max_line_bytes, self.position.inside);
        let labels = [("path", &*self.label)];
        let cut = cutter.cut(&window.bytes[window.at..], over, batch, &labels)?;
        self.position = self.position.advanced(&window.bytes, window.at, cut.used, cutter.inside());
        window.at += cut.used;
        Ok(if cut.full {
            *kept = Some(window);
            Turn::Full
        } else if window.more {
            Turn::More
        } else if over {
            Turn::Over
        } else {
            Turn::AtEnd
        })
    }

    /// The next chunk with the frontier before it; `None` if the frontier is not what it was.
    fn read(&mut self) -> Result<Option<Window>, Failure> {
        let Some(file) = &self.handle else {
            return Err(Failure::restart("file-source.not-open", "a file had its turn without being open"));
        };
        // Twice: at the start of a line that begins too early in the tail, the second look sees enough.
        for _ in 0..2 {
            if self.position.hashes.is_none() {
                let head = file.read_at(0, HEAD_BYTES as usize)?;
                let tail_bytes = self.position.offset.min(ANCHOR_BYTES);
                let tail = file.read_at(self.position.offset - tail_bytes, tail_bytes as usize)?;
                if tail.len() as u64 != tail_bytes {
                    return Ok(None);
                }
                self.position = self.position.anchored(&head, &tail);
            }
        }
        if self.position.hashes.is_none() {
            return Ok(None);
        }
        let at = self.position.frontier_bytes();
        let bytes = file.read_at(self.position.offset - at as u64, at + TURN_BYTES)?;
        if !bytes.get(..at).is_some_and(|before| self.position.frontier_is(before)) {
            return Ok(None);
        }
        let more = bytes.len() - at == TURN_BYTES;
        Ok(Some(Window { key: self.key, bytes, at, more }))
    }

    /// Starts over in a file that was truncated. What was known of it may still be true of a copy.
    pub(crate) fn restart(&mut self) -> Position {
        log::warn!("{} was truncated or written anew, reading it from its start", self.label);
        self.end = 0;
        std::mem::replace(&mut self.position, Position::START)
    }

    /// Says once that it cannot be read.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if !self.failing {
            log::warn!("{} cannot be read, trying again at every scan: {failure}", self.path);
        }
        self.failing = true;
        self.handle = None;
    }
}

/// Whether `file`, which begins with `head`, holds what stood around `position`.
pub(crate) fn holds(file: &File, head: &[u8], position: Position) -> Result<bool, Failure> {
    if !position.head_is(head) {
        return Ok(false);
    }
    let from = position.offset.saturating_sub(FRONTIER_BYTES);
    Ok(position.frontier_is(&file.read_at(from, position.frontier_bytes())?))
}

/// A path as a label may have it: a name may hold control characters, a label may not.
fn label(path: &str) -> String {
    let mut label: String =
        path.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    let end = (0..=LABEL_VALUE_BYTES_MAX.min(label.len())).rev().find(|end| label.is_char_boundary(*end));
    label.truncate(end.unwrap_or(0));
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_what_a_label_may() {
        for (path, expected) in [
            ("/var/log/a b.log".to_string(), "/var/log/a b.log".to_string()),
            ("/a\nb\u{7f}".into(), "/a\u{fffd}b\u{fffd}".into()),
            ("é".repeat(2049), "é".repeat(2048)),
            (format!("x{}", "é".repeat(2048)), format!("x{}", "é".repeat(2047))),
        ] {
            assert_eq!(label(&path), expected);
        }
    }
}
