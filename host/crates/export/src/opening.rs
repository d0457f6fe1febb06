//! A segment on disk, opened for reading.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use weir_segment::{Footer, Opened, SegmentError};

/// What is read from the end of a file at first: the footers of most segments.
const END_BYTES: u64 = 64 << 10;

/// A file that ends with a footer. Opened for reading alone, unlike the segments of a store.
#[derive(Debug)]
pub struct Opening {
    path: PathBuf,
    file: File,
    footer: Footer,
}

/// A file that cannot be read, or is no segment. Does not affect state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system cannot open or read it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It does not end with a sound footer.
    #[error("{}: {source}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SegmentError,
    },
}

impl Opening {
    /// Opens a segment and reads its footer.
    pub fn new(path: &Path) -> Result<Opening, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut bytes = END_BYTES.min(file_bytes);
        let mut end = Vec::new();
        loop {
            read(&file, file_bytes - bytes..file_bytes, &mut end).map_err(io)?;
            let opened = Footer::open(&end, file_bytes)
                .map_err(|source| OpenError::Segment { path: path.to_owned(), source })?;
            match opened {
                Opened::Footer(footer) => {
                    return Ok(Opening { path: path.to_owned(), file, footer: *footer });
                }
                // No more than there is: the length in the tail has been checked against the file's.
                Opened::Need(need) => bytes = (need as u64).min(file_bytes),
            }
        }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Reads any bytes of the file, all or an error, and replaces what `buffer` holds.
    pub fn read(&self, range: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
        read(&self.file, range, buffer)
    }
}

fn read(file: &File, range: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize((range.end - range.start) as usize, 0);
    file.read_exact_at(buffer, range.start)
}
