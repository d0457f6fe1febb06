//! Which copies a store may let go of: the one act that leaves fewer of them.
//!
//! A store that wants to let go of copies first says no to whoever asks whether it has them, and only then asks others,
//! each directly. It lets go of what R of them have said yes to since.
//!
//! Why R copies always stay: take, of all stores that have let go of an origin, the one that began to say no last. R
//! others have said yes to it after that. Had one of these let go as well, it would have begun before it said yes, and
//! would have said no; or after, and would be the last. So all of them have it still. Nothing of this depends on a
//! clock, on who is believed to be alive, or on how late an answer comes: what one store does between its first no and
//! its end is one attempt, numbered, and an answer to an earlier one does not count. A crash ends all attempts and
//! leaves the copies.
//!
//! A store that is being emptied says no to everything, also after a restart.

use alloc::collections::BTreeMap;

use weir_record::limits::DROP_UNITS_MAX;
use weir_segment::{RecordDigest, Unit};

use crate::held::OriginKey;
use crate::holdings::Holdings;
use crate::origin_set::OriginSet;

/// Lets go of copies, and answers those who want to. As large as the units that are under way, at most
/// [`DROP_UNITS_MAX`], and what so many stores have said of them.
#[derive(Debug)]
pub struct Dropper {
    replication: usize,
    is_draining: bool,
    attempts: u64,
    leaving: BTreeMap<Unit, Leaving>,
}

/// What a store is letting go of in one unit.
#[derive(Debug)]
struct Leaving {
    attempt: u64,
    names: OriginSet,
    /// What each store that was asked has.
    said: BTreeMap<u64, OriginSet>,
}

impl Dropper {
    /// That of a store that lets go of nothing. `replication` is R, at least 1.
    pub fn new(replication: usize, is_draining: bool) -> Dropper {
        Dropper { replication: replication.max(1), is_draining, attempts: 0, leaving: BTreeMap::new() }
    }

    /// Whether the store is being emptied: from here on nobody may count on any of its copies.
    pub fn set_draining(&mut self, is_draining: bool) {
        self.is_draining = is_draining;
    }

    /// Begins to let go of copies of a unit: from here on nobody may count on them. Gives the number by which answers are
    /// to be told; `None` while there is an attempt for that unit or there are too many. Others may be asked from now on,
    /// not sooner.
    pub fn begin(&mut self, unit: &Unit, names: OriginSet) -> Option<u64> {
        if self.leaving.contains_key(unit) || self.leaving.len() >= DROP_UNITS_MAX {
            return None;
        }
        self.attempts += 1;
        let leaving = Leaving { attempt: self.attempts, names, said: BTreeMap::new() };
        self.leaving.insert(unit.clone(), leaving);
        Some(self.attempts)
    }

    /// What a store has said that it has, asked for this attempt. An answer to another one is left alone.
    pub fn answered(&mut self, unit: &Unit, attempt: u64, store: u64, has: &OriginSet) {
        if let Some(leaving) = self.leaving.get_mut(unit).filter(|leaving| leaving.attempt == attempt) {
            let said = leaving.said.entry(store).or_default();
            *said = said.union(has);
        }
    }

    /// What may go: R stores have it. Whoever calls this lets go of it and then ends the attempt.
    pub fn agreed(&self, unit: &Unit, attempt: u64) -> OriginSet {
        let leaving = self.leaving.get(unit).filter(|leaving| leaving.attempt == attempt);
        let Some(leaving) = leaving else { return OriginSet::new() };
        leaving.names.intersection(&OriginSet::in_at_least(self.replication, leaving.said.values()))
    }

    /// Ends an attempt: what is still here may be counted on again.
    pub fn end(&mut self, unit: &Unit, attempt: u64) {
        self.leaving
            .extract_if(.., |known, leaving| known == unit && leaving.attempt == attempt)
            .for_each(drop);
    }

    /// What to say to a store that wants to let go of this copy: whether it may count on ours. `own` must be what is
    /// durable here at this moment.
    pub fn may_count_on(&self, key: &OriginKey, digest: &RecordDigest, own: &Holdings) -> bool {
        let is_leaving = self.leaving.get(&key.unit).is_some_and(|leaving| leaving.names.contains(key.name));
        let held = own.catalog().get(&key.unit, key.name);
        !self.is_draining && !is_leaving && held.is_some_and(|held| held.digest == *digest)
    }
}

#[cfg(test)]
mod tests {
    use weir_segment::{OriginFlags, OriginName};

    use super::*;
    use crate::changes::Place;
    use crate::held::Held;

    fn held(piece: u64) -> Held {
        let unit = Unit::new(0, 1000, "a", 0, 1).unwrap();
        let name = OriginName { node: 9, epoch: 2, piece };
        let digest = RecordDigest([piece as u8; 16]);
        Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms: 1, high_ms: 2, digest, bytes: 10 }
    }

    fn names(pieces: &[u64]) -> OriginSet {
        pieces.iter().map(|piece| held(*piece).name).collect()
    }

    #[test]
    fn what_r_stores_have_since_the_attempt_began_may_go() {
        let unit = held(0).unit;
        let mut dropper = Dropper::new(2, false);
        let attempt = dropper.begin(&unit, names(&[1, 2, 3])).unwrap();
        assert_eq!(dropper.begin(&unit, names(&[4])), None, "one at a time");
        dropper.answered(&unit, attempt, 7, &names(&[1, 2, 9]));
        dropper.answered(&unit, attempt, 7, &names(&[1, 2]));
        assert!(dropper.agreed(&unit, attempt).is_empty(), "one store is not two");
        dropper.answered(&unit, attempt, 8, &names(&[2, 3, 9]));
        assert_eq!(dropper.agreed(&unit, attempt), names(&[2]));
        dropper.end(&unit, attempt);
        assert!(dropper.agreed(&unit, attempt).is_empty());
        let again = dropper.begin(&unit, names(&[2])).unwrap();
        dropper.answered(&unit, attempt, 7, &names(&[2]));
        dropper.answered(&unit, again, 8, &names(&[2]));
        assert!(dropper.agreed(&unit, again).is_empty(), "an answer to an earlier attempt does not count");
        dropper.end(&unit, attempt);
        dropper.answered(&unit, again, 6, &names(&[2]));
        assert_eq!(dropper.agreed(&unit, again), names(&[2]), "nor does its end");
    }

    #[test]
    fn nobody_may_count_on_what_is_leaving_emptied_or_another_one() {
        let mut own = Holdings::new(1, Place::Store, 1);
        own.add(held(1)).unwrap();
        own.add(held(2)).unwrap();
        let mut dropper = Dropper::new(2, false);
        let says =
            |dropper: &Dropper, piece| dropper.may_count_on(&held(piece).key(), &held(piece).digest, &own);
        assert!(says(&dropper, 1) && says(&dropper, 2) && !says(&dropper, 3));
        assert!(!dropper.may_count_on(&held(1).key(), &RecordDigest([9; 16]), &own));
        let attempt = dropper.begin(&held(1).unit, names(&[1])).unwrap();
        assert!(!says(&dropper, 1) && says(&dropper, 2));
        dropper.end(&held(1).unit, attempt);
        assert!(says(&dropper, 1));
        dropper.set_draining(true);
        assert!(!says(&dropper, 1) && !says(&dropper, 2));
    }

    #[test]
    fn no_more_units_are_under_way_than_may_be() {
        let mut dropper = Dropper::new(1, false);
        let unit = |at: u64| Unit::new(at * 1000, 1000, "a", 0, 1).unwrap();
        for at in 0..DROP_UNITS_MAX as u64 {
            assert!(dropper.begin(&unit(at), names(&[1])).is_some());
        }
        assert_eq!(dropper.begin(&unit(DROP_UNITS_MAX as u64), names(&[1])), None);
    }
}
