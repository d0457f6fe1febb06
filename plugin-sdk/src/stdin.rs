//! Standard input of the node. Needs the capability `stdin`; one source at most may have it.

use crate::failure::Failure;
use crate::sys;

/// At most `bytes_max` and at most 4 MiB, as soon as there are any; an empty vector is nothing within
/// `wait_ms`, `None` the end of input.
///
/// # Errors
/// `stdin.not-granted` (bad config), `stdin.io` (fatal).
pub fn read(bytes_max: usize, wait_ms: u32) -> Result<Option<Vec<u8>>, Failure> {
    sys::stdin_read(u32::try_from(bytes_max).unwrap_or(u32::MAX), wait_ms)
}
