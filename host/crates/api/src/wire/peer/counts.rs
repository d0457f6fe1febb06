//! Counts per bucket of time and level.
//!
//! In order: v buckets, per bucket v five times: errors, warnings, information, debugging, no level.

use weir_record::codec::{Reader, put_varint};
use weir_record::limits::NODE_BUCKETS_MAX;
use weir_segment::level::LEVELS;

use super::search::SearchCodecError;

/// How many records there are, per bucket in order of time and per level. What is sent is to be added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// One entry per bucket asked for; a single one for a plain count. At most [`NODE_BUCKETS_MAX`].
    pub buckets: Vec<[u64; LEVELS]>,
}

impl Counts {
    pub(super) fn encode(&self) -> Vec<u8> {
        assert!(self.buckets.len() <= NODE_BUCKETS_MAX, "no more buckets are counted than were asked for");
        let mut out = Vec::with_capacity(5 + self.buckets.len() * 8);
        put_varint(&mut out, self.buckets.len() as u64);
        self.buckets.as_flattened().iter().for_each(|count| put_varint(&mut out, *count));
        out
    }

    pub(super) fn decode(body: &[u8]) -> Result<Counts, SearchCodecError> {
        let mut reader = Reader::new(body);
        let count = reader.bounded("buckets", NODE_BUCKETS_MAX)?;
        let mut buckets = Vec::with_capacity(count.min(reader.rest().len() / LEVELS));
        for _ in 0..count {
            let mut levels = [0; LEVELS];
            for level in &mut levels {
                *level = reader.varint("count")?;
            }
            buckets.push(levels);
        }
        reader.finish()?;
        Ok(Counts { buckets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_survive_and_damage_never_panics(
            buckets in prop::collection::vec(any::<[u64; LEVELS]>(), 0..9),
            at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let counts = Counts { buckets };
            let mut body = counts.encode();
            prop_assert_eq!(Counts::decode(&body), Ok(counts));
            for cut in 0..body.len() {
                prop_assert!(Counts::decode(&body[..cut]).is_err());
            }
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            let _ = Counts::decode(&body);
        }
    }

    #[test]
    fn absurd_numbers_are_refused_before_memory_is_taken() {
        for body in [&[0xff; 9][..], &[0x81, 0x80, 4], &[0xff, 0xff, 3, 1]] {
            assert!(Counts::decode(body).is_err(), "{body:?}");
        }
    }
}
