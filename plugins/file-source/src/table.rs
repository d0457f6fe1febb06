//! All files that are followed: who has the next turn, and how many are open.

mod look;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::cursor::Saved;
use crate::origin;
use crate::tracked::{Key, Stage, Tracked};
use crate::window::Window;

/// Files open at once, rotated ones not counted: the most recently active ones.
const OPEN_MAX: usize = 512;
/// How long the position of a file that vanished is kept, in case it comes back.
const GONE_MS_MAX: u64 = 24 * 3600 * 1000;
/// Positions of vanished files that are kept.
const GONE_MAX: usize = 1024;

/// A file that is not there any more, or with [`Key::NOBODY`] a state of one that was truncated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub(crate) saved: Saved,
    since_ms: u64,
}

/// The files, by identity.
#[derive(Debug)]
pub(crate) struct Table {
    files: BTreeMap<Key, Tracked>,
    /// The oldest first.
    gone: Vec<Gone>,
    queue: VecDeque<Key>,
    /// Files by the hashes of the paths where they were found and are, and those that may have left their
    /// contents elsewhere, as of the last scan.
    paths: HashMap<u32, Vec<Key>>,
    away: Vec<Key>,
    /// Files with lines that wait, and until when.
    waiting: BTreeSet<(u64, Key)>,
    /// Files that stand inside a long line. The parts of one follow each other in their stream, so another
    /// file with the same label (the new one, after a rotation) waits.
    inside: Vec<Key>,
    /// Files known by their identity alone, until what stands before their position has been seen: an inode
    /// may have been used again. Until then the contents of one of them may be in a fresh file.
    unproven: BTreeSet<Key>,
    /// Files that wait until all is proven, until nothing is decoded, or for another file's turn.
    blocked: Vec<Key>,
    /// The one compressed file that is decoded: a decoder takes megabytes.
    decoding: Option<Key>,
    /// Files opened since it was last seen to that they are not too many.
    opened_since_count: usize,
    /// What is left of the chunk that filled the last batch.
    kept: Option<Window>,
    /// A turn found a file not where it was.
    scan_wanted: bool,
    /// A turn found a file truncated, and where its rest may be shows in a scan.
    scan_needed: bool,
}

impl Table {
    /// Positions out of the cursor begin as files that are gone: the first scan brings them back.
    pub(crate) fn new(saved: Vec<Saved>, now_ms: u64) -> Table {
        Table {
            files: BTreeMap::new(),
            gone: saved.into_iter().map(|saved| Gone { saved, since_ms: now_ms }).collect(),
            queue: VecDeque::new(),
            paths: HashMap::new(),
            away: Vec::new(),
            waiting: BTreeSet::new(),
            inside: Vec::new(),
            unproven: BTreeSet::new(),
            blocked: Vec::new(),
            decoding: None,
            opened_since_count: 0,
            kept: None,
            scan_wanted: false,
            scan_needed: false,
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
        self.files().filter(|file| file.content.is_some()).count()
    }

    pub(crate) fn bytes_behind(&self) -> u64 {
        self.files().filter(|file| file.is_reading() || file.is_fresh()).map(Tracked::unread_bytes).sum()
    }

    /// Follows a file from now on.
    pub(crate) fn insert(&mut self, file: Tracked) {
        let key = file.key;
        if file.position.entries.is_inside() {
            self.inside.push(key);
        }
        self.files.insert(key, file);
        self.queue_back(key);
    }

    /// Follows a file again that the cursor knows.
    pub(crate) fn bring_back(&mut self, file: Tracked) {
        if file.is_reading() {
            self.unproven.insert(file.key);
        }
        self.insert(file);
    }

    /// Follows a file no longer; its position is for its copy, or is kept for a while.
    pub(crate) fn remove(&mut self, key: Key, now_ms: u64) {
        if let Some(file) = self.files.remove(&key) {
            if !self.promote(file.saved(), &file) {
                self.remember(file.saved(), now_ms);
            }
            self.leave_line(key, file.label());
        }
        self.queue.retain(|queued| *queued != key);
        self.kept.take_if(|window| window.belongs_to(key));
        self.proven(key);
        self.decoded(key);
    }

    /// Lets a shadow of `original` go on where that was read to. False: it has none.
    fn promote(&mut self, saved: Saved, original: &Tracked) -> bool {
        let is_shadow = |file: &&Tracked| matches!(file.stage, Stage::Shadow(of) if of == saved.key);
        let shadows: Vec<Key> = self.files().filter(is_shadow).map(|file| file.key).collect();
        let Some((&first, others)) = shadows.split_first() else { return false };
        if let Some(file) = self.files.get_mut(&first) {
            file.labels.clone_from(&original.labels);
            file.name = saved.name;
            file.is_copy = true;
            file.read_on(saved.position);
            if file.position.entries.is_inside() {
                self.inside.push(first);
            }
        }
        for other in others {
            if let Some(file) = self.files.get_mut(other) {
                file.stage = Stage::Shadow(first);
            }
        }
        self.queue_front(first);
        true
    }

    fn remember(&mut self, saved: Saved, now_ms: u64) {
        if saved.position.offset > 0 {
            self.gone.push(Gone { saved, since_ms: now_ms });
        }
    }

    /// Takes out what is remembered of a file that is gone.
    pub(crate) fn take_gone(&mut self, which: impl FnMut(&Saved) -> bool) -> Option<Saved> {
        let mut which = which;
        let index = self.gone.iter().position(|gone| which(&gone.saved))?;
        Some(self.gone.remove(index).saved)
    }

    /// Takes out what is remembered of the file with this identity.
    pub(crate) fn take_known(&mut self, key: Key) -> Option<Saved> {
        self.take_gone(|saved| origin::is_somebody(key) && saved.key == key)
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

    /// A turn after all others that are queued now.
    pub(crate) fn queue_last(&mut self, key: Key) {
        if let Some(file) = self.files.get_mut(&key) {
            if std::mem::replace(&mut file.queued, true) {
                self.queue.retain(|queued| *queued != key);
            }
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
        let open: Vec<Key> = self.files().filter(|f| f.content.is_some()).map(|f| f.key).collect();
        for key in open {
            self.queue_back(key);
        }
    }

    /// Another turn for a file at this time.
    fn wait_until(&mut self, key: Key, due_ms: u64) {
        if let Some(file) = self.files.get_mut(&key) {
            if let Some(before) = file.due_ms.replace(due_ms) {
                self.waiting.remove(&(before, key));
            }
            self.waiting.insert((due_ms, key));
        }
    }

    /// Notes where files are now.
    pub(crate) fn note_paths(&mut self) {
        self.paths.clear();
        self.away.clear();
        for (key, file) in &self.files {
            let path = origin::name_of(&file.path);
            self.paths.entry(file.name).or_default().push(*key);
            if path != file.name {
                self.paths.entry(path).or_default().push(*key);
            }
            if !file.listed || file.cut {
                self.away.push(*key);
            }
        }
    }

    /// Queues the files of which lines have waited long enough.
    pub(crate) fn queue_waiting(&mut self, now_ms: u64) {
        while let Some((due_ms, key)) = self.waiting.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms)
        {
            self.waiting.remove(&(due_ms, key));
            self.queue_back(key);
        }
    }

    /// When the next of them will have.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.waiting.first().map(|(due_ms, _)| *due_ms)
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a turn found that files are not where they were, since this was asked last.
    pub(crate) fn takes_scan(&mut self) -> bool {
        std::mem::take(&mut self.scan_wanted)
    }

    /// Whether nothing more can be done without a scan.
    pub(crate) fn takes_scan_at_once(&mut self) -> bool {
        std::mem::take(&mut self.scan_needed)
    }

    /// Whether nothing in any file is left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.files().all(|file| matches!(file.stage, Stage::Done | Stage::Shadow(_)) || file.failing)
    }
}
