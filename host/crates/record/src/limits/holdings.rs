//! Bounds of what nodes tell each other that they hold.

/// Ranges of pieces in one set of origins that comes over the wire or from disk.
pub const ORIGIN_SET_RANGES_MAX: usize = 1 << 20;
/// Origins in such a set: what its receiver may have to walk through.
pub const ORIGIN_SET_ORIGINS_MAX: u64 = 1 << 24;
/// One answer about what a node holds. A longer listing comes in pages.
pub const CHANGES_BYTES_MAX: usize = 4 << 20;
/// Changes that a node remembers of what it holds. A peer that has missed more gets a listing.
pub const HOLDINGS_EVENTS_MAX: usize = 65_536;
/// Time without a change after which a store tells a unit by the digest of its set of origins instead of by name.
pub const HOLDINGS_QUIET_MS_DEFAULT: u64 = 3_600_000;
/// The shortest and the longest such time that can be configured.
pub const HOLDINGS_QUIET_MS_MIN: u64 = 100;
/// See [`HOLDINGS_QUIET_MS_MIN`].
pub const HOLDINGS_QUIET_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// How often a store looks which of its units have become quiet, at the most.
pub const HOLDINGS_LOOK_MS_MAX: u64 = 10_000;
/// Units of which one request asks for the names.
pub const NODE_NAMES_UNITS_MAX: usize = 1024;
/// Origins in such units, as far as they were told, unless there is but one unit; and how many more may have come since.
pub const NODE_NAMES_ORIGINS_MAX: u64 = 65_536;
/// See [`NODE_NAMES_ORIGINS_MAX`].
pub const NODE_NAMES_MORE_MAX: u64 = 65_536;
/// Length of the time bucket of a unit whose origins are announced: offsets into it have 32 bits.
pub const HELD_BUCKET_MS_MAX: u64 = u32::MAX as u64;
/// Records and file bytes of one origin that is announced: these have 32 bits as well.
pub const HELD_COUNT_MAX: u64 = u32::MAX as u64;
/// Retention classes whose expiry a node tells.
pub const WATERMARKS_MAX: usize = 1024;
/// Units of which a node remembers what exists; beyond, the oldest are forgotten, and answers say so.
pub const KNOWN_UNITS_MAX: usize = 1 << 20;
/// Sets of origins of one unit that were told by digest and that nobody has any more.
pub const KNOWN_LOST_MAX: usize = 4;
/// Nodes that a node remembers, and gaps in what it heard from one of them; more gaps are joined.
pub const KNOWN_NODES_MAX: usize = 4096;
/// See [`KNOWN_NODES_MAX`].
pub const KNOWN_GAPS_MAX: usize = 16;
/// Address of a node, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 1024;
/// What is known to exist, as it is remembered on disk and told to other nodes.
pub const KNOWLEDGE_BYTES_MAX: usize = 128 << 20;
