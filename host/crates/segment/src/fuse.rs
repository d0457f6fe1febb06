//! Binary fuse filters with 8-bit fingerprints: where the three places of a key lie, and how a filter is
//! filled.
//!
//! Thomas Mueller Graf and Daniel Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM
//! Journal of Experimental Algorithmics 27 (2022), <https://arxiv.org/abs/2201.01174>. Written here and not
//! taken from a library, because the places are part of a format that is read for ever.

use alloc::vec::Vec;

/// Seeds that are tried; each fails in less than one case of ten.
const SEEDS_MAX: u64 = 64;

/// Shape of a filter: all that its places depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Changes the places of all keys.
    pub(crate) seed: u64,
    /// A segment of the filter has `1 << segment_bits` fingerprints.
    pub(crate) segment_bits: u32,
    /// Segments in which a first place may lie; two more follow.
    pub(crate) segments: u32,
}

impl Shape {
    /// Fingerprints in all.
    pub(crate) fn len(self) -> usize {
        (self.segments as usize + 2) << self.segment_bits
    }

    /// The three places of a key, in three consecutive segments, and its fingerprint.
    ///
    /// `mixed = fold((key ^ seed) * STEP)`; the first place is the high half of `mixed` times the number of
    /// places in the starting segments; each further one lies a segment on, its place within the segment
    /// changed by bits of `mixed` from 18 and from 0 on. The fingerprint is its top byte folded on the lowest.
    pub(crate) fn places(self, key: u64) -> ([usize; 3], u8) {
        self.places_of(self.mix(key))
    }

    /// All that places and fingerprint are made of.
    fn mix(self, key: u64) -> u64 {
        let product = u128::from(key ^ self.seed) * u128::from(0x3c6e_f372_fe94_f82b_u64);
        product as u64 ^ (product >> 64) as u64
    }

    fn places_of(self, mixed: u64) -> ([usize; 3], u8) {
        let starts = u64::from(self.segments) << self.segment_bits;
        let first = ((u128::from(mixed) * u128::from(starts)) >> 64) as usize;
        let size = 1_usize << self.segment_bits;
        let second = (first + size) ^ ((mixed >> 18) as usize & (size - 1));
        let third = (first + 2 * size) ^ (mixed as usize & (size - 1));
        ([first, second, third], (mixed >> 56 ^ mixed >> 24) as u8)
    }

    /// A shape for so many keys, at least one. Any shape is valid to read: this is the writer's choice.
    fn for_keys(keys: usize) -> Shape {
        // The paper's segment length is 2^(log(n) / log(3.33) + 2.25), rounded down; and its number of
        // fingerprints n * max(1.125, 0.875 + 0.25 * log(10^6) / log(n)). Both in integers: the length grows
        // by a bit for each factor of 3.33, and log(n) is taken in steps of a quarter of a binary digit.
        let mut segment_bits = 2;
        let mut reached = 247_u64;
        while segment_bits < 18 && reached <= keys as u64 * 100 {
            reached = reached * 333 / 100;
            segment_bits += 1;
        }
        let power = (keys as u128).pow(4).ilog2().max(4);
        let permille = (875 + 19_932 / power as usize).max(1125);
        let places = (keys * permille).div_ceil(1000);
        let segments = places.div_ceil(1 << segment_bits).saturating_sub(2).max(1) as u32;
        Shape { seed: 0, segment_bits, segments }
    }
}

/// Fills filters, one after the other, in the same memory.
///
/// Finds an order of the keys in which each has a place of its own when its turn comes.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// Per place: all keys that lie on it, mixed, under exclusive or, and how many they are.
    slots: Vec<(u64, u32)>,
    /// The keys, mixed, by the stretch of the filter that they begin in, so that each stretch is worked on while it
    /// is in the cache.
    sorted: Vec<u64>,
    /// Places with one key.
    lonely: Vec<u32>,
    /// Keys, mixed, and the place each had alone, in the order in which they were taken off.
    order: Vec<(u64, u32)>,
    prints: Vec<u8>,
}

impl Builder {
    /// Fills a filter with keys, each of which must occur once: its shape and fingerprints. `None` when no seed fits,
    /// which a set of distinct keys does not bring about in practice; a filter is left out then.
    pub(crate) fn build(&mut self, keys: &[u64]) -> Option<(Shape, &[u8])> {
        let shape = Shape::for_keys(keys.len().max(1));
        for round in 1..=SEEDS_MAX {
            let shape = Shape { seed: round.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..shape };
            if self.peel(shape, keys) {
                self.assign(shape);
                return Some((shape, &self.prints));
            }
        }
        None
    }

    fn peel(&mut self, shape: Shape, keys: &[u64]) -> bool {
        self.slots.clear();
        self.slots.resize(shape.len(), (0, 0));
        self.order.clear();
        self.sort(shape, keys);
        for &key in &self.sorted {
            for place in shape.places_of(key).0 {
                let (keys, count) = &mut self.slots[place];
                *keys ^= key;
                *count += 1;
            }
        }
        let alone = |(place, &(_, count)): (usize, &(u64, u32))| (count == 1).then_some(place as u32);
        self.lonely.clear();
        self.lonely.extend(self.slots.iter().enumerate().filter_map(alone));
        while let Some(place) = self.lonely.pop() {
            let (key, 1) = self.slots[place as usize] else { continue };
            self.order.push((key, place));
            for other in shape.places_of(key).0 {
                let (keys, count) = &mut self.slots[other];
                *keys ^= key;
                *count -= 1;
                if *count == 1 {
                    self.lonely.push(other as u32);
                }
            }
        }
        self.order.len() == keys.len()
    }

    /// Sorts the keys by the 256th of the filter that their first place lies in: it grows with the mixed key.
    fn sort(&mut self, shape: Shape, keys: &[u64]) {
        let mut next = [0_usize; 256];
        for &key in keys {
            next[(shape.mix(key) >> 56) as usize] += 1;
        }
        let mut from = 0;
        for place in &mut next {
            (*place, from) = (from, from + *place);
        }
        self.sorted.resize(keys.len(), 0);
        for &key in keys {
            let mixed = shape.mix(key);
            let place = &mut next[(mixed >> 56) as usize];
            self.sorted[*place] = mixed;
            *place += 1;
        }
    }

    /// The last key taken off is set first: its place is touched by no key set after it.
    fn assign(&mut self, shape: Shape) {
        let prints = &mut self.prints;
        prints.clear();
        prints.resize(shape.len(), 0);
        for &(key, place) in self.order.iter().rev() {
            let ([a, b, c], print) = shape.places_of(key);
            prints[place as usize] = 0;
            prints[place as usize] = print ^ prints[a] ^ prints[b] ^ prints[c];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_filter_of_any_size_is_built_and_costs_about_nine_bits_per_key() {
        let mut builder = Builder::default();
        for (count, bits_max) in
            [(1, 200), (2, 200), (10, 40), (100, 16), (1000, 12), (18_000, 11), (300_000, 10)]
        {
            let keys: Vec<u64> = (1..=count).map(|n| crate::token::hash(format!("{n}").as_bytes())).collect();
            let (shape, prints) = builder.build(&keys).unwrap();
            assert_eq!(prints.len(), shape.len());
            assert!(prints.len() as u64 * 8 <= count * bits_max, "{count}: {}", prints.len());
            for &key in &keys {
                let ([a, b, c], print) = shape.places(key);
                assert_eq!(prints[a] ^ prints[b] ^ prints[c], print, "{count}");
            }
        }
    }
}
