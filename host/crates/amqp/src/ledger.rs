//! Which deliveries of one channel are finished.
//!
//! Tags count up from 1 on every channel, and one `basic.ack` with `multiple` speaks for all up to its tag. So the
//! ledger knows the lowest tag that is not finished; acknowledged is what lies below it. A tag means nothing on any
//! other channel than its own: whoever finishes one names the epoch, and what belongs to an earlier one is stale.

use std::collections::VecDeque;

/// Deliveries of one channel. An epoch is one channel's life.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: u64,
    /// Tag of the first delivery in `open`.
    first: u64,
    open: VecDeque<Delivery>,
    finished: u64,
    acknowledged: u64,
}

#[derive(Debug, Clone, Copy)]
struct Delivery {
    at_ms: u64,
    finished: bool,
}

/// A broker that counts deliveries in another way than the protocol says. The channel has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker sent delivery {got} where {expected} comes next")]
pub(crate) struct OutOfOrder {
    expected: u64,
    got: u64,
}

impl Ledger {
    /// The ledger of a new channel.
    pub(crate) fn new(epoch: u64) -> Ledger {
        Ledger { epoch, first: 1, open: VecDeque::new(), finished: 0, acknowledged: 0 }
    }

    /// Which channel it is about.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A delivery has come.
    pub(crate) fn deliver(&mut self, tag: u64, now_ms: u64) -> Result<(), OutOfOrder> {
        let expected = self.first + self.open.len() as u64;
        if tag != expected {
            return Err(OutOfOrder { expected, got: tag });
        }
        self.open.push_back(Delivery { at_ms: now_ms, finished: false });
        Ok(())
    }

    /// What was delivered need not come again. Whether that can still be told to the broker.
    ///
    /// # Panics
    /// When a delivery of this channel is finished twice, or was never there: then records were acknowledged that
    /// nobody stored.
    pub(crate) fn finish(&mut self, epoch: u64, tag: u64) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let at = tag.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let open = at.and_then(|at| self.open.get_mut(at)).filter(|open| !open.finished);
        let Some(open) = open else { panic!("delivery {tag} of channel {epoch} is finished a second time") };
        open.finished = true;
        self.finished += 1;
        true
    }

    /// The highest tag up to which all is finished, when it has grown since it was last asked for, and how many
    /// deliveries it stands for, the oldest of which came when.
    pub(crate) fn acknowledge(&mut self) -> Option<Acknowledged> {
        let mut count = 0;
        let mut oldest_at_ms = None;
        while let Some(front) = self.open.front().filter(|front| front.finished) {
            oldest_at_ms.get_or_insert(front.at_ms);
            self.open.pop_front();
            count += 1;
        }
        self.first += count;
        self.finished -= count;
        self.acknowledged += count;
        oldest_at_ms.map(|oldest_at_ms| Acknowledged { tag: self.first - 1, count, oldest_at_ms })
    }

    /// Deliveries that the broker has not been told to forget.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.open.len()
    }

    /// Deliveries that are not finished.
    pub(crate) fn unfinished(&self) -> u64 {
        self.open.len() as u64 - self.finished
    }

    /// When the oldest delivery came that is not acknowledged.
    pub(crate) fn oldest_at_ms(&self) -> Option<u64> {
        self.open.front().map(|front| front.at_ms)
    }
}

/// What one `basic.ack` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Up to this tag.
    pub(crate) tag: u64,
    /// How many.
    pub(crate) count: u64,
    /// When the first of them was delivered.
    pub(crate) oldest_at_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_lowest_unfinished_tag_is_acknowledged_at_once() {
        let mut ledger = Ledger::new(7);
        (1..=5).for_each(|tag| ledger.deliver(tag, tag * 10).unwrap());
        for (finished, acknowledged) in [
            (2, None),
            (1, Some(Acknowledged { tag: 2, count: 2, oldest_at_ms: 10 })),
            (5, None),
            (4, None),
            (3, Some(Acknowledged { tag: 5, count: 3, oldest_at_ms: 30 })),
        ] {
            assert!(ledger.finish(7, finished));
            assert_eq!((ledger.acknowledge(), ledger.acknowledge()), (acknowledged, None));
        }
        assert_eq!((ledger.unacknowledged(), ledger.unfinished(), ledger.oldest_at_ms()), (0, 0, None));
        assert_eq!(ledger.deliver(6, 60), Ok(()));
        assert_eq!((ledger.unfinished(), ledger.oldest_at_ms()), (1, Some(60)));
    }

    #[test]
    fn another_channel_is_none_of_its_business() {
        let mut ledger = Ledger::new(2);
        ledger.deliver(1, 0).unwrap();
        assert!(!ledger.finish(1, 1) && !ledger.finish(1, 900));
        assert_eq!((ledger.acknowledge(), ledger.unfinished()), (None, 1));
    }

    #[test]
    fn tags_that_are_not_the_next_are_refused() {
        let mut ledger = Ledger::new(0);
        ledger.deliver(1, 0).unwrap();
        for got in [0, 1, 3, u64::MAX] {
            assert_eq!(ledger.deliver(got, 0), Err(OutOfOrder { expected: 2, got }));
        }
    }
}
