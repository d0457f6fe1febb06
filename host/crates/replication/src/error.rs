//! What can be wrong with bytes that another node sent, or that were remembered on disk.

use weir_record::CodecError;

/// Bytes that are not what they should be. Reading them changes no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They begin otherwise.
    #[error("these bytes are not {0}")]
    Magic(&'static str),
    /// A later version: the peer is newer than this node.
    #[error("{what} of version {got}, this node reads {known}")]
    Version {
        /// What they are.
        what: &'static str,
        /// The version that they say.
        got: u8,
        /// The one that is known.
        known: u8,
    },
    /// Longer than anything that is ever written.
    #[error("{bytes} bytes, more than the limit of {max}")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        max: usize,
    },
    /// They are not those that were written.
    #[error("the checksum does not match")]
    Sum,
    /// A field cannot be read.
    #[error(transparent)]
    Field(#[from] CodecError),
    /// The checksum holds and the content contradicts itself: a bug or a forgery.
    #[error("{0}")]
    Contradiction(&'static str),
}
