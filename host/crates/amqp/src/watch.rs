//! What the operator's dashboards are told.

/// Things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Messages that came.
    Deliveries,
    /// Those of them that may have been stored already.
    Redeliveries,
    /// Messages that the broker was told to forget.
    Acks,
    /// Messages that were given back to the broker.
    Nacks,
    /// Messages that were stored when their channel was gone: they come again.
    Stale,
    /// Sessions that ended other than on request.
    Disconnects,
}

/// Why a message went to the exchange for what can never be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// It is longer than the grant allows.
    TooLong,
    /// The plugin refused it.
    Refused,
    /// The plugin failed on it again and again.
    Failing,
}

impl Reject {
    /// All of them.
    pub const ALL: [Reject; 3] = [Reject::TooLong, Reject::Refused, Reject::Failing];

    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Reject::TooLong => "too_long",
            Reject::Refused => "refused",
            Reject::Failing => "failing",
        }
    }
}

/// Things that have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Consumers that are connected.
    Connected,
    /// Messages that the broker has not been told to forget.
    Unacknowledged,
    /// Messages in the queue that nobody has.
    Depth,
}

/// Hears of one queue. Called often: must not block.
pub trait Watch: Send + Sync {
    /// So many more.
    fn count(&self, what: Count, by: u64);
    /// A message went to the exchange for what can never be stored.
    fn rejected(&self, why: Reject);
    /// The value now.
    fn level(&self, what: Level, value: u64);
    /// An acknowledgement was sent, so long after the oldest of its messages had come.
    fn acknowledged_after(&self, seconds: f64);
}
