use alloc::collections::BTreeSet;
use alloc::vec;
use proptest::prelude::*;

use super::*;

fn name(node: u64, epoch: u64, piece: u64) -> OriginName {
    OriginName { node, epoch, piece }
}

fn names() -> impl Strategy<Value = Vec<OriginName>> {
    // Few of each, so that they touch, and the last piece there can be.
    let piece = prop_oneof![8 => 0..12_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)];
    prop::collection::vec((0..2_u64, 4..6_u64, piece).prop_map(|(n, e, p)| name(n, e, p)), 0..40)
}

fn model(set: &OriginSet) -> BTreeSet<OriginName> {
    set.iter().collect()
}

proptest! {
    #[test]
    fn it_is_a_set(a in names(), b in names(), out in names(), first in 0..12_u64) {
        let (mut set_a, set_b): (OriginSet, OriginSet) = (a.iter().copied().collect(), b.iter().copied().collect());
        let (mut model_a, model_b): (BTreeSet<_>, BTreeSet<_>) = (a.into_iter().collect(), b.into_iter().collect());
        for name in out {
            prop_assert_eq!(set_a.remove(name), model_a.remove(&name));
        }
        prop_assert_eq!(model(&set_a), model_a.clone());
        prop_assert_eq!(set_a.len(), model_a.len() as u64);
        prop_assert_eq!(set_a.is_empty(), model_a.is_empty());
        // However a set came about, it is written down in one way.
        prop_assert_eq!(&set_a, &model_a.iter().copied().collect::<OriginSet>());
        for (got, expected) in [
            (set_a.union(&set_b), &model_a | &model_b),
            (set_a.difference(&set_b), &model_a - &model_b),
            (set_a.intersection(&set_b), &model_a & &model_b),
        ] {
            prop_assert_eq!(&got, &expected.into_iter().collect::<OriginSet>());
        }
        prop_assert_eq!(set_a.is_subset(&set_b), model_a.is_subset(&model_b));
        let cut = model_a.iter().copied().filter(|name| name.node == 1 && name.piece >= first);
        prop_assert_eq!(set_a.from_piece(1, 4, first), cut.collect::<OriginSet>());
        let sum: u64 = set_a.nodes().iter().map(|(_, count)| count).sum();
        prop_assert_eq!(sum, set_a.len());
        for name in &model_a {
            prop_assert!(set_a.contains(*name));
        }
    }

    #[test]
    fn it_survives_the_way_to_bytes_and_back(
        names in names(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let set: OriginSet = names.into_iter().collect();
        let mut bytes = Vec::new();
        set.encode(&mut bytes);
        prop_assert_eq!(OriginSet::read(&mut Reader::new(&bytes)), Ok(set));
        let cut = cut.index(bytes.len());
        prop_assert!(OriginSet::read(&mut Reader::new(&bytes[..cut])).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(other) = OriginSet::read(&mut Reader::new(&bytes)) {
            prop_assert!(other.len() <= ORIGIN_SET_ORIGINS_MAX && other.iter().count() as u64 == other.len());
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let set: OriginSet =
        [(1, 2, 7), (1, 2, 8), (1, 2, 11), (3, 4, 0)].map(|(n, e, p)| name(n, e, p)).into_iter().collect();
    let mut bytes = Vec::new();
    set.encode(&mut bytes);
    let mut expected = vec![2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 7, 1, 1, 0];
    expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bytes, expected);
}

/// Per writer its node and the bytes of its ranges.
type Writers<'a> = &'a [(u8, &'a [u8])];

#[test]
fn what_is_no_set_is_refused() {
    let of = |writers: Writers<'_>| {
        let mut bytes = vec![writers.len() as u8];
        for (node, ranges) in writers {
            bytes.extend_from_slice(&[*node, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(ranges);
        }
        OriginSet::read(&mut Reader::new(&bytes))
    };
    assert!(of(&[(1, &[1, 0, 0]), (2, &[1, 0, 0])]).is_ok());
    let many = [1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let cases: [(&str, Writers<'_>); 5] = [
        ("a writer twice", &[(1, &[1, 0, 0]), (1, &[1, 5, 0])]),
        ("writers out of order", &[(2, &[1, 0, 0]), (1, &[1, 0, 0])]),
        ("a writer without origins", &[(1, &[0])]),
        ("more origins than there may be", &[(1, &many)]),
        (
            "a range behind the last piece",
            &[(1, &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0])],
        ),
    ];
    for (what, writers) in cases {
        assert!(matches!(of(writers), Err(WireError::Contradiction(_))), "{what}");
    }
}
