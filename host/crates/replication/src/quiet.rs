//! What is told of a unit in which nothing has changed for a while: the digest of its set of origins instead of their
//! names, some 70 bytes instead of 35 for each.

use core::fmt;

use sha2::{Digest as _, Sha256};
use weir_record::limits::ORIGIN_SET_ORIGINS_MAX;
use weir_segment::{OriginFlags, Unit};

use crate::catalog::{UnitOrigins, bucket};
use crate::origin_set::OriginSet;
use crate::ranges::TimeRange;

/// Tells sets of origins of one unit apart: the first 16 bytes of the SHA-256 of the set as it is encoded, of which equal
/// sets have one form.
///
/// Of names alone: the digest of the records of an origin is compared where it is copied or let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetDigest(pub [u8; 16]);

impl fmt::Display for SetDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl OriginSet {
    /// What tells it from other sets.
    pub fn digest(&self) -> SetDigest {
        let mut bytes = alloc::vec::Vec::new();
        self.encode(&mut bytes);
        let mut digest = [0; 16];
        digest.iter_mut().zip(Sha256::digest(&bytes)).for_each(|(to, from)| *to = from);
        SetDigest(digest)
    }
}

/// A set of origins by its digest, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole {
    /// The digest of their names.
    pub digest: SetDigest,
    /// How many they are.
    pub origins: u64,
}

impl Whole {
    /// That of a set that is known by name.
    pub fn of(names: &OriginSet) -> Whole {
        Whole { digest: names.digest(), origins: names.len() }
    }

    /// Whether a set is this one.
    pub fn is(&self, names: &OriginSet) -> bool {
        self.origins == names.len() && self.digest == names.digest()
    }
}

/// What a node tells of a quiet unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Which origins it holds.
    pub whole: Whole,
    /// The sum of their bytes.
    pub bytes: u64,
    /// From the first record of all to the last one.
    pub times: TimeRange,
    /// Whether some of them may be repeats.
    pub has_repeats: bool,
}

impl Quiet {
    /// What is told of these.
    pub fn of(unit: &Unit, origins: &UnitOrigins) -> Quiet {
        let mut times = TimeRange::new(u64::MAX, 0);
        for found in origins.times_of(unit, TimeRange::ALL, |_, _| true) {
            times = TimeRange::new(times.from_ms.min(found.from_ms), times.to_ms.max(found.to_ms));
        }
        let (bytes, has_repeats) = (origins.bytes(), origins.has_repeats());
        Quiet { whole: Whole::of(origins.names()), bytes, times, has_repeats }
    }

    /// The flags that some of them have.
    pub(crate) fn flags(&self) -> OriginFlags {
        if self.has_repeats { OriginFlags::MAYBE_REPEATED } else { OriginFlags::NONE }
    }

    /// Whether it can be that of a unit.
    pub fn fits(&self, unit: &Unit) -> bool {
        let origins = 1..=ORIGIN_SET_ORIGINS_MAX;
        !self.times.is_empty() && bucket(unit).covers(self.times) && origins.contains(&self.whole.origins)
    }
}

#[cfg(test)]
mod tests {
    use weir_segment::OriginName;

    use super::*;

    #[test]
    fn sets_have_the_digest_that_other_nodes_compute_however_they_came_about() {
        let name = |piece| OriginName { node: 1, epoch: 2, piece };
        let mut set: OriginSet = [name(7), name(5), name(6)].into_iter().collect();
        assert_eq!(alloc::format!("{}", set.digest()), "c4129cd29a07831ce71b0cd1c2e6a8c5");
        set.insert(name(9));
        assert!(!Whole::of(&set).is(&OriginSet::new()));
        set.remove(name(9));
        assert!(Whole::of(&set).is(&[5, 6, 7].map(name).into_iter().collect()));
        assert_eq!(alloc::format!("{}", OriginSet::new().digest()), "6e340b9cffb37a989ca544e6bb780a2c");
    }
}
