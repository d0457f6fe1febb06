//! All positions as bytes.
//!
//! Version 2: a version byte, the number of files as a varint, and of each file: 8 bytes of its key; 4 bytes
//! of the hash of the path it was found at; a varint of the offset times 64, plus 4 bits of how its lines go on
//! there times 4, plus 1 behind a truncation, plus 2 when hashes follow; 4 bytes of head hash and 4 of frontier
//! hash, if they do. Numbers are little-endian.
//!
//! A file that is not in the cursor is read from its start when it is found after a restart, so files
//! at their start are left out, and where the room ends, those that have not been modified for longest
//! are: their records come twice, never not at all.

use weir_plugin_sdk::cursor::{CursorError, Reader, Writer};
use weir_plugin_sdk::limits::CURSOR_BYTES_MAX;

use crate::frame::Entries;
use crate::position::{Hashes, Position};
use crate::table::Table;
use crate::tracked::Key;

const VERSION: u8 = 2;
/// Longest form of one file: key, path, 10 bytes of varint, hashes.
const FILE_BYTES_MAX: usize = 8 + 4 + 10 + 8;
/// Version and number of files.
const HEAD_BYTES_MAX: usize = 1 + 10;

const AFTER_CUT: u64 = 1;
const HASHED: u64 = 2;
const ENTRIES_SHIFT: u32 = 2;
const OFFSET_SHIFT: u32 = 6;

/// A file as the cursor has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) key: Key,
    /// Hash of the path at which it was found.
    pub(crate) name: u32,
    pub(crate) position: Position,
}

/// The cursor, and how many files found no room in it.
pub(crate) fn encode(table: &Table) -> (Vec<u8>, usize) {
    let followed = table.files().map(|file| (file.modified_unix_ns, file.saved()));
    // What is gone comes last: it may never come back.
    let gone = table.gone().iter().map(|gone| (0, gone.saved));
    let mut all: Vec<_> =
        followed.chain(gone).filter(|(_, saved)| saved.position.is_worth_keeping()).collect();
    let mut left_out = 0;
    if all.len() * FILE_BYTES_MAX > CURSOR_BYTES_MAX - HEAD_BYTES_MAX {
        all.sort_unstable_by_key(|(modified, saved)| std::cmp::Reverse((*modified, saved.key)));
        let mut bytes = HEAD_BYTES_MAX;
        let fits = all.iter().take_while(|(_, saved)| {
            bytes += file(Writer::new(VERSION), saved).finish().len() - 1;
            bytes <= CURSOR_BYTES_MAX
        });
        let fitting = fits.count();
        left_out = all.len() - fitting;
        all.truncate(fitting);
    }
    let start = Writer::new(VERSION).varint(all.len() as u64);
    (all.iter().fold(start, |writer, (_, saved)| file(writer, saved)).finish(), left_out)
}

fn file(writer: Writer, saved: &Saved) -> Writer {
    let position = saved.position;
    let after_cut = if position.after_cut { AFTER_CUT } else { 0 };
    let hashed = if position.hashes.is_some() { HASHED } else { 0 };
    let entries = position.entries.to_bits() << ENTRIES_SHIFT;
    let writer = writer.u64(saved.key.0).u32(saved.name);
    let writer = writer.varint(position.offset << OFFSET_SHIFT | entries | hashed | after_cut);
    match position.hashes {
        Some(hashes) => writer.u32(hashes.head).u32(hashes.frontier),
        None => writer,
    }
}

/// The files in a cursor.
pub(crate) fn decode(cursor: &[u8]) -> Result<Vec<Saved>, CursorError> {
    let (found, mut reader) = Reader::open(cursor, VERSION)?;
    if found != VERSION {
        return Err(CursorError::Damaged(0));
    }
    let count = reader.varint()?;
    let mut files = Vec::new();
    for _ in 0..count {
        let key = Key(reader.u64()?);
        let name = reader.u32()?;
        let bits = reader.varint()?;
        let hashes = match bits & HASHED {
            0 => None,
            _ => Some(Hashes { head: reader.u32()?, frontier: reader.u32()? }),
        };
        let position = Position {
            offset: bits >> OFFSET_SHIFT,
            entries: Entries::from_bits(bits >> ENTRIES_SHIFT & 15),
            after_cut: bits & AFTER_CUT != 0,
            hashes,
        };
        files.push(Saved { key, name, position });
    }
    reader.end()?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Entry;

    fn write(files: &[Saved]) -> Vec<u8> {
        let start = Writer::new(VERSION).varint(files.len() as u64);
        files.iter().fold(start, file).finish()
    }

    #[test]
    fn positions_come_back_and_damage_is_noticed() {
        let hashes = Some(Hashes { head: 1, frontier: u32::MAX });
        let entries = Entries([Entry::Next, Entry::Middle]);
        let files = [
            Saved {
                key: Key(u64::MAX),
                name: 7,
                position: Position { offset: 5, entries, hashes, ..Position::START },
            },
            Saved {
                key: Key(3),
                name: 0,
                position: Position { offset: 1 << 50, hashes: None, ..Position::START },
            },
            Saved { key: Key(4), name: 1, position: Position::SKIPPED },
            Saved { key: Key(5), name: 2, position: Position::AFTER_CUT },
        ];
        let cursor = write(&files);
        assert_eq!(decode(&cursor), Ok(files.to_vec()));
        for cut in 0..cursor.len() {
            assert!(decode(&cursor[..cut]).is_err(), "cut at {cut}");
        }
        assert!(matches!(decode(&[3]), Err(CursorError::Newer { found: 3, known: 2 })));
        // A count that no memory could hold is not believed.
        assert!(decode(&Writer::new(VERSION).varint(u64::MAX).finish()).is_err());
    }

    #[test]
    fn the_layout_is_the_one_that_earlier_releases_wrote() {
        let hashes = Some(Hashes { head: 0x0403_0201, frontier: 0x0807_0605 });
        let entries = Entries([Entry::Middle, Entry::Clean]);
        let position = Position { offset: 33, entries, hashes, ..Position::START };
        let expected = [2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0xc6, 16, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(write(&[Saved { key: Key(9), name: 5, position }]), expected);
    }
}
