//! Bounds of consuming queues of AMQP brokers.

/// Pause before the next broker is tried: the first, and the longest after doubling.
pub const AMQP_BACKOFF_MS_MIN: u64 = 250;
/// See [`AMQP_BACKOFF_MS_MIN`].
pub const AMQP_BACKOFF_MS_MAX: u64 = 30_000;
/// Messages that may be unacknowledged when a session begins; more as soon as so many were stored. A process that
/// dies again and again with some message costs no more than these a count towards their delivery limit.
pub const AMQP_RAMP_MESSAGES: u16 = 16;
/// What that number is multiplied with each time as many messages were stored.
pub const AMQP_RAMP_FACTOR: u16 = 8;
/// Most messages that may be unacknowledged: quorum queues take no more.
pub const AMQP_PREFETCH_MAX: u16 = 2_000;
/// A message. Longer ones go to the exchange for what cannot be stored.
pub const AMQP_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How long the oldest unacknowledged message may wait before all are given back: brokers end a channel after
/// 30 minutes, and look each minute.
pub const AMQP_HOLD_MS_MAX: u64 = 25 * 60 * 1000;
/// Shortest such time: one slow fsync is no reason.
pub const AMQP_HOLD_MS_MIN: u64 = 1_000;
/// Consumers of one grant, each with a connection of its own.
pub const AMQP_CONSUMERS_MAX: i64 = 16;
/// Brokers of one grant.
pub const AMQP_HOSTS_MAX: usize = 16;
/// Messages of former sessions that are recognized when they come again, per consumer.
pub const AMQP_SUSPECTS_MAX: usize = 4 * AMQP_PREFETCH_MAX as usize;
/// How often the depth of the queue is asked for.
pub const AMQP_DEPTH_MS: u64 = 10_000;
/// How often a plugin may fail with one message alone before the message is taken for the cause.
pub const AMQP_ATTEMPTS_MAX: u32 = 3;
/// How long the end of a source waits for the broker to take the last acknowledgements.
pub const AMQP_CLOSE_MS_MAX: u64 = 5_000;
/// How often is repeated that something goes on being wrong.
pub const AMQP_SAY_MS: u64 = 60_000;
/// Headers of one message that become text.
pub const AMQP_HEADERS_MAX: usize = 64;
