use alloc::vec;
use weir_record::limits::{TRANSFER_BACKOFF_MS_MAX, TRANSFER_BACKOFF_MS_MIN};
use weir_segment::{OriginFlags, OriginName};

use super::*;
use crate::changes::Place;
use crate::held::Gone;

const ME: u64 = 100;

fn held(peer: u64, piece: u64) -> Held {
    let unit = Unit::new(piece % 50 * 1000, 1000, "a", 0, 1).unwrap();
    let (name, low_ms) = (OriginName { node: peer, epoch: 2, piece }, unit.start_ms());
    let digest = RecordDigest([piece as u8; 16]);
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms, high_ms: low_ms, digest, bytes: 10 }
}

fn added(peer: u64, pieces: core::ops::Range<u64>) -> Applied {
    Applied { added: pieces.map(|piece| held(peer, piece)).collect(), ..Applied::default() }
}

fn store(node: u64) -> StoreNode {
    StoreNode { node, capacity_bytes: 1 << 40, zone: None, draining: false, full: false }
}

fn alone() -> (Puller, Holdings) {
    let mut puller = Puller::new(ME);
    puller.set_stores(&[store(ME)], 2);
    (puller, Holdings::new(ME, Place::Store, 1))
}

fn pieces(work: &Work) -> Vec<u64> {
    work.pulls.iter().map(|pull| pull.held.name.piece).collect()
}

#[test]
fn it_pulls_keeps_confirms_and_forgets() {
    let (mut puller, mut own) = alone();
    puller.applied(1, &added(1, 0..3), &own, 0);
    let work = puller.next(0, 2, &own);
    // Half of them from one peer.
    assert_eq!((work.pulls.len(), puller.in_flight(), puller.offered()), (1, 1, 3));
    let pulled = work.pulls[0].held.clone();
    assert_eq!(puller.next(0, 2, &own), Work::default());
    assert_eq!(own.add(pulled.clone()), Ok(true));
    puller.kept(1, &pulled.key(), 10);
    let work = puller.next(10, 2, &own);
    let (key, digest, confirmation) = (pulled.key(), pulled.digest, Confirmation::Held);
    assert_eq!(work.confirms, [Confirm { to: 1, key, digest, confirmation }]);
    assert_eq!(work.pulls.len(), 1);
    puller.confirmed(1, &pulled.key(), 20);
    assert!(puller.next(20, 2, &own).confirms.is_empty());
    let gone = Some(Gone::HandedOver(vec![ME]));
    puller.applied(1, &Applied { gone: vec![(pulled.key(), gone)], ..Applied::default() }, &own, 30);
    assert_eq!(puller.offered(), 2);
    puller.remove_peer(1);
    assert_eq!((puller.offered(), puller.in_flight(), puller.next_due_ms()), (0, 0, None));
    assert!(puller.units.is_empty());
}

#[test]
fn what_is_held_is_confirmed_without_being_fetched_and_again_after_a_restart_of_the_peer() {
    let (mut puller, mut own) = alone();
    assert_eq!(own.add(held(1, 0)), Ok(true));
    puller.set_stores(&[], 2);
    puller.applied(1, &added(1, 0..1), &own, 0);
    assert_eq!(puller.next(0, 4, &own).confirms.len(), 1);
    puller.confirmed(1, &held(1, 0).key(), 5);
    assert_eq!(puller.next(6, 4, &own), Work::default());
    puller.applied(1, &Applied { has_gap: true, ..Applied::default() }, &own, 7);
    assert_eq!(puller.next(7, 4, &own).confirms.len(), 1);
    puller.confirmed(1, &held(1, 0).key(), 8);
    assert_eq!(puller.next_due_ms(), Some(8 + RECONFIRM_MS));
    assert_eq!(puller.next(8 + RECONFIRM_MS, 4, &own).confirms.len(), 1);
}

#[test]
fn the_first_r_pull_at_once_and_the_others_one_after_the_other() {
    let stores: Vec<StoreNode> = (100..105).map(store).collect();
    let unit = held(1, 0).unit;
    for (position, node) in placement::rank(&unit, &stores).into_iter().enumerate() {
        let mut puller = Puller::new(node);
        puller.set_stores(&stores, 2);
        let own = Holdings::new(node, Place::Store, 1);
        puller.applied(1, &added(1, 0..1), &own, 1000);
        let due_ms = 1000 + position.saturating_sub(1) as u64 * TAKEOVER_MS;
        assert_eq!(puller.next_due_ms(), Some(due_ms));
        assert!(puller.next(due_ms - 1, 4, &own).pulls.is_empty());
        assert_eq!(puller.next(due_ms, 4, &own).pulls.len(), 1, "position {position}");
    }
}

#[test]
fn a_full_or_draining_store_pulls_nothing_until_it_is_so_no_more() {
    let (mut puller, own) = alone();
    puller.applied(1, &added(1, 0..1), &own, 0);
    for wrong in [StoreNode { full: true, ..store(ME) }, StoreNode { draining: true, ..store(ME) }, store(7)]
    {
        puller.set_stores(&[wrong], 2);
        assert_eq!((puller.next(1 << 40, 4, &own), puller.next_due_ms()), (Work::default(), None));
    }
    puller.set_stores(&[store(ME)], 2);
    assert_eq!(puller.next(1, 4, &own).pulls.len(), 1);
}

#[test]
fn what_lies_below_the_watermark_is_confirmed_as_expired() {
    let (mut puller, mut own) = alone();
    own.expire("a", 2000);
    puller.applied(1, &added(1, 0..3), &own, 0);
    let work = puller.next(0, 8, &own);
    assert_eq!(pieces(&work), [2]);
    let expired: Vec<Confirmation> = work.confirms.iter().map(|confirm| confirm.confirmation).collect();
    assert_eq!(expired, [Confirmation::Expired; 2]);
}

#[test]
fn a_poison_origin_is_put_off_longer_each_time_and_named_while_the_others_flow() {
    let (mut puller, mut own) = alone();
    puller.applied(1, &added(1, 0..20), &own, 0);
    let poison = held(1, 3).key();
    let (mut now_ms, mut pauses) = (0, Vec::new());
    let mut last_ms = 0;
    while pauses.len() < 12 {
        for pull in puller.next(now_ms, 6, &own).pulls {
            if pull.held.key() == poison {
                pauses.push(now_ms - last_ms);
                last_ms = now_ms;
                puller.failed(1, &poison, Failure::Origin("the digest differs".into()), now_ms);
            } else {
                assert_eq!(own.add(pull.held.clone()), Ok(true));
                puller.kept(1, &pull.held.key(), now_ms);
            }
        }
        for confirm in puller.next(now_ms, 0, &own).confirms {
            puller.confirmed(1, &confirm.key, now_ms);
        }
        now_ms = puller.next_due_ms().unwrap().max(now_ms + 1);
    }
    assert_eq!(own.catalog().len(), 19);
    assert!(pauses[2] >= 2 * TRANSFER_BACKOFF_MS_MIN && pauses[11] >= TRANSFER_BACKOFF_MS_MAX, "{pauses:?}");
    let stuck: Vec<Stuck> = puller.stuck().collect();
    assert_eq!((stuck.len(), &stuck[0].key, stuck[0].failures), (1, &poison, 12));
    assert_eq!(stuck[0].why, "the digest differs");
    puller.kept(1, &poison, now_ms);
    assert_eq!(puller.stuck().count(), 0);
}

#[test]
fn a_peer_that_fails_is_left_alone_as_a_whole_and_the_others_are_served() {
    let (mut puller, own) = alone();
    puller.applied(1, &added(1, 0..5), &own, 0);
    puller.applied(2, &added(2, 5..10), &own, 0);
    let work = puller.next(0, 4, &own);
    assert_eq!(work.pulls.iter().filter(|pull| pull.from == 1).count(), 2);
    for pull in work.pulls.iter().filter(|pull| pull.from == 1) {
        puller.failed(1, &pull.held.key(), Failure::Peer, 10);
    }
    assert_eq!(puller.next(11, 4, &own), Work::default(), "the others of peer 2 are under way");
    let again = puller.next(10 + TRANSFER_BACKOFF_MS_MIN, 4, &own);
    assert_eq!(again.pulls.len(), 2, "what failed together counts as one failure");
    assert!(again.pulls.iter().all(|pull| pull.from == 1));
    assert_eq!(puller.stuck().count(), 0);
}

#[test]
fn busy_unknown_and_unheard_of_are_tried_again() {
    let (mut puller, own) = alone();
    puller.applied(1, &added(1, 0..1), &own, 0);
    let key = held(1, 0).key();
    let mut pull = |now_ms| puller.next(now_ms, 4, &own).pulls.len();
    assert_eq!(pull(0), 1);
    puller.failed(1, &key, Failure::Busy { retry_ms: 300 }, 10);
    let mut pull = |now_ms| puller.next(now_ms, 4, &own).pulls.len();
    assert_eq!((pull(309), pull(310)), (0, 1));
    // Nobody reports.
    let after_ms = 310 + CLAIM_MS;
    assert_eq!((pull(after_ms - 1), pull(after_ms)), (0, 0));
    assert_eq!(pull(after_ms + TRANSFER_BACKOFF_MS_MIN), 1);
    puller.failed(1, &key, Failure::Unknown, after_ms + 500);
    assert_eq!(puller.next_due_ms(), Some(after_ms + 500 + RECONFIRM_MS));
    // What was reported once is not under way.
    puller.failed(1, &key, Failure::Peer, after_ms + 600);
    assert_eq!(puller.next_due_ms(), Some(after_ms + 500 + RECONFIRM_MS));
}

#[test]
fn what_was_lost_here_is_fetched_again_and_other_records_are_never_confirmed() {
    let (mut puller, mut own) = alone();
    assert_eq!(own.add(held(1, 0)), Ok(true));
    assert_eq!(own.add(Held { digest: RecordDigest([77; 16]), ..held(1, 1) }), Ok(true));
    puller.applied(1, &added(1, 0..2), &own, 0);
    let work = puller.next(0, 4, &own);
    assert_eq!((work.confirms.len(), work.pulls.len()), (1, 0));
    puller.confirmed(1, &held(1, 0).key(), 1);
    assert!(own.remove(&held(1, 0).unit, held(1, 0).name, Gone::Damaged).is_some());
    puller.lost(&held(1, 0).key(), 2);
    assert_eq!(pieces(&puller.next(2, 4, &own)), [0]);
    for step in 1..9 {
        puller.next(step * 2 * TRANSFER_BACKOFF_MS_MAX, 4, &own);
    }
    assert!(puller.stuck().any(|stuck| stuck.key == held(1, 1).key() && stuck.why.contains("4d4d")));
}
