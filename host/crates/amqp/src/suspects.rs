//! Messages that may have been stored already, recognized when they come again.
//!
//! A broker says of a message whether it delivered it before, unless it forgot that in a crash of its own. What was
//! taken in a former session of this process and comes again is noticed here as well, by a hash of it. Being wrong
//! costs a mark on a record: nothing is dropped for it.

use std::collections::{HashSet, VecDeque};

use weir_record::limits::AMQP_SUSPECTS_MAX;

#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// Of this session.
    current: VecDeque<u64>,
    /// Of former ones, oldest first.
    former: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Suspects {
    /// A message was taken in this session.
    pub(crate) fn taken(&mut self, hash: u64) {
        if self.current.len() == AMQP_SUSPECTS_MAX {
            self.current.pop_front();
        }
        self.current.push_back(hash);
    }

    /// A session has ended: what was taken in it may come again.
    pub(crate) fn ended(&mut self) {
        for hash in std::mem::take(&mut self.current) {
            if self.former.len() == AMQP_SUSPECTS_MAX {
                self.former.pop_front().map(|oldest| self.known.remove(&oldest));
            }
            if self.known.insert(hash) {
                self.former.push_back(hash);
            }
        }
    }

    /// Whether a message was taken in a former session.
    pub(crate) fn knows(&self, hash: u64) -> bool {
        self.known.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_former_sessions_took_is_known_and_no_more_than_so_many() {
        let mut suspects = Suspects::default();
        let all = 3 * AMQP_SUSPECTS_MAX as u64;
        for hash in 0..all {
            suspects.taken(hash % 1000);
            suspects.taken(hash);
            assert!(!suspects.knows(hash));
        }
        suspects.ended();
        assert!(suspects.knows(all - 1) && !suspects.knows(all));
        assert!(suspects.known.len() <= AMQP_SUSPECTS_MAX);
        (0..all).for_each(|hash| suspects.taken(all + hash));
        suspects.ended();
        assert!(!suspects.knows(all - 1) && suspects.knows(2 * all - 1));
        assert_eq!(suspects.known.len(), suspects.former.len());
    }
}
