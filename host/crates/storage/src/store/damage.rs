//! Damage in a segment: what it touches is held no more, what it does not is read on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_segment::SegmentName;

use crate::segment_file::SegmentFileError;
use crate::store::segment::{Served, StoredSegment};
use crate::store::{Inner, Store, StoreError, verify};

/// The end of the name of a segment in which damage was found, in place of [`SOUND`].
pub(crate) const DAMAGED: &str = ".damaged";
/// The end of the name of any other.
pub(crate) const SOUND: &str = ".zst";

/// The path of a damaged segment.
fn damaged_path(dir: &Path, name: &SegmentName) -> PathBuf {
    let name = name.to_string();
    dir.join(format!("{}{DAMAGED}", name.strip_suffix(SOUND).unwrap_or(&name)))
}

impl Store {
    /// Reads a segment whole, for somebody found damage in it, and stops announcing the origins that are not
    /// whole any more; see [`Store::damaged`]. Returns the first damages that it found: none when everything
    /// can be read now. May take as long as reading the file does.
    pub fn check(&self, segment: &Arc<StoredSegment>) -> Result<Vec<SegmentFileError>, StoreError> {
        let findings = verify::examine(&segment.file).map_err(|_| StoreError::Memory)?;
        self.damaged(segment, &findings.touched)?;
        Ok(findings.damages)
    }

    /// Takes origins out of what is announced, by their numbers in the lineage of the segment, because records
    /// of them are lost. The file is kept, under a name that ends in `.damaged`, and its other origins are read
    /// on. Nothing happens when the segment is not held any more, or serves none of them.
    ///
    /// Which origins are lost is found out again at the next start, by reading the file.
    pub fn damaged(&self, segment: &Arc<StoredSegment>, origins: &[u32]) -> Result<(), StoreError> {
        let inner = &*self.inner;
        inner.check_poison()?;
        let lost: Vec<u32> = origins.iter().copied().filter(|&number| segment.served.has(number)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let mut left_out = lost.clone();
        if let Served::AllBut(before) = &segment.served {
            left_out.extend(before);
        }
        left_out.sort_unstable();
        left_out.dedup();
        let to = damaged_path(&inner.dir, &segment.file.footer().name());
        {
            let mut catalog = inner.catalog();
            if !catalog.holds(segment) {
                return Ok(());
            }
            catalog.shrink(segment, segment.damaged(Served::all_but(left_out), &to));
        }
        tracing::error!(path = %to.display(), origins = lost.len(), "damaged: these origins have to be fetched again");
        inner.rename_damaged(segment, &to)
    }
}

impl Inner {
    fn rename_damaged(&self, segment: &StoredSegment, to: &Path) -> Result<(), StoreError> {
        if segment.path() == to {
            return Ok(());
        }
        match self.disk.rename(segment.path(), to) {
            // Expired meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(StoreError::io("cannot rename", segment.path()))?,
        }
        self.sync_dir()
    }
}
