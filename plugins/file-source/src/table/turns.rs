//! Whose turn it is, and what follows from it.

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::batch::Builder;

use super::{OPEN_MAX, Table};
use crate::config::Settings;
use crate::counters::Counters;
use crate::cursor::Saved;
use crate::frame::Ahead;
use crate::origin;
use crate::position::Position;
use crate::tracked::{Key, Now, Tracked, Turn};

/// Turns that a truncated file lets pass for what may be its copy.
const CUT_TURNS_MAX: u8 = 32;

impl Table {
    /// Gives the next file its turn. True: the batch is full.
    pub(crate) fn turn(
        &mut self,
        batch: &mut Builder,
        settings: &Settings,
        now: Now,
        counters: &Counters,
    ) -> bool {
        let Some(key) = self.queue.pop_front() else { return false };
        self.make_room(key);
        if let Some(file) = self.files.get_mut(&key) {
            file.queued = false;
        }
        let waits = self.waits(key);
        if waits && !self.unproven.contains(&key) {
            return false;
        }
        let turn = match self.look_into(key, settings, now) {
            Ok(Some(turn)) => Ok(turn),
            Ok(None) if waits => self.prove(key),
            Ok(None) => self.read(key, batch, settings, now),
            Err(failure) => Err(failure),
        };
        match turn {
            Ok(turn) => self.after(key, turn, batch, settings, now, counters),
            Err(failure) => {
                if let Some(file) = self.files.get_mut(&key) {
                    file.fail(&failure);
                }
                self.decoded(key);
                self.proven(key);
                counters.errors.add(1);
                false
            }
        }
    }

    /// Sees whether a file is what it was, without reading on.
    fn prove(&mut self, key: Key) -> Result<Turn, Failure> {
        let Some(file) = self.files.get_mut(&key).filter(|file| file.is_reading()) else {
            return Ok(Turn::AtEnd);
        };
        Ok(if !file.open()? {
            Turn::Moved
        } else if file.is_what_it_was()? {
            Turn::AtEnd
        } else {
            Turn::Truncated
        })
    }

    fn read(
        &mut self,
        key: Key,
        batch: &mut Builder,
        settings: &Settings,
        now: Now,
    ) -> Result<Turn, Failure> {
        let Some(file) = self.files.get_mut(&key).filter(|file| file.is_reading()) else {
            return Ok(Turn::AtEnd);
        };
        if !file.open()? {
            return Ok(Turn::Moved);
        }
        if file.is_packed && *self.decoding.get_or_insert(key) != key {
            // Another one is being decoded.
            self.blocked.push(key);
            return Ok(Turn::AtEnd);
        }
        file.turn(batch, &mut self.kept, settings, now)
    }

    /// What follows from a turn. True: the batch is full.
    fn after(
        &mut self,
        key: Key,
        turn: Turn,
        batch: &mut Builder,
        settings: &Settings,
        now: Now,
        counters: &Counters,
    ) -> bool {
        let Some(file) = self.files.get_mut(&key) else { return false };
        file.failing &= turn == Turn::Moved;
        let (rotated, listed) = (file.rotated_ms.is_some() && file.is_reading(), file.listed);
        let proven = !matches!(turn, Turn::Truncated | Turn::Moved) && file.is_reading();
        if !matches!(turn, Turn::More | Turn::Full) && file.is_packed {
            file.content = None;
            self.decoded(key);
        }
        if proven {
            self.proven(key);
        }
        let mut full = turn == Turn::Full;
        match turn {
            Turn::AtEnd => {}
            Turn::Until(due_ms) => self.wait_until(key, due_ms),
            // Its writers have left it: it comes to an end, and the file after it shall not overtake it.
            Turn::More if rotated => self.queue_front(key),
            Turn::More => self.queue_back(key),
            Turn::Full => self.queue_front(key),
            Turn::Truncated => full = self.truncated(key, batch, settings, now, counters),
            Turn::Moved => self.scan_wanted = true,
            Turn::Over => self.over(key, listed, settings, now),
        }
        self.note_inside(key);
        full
    }

    /// All of a file was read, for good or (renamed, and still growing now and then) for now.
    fn over(&mut self, key: Key, listed: bool, settings: &Settings, now: Now) {
        let Some(file) = self.files.get_mut(&key) else { return };
        if settings.once || file.is_packed || file.position.is_skipped() {
            file.finish();
        } else if listed {
            file.rotated_ms = None;
        } else {
            self.remove(key, now.ms);
        }
    }

    /// What stood before the position is not there any more. True: the batch is full.
    fn truncated(
        &mut self,
        key: Key,
        batch: &mut Builder,
        settings: &Settings,
        now: Now,
        counters: &Counters,
    ) -> bool {
        let Some(file) = self.files.get_mut(&key) else { return false };
        if file.is_copy {
            // An older copy than it was taken for: all that is in it was read in the original.
            let position = if file.is_packed {
                Position::SKIPPED
            } else {
                Position::end(file.size, settings.framing.encoding)
            };
            file.is_copy = false;
            file.read_on(position);
            self.queue_back(key);
            return false;
        }
        // What is known by its identity alone may well be another file: there is nothing to be saved, except
        // the rest of a line.
        let another = self.unproven.contains(&key) && !file.position.entries.is_inside();
        if !another && !std::mem::replace(&mut file.cut, true) {
            // A copy of what it held may be there already, and is found by a scan.
            self.scan_needed = true;
            self.proven(key);
            return false;
        }
        if !another && !self.unproven.is_empty() && file.cut_turns < CUT_TURNS_MAX {
            // Its copy is not looked into before all that is known has been seen.
            file.cut_turns += 1;
            self.queue_last(key);
            return false;
        }
        let Some(mut file) = self.files.remove(&key) else { return false };
        let saved = file.saved();
        let mut full = false;
        if !self.promote(saved, &file) {
            // What was seen of it and is no record yet becomes one, and the line that had no end the part of
            // one: the rest is gone, or in a copy that shows up later.
            if let Some(mut tail) = file.tail.take() {
                match file.take(&mut tail, Ahead::TailQuiet, batch, settings, now) {
                    Ok((true, _)) => {
                        file.tail = Some(tail);
                        full = true;
                    }
                    Ok((false, _)) => {}
                    Err(failure) => file.fail(&failure),
                }
            }
            if !full {
                counters.lost.add(file.unread_bytes());
                self.remember(Saved { key: Key::NOBODY, ..file.saved() }, now.ms);
            }
        }
        if !full {
            counters.truncated.add(1);
            if origin::original(&file.path, file.name).is_none() {
                file.labels = settings.naming.labels(&file.path);
                file.name = origin::name_of(&file.path);
            }
            file.restart(now.ms);
        }
        self.files.insert(key, file);
        if !full {
            self.proven(key);
        }
        self.queue_front(key);
        full
    }

    /// Whether another file of the same stream stands inside a long line.
    pub(super) fn waits(&self, key: Key) -> bool {
        let before = self.inside.iter().take_while(|other| **other != key);
        let others = before.filter_map(|other| self.files.get(other));
        let label = self.files.get(&key).map(Tracked::label);
        others.into_iter().any(|other| !other.failing && Some(other.label()) == label)
    }

    /// Notes whether the file stands inside a long line now, and lets go those that waited for its end.
    fn note_inside(&mut self, key: Key) {
        let Some(file) = self.files.get(&key) else { return };
        match (file.position.entries.is_inside(), self.inside.contains(&key)) {
            (true, false) => self.inside.push(key),
            (false, true) => {
                let label = file.label().to_string();
                self.leave_line(key, &label);
            }
            _ => {}
        }
    }

    pub(super) fn leave_line(&mut self, key: Key, label: &str) {
        let Some(index) = self.inside.iter().position(|inside| *inside == key) else { return };
        self.inside.remove(index);
        let waiting: Vec<Key> = self.files().filter(|f| f.label() == label).map(|f| f.key).collect();
        for key in waiting {
            self.queue_back(key);
        }
        self.unblock();
    }

    /// Makes room for one more open file, by closing a quarter of those at their end, the longest idle
    /// ones: one at a time would mean looking through all files for each. Files that have lost their path
    /// stay open, they could not be opened again.
    fn make_room(&mut self, key: Key) {
        if self.files.get(&key).is_some_and(|file| file.content.is_some()) {
            return;
        }
        if self.opened_since_count < OPEN_MAX / 4 {
            self.opened_since_count += 1;
            return;
        }
        self.opened_since_count = 0;
        let open = self.files().filter(|file| file.content.is_some() && file.listed);
        let mut idle: Vec<(u64, Key)> = open.map(|file| (file.turn_ms, file.key)).collect();
        let surplus = (idle.len() + OPEN_MAX / 4).saturating_sub(OPEN_MAX);
        idle.sort_unstable();
        for (_, key) in idle.into_iter().take(surplus) {
            if let Some(file) = self.files.get_mut(&key) {
                file.content = None;
            }
            self.decoded(key);
        }
    }

    /// A file is not decoded any more.
    pub(super) fn decoded(&mut self, key: Key) {
        if self.decoding.take_if(|decoding| *decoding == key).is_some() {
            self.unblock();
        }
    }

    /// What a file is, is known, or will not be known soon.
    pub(super) fn proven(&mut self, key: Key) {
        if self.unproven.remove(&key) && self.unproven.is_empty() {
            self.unblock();
        }
    }

    fn unblock(&mut self) {
        for key in std::mem::take(&mut self.blocked) {
            self.queue_back(key);
        }
    }
}
