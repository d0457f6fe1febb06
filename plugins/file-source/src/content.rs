//! What is in a file: its bytes, or those that were compressed into it.

mod packed;

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::files::{File, Identity};

use self::packed::Packed;
pub(crate) use self::packed::is_undecided;
use crate::GRANT;

/// Bytes by which a compressed file is known.
const MAGIC_BYTES: usize = 4;

/// Bytes from somewhere in a file.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// These; what is behind them is told.
    Bytes(Vec<u8>, Behind),
    /// The way there is long, and some of it was gone: ask again.
    OnTheWay,
}

/// What is behind some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// More.
    More,
    /// Nothing now.
    Nothing,
    /// Nothing ever: the end of what was compressed.
    End,
}

/// An open file.
#[derive(Debug)]
pub(crate) enum Content {
    Plain(File),
    Packed(Box<Packed>),
}

impl Content {
    /// Opens what the path names now.
    pub(crate) fn open(path: &str) -> Result<Content, Failure> {
        let file = File::open(GRANT, path)?;
        let magic = file.read_at(0, MAGIC_BYTES)?;
        Ok(match packed::method(&magic) {
            Some(method) => Content::Packed(Box::new(Packed::new(file, method))),
            None => Content::Plain(file),
        })
    }

    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Content::Packed(_))
    }

    /// The open file, not its path.
    pub(crate) fn stat(&self) -> Result<Identity, Failure> {
        match self {
            Content::Plain(file) => file.stat(),
            Content::Packed(packed) => packed.stat(),
        }
    }

    /// Bytes from `offset`, at most `bytes_max`; fewer where more would take too long or are not there.
    pub(crate) fn read_at(&mut self, offset: u64, bytes_max: usize) -> Result<Chunk, Failure> {
        match self {
            Content::Plain(file) => {
                let bytes = file.read_at(offset, bytes_max)?;
                let behind = if bytes.len() == bytes_max { Behind::More } else { Behind::Nothing };
                Ok(Chunk::Bytes(bytes, behind))
            }
            Content::Packed(packed) => packed.read_at(offset, bytes_max),
        }
    }
}
