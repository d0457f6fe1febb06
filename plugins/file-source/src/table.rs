//! All files that are followed: who has the next turn, and how many are open.

use std::collections::{BTreeMap, VecDeque};

use weir_plugin_sdk::batch::Builder;

use crate::config::Config;
use crate::counters::Counters;
use crate::position::Position;
use crate::tracked::{Key, Tracked, Turn, Window};

/// Files open at once, rotated ones not counted: the most recently active ones.
const OPEN_MAX: usize = 256;
/// How long the position of a file that vanished is kept, in case it comes back.
const GONE_MS_MAX: u64 = 24 * 3600 * 1000;
/// Positions of vanished files that are kept.
const GONE_MAX: usize = 1024;

/// A file that is not there any more, or a state of one that was truncated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    /// `None`: only its contents can show up again, in a copy.
    pub(crate) key: Option<Key>,
    pub(crate) position: Position,
    since_ms: u64,
}

/// The files, by identity.
#[derive(Debug)]
pub(crate) struct Table {
    files: BTreeMap<Key, Tracked>,
    /// The oldest first.
    gone: Vec<Gone>,
    queue: VecDeque<Key>,
    /// Files that stand inside a long line. The parts of one follow each other in their stream, so another
    /// file with the same label (the new one, after a rotation) waits.
    inside: Vec<Key>,
    /// Files opened since it was last seen to that they are not too many.
    opened_since_count: usize,
    /// What is left of the chunk that filled the last batch.
    kept: Option<Window>,
    /// A turn found a file not where it was.
    scan_wanted: bool,
}

impl Table {
    /// Positions out of the cursor begin as files that are gone: the first scan brings them back.
    pub(crate) fn new(positions: Vec<(Key, Position)>, now_ms: u64) -> Table {
        let gone = positions.into_iter();
        let gone = gone.map(|(key, position)| Gone { key: Some(key), position, since_ms: now_ms }).collect();
        Table {
            files: BTreeMap::new(),
            gone,
            queue: VecDeque::new(),
            inside: Vec::new(),
            opened_since_count: 0,
            kept: None,
            scan_wanted: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Tracked> {
        self.files.values()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Tracked> {
        self.files.get_mut(&key)
    }

    pub(crate) fn gone(&self) -> &[Gone] {
        &self.gone
    }

    pub(crate) fn open_count(&self) -> usize {
        self.files().filter(|file| file.handle.is_some()).count()
    }

    pub(crate) fn bytes_behind(&self) -> u64 {
        self.files().map(|file| file.size.saturating_sub(file.position.offset)).sum()
    }

    /// Follows a file from now on.
    pub(crate) fn insert(&mut self, file: Tracked) {
        let key = file.key;
        if file.position.inside {
            self.inside.push(key);
        }
        self.files.insert(key, file);
        self.queue_back(key);
    }

    /// Follows a file no longer; its position is kept for a while.
    pub(crate) fn remove(&mut self, key: Key, now_ms: u64) {
        if let Some(file) = self.files.remove(&key) {
            self.remember(Some(key), file.position, now_ms);
            self.leave_line(key, file.label());
        }
        self.queue.retain(|queued| *queued != key);
        self.kept.take_if(|window| window.belongs_to(key));
    }

    fn remember(&mut self, key: Option<Key>, position: Position, now_ms: u64) {
        if position.offset > 0 {
            self.gone.push(Gone { key, position, since_ms: now_ms });
        }
    }

    /// Takes out what is remembered of a file that is gone.
    pub(crate) fn take_gone(&mut self, which: impl FnMut(&Gone) -> bool) -> Option<Position> {
        let index = self.gone.iter().position(which)?;
        Some(self.gone.remove(index).position)
    }

    /// Forgets what has been gone for too long, and the oldest of too many.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        self.gone.retain(|gone| now_ms.saturating_sub(gone.since_ms) < GONE_MS_MAX);
        let surplus = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..surplus);
    }

    pub(crate) fn queue_back(&mut self, key: Key) {
        if let Some(file) = self.files.get_mut(&key)
            && !std::mem::replace(&mut file.queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// A turn before all others: for what is to be finished first.
    pub(crate) fn queue_front(&mut self, key: Key) {
        if let Some(file) = self.files.get_mut(&key)
            && !std::mem::replace(&mut file.queued, true)
        {
            self.queue.push_front(key);
        }
    }

    /// Queues every file that is open.
    pub(crate) fn queue_open(&mut self) {
        let open: Vec<Key> = self.files().filter(|f| f.handle.is_some()).map(|f| f.key).collect();
        for key in open {
            self.queue_back(key);
        }
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a turn found that files are not where they were, since this was asked last.
    pub(crate) fn takes_scan(&mut self) -> bool {
        std::mem::take(&mut self.scan_wanted)
    }

    /// Gives the next file its turn. True: the batch is full.
    pub(crate) fn turn(
        &mut self,
        batch: &mut Builder,
        config: &Config,
        now_ms: u64,
        counters: &Counters,
    ) -> bool {
        let Some(key) = self.queue.pop_front() else { return false };
        self.make_room(key);
        let waits = self.waits(key);
        let Some(file) = self.files.get_mut(&key) else { return false };
        file.queued = false;
        if waits {
            return false;
        }
        let opened = if file.handle.is_some() { Ok(true) } else { file.open() };
        let turn = match opened {
            Ok(true) => file.turn(batch, &mut self.kept, config, now_ms),
            Ok(false) => Ok(Turn::Moved),
            Err(failure) => Err(failure),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(failure) => {
                file.fail(&failure);
                counters.errors.add(1);
                return false;
            }
        };
        file.failing &= turn == Turn::Moved;
        match turn {
            Turn::AtEnd => {}
            // Its writers have left it: it comes to an end, and the file after it shall not overtake it.
            Turn::More if file.rotated_ms.is_some() => self.queue_front(key),
            Turn::More => self.queue_back(key),
            Turn::Full => self.queue_front(key),
            Turn::Truncated => {
                let position = file.restart();
                self.remember(None, position, now_ms);
                counters.truncated.add(1);
                self.queue_front(key);
            }
            Turn::Moved => self.scan_wanted = true,
            Turn::Over if file.listed => file.rotated_ms = None,
            Turn::Over => self.remove(key, now_ms),
        }
        self.note_inside(key);
        turn == Turn::Full
    }

    /// Whether another file of the same stream stands inside a long line.
    fn waits(&self, key: Key) -> bool {
        let others =
            self.inside.iter().filter(|other| **other != key).filter_map(|other| self.files.get(other));
        let label = self.files.get(&key).map(Tracked::label);
        others.into_iter().any(|other| !other.failing && Some(other.label()) == label)
    }

    /// Notes whether the file stands inside a long line now, and lets go those that waited for its end.
    fn note_inside(&mut self, key: Key) {
        let Some(file) = self.files.get(&key) else { return };
        match (file.position.inside, self.inside.contains(&key)) {
            (true, false) => self.inside.push(key),
            (false, true) => {
                let label = file.label().to_string();
                self.leave_line(key, &label);
            }
            _ => {}
        }
    }

    fn leave_line(&mut self, key: Key, label: &str) {
        let Some(index) = self.inside.iter().position(|inside| *inside == key) else { return };
        self.inside.swap_remove(index);
        let waiting: Vec<Key> = self.files().filter(|f| f.label() == label).map(|f| f.key).collect();
        for key in waiting {
            self.queue_back(key);
        }
    }

    /// Makes room for one more open file, by closing a quarter of those at their end, the longest idle
    /// ones: one at a time would mean looking through all files for each. Files that have lost their path
    /// stay open, they could not be opened again.
    fn make_room(&mut self, key: Key) {
        if self.files.get(&key).is_some_and(|file| file.handle.is_some()) {
            return;
        }
        if self.opened_since_count < OPEN_MAX / 4 {
            self.opened_since_count += 1;
            return;
        }
        self.opened_since_count = 0;
        let open = self.files().filter(|file| file.handle.is_some() && file.listed);
        let mut idle: Vec<(u64, Key)> = open.map(|file| (file.turn_ms, file.key)).collect();
        let surplus = (idle.len() + OPEN_MAX / 4).saturating_sub(OPEN_MAX);
        idle.sort_unstable();
        for (_, key) in idle.into_iter().take(surplus) {
            if let Some(file) = self.files.get_mut(&key) {
                file.handle = None;
            }
        }
    }
}
