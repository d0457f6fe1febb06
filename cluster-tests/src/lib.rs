//! What the tests of whole nodes share: processes, requests, patience.

pub mod cluster;
pub mod process;
pub mod relay;
pub mod small_disk;
