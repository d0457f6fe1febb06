use alloc::vec;
use weir_segment::{OriginFlags, OriginName, RecordDigest};

use super::*;
use crate::holdings::Holdings;

fn held(piece: u64) -> Held {
    let unit = Unit::new(0, 1000, "a", 0, 1).unwrap();
    let name = OriginName { node: 1, epoch: 2, piece };
    let digest = RecordDigest([piece as u8; 16]);
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms: 1, high_ms: 2, digest, bytes: 10 }
}

fn holding(incarnation: u64, pieces: &[u64]) -> Holdings {
    let mut holdings = Holdings::new(1, Place::Store, incarnation);
    for piece in pieces {
        assert_eq!(holdings.add(held(*piece)), Ok(true));
    }
    holdings
}

fn follow(mirror: &mut Mirror, holdings: &Holdings) -> Applied {
    mirror.apply(holdings.changes_since(mirror.position(), usize::MAX)).unwrap()
}

#[test]
fn a_restarted_node_is_compared_with_what_was_known() {
    let mut mirror = Mirror::new(1, Place::Store);
    let first = follow(&mut mirror, &holding(1, &[1, 2, 3]));
    assert_eq!((first.added.len(), first.has_gap), (3, true));
    let second = follow(&mut mirror, &holding(2, &[2, 3, 4]));
    assert_eq!(second.added, [held(4)]);
    assert_eq!(second.gone, [(held(1).key(), None)]);
    assert!(second.has_gap && mirror.is_whole());
}

#[test]
fn what_was_known_counts_until_a_listing_is_complete() {
    let mut mirror = Mirror::new(1, Place::Store);
    follow(&mut mirror, &holding(1, &[1, 2, 3]));
    let again = holding(2, &[7, 8]);
    let page = again.changes_since(mirror.position(), 0);
    assert!(page.has_more());
    assert_eq!(mirror.apply(page), Ok(Applied { is_listed: true, ..Applied::default() }));
    assert!(!mirror.is_whole());
    assert_eq!(mirror.catalog().len(), 3);
    let end = follow(&mut mirror, &again);
    assert_eq!((end.added.len(), end.gone.len(), mirror.catalog().len()), (2, 3, 2));
}

#[test]
fn what_came_and_went_between_two_answers_is_told() {
    let mut holdings = holding(1, &[1]);
    let mut mirror = Mirror::new(1, Place::Store);
    follow(&mut mirror, &holdings);
    assert_eq!(holdings.add(held(2)), Ok(true));
    let gone = Gone::HandedOver(vec![4, 5]);
    assert!(holdings.remove(&held(2).unit, held(2).name, gone.clone()).is_some());
    let applied = follow(&mut mirror, &holdings);
    assert_eq!(applied.gone, [(held(2).key(), Some(gone))]);
    assert!(!applied.has_gap);
}

#[test]
fn what_does_not_follow_is_not_taken() {
    let holdings = holding(5, &[1, 2]);
    let mut mirror = Mirror::new(1, Place::Store);
    let sound = holdings.changes_since(mirror.position(), usize::MAX);
    let other = Changes { node: 2, ..sound.clone() };
    assert!(matches!(mirror.apply(other), Err(MirrorError::NotMine { got_node: 2, .. })));
    let other = Changes { place: Place::Backlog, ..sound.clone() };
    assert!(matches!(mirror.apply(other), Err(MirrorError::NotMine { .. })));
    let since = Position { incarnation: 5, sequence: 1, after: None };
    let late = Changes { since: since.clone(), ..sound.clone() };
    assert!(matches!(mirror.apply(late), Err(MirrorError::Gap { .. })));
    let beyond = Changes { latest: 1, ..sound.clone() };
    assert_eq!(mirror.apply(beyond), Err(MirrorError::Numbers(1)));
    // A delta for somebody who knows nothing.
    let delta = Changes { step: Step::Delta, ..sound.clone() };
    assert_eq!(mirror.apply(delta), Err(MirrorError::Numbers(1)));
    let wrong = Event::Held(Held { high_ms: 1000, ..held(3) });
    let wrong = Changes { events: vec![wrong], ..sound.clone() };
    assert!(matches!(mirror.apply(wrong), Err(MirrorError::Held(_))));
    assert!(mirror.catalog().is_empty() && *mirror.position() == Position::START);
    assert!(mirror.apply(sound).is_ok());
    let mut delta = holdings.changes_since(mirror.position(), usize::MAX);
    delta.next.sequence += 1;
    delta.latest += 1;
    assert_eq!(mirror.apply(delta), Err(MirrorError::Numbers(1)));
}
