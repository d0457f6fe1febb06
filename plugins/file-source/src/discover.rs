//! What a scan of the grant means for the files that are followed.
//!
//! In this order: a file with a known identity is that file, wherever it is now; one that holds what stood
//! around the position of a file that vanished is that file copied, or moved between filesystems; any
//! other is new, and read from its start (or, at the very first start, where the operator said).

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::files::{Entry, File};

use crate::GRANT;
use crate::counters::Counters;
use crate::position::{HEAD_BYTES, Position};
use crate::table::Table;
use crate::tracked::{Key, Tracked, holds};

/// Brings the table up to what the scan shows.
pub(crate) fn reconcile(
    table: &mut Table,
    entries: &[Entry],
    at_end: bool,
    now_ms: u64,
    counters: &Counters,
) {
    let mut unknown = Vec::new();
    for entry in entries {
        let key = Key::of(&entry.identity.id);
        if !follow_known(table, entry, key, now_ms, counters) {
            unknown.push(entry);
        }
    }
    let unseen: Vec<Key> = table.files().filter(|file| file.seen_ms != now_ms).map(|file| file.key).collect();
    for key in unseen {
        lose(table, key, now_ms, counters);
    }
    for entry in unknown {
        let position = match inherit(table, entry, now_ms) {
            Ok(Some(position)) => position,
            // What cannot be looked into now will say so in its turn.
            Ok(None) | Err(_) if at_end => Position::end(entry.identity.size),
            Ok(None) | Err(_) => Position::START,
        };
        table.insert(Tracked::new(entry, position, now_ms));
    }
    table.forget(now_ms);
}

/// Goes on with a file that is known by its identity.
fn follow_known(table: &mut Table, entry: &Entry, key: Key, now_ms: u64, counters: &Counters) -> bool {
    let Some(file) = table.get_mut(key) else {
        let position = table.take_gone(|gone| gone.key == Some(key));
        return match position {
            Some(position) => {
                table.insert(Tracked::new(entry, position, now_ms));
                true
            }
            None => false,
        };
    };
    let moved = file.path != entry.path;
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
    if file.handle.is_none() {
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

/// The position of a vanished file whose contents an unknown one holds.
fn inherit(table: &mut Table, entry: &Entry, now_ms: u64) -> Result<Option<Position>, Failure> {
    let may_be = |position: Position| position.is_telling() && position.offset <= entry.identity.size;
    let away = table.files().filter(|file| !file.listed).map(|file| (Some(file.key), file.position));
    let gone = table.gone().iter().map(|gone| (None, gone.position));
    let candidates: Vec<_> = away.chain(gone).filter(|(_, position)| may_be(*position)).collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    let file = File::open(GRANT, &entry.path)?;
    let head = file.read_at(0, HEAD_BYTES as usize)?;
    for (key, position) in candidates {
        if holds(&file, &head, position)? {
            if let Some(key) = key {
                table.remove(key, now_ms);
            }
            return Ok(table.take_gone(|gone| gone.position == position));
        }
    }
    Ok(None)
}
