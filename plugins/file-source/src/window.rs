//! A chunk of a file on its way to becoming records.

use weir_plugin_sdk::limits::RECORD_BYTES_MAX;

use crate::content::Behind;
use crate::position::Position;
use crate::tracked::Key;

/// Bytes of one turn: a byte more than a line may have, so that a turn always gets somewhere.
pub(crate) const TURN_BYTES: usize = RECORD_BYTES_MAX + 1;

/// Bytes of a file from its frontier on, some of them taken already.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) key: Key,
    pub(crate) bytes: Vec<u8>,
    /// Where the file's position is in `bytes`.
    pub(crate) at: usize,
    /// What the file has behind `bytes`.
    pub(crate) behind: Behind,
}

impl Window {
    pub(crate) fn belongs_to(&self, key: Key) -> bool {
        self.key == key
    }

    /// What was not taken yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// No more of it than what a position needs to go on.
    pub(crate) fn trimmed(&self, position: Position) -> Window {
        let at = position.frontier_bytes();
        let bytes = self.bytes.get(self.at - at..).unwrap_or_default().to_vec();
        Window { key: self.key, bytes, at, behind: self.behind }
    }
}
