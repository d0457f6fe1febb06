//! Repair: how soon a lost copy is made again, and how much of it at once.

/// Time for which copies have to be away before they are made again: a restart is no reason.
pub const REPAIR_AFTER_MS_DEFAULT: u64 = 5 * 60 * 1000;
/// The shortest and the longest such time that can be configured.
pub const REPAIR_AFTER_MS_MIN: u64 = 100;
/// See [`REPAIR_AFTER_MS_MIN`].
pub const REPAIR_AFTER_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// Time after which the next store in rank makes a copy, when those before it make none at all.
pub const REPAIR_TAKEOVER_MS: u64 = 60_000;
/// Origins that a store fetches from other stores at once, as far as ingest nodes leave it room for them.
pub const REPAIR_FETCHES_MAX: usize = 4;
/// Origins that are known to lack a copy, some 300 bytes each. Further units wait until some of them have it.
pub const REPAIR_LACKING_MAX: usize = 65_536;
/// The least that may be configured for what a store fetches from other stores per second.
pub const REPAIR_BYTES_PER_S_MIN: u64 = 1 << 10;
/// Units that are compared in one step, so that a step is short.
pub const REPAIR_UNITS_PER_STEP: usize = 256;
/// Pause before names of origins that could not be had are asked for again.
pub const REPAIR_NAMES_RETRY_MS: u64 = 1_000;
/// Units of which a store lets go of copies at the same time.
pub const DROP_UNITS_MAX: usize = 8;
/// Origins that are asked about in one request, before a store lets go of its copies of them.
pub const DROP_ORIGINS_PER_QUESTION: usize = 1024;
