//! Whose turn it is, and what follows from it.

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::batch::Builder;

use super::{OPEN_MAX, Table};
use crate::config::Settings;
use crate::content::is_undecided;
use crate::counters::Counters;
use crate::cursor::Saved;
use crate::frame::Ahead;
use crate::origin::{self, Candidate, Found, Probe};
use crate::position::{HEAD_BYTES, Position};
use crate::tracked::{Key, Now, Stage, Tracked, Turn};

/// How long a file that may be a copy in the making is waited for.
const COPYING_MS_MAX: u64 = 30_000;

/// Turns that a truncated file lets pass for what may be its copy.
const CUT_TURNS_MAX: u8 = 32;

/// How a look into a fresh file ended.
enum Looked {
    /// It is known what it is.
    Known,
    /// More of it has to be decoded.
    OnTheWay,
    /// Something else comes first.
    Blocked,
    /// It may be the copy that is just being made: the next scan tells more.
    Later,
    /// Its path names another file now.
    Moved,
}

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

    /// Sees to a file that nothing is known of. A turn, if that was it.
    fn look_into(&mut self, key: Key, settings: &Settings, now: Now) -> Result<Option<Turn>, Failure> {
        // Taken out, since what it is compared with is in the table.
        let Some(mut file) = self.files.remove(&key) else { return Ok(Some(Turn::AtEnd)) };
        // What it is may make it wait for another one: it reads in its next turn.
        let was_fresh = file.is_fresh();
        let looked = if was_fresh { self.look(&mut file, settings, now) } else { Ok(Looked::Known) };
        self.files.insert(key, file);
        Ok(match looked? {
            Looked::Known if was_fresh => Some(Turn::More),
            Looked::Known => None,
            Looked::OnTheWay => Some(Turn::More),
            Looked::Blocked => {
                self.blocked.push(key);
                Some(Turn::AtEnd)
            }
            Looked::Later => Some(Turn::AtEnd),
            Looked::Moved => Some(Turn::Moved),
        })
    }

    fn look(&mut self, file: &mut Tracked, settings: &Settings, now: Now) -> Result<Looked, Failure> {
        if !self.unproven.is_empty() {
            return Ok(Looked::Blocked);
        }
        // Nothing can be said before what it may be a copy of has had its turn.
        let is_unread =
            |other: &Tracked| other.is_fresh() || other.is_reading() && other.position.offset == 0;
        if self.named_after(&file.path).any(|other| is_unread(other) && other.queued) {
            return Ok(Looked::OnTheWay);
        }
        if self.named_after(&file.path).any(|other| is_unread(other) && self.waits(other.key)) {
            return Ok(Looked::Blocked);
        }
        if !file.open()? {
            return Ok(Looked::Moved);
        }
        let Stage::Fresh { at_end, since_ms, probe } = &mut file.stage else { return Ok(Looked::Known) };
        let (at_end, since_ms) = (*at_end, *since_ms);
        let Some(content) = &mut file.content else { return Ok(Looked::Moved) };
        if content.is_packed() {
            if *self.decoding.get_or_insert(file.key) != file.key {
                return Ok(Looked::Blocked);
            }
            if !file.settled && !settings.once {
                // It may still be compressed.
                file.content = None;
                return Ok(Looked::Later);
            }
        }
        if probe.is_none() {
            let head = origin::head(content)?;
            let mature = file.settled || now.ms.saturating_sub(since_ms) > COPYING_MS_MAX;
            file.size = content.stat()?.size;
            let mut candidates = self.candidates(&file.path);
            if !content.is_packed() {
                let too_long = |candidate: &Candidate| candidate.saved.position.offset > file.size;
                let begun = |candidate: &Candidate| {
                    let position = candidate.saved.position;
                    head.len() < position.head_bytes() || position.head_is(&head)
                };
                let making =
                    |candidate: &Candidate| candidate.followed && too_long(candidate) && begun(candidate);
                if head.is_empty() && settings.once {
                    return Ok(done(file));
                }
                let undecided = head.is_empty() || !mature && is_undecided(&head);
                if undecided || !mature && !settings.once && candidates.iter().any(making) {
                    // Opened anew next time: it may have become something else.
                    file.content = None;
                    return Ok(Looked::Later);
                }
                // The original was read on after the copy was made, and is not there any more to compare with.
                let names = origin::ancestors(&file.path);
                let outlived = candidates.iter().any(|candidate| {
                    let Saved { position, name, .. } = candidate.saved;
                    let whole_head = position.head_bytes() as u64 == HEAD_BYTES;
                    too_long(candidate) && whole_head && position.head_is(&head) && names.contains(&name)
                });
                if outlived {
                    file.read_on(Position::end(file.size, settings.framing.encoding));
                    return Ok(Looked::Known);
                }
                candidates.retain(|candidate| !too_long(candidate));
            }
            *probe = Some(Probe::new(&head, candidates));
        }
        let found = match probe {
            Some(probe) => probe.look(content)?,
            None => Found::New,
        };
        let packed = content.is_packed();
        if found == Found::New && self.named_after(&file.path).any(|other| other.cut && other.queued) {
            // No copy of what that one held, but perhaps of what it holds now.
            *probe = None;
            return Ok(Looked::OnTheWay);
        }
        match found {
            Found::OnTheWay => return Ok(Looked::OnTheWay),
            Found::Copy(candidate) => self.is_copy(file, candidate, settings),
            Found::New => file.read_on(match at_end {
                Some(_) if packed => Position::SKIPPED,
                Some(end) => Position::end(end, settings.framing.encoding),
                None => file.position,
            }),
        }
        if !file.is_reading() {
            file.content = None;
        }
        Ok(Looked::Known)
    }

    /// The files that `path` is named after, by where they are: so that no two wait for each other.
    fn named_after(&self, path: &str) -> impl Iterator<Item = &Tracked> {
        let names = origin::ancestors(path);
        let keys: Vec<Key> =
            names.iter().filter_map(|name| self.paths.get(name)).flatten().copied().collect();
        let others = keys.into_iter().filter_map(|key| self.files.get(&key));
        others.filter(move |other| names.contains(&origin::name_of(&other.path)))
    }

    /// What a file at `path` may be a copy of.
    fn candidates(&self, path: &str) -> Vec<Candidate> {
        let names = origin::ancestors(path);
        let named = names.iter().filter_map(|name| self.paths.get(name)).flatten();
        let named = named.filter_map(|key| self.files.get(key)).filter(|other| other.is_reading());
        let away = self.away.iter().filter_map(|key| self.files.get(key));
        let away = away.filter(|other| other.is_reading() && other.position.is_telling());
        let followed = named.chain(away).map(|other| Candidate { saved: other.saved(), followed: true });
        let gone = self.gone().iter().map(|gone| gone.saved);
        let gone = gone.filter(|saved| saved.position.is_telling() || names.contains(&saved.name));
        let all = followed.chain(gone.map(|saved| Candidate { saved, followed: false }));
        all.filter(|candidate| candidate.saved.position.can_be_found()).collect()
    }

    /// The fresh file is a copy of the candidate, or of what has become of that.
    fn is_copy(&mut self, file: &mut Tracked, candidate: Candidate, settings: &Settings) {
        let Saved { key, name, .. } = candidate.saved;
        if let Some(original) = self.files.get(&key).filter(|_| candidate.followed) {
            // What is longer than its original, which nobody writes to, goes its own way.
            let position = original.position;
            let is_another =
                original.settled && file.size > original.size && original.size >= position.offset;
            if is_another && !file.is_packed && !original.cut {
                file.read_on(if position.is_telling() { position } else { Position::START });
            } else {
                file.stage = Stage::Shadow(key);
            }
            return;
        }
        let same = |saved: &Saved| {
            if candidate.followed { saved.key == key } else { *saved == candidate.saved }
        };
        let position = self.take_gone(same).unwrap_or(candidate.saved).position;
        if let Some(original) = origin::original(&file.path, name) {
            file.labels = settings.naming.labels(original);
            file.name = name;
        }
        file.is_copy = true;
        file.read_on(position);
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
            done(file);
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
    fn waits(&self, key: Key) -> bool {
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

/// There is nothing to be read in it.
fn done(file: &mut Tracked) -> Looked {
    file.stage = Stage::Done;
    file.content = None;
    Looked::Known
}
