//! The network: what is sent arrives later, in any order, once, twice or never.

use std::collections::BTreeMap;

use fastrand::Rng;
use weir_replication::{Confirmation, OriginKey, Position};
use weir_segment::RecordDigest;

/// What is sent. Answers name the process of the store that they are for: a connection does not survive it.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Ask {
        store: u64,
        process: u64,
        ingest: u64,
        since: Position,
    },
    Told {
        store: u64,
        process: u64,
        ingest: u64,
        changes: Vec<u8>,
    },
    Fetch {
        store: u64,
        process: u64,
        ingest: u64,
        key: OriginKey,
    },
    /// The file as it arrived, by what its records hash to.
    File {
        store: u64,
        process: u64,
        ingest: u64,
        key: OriginKey,
        digest: RecordDigest,
    },
    /// `None`: not offered; else when to ask again.
    Refused {
        store: u64,
        process: u64,
        ingest: u64,
        key: OriginKey,
        retry_ms: Option<u64>,
    },
    Confirm {
        store: u64,
        process: u64,
        ingest: u64,
        key: OriginKey,
        digest: RecordDigest,
        how: Confirmation,
    },
    /// Whether it counted, or was not known any more.
    Noted {
        store: u64,
        process: u64,
        ingest: u64,
        key: OriginKey,
        is_known: bool,
    },
    Failed {
        store: u64,
        ingest: u64,
        key: OriginKey,
    },
}

impl Message {
    pub(crate) fn is_to_ingest(&self) -> bool {
        matches!(
            self,
            Message::Ask { .. } | Message::Fetch { .. } | Message::Confirm { .. } | Message::Failed { .. }
        )
    }
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    under_way: BTreeMap<(u64, u64), Message>,
    count: u64,
}

impl Net {
    /// Sends once, twice or not at all.
    pub(crate) fn send(&mut self, rng: &mut Rng, now_ms: u64, has_faults: bool, message: &Message) {
        if has_faults && rng.u32(..10) == 0 {
            return;
        }
        let copies = if has_faults && rng.u32(..10) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let delay_ms = if has_faults && rng.u32(..20) == 0 { rng.u64(..4000) } else { rng.u64(..120) };
            self.count += 1;
            self.under_way.insert((now_ms + delay_ms, self.count), message.clone());
        }
    }

    /// The next message that has arrived.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Message> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now_ms)?;
        Some(entry.remove())
    }
}
