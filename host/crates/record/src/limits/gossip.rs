//! Bounds of membership: what nodes send each other to know who is there.

use super::KNOWN_NODES_MAX;

/// A datagram, sealed: no fragments on a network with the usual MTU, tunnels included.
pub const GOSSIP_DATAGRAM_BYTES_MAX: usize = 1330;
/// What a node says of itself, or of one that is gone.
pub const GOSSIP_RECORD_BYTES_MAX: usize = 256;
/// URL of a node's API within such a record.
pub const GOSSIP_URL_BYTES_MAX: usize = 120;
/// Zone of a node within such a record.
pub const GOSSIP_ZONE_BYTES_MAX: usize = 48;
/// How far a sender's clock may differ, and for how long a datagram may be played again to a node that restarted.
pub const GOSSIP_CLOCK_MS_MAX: u64 = 60_000;
/// Processes whose datagrams are counted at once, so that none is taken twice.
pub const GOSSIP_BOOTS_MAX: usize = 2 * KNOWN_NODES_MAX;
/// How often every address that ought to be a member and is not is asked to be one.
pub const GOSSIP_ANNOUNCE_MS: u64 = 5_000;
/// How many of them in one round, drawn at random when there are more.
pub const GOSSIP_ANNOUNCES_MAX: usize = 64;
/// How many members are asked in each round where others are, while some are known by name alone.
pub const GOSSIP_PLACES_ASKED: usize = 8;
/// How often a node says how it does, in clusters of up to [`GOSSIP_REFRESH_NODES`]; in larger ones less often, so
/// that what goes around does not grow with the square of the nodes.
pub const GOSSIP_REFRESH_MS: u64 = 5_000;
/// See [`GOSSIP_REFRESH_MS`].
pub const GOSSIP_REFRESH_NODES: u64 = 16;
/// How many such periods old what a node said of itself may be before it is no longer believed.
pub const GOSSIP_STALE_PERIODS: u64 = 4;
/// Least time between two rounds of saying how a node does, however often that changes.
pub const GOSSIP_REFRESH_MS_MIN: u64 = 500;
/// How often what is new goes on to other members, and to how many each time.
pub const GOSSIP_SPREAD_MS: u64 = 200;
/// See [`GOSSIP_SPREAD_MS`].
pub const GOSSIP_SPREAD_NODES: usize = 3;
/// How often one piece of news is passed on by each node that learns it.
pub const GOSSIP_SPREAD_TIMES: u8 = 8;
/// Datagrams with all that is known, for a node that asks to be a member.
pub const GOSSIP_WELCOME_DATAGRAMS_MAX: usize = 32;
/// Nodes remembered as gone, so that nobody's memory brings them back.
pub const GOSSIP_GONE_MAX: usize = 1024;
/// How long they are remembered.
pub const GOSSIP_GONE_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Two live nodes with one id for so long are two, and not one that moved.
pub const GOSSIP_RIVAL_MS: u64 = 30_000;
/// Datagrams that one address may send: so many at once, and then so many a second.
pub const GOSSIP_SOURCE_BURST: u32 = 2_000;
/// See [`GOSSIP_SOURCE_BURST`].
pub const GOSSIP_SOURCE_PER_SECOND: u32 = 1_000;
/// Addresses that are counted apart; all others together are as one.
pub const GOSSIP_SOURCES_MAX: usize = 4096;
/// What is remembered of the members, as a file.
pub const GOSSIP_MEMORY_BYTES_MAX: usize = 4 << 20;
/// Pause between two lines of the log about the same trouble.
pub const GOSSIP_NOTICE_MS: u64 = 60_000;
