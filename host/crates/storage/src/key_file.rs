//! The keys of requests and what was answered to them, so that a repeat is known after a restart.
//!
//! A key is *promised* ids, durably, before any record of its request is committed; whatever is cut off after
//! that, a repeat stores its records under the same ids, so that they are seen once. What was *answered* is
//! written behind the commit and not waited for: it survives the process, and a power cut leaves the promise.
//!
//! The file is appended to, and written anew when it has become much larger than what is known. After a failed
//! sync nothing is promised any more.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_record::limits::{IDEMPOTENCY_FILE_BYTES_MAX, IDEMPOTENCY_KEY_AGE_MS_MAX, IDEMPOTENCY_KEYS_MAX};

use crate::disk::{Disk, DiskFile, is_full};
use crate::poison::Poison;
use crate::quarantine::{QUARANTINE_DIR, Quarantined, move_aside};

mod entry;

use entry::{HEADER_BYTES, Written};
pub use entry::{KeyAnswer, KeyState, Promise};

const KEYS: &str = "keys";
const KEYS_NEW: &str = "keys.new";

/// Why nothing was promised. What was promised before still holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be read or made while opening. Nothing was changed, or the same is tried at the next start.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What failed, as a phrase.
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no room. The file is as it was; try again later.
    #[error("the disk is full: free some space or shorten the retention")]
    DiskFull,
    /// A sync has failed: this process cannot tell any more what is on disk. The node should stop.
    #[error("the file of keys is closed after a failed write: {0}; see to the disk and restart")]
    Poisoned(Arc<str>),
}

/// An open file of keys. Any thread may use it; all calls may block on the disk.
#[derive(Debug)]
pub struct KeyFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    poison: Poison,
    state: Mutex<State>,
    /// Up to where which generation of the file is durable. Locked before `state`, and while a sync runs:
    /// those who come meanwhile share the next one.
    synced: Mutex<Place>,
}

/// A place in one of the files that followed each other under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Place {
    generation: u64,
    bytes: u64,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    end: Place,
    keys: HashMap<Arc<str>, (u64, KeyState)>,
    /// Oldest first; a key that was written again stands here again.
    ages: VecDeque<(u64, Arc<str>)>,
}

impl KeyFile {
    /// Opens the file in a data directory, made if it is not there. What is no file of keys is moved to
    /// quarantine and told. `now_ms` decides what is too old to be known.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        now_ms: u64,
    ) -> Result<(KeyFile, Vec<Quarantined>), KeyFileError> {
        let (path, new) = (dir.join(KEYS), dir.join(KEYS_NEW));
        match disk.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("cannot remove", &new)(error));
            }
            _ => {}
        }
        let mut quarantined = Vec::new();
        let old = match disk.open(&path) {
            Ok(file) => read_file(&*file).map_err(io_error("cannot read", &path))?.map(|read| (file, read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("cannot open", &path)(error)),
        };
        if old.is_none() && disk.open(&path).is_ok() {
            let quarantine = dir.join(QUARANTINE_DIR);
            let moved = disk.create_dir(&quarantine).and_then(|()| {
                move_aside(&*disk, &path, &quarantine, "not a file of keys of this version".to_owned())
            });
            quarantined.push(moved.map_err(io_error("cannot move aside", &path))?);
        }
        let (mut keys, mut ages) = (HashMap::new(), VecDeque::new());
        for entry in old.iter().flat_map(|(_, (entries, _))| entries.iter().cloned()) {
            learn(&mut keys, &mut ages, entry, now_ms);
        }
        // Written anew at each start: what was read may be in the page cache only, after a sync that failed.
        let (file, bytes) = match rewrite(&*disk, dir, &keys, &ages) {
            Ok(made) => made,
            Err(NotMade { no_room: true, .. }) if old.is_some() => match old {
                Some((file, (_, end))) => {
                    file.set_len(end).map_err(io_error("cannot cut the torn tail of", &path))?;
                    file.sync_all().map_err(io_error("cannot sync", &path))?;
                    (file, end)
                }
                None => return Err(KeyFileError::DiskFull),
            },
            Err(NotMade { error, what, .. }) => return Err(io_error(what, &path)(error)),
        };
        let end = Place { generation: 0, bytes };
        let state = Mutex::new(State { file, end, keys, ages });
        let opened =
            KeyFile { disk, dir: dir.to_owned(), poison: Poison::default(), state, synced: Mutex::new(end) };
        Ok((opened, quarantined))
    }

    /// Takes the poison of the log, for a request is acknowledged by both: a sync that fails here ends the
    /// acknowledgements there, and the other way round.
    #[must_use]
    pub fn sharing(self, poison: Poison) -> KeyFile {
        KeyFile { poison, ..self }
    }

    /// What is known of a key.
    pub fn get(&self, key: &str, now_ms: u64) -> Option<KeyState> {
        let state = self.lock();
        let (at_ms, known) = state.keys.get(key)?;
        (now_ms.saturating_sub(*at_ms) <= IDEMPOTENCY_KEY_AGE_MS_MAX).then_some(*known)
    }

    /// Sets ids aside for a key. They are durable when this returns; after an error the key is as it was.
    pub fn promise(&self, key: &str, now_ms: u64, promise: Promise) -> Result<(), KeyFileError> {
        let place = self.append(key, now_ms, KeyState::Promised(promise))?;
        self.sync(place)
    }

    /// Writes down what was answered. It is known from now on, and after the death of the process; an error
    /// says that it is known to this process alone.
    pub fn answer(&self, key: &str, now_ms: u64, answer: KeyAnswer) -> Result<(), KeyFileError> {
        self.append(key, now_ms, KeyState::Answered(answer)).map(drop)
    }

    /// Set, with the reason, when nothing is promised any more.
    pub fn poison(&self) -> Poison {
        self.poison.clone()
    }

    fn append(&self, key: &str, now_ms: u64, known: KeyState) -> Result<Place, KeyFileError> {
        let mut state = self.lock();
        let state = &mut *state;
        let entry = Written { key: key.into(), at_ms: now_ms, state: known };
        let mut bytes = Vec::new();
        entry::put(&mut bytes, &entry);
        let written = self.write(state, &bytes);
        // An answer holds for this process even where it cannot be written down, a promise does not.
        if written.is_ok() || matches!(known, KeyState::Answered(_)) {
            learn(&mut state.keys, &mut state.ages, entry, now_ms);
        }
        written?;
        if state.end.bytes > IDEMPOTENCY_FILE_BYTES_MAX {
            self.begin_anew(state)?;
        }
        Ok(state.end)
    }

    fn write(&self, state: &mut State, bytes: &[u8]) -> Result<(), KeyFileError> {
        self.check_poison()?;
        let end = state.end.bytes;
        if let Err(error) = state.file.write_at(bytes, end) {
            return Err(match state.file.set_len(end) {
                Ok(()) if is_full(&error) => KeyFileError::DiskFull,
                _ => self.poisoned("write failed", &error),
            });
        }
        state.end.bytes += bytes.len() as u64;
        Ok(())
    }

    fn begin_anew(&self, state: &mut State) -> Result<(), KeyFileError> {
        match rewrite(&*self.disk, &self.dir, &state.keys, &state.ages) {
            Ok((file, bytes)) => {
                state.file = file;
                state.end = Place { generation: state.end.generation + 1, bytes };
                Ok(())
            }
            // The old file goes on; it is larger than it should be until there is room.
            Err(NotMade { no_room: true, .. }) => Ok(()),
            Err(NotMade { error, what, .. }) => Err(self.poisoned(what, &error)),
        }
    }

    /// Waits until everything before `place` is durable.
    fn sync(&self, place: Place) -> Result<(), KeyFileError> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_poison()?;
        if *synced >= place {
            return Ok(());
        }
        let (file, end) = {
            let state = self.lock();
            (Arc::clone(&state.file), state.end)
        };
        // A file of a later generation was synced before it got the name, with all that was known.
        if end.generation == place.generation {
            file.sync_data().map_err(|error| self.poisoned("fsync failed", &error))?;
            *synced = end;
        }
        Ok(())
    }

    fn check_poison(&self) -> Result<(), KeyFileError> {
        self.poison.reason().map_or(Ok(()), |reason| Err(KeyFileError::Poisoned(reason)))
    }

    fn poisoned(&self, what: &str, error: &io::Error) -> KeyFileError {
        let path = self.dir.join(KEYS);
        KeyFileError::Poisoned(self.poison.set(&format!("{what}: {}: {error}", path.display())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CRC-32C over payloads and their lengths, for [`Promise::sum`].
pub fn sum<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> u32 {
    payloads.fold(0, |sum, payload| {
        crc32c::crc32c_append(crc32c::crc32c_append(sum, &(payload.len() as u64).to_le_bytes()), payload)
    })
}

/// Adds an entry to what is known, and forgets what is too old or too much.
fn learn(
    keys: &mut HashMap<Arc<str>, (u64, KeyState)>,
    ages: &mut VecDeque<(u64, Arc<str>)>,
    entry: Written,
    now_ms: u64,
) {
    let key: Arc<str> = entry.key.into();
    keys.insert(Arc::clone(&key), (entry.at_ms, entry.state));
    ages.push_back((entry.at_ms, key));
    while let Some((at_ms, oldest)) = ages.front() {
        let current = keys.get(oldest).is_some_and(|(known_ms, _)| known_ms == at_ms);
        let too_old = now_ms.saturating_sub(*at_ms) > IDEMPOTENCY_KEY_AGE_MS_MAX;
        if current && !too_old && keys.len() <= IDEMPOTENCY_KEYS_MAX && ages.len() <= 2 * IDEMPOTENCY_KEYS_MAX
        {
            break;
        }
        if current {
            keys.remove(oldest);
        }
        ages.pop_front();
    }
}

/// A file that was written whole, and its length.
type Made = (Arc<dyn DiskFile>, u64);

/// Why no new file has taken the place of the old one.
struct NotMade {
    what: &'static str,
    error: io::Error,
    /// The disk is full, and the old file still has the name. Never after a failed sync, whatever its error: behind
    /// the rename the old file has no name any more, and what is promised in it would be gone at the next start.
    no_room: bool,
}

impl NotMade {
    fn before_rename(what: &'static str) -> impl FnOnce(io::Error) -> NotMade {
        move |error| NotMade { what, no_room: is_full(&error), error }
    }

    fn in_sync(what: &'static str) -> impl FnOnce(io::Error) -> NotMade {
        move |error| NotMade { what, no_room: false, error }
    }
}

/// Writes what is known into a new file, durably, and puts it in the place of the old one.
fn rewrite(
    disk: &dyn Disk,
    dir: &Path,
    keys: &HashMap<Arc<str>, (u64, KeyState)>,
    ages: &VecDeque<(u64, Arc<str>)>,
) -> Result<Made, NotMade> {
    let (path, new) = (dir.join(KEYS), dir.join(KEYS_NEW));
    let mut bytes = entry::header().to_vec();
    for (at_ms, key) in ages {
        if let Some((known_ms, state)) = keys.get(key)
            && known_ms == at_ms
        {
            entry::put(&mut bytes, &Written { key: (&**key).into(), at_ms: *at_ms, state: *state });
        }
    }
    let file = disk.create_new(&new).map_err(NotMade::before_rename("cannot make"))?;
    let made = file
        .write_at(&bytes, 0)
        .map_err(NotMade::before_rename("cannot write"))
        .and_then(|()| file.sync_all().map_err(NotMade::in_sync("fsync failed")))
        .and_then(|()| disk.rename(&new, &path).map_err(NotMade::before_rename("cannot rename")));
    if let Err(error) = made {
        // Unfinished; the next start removes it if this does not.
        let _ = disk.remove(&new);
        return Err(error);
    }
    disk.sync_dir(dir).map_err(NotMade::in_sync("cannot sync the directory of"))?;
    Ok((file, bytes.len() as u64))
}

/// The entries of a file and where they end; `None` when it is no file of keys.
fn read_file(file: &dyn DiskFile) -> io::Result<Option<(Vec<Written>, u64)>> {
    // What is behind the bound was never written by us.
    let length = file.len()?.min(2 * IDEMPOTENCY_FILE_BYTES_MAX);
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    if *header != entry::header() {
        return Ok(None);
    }
    let (entries, end) = entry::read(rest);
    Ok(Some((entries, (HEADER_BYTES + end) as u64)))
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
