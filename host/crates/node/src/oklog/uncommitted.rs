//! Segments of OK Log that this node has stored, and whose commit has not reached their ingester.
//!
//! A claim lapses after a minute, also while stores are away and `replicated` has to wait: the segment is offered
//! again. Without this memory it would be stored once a minute for as long as that lasts; its records would be shown
//! once all the same, for their ids are keys.

use std::collections::{HashMap, VecDeque};

use weir_record::RecordId;
use weir_record::limits::OKLOG_UNCOMMITTED_MAX;
use weir_record::mint::keyed_id;

/// What a segment holds: two with the same are the same. 80 bits of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Content(RecordId);

impl Content {
    pub(super) fn of(segment: &[u8]) -> Content {
        Content(keyed_id(0, &[], 0, segment))
    }
}

/// What is to be done with a segment that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is to be stored.
    Store,
    /// An earlier read of it is being stored: nothing.
    Wait,
    /// It is stored: it is to be committed.
    Commit,
}

/// The segments of one ingester.
#[derive(Debug, Default)]
pub(super) struct Uncommitted {
    /// Whether they are stored.
    known: HashMap<Content, bool>,
    /// Those that are, the oldest first.
    stored: VecDeque<Content>,
}

impl Uncommitted {
    /// A segment was read.
    pub(super) fn read(&mut self, content: Content) -> Turn {
        match self.known.get(&content) {
            Some(true) => Turn::Commit,
            Some(false) => Turn::Wait,
            None => {
                self.known.insert(content, false);
                Turn::Store
            }
        }
    }

    /// It is stored.
    pub(super) fn stored(&mut self, content: Content) {
        self.known.insert(content, true);
        self.stored.push_back(content);
        if self.stored.len() > OKLOG_UNCOMMITTED_MAX
            && let Some(oldest) = self.stored.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// It could not be stored, or its ingester has let go of it.
    pub(super) fn forget(&mut self, content: Content) {
        if self.known.remove(&content) == Some(true) {
            self.stored.retain(|stored| *stored != content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_stored_once_until_it_is_committed() {
        let mut segments = Uncommitted::default();
        let [a, b] = [&b"a"[..], b"b"].map(Content::of);
        assert_eq!([a, b, a].map(|content| segments.read(content)), [Turn::Store, Turn::Store, Turn::Wait]);
        segments.stored(a);
        assert_eq!([a, b, a].map(|content| segments.read(content)), [Turn::Commit, Turn::Wait, Turn::Commit]);
        segments.forget(b);
        segments.forget(a);
        assert_eq!([a, b].map(|content| segments.read(content)), [Turn::Store, Turn::Store]);
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let mut segments = Uncommitted::default();
        let contents: Vec<Content> =
            (0..=OKLOG_UNCOMMITTED_MAX).map(|n| Content::of(&n.to_le_bytes())).collect();
        for &content in &contents {
            segments.read(content);
            segments.stored(content);
        }
        assert_eq!(
            (segments.known.len(), segments.stored.len()),
            (OKLOG_UNCOMMITTED_MAX, OKLOG_UNCOMMITTED_MAX)
        );
        assert_eq!(
            [contents[0], contents[1]].map(|content| segments.read(content)),
            [Turn::Store, Turn::Commit]
        );
    }
}
