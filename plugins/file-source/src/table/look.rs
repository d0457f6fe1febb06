//! What a file that nothing is known of is, before any of it is read: a new one, or a copy.

use weir_plugin_sdk::Failure;

use super::Table;
use crate::config::Settings;
use crate::content::{Content, is_undecided};
use crate::cursor::Saved;
use crate::origin::{self, Candidate, Found, Probe};
use crate::position::{HEAD_BYTES, Position};
use crate::tracked::{Key, Now, Stage, Tracked, Turn};

/// How long a file that may be a copy in the making is waited for.
const COPYING_MS_MAX: u64 = 30_000;

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
    /// Sees to a file that nothing is known of. A turn, if that was it.
    pub(super) fn look_into(
        &mut self,
        key: Key,
        settings: &Settings,
        now: Now,
    ) -> Result<Option<Turn>, Failure> {
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
                    file.finish();
                    return Ok(Looked::Known);
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
        if found == Found::New
            && let Some(original) = self.held_original(&file.path, content)?
        {
            file.stage = Stage::Shadow(original);
            file.content = None;
            return Ok(Looked::Known);
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

    /// The file that `path` is named after and that holds the same, if nothing of it has become a record yet: its lines
    /// wait for more of their group, and it has no position that its copy could be told by.
    fn held_original(&mut self, path: &str, content: &mut Content) -> Result<Option<Key>, Failure> {
        let held = |other: &&Tracked| other.is_reading() && other.position.offset == 0;
        let held: Vec<Key> = self.named_after(path).filter(held).map(|other| other.key).collect();
        for key in held {
            let Some(other) = self.files.get_mut(&key) else { continue };
            if !other.open()? {
                continue;
            }
            let (head, size) = (origin::head(content)?, content.stat()?.size);
            let Some(original) = &mut other.content else { continue };
            let whole = origin::head(original)?;
            // A copy that was packed is whole, one that was not may be behind.
            let begins = if content.is_packed() {
                whole == head
            } else {
                whole.starts_with(&head) && size <= original.stat()?.size
            };
            if begins && !head.is_empty() {
                return Ok(Some(key));
            }
        }
        Ok(None)
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
}
