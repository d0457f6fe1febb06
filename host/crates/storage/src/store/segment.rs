//! A segment that the store holds, and all of them at one moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_segment::{Origin, OriginName, Unit};

use crate::segment_file::SegmentFile;

/// Which origins of a segment are read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// All of its lineage: the usual case.
    All,
    /// All but these numbers of its lineage, in ascending order: another segment serves them, or damage has
    /// touched them.
    AllBut(Vec<u32>),
}

impl Served {
    /// All but these numbers, in ascending order.
    pub(crate) fn all_but(left_out: Vec<u32>) -> Served {
        if left_out.is_empty() { Served::All } else { Served::AllBut(left_out) }
    }

    /// Whether nothing is left out.
    pub fn has_all(&self) -> bool {
        matches!(self, Served::All)
    }

    /// Whether an origin, by its number in the lineage, is read from this segment.
    pub fn has(&self, origin: u32) -> bool {
        match self {
            Served::All => true,
            Served::AllBut(left_out) => left_out.binary_search(&origin).is_err(),
        }
    }
}

/// A segment of the store. Immutable: what changes is which of them a snapshot holds.
#[derive(Debug, Clone)]
pub struct StoredSegment {
    /// The file: readable as long as this is held.
    pub file: Arc<SegmentFile>,
    /// Which of its origins count.
    pub served: Served,
    path: PathBuf,
    is_damaged: bool,
}

impl StoredSegment {
    pub(crate) fn new(file: Arc<SegmentFile>, served: Served) -> StoredSegment {
        let path = file.path().to_owned();
        StoredSegment { file, served, path, is_damaged: false }
    }

    /// The same, under the name of a damaged one.
    pub(crate) fn damaged(&self, served: Served, path: &Path) -> StoredSegment {
        StoredSegment { file: Arc::clone(&self.file), served, path: path.to_owned(), is_damaged: true }
    }

    /// Where it lies, or lay when it was last seen.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether damage was found in it.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// The unit of all its records.
    pub fn unit(&self) -> &Unit {
        self.file.footer().unit()
    }

    /// The origins that are read from it, with their numbers in the lineage.
    pub fn origins(&self) -> impl Iterator<Item = (u32, &Origin)> {
        let numbered = self.file.footer().lineage().iter().enumerate();
        numbered
            .map(|(number, origin)| (number as u32, origin))
            .filter(|(number, _)| self.served.has(*number))
    }

    /// The number and the entry of an origin that is read from it.
    pub fn origin(&self, name: OriginName) -> Option<(u32, &Origin)> {
        let lineage = self.file.footer().lineage();
        let number = lineage.binary_search_by_key(&name, |origin| origin.name).ok()?;
        self.served.has(number as u32).then(|| (number as u32, &lineage[number]))
    }
}

/// What a store holds at one moment. As long as it is held everything in it can be read, also what compaction
/// has replaced or expiry removed since.
#[derive(Debug, Clone, Default)]
pub struct StoreSnapshot {
    /// The segments that serve an origin, sorted by unit. Each origin is served by exactly one.
    pub segments: Vec<Arc<StoredSegment>>,
}

impl StoreSnapshot {
    /// Number of origins served.
    pub fn origins(&self) -> u64 {
        self.segments.iter().map(|segment| segment.origins().count() as u64).sum()
    }

    /// Number of records served.
    pub fn records(&self) -> u64 {
        let of =
            |segment: &Arc<StoredSegment>| segment.origins().map(|(_, origin)| origin.count).sum::<u64>();
        self.segments.iter().map(of).sum()
    }
}
