//! Random numbers that are the same on every machine.

/// A sequence of 64-bit numbers that its seed determines: a counter with odd steps, each value mixed by
/// multiplications and shifts. Not for secrets.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }

    /// Evenly from 0 to `limit - 1`; 0 where the limit is 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        // The upper half of the product: no division, and a bias of less than one in 2^32.
        ((u64::from(self.next() as u32) * u64::from(limit)) >> 32) as u32
    }

    /// From 0 to `limit - 1`, each order of magnitude about as often as any other: what latencies, sizes and
    /// the popularity of things look like.
    pub(super) fn scaled_below(&mut self, limit: u32) -> u32 {
        let bits = self.below(limit.checked_ilog2().unwrap_or(0) + 2);
        let ceiling = limit.min(1_u32.checked_shl(bits).unwrap_or(limit));
        self.below(ceiling)
    }

    /// One of a list that is not empty.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len() as u32) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_their_limit_and_reach_all_of_it() {
        let mut random = Random::new(7);
        for limit in [1, 2, 3, 10, 16] {
            let (mut even, mut scaled) = (0_u32, 0_u32);
            for _ in 0..10_000 {
                even |= 1 << random.below(limit);
                scaled |= 1 << random.scaled_below(limit);
            }
            assert_eq!((even, scaled), ((1 << limit) - 1, (1 << limit) - 1), "{limit}");
        }
        assert_eq!((random.below(0), random.scaled_below(0)), (0, 0));
    }

    #[test]
    fn scaled_numbers_have_all_magnitudes() {
        let mut random = Random::new(7);
        let numbers: Vec<u32> = (0..10_000).map(|_| random.scaled_below(10_000)).collect();
        for (from, to) in [(0, 10), (10, 100), (100, 1000), (1000, 10_000)] {
            let share = numbers.iter().filter(|number| (from..to).contains(*number)).count();
            assert!((1000..5000).contains(&share), "{share} from {from} to {to}");
        }
    }
}
