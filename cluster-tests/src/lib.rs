//! What the tests of whole nodes share: processes, requests, patience.

pub mod process;
pub mod relay;
