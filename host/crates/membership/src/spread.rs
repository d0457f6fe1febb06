//! News on its way: each piece goes along with a number of datagrams, and is replaced by newer of its kind.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use weir_record::limits::GOSSIP_SPREAD_TIMES;

use crate::record::put_record;

/// Whom it is about; how a node does and that it is gone go side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    About(u64),
    Gone(u64),
}

/// What waits to be passed on.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    queue: BTreeMap<Key, Item>,
}

#[derive(Debug)]
struct Item {
    record: Vec<u8>,
    left: u8,
}

impl Spread {
    /// Passes a record on, instead of what waited under its key.
    pub(crate) fn add(&mut self, key: Key, record: Vec<u8>) {
        self.queue.insert(key, Item { record, left: GOSSIP_SPREAD_TIMES });
    }

    /// Passes on no more of what waited under a key.
    pub(crate) fn cancel(&mut self, key: Key) {
        self.queue.remove(&key);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends to a body as many records as fit into `bytes_max`, the newest first.
    pub(crate) fn fill(&mut self, body: &mut Vec<u8>, bytes_max: usize) {
        let mut order: Vec<(u8, Key)> = self.queue.iter().map(|(key, item)| (item.left, *key)).collect();
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, key) in order {
            let Some(item) = self.queue.get_mut(&key) else { continue };
            if body.len() + 2 + item.record.len() > bytes_max {
                continue;
            }
            put_record(body, &item.record);
            item.left -= 1;
            if item.left == 0 {
                self.queue.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn news_goes_out_so_many_times_the_newest_first_and_only_what_fits() {
        let mut spread = Spread::default();
        let fill = |spread: &mut Spread, bytes_max| {
            let mut body = Vec::new();
            spread.fill(&mut body, bytes_max);
            body
        };
        spread.add(Key::About(1), vec![1; 10]);
        assert_eq!(fill(&mut spread, 11), []);
        assert_eq!(fill(&mut spread, 12).len(), 12);
        spread.add(Key::About(2), vec![2; 10]);
        assert_eq!(fill(&mut spread, 12)[2], 2, "it has gone out less often");
        spread.add(Key::About(2), vec![3; 10]);
        spread.cancel(Key::About(1));
        for _ in 0..GOSSIP_SPREAD_TIMES {
            assert!(!spread.is_empty());
            assert_eq!(fill(&mut spread, 100)[2..], [3; 10]);
        }
        assert!(spread.is_empty());
    }
}
