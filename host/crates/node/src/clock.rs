//! Time and entropy: the only place where the node asks the machine for either.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix milliseconds by the machine's clock; 0 when it stands before 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// 80 bits of entropy for the ids of one batch.
pub(crate) fn id_entropy() -> u128 {
    fastrand::u128(..) & weir_record::id::ENTROPY_MAX
}
