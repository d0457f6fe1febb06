//! Up to when units are expired, per retention class: kept on disk, for it must never go back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use weir_record::limits::{NAME_BYTES_MAX, STORE_WATERMARK_FILE_BYTES_MAX};
use weir_segment::Unit;

use crate::disk::Disk;
use crate::store::tmp::TmpFile;

/// The file in the folder of the store.
pub(crate) const WATERMARK_FILE: &str = "expired";
const WATERMARK_TMP: &str = "expired.tmp";
const HEAD: &str = "weir-expired 1\n";
const SUM: &str = "sum ";

/// Units that end at or before the mark of their class are expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Watermarks {
    classes: BTreeMap<String, u64>,
}

impl Watermarks {
    /// The mark of a class, in Unix milliseconds; 0 when nothing of it has expired.
    pub(crate) fn of(&self, class: &str) -> u64 {
        self.classes.get(class).copied().unwrap_or(0)
    }

    /// Whether a unit is expired.
    pub(crate) fn covers(&self, unit: &Unit) -> bool {
        end_ms(unit) <= self.of(unit.class())
    }

    /// Moves a mark forward; never back.
    pub(crate) fn raise(&mut self, class: &str, to_ms: u64) {
        if to_ms > self.of(class) {
            self.classes.insert(class.to_owned(), to_ms);
        }
    }

    pub(crate) fn classes(&self) -> &BTreeMap<String, u64> {
        &self.classes
    }

    /// The file, text: a head, a line `<class> <Unix milliseconds>` per class, sorted, and `sum ` with the
    /// CRC-32C of everything before that line in 8 hex digits.
    fn encode(&self) -> String {
        let mut text = HEAD.to_owned();
        for (class, mark) in &self.classes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{class} {mark}");
        }
        let sum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "{SUM}{sum:08x}");
        text
    }

    fn parse(text: &str) -> Option<Watermarks> {
        let at = text.rfind(SUM)?;
        let (body, sum) = text.split_at(at);
        if sum != format!("{SUM}{:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return None;
        }
        let mut marks = Watermarks::default();
        for line in body.strip_prefix(HEAD)?.lines() {
            let (class, mark) = line.split_once(' ')?;
            if class.is_empty() || class.len() > NAME_BYTES_MAX {
                return None;
            }
            marks.raise(class, mark.parse().ok()?);
        }
        Some(marks)
    }

    /// Reads the file; `Ok(None)` when its content is none.
    pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Watermarks>> {
        let file = disk.open(path)?;
        let bytes = file.len()?;
        if bytes > STORE_WATERMARK_FILE_BYTES_MAX as u64 {
            return Ok(None);
        }
        let mut content = vec![0; bytes as usize];
        let read = file.read_at(&mut content, 0)?;
        Ok(std::str::from_utf8(&content[..read]).ok().and_then(Watermarks::parse))
    }

    /// Writes the file anew. The caller syncs the folder; `Err(true)` in front when a sync has failed.
    pub(crate) fn write(&self, disk: &Arc<dyn Disk>, dir: &Path) -> Result<(), (bool, io::Error)> {
        let soft = |error| (false, error);
        let mut tmp = TmpFile::create(disk, dir.join(WATERMARK_TMP)).map_err(soft)?;
        tmp.write(self.encode().as_bytes()).map_err(soft)?;
        tmp.flush().map_err(soft)?;
        tmp.file().sync_all().map_err(|error| (true, error))?;
        tmp.rename(&dir.join(WATERMARK_FILE)).map_err(soft)
    }
}

/// The first millisecond behind a unit.
pub(crate) fn end_ms(unit: &Unit) -> u64 {
    unit.start_ms().saturating_add(unit.bucket_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Watermarks {
        let mut marks = Watermarks::default();
        marks.raise("default", 7_200_000);
        marks.raise("keep-long", 3_600_000);
        marks.raise("default", 3_600_000);
        marks
    }

    #[test]
    fn marks_round_trip_never_go_back_and_cover_what_ends_before_them() {
        assert_eq!(Watermarks::parse(&marks().encode()), Some(marks()));
        assert_eq!(Watermarks::parse(&Watermarks::default().encode()), Some(Watermarks::default()));
        for (start_ms, class, covered) in [
            (0, "default", true),
            (3_600_000, "default", true),
            (7_200_000, "default", false),
            (3_600_000, "keep-long", false),
            (0, "other", false),
        ] {
            let unit = Unit::new(start_ms, 3_600_000, class, 0, 1).unwrap();
            assert_eq!(marks().covers(&unit), covered, "{unit}");
        }
    }

    #[test]
    fn a_changed_or_cut_file_is_refused() {
        let text = marks().encode();
        for at in 0..text.len() {
            assert_eq!(Watermarks::parse(&text[..at]), None, "cut at {at}");
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(Watermarks::parse(&String::from_utf8(changed).unwrap()), None, "changed at {at}");
        }
    }
}
