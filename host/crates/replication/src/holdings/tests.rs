use alloc::vec;
use proptest::prelude::*;
use weir_record::limits::CHANGES_BYTES_MAX;
use weir_segment::{OriginFlags, RecordDigest};

use super::*;
use crate::mirror::{Mirror, MirrorError};

fn held(hour: u64, piece: u64) -> Held {
    let unit = Unit::new(hour * 1000, 1000, ["a", "b"][(piece % 2) as usize], 0, 1).unwrap();
    let name = OriginName { node: 1, epoch: 2, piece };
    let (low_ms, high_ms, digest) = (hour * 1000 + 1, hour * 1000 + 2, RecordDigest([piece as u8; 16]));
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms, high_ms, digest, bytes: 10 }
}

/// Something that happens to holdings, or a look at them.
#[derive(Debug, Clone)]
enum Act {
    Add(u64, u64),
    Remove(u64, u64, u8),
    Expire(bool, u64),
    Restart,
    Follow(usize),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..5_u64, 0..30_u64).prop_map(|(hour, piece)| Act::Add(hour, piece)),
        4 => (0..5_u64, 0..30_u64, 0..4_u8).prop_map(|(hour, piece, why)| Act::Remove(hour, piece, why)),
        1 => (any::<bool>(), 0..6000_u64).prop_map(|(class, below)| Act::Expire(class, below)),
        1 => Just(Act::Restart),
        8 => (0..4000_usize).prop_map(Act::Follow),
    ]
}

proptest! {
    #[test]
    fn a_mirror_becomes_what_the_node_holds_whatever_happens_between_two_pages(
        acts in prop::collection::vec(acts(), 0..80), events_max in 1..40_usize,
    ) {
        let mut holdings = Holdings::new(1, Place::Store, 1);
        holdings.events_max = events_max;
        let mut mirror = Mirror::new(1, Place::Store);
        let mut follow = |holdings: &Holdings, bytes_max: usize| {
            let changes = holdings.changes_since(mirror.position(), bytes_max);
            let repeat = changes.clone();
            let has_more = changes.has_more();
            mirror.apply(changes).unwrap();
            // A repeat leads nowhere: it is refused, or says that nothing is new.
            let is_new = !repeat.events.is_empty() || repeat.since != repeat.next;
            let is_refused = matches!(mirror.apply(repeat), Err(MirrorError::Gap { .. }));
            prop_assert!(!is_new || is_refused);
            if !has_more {
                prop_assert!(mirror.is_whole());
                prop_assert!(mirror.catalog().iter().eq(holdings.catalog().iter()));
                prop_assert_eq!(mirror.watermark("a"), holdings.watermark("a"));
            }
            Ok(has_more)
        };
        for act in acts {
            match act {
                Act::Add(hour, piece) => drop(holdings.add(held(hour, piece)).unwrap()),
                Act::Remove(hour, piece, why) => {
                    let why = [Gone::HandedOver(vec![1; 40]), Gone::Expired, Gone::Damaged, Gone::Dropped][why as usize].clone();
                    let held = held(hour, piece);
                    holdings.remove(&held.unit, held.name, why);
                }
                Act::Expire(class, below) => drop(holdings.expire(if class { "a" } else { "b" }, below)),
                Act::Restart => {
                    let mut again = Holdings::new(1, Place::Store, holdings.incarnation + 1);
                    again.events_max = events_max;
                    for (class, below_ms) in holdings.watermarks() {
                        again.expire(class, below_ms);
                    }
                    for (unit, names) in holdings.damaged() {
                        for name in names.iter() {
                            let key = OriginKey { unit: unit.clone(), name };
                            prop_assert!(again.add_damaged(key));
                        }
                    }
                    for held in holdings.catalog().iter() {
                        prop_assert_eq!(again.add(held), Ok(true));
                    }
                    holdings = again;
                }
                Act::Follow(bytes_max) => drop(follow(&holdings, bytes_max)?),
            }
        }
        while follow(&holdings, 1000)? {}
    }
}

#[test]
fn what_is_damaged_is_listed_until_it_is_held_again_or_expired() {
    let mut holdings = Holdings::new(1, Place::Store, 1);
    for piece in 0..10 {
        assert_eq!(holdings.add(held(0, piece)), Ok(true));
    }
    let damaged = |holdings: &Holdings| {
        let mut since = Position::START;
        let mut pieces = Vec::new();
        loop {
            let changes = holdings.changes_since(&since, 0);
            pieces.extend(changes.events.iter().filter_map(|event| match event {
                Event::Gone(key, Gone::Damaged) => Some(key.name.piece),
                _ => None,
            }));
            if !changes.has_more() {
                return pieces;
            }
            since = changes.next;
        }
    };
    for piece in [3, 0, 9] {
        let held = held(0, piece);
        assert!(holdings.remove(&held.unit, held.name, Gone::Damaged).is_some());
    }
    assert!(holdings.add_damaged(held(0, 12).key()) && !holdings.add_damaged(held(0, 12).key()));
    assert!(!holdings.add_damaged(held(0, 1).key()), "a sound copy is held");
    assert_eq!(damaged(&holdings), [0, 12, 3, 9]);
    assert_eq!(holdings.add(held(0, 3)), Ok(true));
    holdings.expire("a", 1000);
    assert_eq!(damaged(&holdings), [9]);
}

#[test]
fn what_has_expired_is_never_held_again_and_watermarks_only_rise() {
    let mut holdings = Holdings::new(1, Place::Store, 1);
    for hour in 0..5 {
        assert_eq!(holdings.add(held(hour, 2)), Ok(true));
    }
    assert_eq!(holdings.expire("a", 2999).len(), 2);
    assert!(holdings.expire("a", 2000).is_empty() && holdings.expire("b", 9000).is_empty());
    assert_eq!(holdings.watermark("a"), 2999);
    assert_eq!(holdings.add(held(1, 4)), Ok(false));
    assert_eq!(holdings.add(held(2, 4)), Ok(true));
    assert!(holdings.has_expired(&held(1, 4).unit) && !holdings.has_expired(&held(2, 4).unit));
}

#[test]
fn a_long_listing_comes_in_pages_that_fit() {
    let mut holdings = Holdings::new(1, Place::Backlog, 1);
    for piece in 0..200_000 {
        assert_eq!(holdings.add(held(piece % 7, piece)), Ok(true));
    }
    let mut mirror = Mirror::new(1, Place::Backlog);
    let mut pages = 0;
    loop {
        let changes = holdings.changes_since(mirror.position(), usize::MAX);
        let has_more = changes.has_more();
        let bytes = changes.encode();
        assert!(bytes.len() <= CHANGES_BYTES_MAX);
        mirror.apply(Changes::decode(&bytes).unwrap()).unwrap();
        pages += 1;
        if !has_more {
            break;
        }
    }
    assert!(pages > 1 && mirror.catalog().len() == 200_000, "{pages} pages");
}
