//! What a scan of the grant means for the files that are followed.
//!
//! A file with a known identity is that file, wherever it is now. Any other is fresh: what it is shows when it
//! is looked into.

use weir_plugin_sdk::files::Entry;

use crate::config::Settings;
use crate::counters::Counters;
use crate::origin;
use crate::table::Table;
use crate::tracked::{Key, Tracked};

/// Brings the table up to what the scan shows.
pub(crate) fn reconcile(
    table: &mut Table,
    entries: &[Entry],
    at_end: bool,
    now_ms: u64,
    settings: &Settings,
    counters: &Counters,
) {
    let mut unknown = Vec::new();
    for entry in entries {
        let key = Key::of(&entry.identity.id);
        if !follow_known(table, entry, key, now_ms, settings, counters) {
            unknown.push(entry);
        }
    }
    let unseen: Vec<Key> = table.files().filter(|file| file.seen_ms != now_ms).map(|file| file.key).collect();
    for key in unseen {
        lose(table, key, now_ms, counters);
    }
    for entry in unknown {
        let (name, labels) = (origin::name_of(&entry.path), settings.naming.labels(&entry.path));
        table.insert(Tracked::new(entry, name, labels, now_ms, at_end));
    }
    table.note_paths();
    // What was truncated goes on when its copies have been looked into.
    let cut: Vec<Key> = table.files().filter(|file| file.cut).map(|file| file.key).collect();
    for key in cut {
        table.queue_last(key);
    }
    table.forget(now_ms);
}

/// Goes on with a file that is known by its identity.
fn follow_known(
    table: &mut Table,
    entry: &Entry,
    key: Key,
    now_ms: u64,
    settings: &Settings,
    counters: &Counters,
) -> bool {
    let Some(file) = table.get_mut(key) else {
        let Some(saved) = table.take_known(key) else { return false };
        let original = origin::original(&entry.path, saved.name);
        let labels = settings.naming.labels(original.unwrap_or(&entry.path));
        // A name at which nothing was read says nothing of what is here now.
        let unread = saved.position.offset == 0 && original.is_none();
        let name = if unread { origin::name_of(&entry.path) } else { saved.name };
        let mut file = Tracked::new(entry, name, labels, now_ms, false);
        // Nothing of it was read: it may still be the copy of another one.
        let strange = saved.position.is_skipped() && original.is_none();
        if saved.position.offset > 0 && !strange {
            file.read_on(saved.position);
        } else if !strange {
            file.position = saved.position;
        }
        table.bring_back(file);
        return true;
    };
    let moved = file.path != entry.path;
    if moved && file.may_be_another(entry) && origin::original(&entry.path, file.name).is_none() {
        // Its identity is all that was known of it, and nothing says that this is not another file with the same.
        table.remove(key, now_ms);
        return false;
    }
    if !std::mem::replace(&mut file.listed, true) {
        // It was not gone, only not seen.
        file.rotated_ms = None;
    }
    if moved {
        counters.rotated.add(1);
    }
    if file.see(entry, now_ms) {
        if file.rotated_ms.is_some() {
            table.queue_front(key);
        } else {
            table.queue_back(key);
        }
    }
    true
}

/// A file that the scan does not show: one that is open is read to its end, another one is only remembered.
fn lose(table: &mut Table, key: Key, now_ms: u64, counters: &Counters) {
    let Some(file) = table.get_mut(key) else { return };
    if file.content.is_none() || !file.is_reading() {
        counters.lost.add(if file.is_reading() { file.unread_bytes() } else { 0 });
        table.remove(key, now_ms);
        counters.rotated.add(1);
        return;
    }
    if std::mem::replace(&mut file.listed, false) {
        file.rotated_ms = Some(now_ms);
        counters.rotated.add(1);
    }
    table.queue_front(key);
}
