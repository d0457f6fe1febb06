//! All positions as bytes.
//!
//! Version 1: a version byte, the number of files as a varint, and of each file: 8 bytes of its key; a
//! varint of the offset times four, plus 1 inside a long line, plus 2 when hashes follow; 4 bytes of head
//! hash and 4 of frontier hash, if they do. Numbers are little-endian.
//!
//! A file that is not in the cursor is read from its start when it is found after a restart, so files
//! at their start are left out, and where the room ends, those that have not been modified for longest
//! are: their records come twice, never not at all.

use weir_plugin_sdk::cursor::{CursorError, Reader, Writer};
use weir_plugin_sdk::limits::CURSOR_BYTES_MAX;

use crate::position::{Hashes, Position};
use crate::table::Table;
use crate::tracked::Key;

const VERSION: u8 = 1;
/// Longest form of one file: key, 10 bytes of varint, hashes.
const FILE_BYTES_MAX: usize = 8 + 10 + 8;
/// Version and number of files.
const HEAD_BYTES_MAX: usize = 1 + 10;

const INSIDE: u64 = 1;
const HASHED: u64 = 2;

/// The cursor, and how many files found no room in it.
pub(crate) fn encode(table: &Table) -> (Vec<u8>, usize) {
    let followed = table.files().map(|file| (file.modified_unix_ns, file.key, file.position));
    // What is gone comes last: it may never come back.
    let gone = table.gone().iter().filter_map(|gone| Some((0, gone.key?, gone.position)));
    let mut all: Vec<_> = followed.chain(gone).filter(|(.., position)| position.offset > 0).collect();
    if all.len() * FILE_BYTES_MAX > CURSOR_BYTES_MAX - HEAD_BYTES_MAX {
        all.sort_unstable_by_key(|(modified, key, _)| std::cmp::Reverse((*modified, *key)));
        let mut bytes = HEAD_BYTES_MAX;
        let fits = all.iter().take_while(|(.., position)| {
            bytes += file(Writer::new(VERSION), Key(0), *position).len() - 1;
            bytes <= CURSOR_BYTES_MAX
        });
        let fitting = fits.count();
        let left_out = all.len() - fitting;
        all.truncate(fitting);
        return (write(&all), left_out);
    }
    (write(&all), 0)
}

fn write(files: &[(u64, Key, Position)]) -> Vec<u8> {
    let start = Writer::new(VERSION).varint(files.len() as u64);
    files.iter().fold(start, |writer, (_, key, position)| file(writer, *key, *position)).finish()
}

fn file(writer: Writer, key: Key, position: Position) -> Writer {
    let inside = if position.inside { INSIDE } else { 0 };
    let hashed = if position.hashes.is_some() { HASHED } else { 0 };
    let writer = writer.u64(key.0).varint(position.offset << 2 | inside | hashed);
    match position.hashes {
        Some(hashes) => writer.u32(hashes.head).u32(hashes.frontier),
        None => writer,
    }
}

/// The positions in a cursor.
pub(crate) fn decode(cursor: &[u8]) -> Result<Vec<(Key, Position)>, CursorError> {
    let (_, mut reader) = Reader::open(cursor, VERSION)?;
    let count = reader.varint()?;
    let mut positions = Vec::new();
    for _ in 0..count {
        let key = Key(reader.u64()?);
        let bits = reader.varint()?;
        let hashes = match bits & HASHED {
            0 => None,
            _ => Some(Hashes { head: reader.u32()?, frontier: reader.u32()? }),
        };
        positions.push((key, Position { offset: bits >> 2, inside: bits & INSIDE != 0, hashes }));
    }
    reader.end()?;
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_and_damage_is_noticed() {
        let hashes = Some(Hashes { head: 1, frontier: u32::MAX });
        let positions = vec![
            (Key(u64::MAX), Position { offset: 5, inside: true, hashes }),
            (Key(3), Position { offset: 1 << 60, inside: false, hashes: None }),
        ];
        let files: Vec<_> = positions.iter().map(|(key, position)| (0, *key, *position)).collect();
        let cursor = write(&files);
        assert_eq!(decode(&cursor), Ok(positions));
        for cut in 0..cursor.len() {
            assert!(decode(&cursor[..cut]).is_err(), "cut at {cut}");
        }
        assert!(matches!(decode(&[2]), Err(CursorError::Newer { found: 2, known: 1 })));
        // A count that no memory could hold is not believed.
        assert!(decode(&Writer::new(1).varint(u64::MAX).finish()).is_err());
    }

    #[test]
    fn the_layout_is_the_one_that_earlier_releases_wrote() {
        let hashes = Some(Hashes { head: 0x0403_0201, frontier: 0x0807_0605 });
        let position = Position { offset: 33, inside: true, hashes };
        let expected = [1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0x87, 1, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(write(&[(0, Key(9), position)]), expected);
    }
}
