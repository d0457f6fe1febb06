//! Datagrams that change nothing, and why: counted by reason.

use core::fmt;

/// Why a datagram, or a part of it, was dropped. No state has changed but the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its sender sends too many.
    Rate,
    /// Longer or shorter than any that a node sends.
    Length,
    /// A later version of the envelope.
    FutureVersion,
    /// Not sealed, although this node has a key; or sealed, although it has none.
    Unsealed,
    /// Sealed with a key that this node does not have.
    UnknownKey,
    /// Damaged, forged, or of a cluster with another name.
    NotOpened,
    /// The sender's clock is too far off.
    Clock,
    /// It was here before.
    Replayed,
    /// More processes send than are kept apart.
    TooMany,
    /// This node sent it.
    Own,
    /// Sealed rightly, and its content makes no sense.
    Malformed,
    /// Sent to an address that is not this node's.
    Astray,
    /// A record of a later version.
    FutureRecord,
    /// The membership protocol has no use for it.
    Protocol,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 14] = [
        Reason::Rate,
        Reason::Length,
        Reason::FutureVersion,
        Reason::Unsealed,
        Reason::UnknownKey,
        Reason::NotOpened,
        Reason::Clock,
        Reason::Replayed,
        Reason::TooMany,
        Reason::Own,
        Reason::Malformed,
        Reason::Astray,
        Reason::FutureRecord,
        Reason::Protocol,
    ];

    /// The name by which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Rate => "rate",
            Reason::Length => "length",
            Reason::FutureVersion => "future_version",
            Reason::Unsealed => "unsealed",
            Reason::UnknownKey => "unknown_key",
            Reason::NotOpened => "not_opened",
            Reason::Clock => "clock",
            Reason::Replayed => "replayed",
            Reason::TooMany => "too_many",
            Reason::Own => "own",
            Reason::Malformed => "malformed",
            Reason::Astray => "astray",
            Reason::FutureRecord => "future_record",
            Reason::Protocol => "protocol",
        }
    }
}

/// What to think of it, and what to do.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Rate => "it sends more than any node does",
            Reason::Length => "no node sends any of that length; something else sends to this port",
            Reason::FutureVersion => "it is of a later version of weir; update this node",
            Reason::Unsealed => "one of the two nodes has no cluster.key_file; give all the same one",
            Reason::UnknownKey => "it is sealed with another key; give all nodes the same cluster.key_file",
            Reason::NotOpened => "it is damaged, forged, or of a cluster with another cluster.name",
            Reason::Clock => "the clocks differ by more than a minute; set them right",
            Reason::Replayed => "it was here before",
            Reason::TooMany => "more nodes send than a cluster may have",
            Reason::Own => "this node sent it to itself",
            Reason::Malformed => "its content makes no sense; please report it",
            Reason::Astray => "it is for another address; see cluster.advertise here, or cluster.join there",
            Reason::FutureRecord => "it has news in a later version of weir; update this node",
            Reason::Protocol => "it does not fit what is known of its sender",
        })
    }
}

/// How many there were of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally([u64; Reason::ALL.len()]);

impl Tally {
    pub(crate) fn count(&mut self, reason: Reason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_its_own_name() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
            let mut tally = Tally::default();
            tally.count(reason);
            assert_eq!(tally.iter().find(|(_, count)| *count > 0), Some((reason, 1)));
        }
    }
}
