//! Sets of hashes of words, which are emptied and filled again block after block.

use alloc::vec;
use alloc::vec::Vec;

/// How many hashes are remembered where they are found at once: most words of a line were in the lines before.
const RECENT: usize = 1024;

/// Open addressing with linear probing; hashes are their own places.
#[derive(Debug)]
pub(crate) struct TokenSet {
    /// 0 is an empty slot. Its length is a power of two.
    slots: Vec<u64>,
    members: Vec<u64>,
    /// Members, by their top bits; small enough for the fastest cache.
    recent: Vec<u64>,
}

impl TokenSet {
    pub(crate) fn new() -> TokenSet {
        TokenSet { slots: vec![0; 1 << 12], members: Vec::new(), recent: vec![0; RECENT] }
    }

    /// Adds one. A hash of 0 counts as 1, here as in the filter.
    pub(crate) fn insert(&mut self, hash: u64) {
        let hash = hash.max(1);
        let recent = &mut self.recent[hash as usize >> 20 & (RECENT - 1)];
        if *recent == hash {
            return;
        }
        *recent = hash;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                0 => break,
                there if there == hash => return,
                _ => at = (at + 1) & mask,
            }
        }
        self.slots[at] = hash;
        self.members.push(hash);
        if self.members.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![0; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for &hash in &self.members {
            let mut at = hash as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = hash;
        }
        self.slots = slots;
    }

    /// The hashes, each once, none 0.
    pub(crate) fn members(&self) -> &[u64] {
        &self.members
    }

    pub(crate) fn clear(&mut self) {
        // A set that once held very much gives it back, so that one odd block does not slow down all others.
        if self.slots.len() > 1 << 17 && self.members.len() * 16 < self.slots.len() {
            *self = TokenSet::new();
        }
        self.slots.fill(0);
        self.members.clear();
        self.recent.fill(0);
    }
}

/// Finds the distinct ones among many hashes, stretch by stretch of their top bits, so that each stretch fits the
/// fastest cache.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    sorted: Vec<u64>,
    slots: Vec<u64>,
    members: Vec<u64>,
}

impl Distinct {
    /// Each of some hashes once; none may be 0.
    pub(crate) fn of(&mut self, hashes: &[u64]) -> &[u64] {
        let mut ends = [0_usize; 256];
        for &hash in hashes {
            ends[(hash >> 56) as usize] += 1;
        }
        let mut from = 0;
        for end in &mut ends {
            (*end, from) = (from, from + *end);
        }
        self.sorted.resize(hashes.len(), 0);
        for &hash in hashes {
            let end = &mut ends[(hash >> 56) as usize];
            self.sorted[*end] = hash;
            *end += 1;
        }
        self.members.clear();
        let mut from = 0;
        for end in ends {
            // Each stretch has slots for itself alone: words made up to lie in one do not slow down all others.
            self.slots.clear();
            self.slots.resize((2 * (end - from)).next_power_of_two(), 0);
            let mask = self.slots.len() - 1;
            for &hash in &self.sorted[from..end] {
                let mut at = hash as usize & mask;
                while self.slots[at] != 0 && self.slots[at] != hash {
                    at = (at + 1) & mask;
                }
                if self.slots[at] == 0 {
                    self.slots[at] = hash;
                    self.members.push(hash);
                }
            }
            from = end;
        }
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_hashes_are_found_however_they_are_spread() {
        let mut distinct = Distinct::default();
        for (count, step) in [(0, 1), (1, 1), (5000, 1), (100_000, 0x9e37_79b9_7f4a_7c15), (3000, 1 << 57)] {
            let hashes: Vec<u64> = (1..=count).map(|n: u64| (n / 3 + 1).wrapping_mul(step).max(1)).collect();
            let mut expected = hashes.clone();
            expected.sort_unstable();
            expected.dedup();
            let mut got = distinct.of(&hashes).to_vec();
            got.sort_unstable();
            assert_eq!(got, expected, "{count}");
        }
    }

    #[test]
    fn each_hash_is_kept_once() {
        let mut set = TokenSet::new();
        for round in 0..2 {
            for hash in 0..100_000_u64 {
                set.insert(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                set.insert(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
            assert_eq!(set.members().len(), 100_000, "round {round}");
            assert!(!set.members().contains(&0));
            set.clear();
            assert!(set.members().is_empty());
        }
    }
}
