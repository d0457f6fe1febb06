//! What a file that nothing is known of is: a new one, or the copy of one that is followed or gone.
//!
//! A copy holds what stood around the position of its original: its first bytes and those right before the
//! position. That is proof enough where those are many, or where it is named after its original
//! (`app.log.1`, `app.log-20260102.gz`).
//!
//! As long as the original is followed, the copy is its shadow and is not read. When the original has been
//! truncated, or is gone and read to its end, the copy goes on where reading it had come.

use std::collections::VecDeque;

use weir_plugin_sdk::Failure;

use crate::content::{Chunk, Content};
use crate::cursor::Saved;
use crate::position::{FRONTIER_BYTES, HASH_START, HEAD_BYTES, hash};
use crate::tracked::Key;

/// A file that a fresh one may be a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) saved: Saved,
    /// It is followed; otherwise it is gone.
    pub(crate) followed: bool,
}

/// What became of looking into a fresh file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A copy of this.
    Copy(Candidate),
    /// No copy.
    New,
    /// Not known yet: more of it has to be decoded.
    OnTheWay,
}

/// A look into a fresh file, over as many turns as it takes.
#[derive(Debug)]
pub(crate) struct Probe {
    /// What it may still be, the nearest position first.
    left: VecDeque<Candidate>,
    best: Option<Candidate>,
}

impl Probe {
    /// `head` is how the file begins.
    pub(crate) fn new(head: &[u8], mut candidates: Vec<Candidate>) -> Probe {
        candidates.retain(|candidate| candidate.saved.position.head_is(head));
        candidates.sort_unstable_by_key(|candidate| candidate.saved.position.offset);
        Probe { left: candidates.into(), best: None }
    }

    /// Compares. Of several that fit, the one that was read furthest is it: less would be read again.
    pub(crate) fn look(&mut self, content: &mut Content) -> Result<Found, Failure> {
        while let Some(candidate) = self.left.front() {
            let position = candidate.saved.position;
            let from = position.offset.saturating_sub(FRONTIER_BYTES);
            match content.read_at(from, position.frontier_bytes())? {
                Chunk::OnTheWay => return Ok(Found::OnTheWay),
                Chunk::Bytes(bytes, _) if position.frontier_is(&bytes) => self.best = self.left.pop_front(),
                Chunk::Bytes(..) => drop(self.left.pop_front()),
            }
        }
        Ok(self.best.map_or(Found::New, Found::Copy))
    }
}

/// How a file begins, as far as it is compared.
pub(crate) fn head(content: &mut Content) -> Result<Vec<u8>, Failure> {
    Ok(match content.read_at(0, HEAD_BYTES as usize)? {
        Chunk::Bytes(bytes, _) => bytes,
        Chunk::OnTheWay => Vec::new(),
    })
}

/// Hash of a path.
pub(crate) fn name_of(path: &str) -> u32 {
    hash(HASH_START, path.as_bytes())
}

/// Hashes of the paths that `path` is named after, if there are files of such names.
pub(crate) fn ancestors(path: &str) -> Vec<u32> {
    let mut state = HASH_START;
    let mut names = Vec::new();
    for byte in path.bytes() {
        if matches!(byte, b'.' | b'-' | b'_' | b'~') {
            names.push(state);
        }
        state = hash(state, &[byte]);
    }
    names
}

/// The path with this hash that `path` is, or is named after.
pub(crate) fn original(path: &str, name: u32) -> Option<&str> {
    let mut state = HASH_START;
    for (end, byte) in path.bytes().enumerate() {
        if state == name && matches!(byte, b'.' | b'-' | b'_' | b'~') {
            return path.get(..end);
        }
        state = hash(state, &[byte]);
    }
    (state == name).then_some(path)
}

/// Whether `key` may be asked for among files that are gone.
pub(crate) fn is_somebody(key: Key) -> bool {
    key != Key::NOBODY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_named_after_their_original() {
        let name = name_of("/l/app.log");
        for (path, expected) in [
            ("/l/app.log", Some("/l/app.log")),
            ("/l/app.log.1", Some("/l/app.log")),
            ("/l/app.log-20260102.gz", Some("/l/app.log")),
            ("/l/app.logs", None),
            ("/l/app.lo", None),
            ("/k/app.log.1", None),
        ] {
            assert_eq!(original(path, name), expected, "{path}");
            let after = expected.is_some_and(|original| original != path);
            assert_eq!(ancestors(path).contains(&name), after);
        }
    }
}
