//! Clocks and waiting. In tests the clock stands still except where somebody waits.

use crate::sys;

/// Wall clock of the node. May step.
pub fn now_unix_ns() -> u64 {
    sys::now_unix_ns()
}

/// Milliseconds that never go back within an instance; their zero means nothing.
pub fn monotonic_ms() -> u64 {
    sys::monotonic_ns() / 1_000_000
}

/// Nanoseconds that never go back within an instance; their zero means nothing.
pub fn monotonic_ns() -> u64 {
    sys::monotonic_ns()
}

/// Waits. Ends early when shutdown begins or the call must return.
pub fn sleep_ms(ms: u32) {
    sys::sleep_ms(ms);
}

/// Shutdown or reload has begun: return what you have, `close` comes next.
pub fn stopping() -> bool {
    sys::stopping()
}
