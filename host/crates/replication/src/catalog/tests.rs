use alloc::collections::BTreeMap;
use alloc::vec;
use proptest::prelude::*;

use super::*;
use crate::held::OriginKey;

fn held(start: u64, class: &str, node: u64, piece: u64, low: u64, high: u64) -> Held {
    let unit = Unit::new(start * 1000, 1000, class, 0, 1).unwrap();
    let (low_ms, high_ms) = (start * 1000 + low, start * 1000 + high);
    let digest = RecordDigest([(piece + low) as u8; 16]);
    let flags = OriginFlags::NONE;
    Held {
        unit,
        name: OriginName { node, epoch: 2, piece },
        flags,
        count: 1 + low,
        low_ms,
        high_ms,
        digest,
        bytes: high,
    }
}

fn helds() -> impl Strategy<Value = Held> {
    (0..6_u64, 0..2_usize, 0..2_u64, 0..9_u64, 0..1000_u64, 0..1000_u64).prop_map(
        |(start, class, node, piece, a, b)| held(start, ["a", "b"][class], node, piece, a.min(b), a.max(b)),
    )
}

proptest! {
    #[test]
    fn it_is_a_map_by_key(
        steps in prop::collection::vec((helds(), any::<bool>()), 0..60),
        from_ms in 0..7000_u64, length in 0..4000_u64, below in 0..7000_u64, at in any::<prop::sample::Index>(),
    ) {
        let mut catalog = Catalog::new();
        let mut model: BTreeMap<OriginKey, Held> = BTreeMap::new();
        for (held, is_added) in steps {
            if is_added {
                let is_new = model.insert(held.key(), held.clone()).as_ref() != Some(&held);
                prop_assert_eq!(catalog.insert(&held), Ok(is_new));
            } else {
                prop_assert_eq!(catalog.remove(&held.unit, held.name), model.remove(&held.key()));
            }
        }
        prop_assert!(catalog.iter().eq(model.values().cloned()));
        prop_assert_eq!(catalog.len(), model.len() as u64);
        prop_assert_eq!(catalog.bytes(), model.values().map(|held| held.bytes).sum::<u64>());
        let range = TimeRange::new(from_ms, from_ms + length);
        let mut found: Vec<OriginKey> = Vec::new();
        for (unit, origins) in catalog.units_in(range) {
            let records: u64 = model.values().filter(|held| held.unit == *unit).map(|held| held.count).sum();
            prop_assert_eq!(origins.records(), records);
            found.extend(origins.names_in(unit, range).iter().map(|name| OriginKey { unit: unit.clone(), name }));
        }
        let expected = model.values().filter(|held| held.range().meets(range)).map(Held::key);
        prop_assert!(found.into_iter().eq(expected));
        if !model.is_empty() {
            let key = model.keys().nth(at.index(model.len())).unwrap();
            prop_assert_eq!(catalog.get(&key.unit, key.name), model.get(key).cloned());
            let behind = model.range::<OriginKey, _>((Bound::Excluded(key), Bound::Unbounded));
            let behind = behind.take_while(|(behind, _)| behind.unit == key.unit).map(|(_, held)| held.clone());
            let origins = catalog.unit(&key.unit).unwrap();
            prop_assert!(origins.after(&key.unit, Some(key.name)).eq(behind));
        }
        let removed: u64 = catalog.remove_below("a", below).iter().map(|(_, origins)| origins.names().len()).sum();
        let is_old = |held: &Held| held.unit.class() == "a" && ends_ms(&held.unit) <= below;
        prop_assert_eq!(removed, model.values().filter(|held| is_old(held)).count() as u64);
        prop_assert!(catalog.iter().eq(model.values().filter(|held| !is_old(held)).cloned()));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let sound = held(1, "a", 1, 1, 5, 9);
    let unit = Unit::new(0, 1 << 33, "a", 0, 1).unwrap();
    for (wrong, why) in [
        (Held { low_ms: 999, ..sound.clone() }, "before its unit"),
        (Held { high_ms: 2000, ..sound.clone() }, "behind its unit"),
        (Held { low_ms: 1010, ..sound.clone() }, "backwards"),
        (Held { count: 0, ..sound.clone() }, "empty"),
        (Held { count: 1 << 32, ..sound.clone() }, "too many records"),
        (Held { bytes: 1 << 32, ..sound.clone() }, "too many bytes"),
        (Held { unit, ..sound.clone() }, "too long a bucket"),
    ] {
        assert!(Catalog::new().insert(&wrong).is_err(), "{why}");
    }
    assert_eq!(Catalog::new().insert(&sound), Ok(true));
}

#[test]
fn times_are_told_of_repeats_alone() {
    let mut catalog = Catalog::new();
    let plain = held(1, "a", 1, 1, 5, 9);
    let mut repeats = held(1, "a", 1, 1, 20, 30);
    (repeats.name, repeats.flags) = (repeats.name.of_repeats(), OriginFlags::MAYBE_REPEATED);
    for held in [&plain, &repeats] {
        assert_eq!(catalog.insert(held), Ok(true));
    }
    let origins = catalog.unit(&plain.unit).unwrap();
    assert!(origins.has_repeats());
    let times = origins.times_of(&plain.unit, TimeRange::new(0, 1025), |_, flags| flags != OriginFlags::NONE);
    assert_eq!(times, vec![TimeRange::new(1020, 1025)]);
}
