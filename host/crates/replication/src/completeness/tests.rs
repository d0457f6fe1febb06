use alloc::string::ToString as _;
use alloc::vec;
use weir_record::limits::QUERY_MISSING_MAX;
use weir_segment::{OriginFlags, OriginName, RecordDigest};

use super::*;
use crate::assign::{Answering, LogPart};
use crate::catalog::Catalog;
use crate::error::WireError;
use crate::held::{Held, OriginKey};

const HOUR_MS: u64 = 3_600_000;
const NOW_MS: u64 = 100 * HOUR_MS;
const INGEST: u64 = 1;
const STORE: u64 = 101;

fn held(hour: u64, piece: u64) -> Held {
    let unit = Unit::new(hour * HOUR_MS, HOUR_MS, "a", 0, 1).unwrap();
    let name = OriginName { node: INGEST, epoch: 2, piece };
    let low_ms = hour * HOUR_MS;
    let digest = RecordDigest([1; 16]);
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms, high_ms: low_ms + 9, digest, bytes: 1 }
}

fn added(all: &[Held]) -> Applied {
    Applied { added: all.to_vec(), ..Applied::default() }
}

fn gone(held: &Held, why: Gone) -> Applied {
    Applied { gone: vec![(held.key(), Some(why))], ..Applied::default() }
}

fn contact(id: u64, asked_ms: u64, unconsumed_ms: Option<u64>) -> Contact {
    let is_ingest = id < 100;
    Contact {
        asked_ms,
        is_ingest,
        is_store: !is_ingest,
        unconsumed_ms,
        floor_ms: Contact::floor_ms(asked_ms),
    }
}

fn address(id: u64) -> String {
    alloc::format!("http://n{id}:7650")
}

fn hear(knowledge: &mut Knowledge, id: u64, at_ms: u64, unconsumed_ms: Option<u64>) {
    knowledge.heard(&address(id), id, contact(id, at_ms, unconsumed_ms));
}

/// An ingest node and some stores that have all been heard at `NOW_MS`.
fn heard(stores: &[u64]) -> Knowledge {
    let mut knowledge = Knowledge::new();
    knowledge.expect(stores.iter().chain([&INGEST]).map(|id| address(*id)));
    for id in stores.iter().chain([&INGEST]) {
        hear(&mut knowledge, *id, NOW_MS, None);
    }
    knowledge
}

fn missing(knowledge: &Knowledge, answers: &[(u64, &[Held])], range: TimeRange) -> Missing {
    let catalogs: Vec<Catalog> = answers
        .iter()
        .map(|(_, all)| {
            let mut catalog = Catalog::new();
            for held in *all {
                catalog.insert(held).unwrap();
            }
            catalog
        })
        .collect();
    let nodes = answers.iter().zip(&catalogs).map(|((node, _), catalog)| Answering {
        node: *node,
        catalogs: vec![catalog],
        sets: None,
        log: (*node == INGEST).then(LogPart::default),
        unreadable: BTreeMap::new(),
    });
    knowledge.missing(&nodes.collect::<Vec<_>>(), range)
}

/// Why something is missing, and from when to when.
fn whys(missing: &Missing) -> Vec<(Why, TimeRange)> {
    missing.ranges.iter().map(|range| (range.why, range.times)).collect()
}

#[test]
fn nothing_is_missing_when_all_answer_with_all() {
    let mut knowledge = heard(&[STORE]);
    let all = [held(5, 1), held(6, 2)];
    knowledge.applied(STORE, Place::Store, &added(&all[..1]), NOW_MS);
    knowledge.applied(INGEST, Place::Backlog, &added(&all), NOW_MS);
    assert_eq!(knowledge.len(), 2);
    for answers in [[(INGEST, &all[1..]), (STORE, &all[..1])], [(INGEST, &all[..]), (STORE, &all[..])]] {
        assert!(missing(&knowledge, &answers, TimeRange::ALL).is_complete());
    }
}

#[test]
fn what_is_known_by_name_and_held_by_nobody_is_named() {
    let mut knowledge = heard(&[STORE, 102]);
    let all = [held(5, 1), held(5, 2), held(6, 3)];
    knowledge.applied(STORE, Place::Store, &added(&all), NOW_MS);
    let answers: [(u64, &[Held]); 2] = [(INGEST, &all[1..2]), (102, &[])];
    let missing = |range| missing(&knowledge, &answers, range);
    let of = |hour: u64, from_ms, to_ms, origins| MissingRange {
        who: Who::Node(INGEST),
        why: Why::HeldByNobody,
        unit: Some(held(hour, 0).unit),
        times: TimeRange::new(from_ms, to_ms),
        origins,
        silent_stores: vec![STORE],
    };
    let first = of(5, 5 * HOUR_MS, 6 * HOUR_MS - 1, 1);
    let second = of(6, 6 * HOUR_MS, 7 * HOUR_MS - 1, 1);
    assert_eq!(missing(TimeRange::ALL).ranges, [first, second]);
    assert_eq!(
        missing(TimeRange::new(5 * HOUR_MS + 7, 6 * HOUR_MS - 1)).ranges,
        [of(5, 5 * HOUR_MS + 7, 6 * HOUR_MS - 1, 1)]
    );
    assert!(missing(TimeRange::new(7 * HOUR_MS, u64::MAX)).is_complete());
}

#[test]
fn what_was_heard_of_in_any_way_is_known() {
    let origin = held(5, 1);
    for (why, is_missing) in [
        (Gone::HandedOver(vec![STORE]), true),
        (Gone::Damaged, true),
        (Gone::Dropped, true),
        (Gone::Expired, false),
    ] {
        let mut knowledge = heard(&[STORE]);
        knowledge.applied(INGEST, Place::Backlog, &gone(&origin, why.clone()), NOW_MS);
        let found = missing(&knowledge, &[(INGEST, &[]), (STORE, &[])], TimeRange::ALL);
        assert_eq!(!found.is_complete(), is_missing, "{why:?}");
    }
}

#[test]
fn a_silent_ingest_node_lacks_all_that_it_may_have_without_an_end() {
    for (unconsumed_ms, from_ms) in
        [(None, NOW_MS - 600_000), (Some(NOW_MS - 5), NOW_MS - 600_000), (Some(7 * HOUR_MS), 7 * HOUR_MS)]
    {
        let mut knowledge = heard(&[STORE]);
        hear(&mut knowledge, INGEST, NOW_MS, unconsumed_ms);
        let found = missing(&knowledge, &[(STORE, &[])], TimeRange::ALL);
        assert_eq!(whys(&found), [(Why::IngestSilent, TimeRange::new(from_ms, u64::MAX))]);
        assert!(missing(&knowledge, &[(STORE, &[])], TimeRange::new(0, from_ms - 1)).is_complete());
        knowledge.left(INGEST);
        assert!(missing(&knowledge, &[(STORE, &[])], TimeRange::ALL).is_complete());
    }
}

#[test]
fn a_silent_store_is_harmless_unless_an_ingest_node_had_a_gap_since() {
    let mut knowledge = heard(&[STORE, 102]);
    let all = [held(5, 1)];
    for store in [STORE, 102] {
        knowledge.applied(store, Place::Store, &added(&all), NOW_MS);
    }
    let gap = Applied { has_gap: true, ..Applied::default() };
    let answers: [(u64, &[Held]); 2] = [(INGEST, &[]), (102, &all)];
    assert!(missing(&knowledge, &answers, TimeRange::ALL).is_complete());
    hear(&mut knowledge, 102, NOW_MS + 1000, None);
    knowledge.applied(INGEST, Place::Backlog, &gap, NOW_MS + 500);
    hear(&mut knowledge, INGEST, NOW_MS + 500, None);
    let expected = TimeRange::new(NOW_MS - 600_000, NOW_MS + 500 + 600_000);
    assert_eq!(whys(&missing(&knowledge, &answers, TimeRange::ALL)), [(Why::StoreSilent, expected)]);
    // Remembered or told to others, it stays so; heard again, it is over.
    let mut told = Knowledge::new();
    told.merge(&Knowledge::decode(&knowledge.encode()).unwrap());
    assert_eq!(whys(&missing(&told, &answers, TimeRange::ALL)), [(Why::StoreSilent, expected)]);
    hear(&mut knowledge, STORE, NOW_MS + 2000, None);
    assert!(missing(&knowledge, &answers, TimeRange::ALL).is_complete());
}

#[test]
fn of_a_node_that_was_never_heard_everything_is_missing() {
    let mut knowledge = heard(&[STORE]);
    knowledge.expect([address(INGEST), address(STORE), address(7)]);
    let found = missing(&knowledge, &[(INGEST, &[]), (STORE, &[])], TimeRange::new(5, 9));
    assert_eq!(found.ranges[0].who, Who::Address(address(7)));
    assert_eq!(whys(&found), [(Why::NeverHeard, TimeRange::new(5, 9))]);
    hear(&mut knowledge, 7, NOW_MS, None);
    assert_eq!(whys(&missing(&knowledge, &[(INGEST, &[]), (STORE, &[])], TimeRange::ALL)).len(), 1);
}

#[test]
fn a_node_that_another_replaced_is_missed_up_to_then_and_until_it_is_forgotten() {
    let mut knowledge = heard(&[STORE]);
    knowledge.heard(&address(INGEST), 2, contact(2, NOW_MS + 5000, None));
    let answers: [(u64, &[Held]); 2] = [(2, &[]), (STORE, &[])];
    let times = TimeRange::new(NOW_MS - 600_000, NOW_MS + 5000 + 600_000);
    let found = missing(&knowledge, &answers, TimeRange::ALL);
    assert_eq!(
        (found.ranges[0].who.clone(), whys(&found)),
        (Who::Node(INGEST), vec![(Why::IngestSilent, times)])
    );
    knowledge.forget(INGEST);
    assert!(missing(&knowledge, &answers, TimeRange::ALL).is_complete());
}

#[test]
fn what_has_expired_at_a_store_that_held_it_is_not_missed() {
    let all = [held(5, 1), held(6, 2)];
    let below = |below_ms| Applied { watermarks: vec![("a".to_string(), below_ms)], ..Applied::default() };
    let count = |knowledge: &Knowledge| missing(knowledge, &[(INGEST, &[])], TimeRange::ALL).ranges.len();
    let mut knowledge = heard(&[STORE, 102, 103]);
    for store in [STORE, 102] {
        knowledge.applied(store, Place::Store, &added(&all), NOW_MS);
    }
    knowledge.applied(103, Place::Store, &below(7 * HOUR_MS), NOW_MS);
    assert_eq!(count(&knowledge), 2, "it never held them");
    knowledge.applied(102, Place::Store, &below(6 * HOUR_MS), NOW_MS);
    assert_eq!((count(&knowledge), knowledge.len()), (1, 2));
    // It is forgotten once all have let go of it, and what others remember does not bring it back.
    let before = knowledge.clone();
    knowledge.applied(STORE, Place::Store, &below(6 * HOUR_MS), NOW_MS);
    assert_eq!((count(&knowledge), knowledge.len()), (1, 1));
    knowledge.merge(&before);
    assert_eq!((count(&knowledge), knowledge.len()), (1, 1));
}

#[test]
fn the_log_of_a_node_may_have_an_origin_again() {
    let mut knowledge = heard(&[]);
    knowledge.applied(INGEST, Place::Backlog, &added(&[held(5, 7)]), NOW_MS);
    let catalog = Catalog::new();
    for (first_piece, is_complete) in [(7, true), (8, false)] {
        let log = Some(LogPart { pieces: vec![(2, first_piece)], contested: vec![], times: vec![] });
        let node = Answering {
            node: INGEST,
            catalogs: vec![&catalog],
            sets: None,
            log,
            unreadable: BTreeMap::new(),
        };
        assert_eq!(knowledge.missing(&[node], TimeRange::ALL).is_complete(), is_complete);
    }
}

#[test]
fn the_list_is_bounded_and_the_rest_is_counted() {
    let mut knowledge = heard(&[]);
    let all: Vec<Held> = (0..QUERY_MISSING_MAX as u64 + 5).map(|hour| held(hour, 1)).collect();
    knowledge.applied(INGEST, Place::Backlog, &added(&all), NOW_MS);
    let found = missing(&knowledge, &[(INGEST, &[])], TimeRange::ALL);
    assert_eq!((found.ranges.len(), found.more), (QUERY_MISSING_MAX, 5));
}

/// Some of everything.
fn rich() -> Knowledge {
    let mut knowledge = heard(&[STORE, 102]);
    knowledge.applied(STORE, Place::Store, &added(&[held(5, 1), held(6, 2), held(6, 9)]), NOW_MS);
    knowledge.applied(INGEST, Place::Backlog, &gone(&held(7, 3), Gone::Expired), NOW_MS);
    let watermarks = vec![("a".to_string(), HOUR_MS)];
    knowledge.applied(102, Place::Store, &Applied { watermarks, ..Applied::default() }, NOW_MS);
    knowledge.applied(INGEST, Place::Backlog, &Applied { has_gap: true, ..Applied::default() }, NOW_MS + 9);
    knowledge.heard(&address(102), 103, contact(103, NOW_MS + 5, Some(8)));
    knowledge.left(103);
    knowledge.expect([address(INGEST), address(102), address(8)]);
    knowledge
}

#[test]
fn it_survives_the_way_to_disk_and_back_and_no_damage_passes() {
    let knowledge = rich();
    let bytes = knowledge.encode();
    assert_eq!(Knowledge::decode(&bytes), Ok(knowledge));
    for cut in 0..bytes.len() {
        assert!(Knowledge::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    for at in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        assert!(Knowledge::decode(&wrong).is_err(), "bit {at}");
        // With a checksum that fits it may be anything, but nothing that panics.
        let end = bytes.len() - 4;
        let sum = crc32c::crc32c(&wrong[..end]);
        wrong[end..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(other) = Knowledge::decode(&wrong) {
            let mut merged = rich();
            merged.merge(&other);
            missing(&merged, &[], TimeRange::ALL);
        }
    }
    assert_eq!(Knowledge::decode(b"WCHG12345"), Err(WireError::Magic("knowledge of origins")));
}

#[test]
fn what_has_no_room_is_forgotten_from_the_oldest_on_and_that_is_said() {
    let mut knowledge = heard(&[]);
    let all: Vec<Held> = (1..50).map(|hour| held(hour, hour)).collect();
    knowledge.applied(INGEST, Place::Backlog, &added(&all), NOW_MS);
    let bytes = knowledge.encode_within(1000);
    assert!(bytes.len() <= 1000);
    let short = Knowledge::decode(&bytes).unwrap();
    assert!(!short.is_empty() && short.len() < 49);
    let oldest = short.units.keys().next().unwrap();
    assert_eq!(short.forgotten_ms, oldest.start_ms());
    let found = missing(&short, &[(INGEST, &all)], TimeRange::ALL);
    assert_eq!(whys(&found), [(Why::Forgotten, TimeRange::new(0, oldest.start_ms() - 1))]);
    assert!(missing(&short, &[(INGEST, &all)], TimeRange::new(oldest.start_ms(), u64::MAX)).is_complete());
}

#[test]
fn what_two_know_together_is_what_either_knows_and_the_later_contact() {
    let mut one = heard(&[STORE]);
    one.applied(STORE, Place::Store, &added(&[held(5, 1)]), NOW_MS);
    let mut two = Knowledge::new();
    two.expect([address(STORE)]);
    two.applied(INGEST, Place::Backlog, &added(&[held(5, 2)]), NOW_MS);
    hear(&mut two, INGEST, NOW_MS + 50, Some(4));
    let mut both = one.clone();
    both.merge(&two);
    let mut again = both.clone();
    again.merge(&two);
    again.merge(&one);
    assert_eq!(again, both);
    assert_eq!(both.len(), 2);
    assert_eq!(both.nodes().next(), Some((INGEST, contact(INGEST, NOW_MS + 50, Some(4)))));
    two.merge(&one);
    assert_eq!(two.expected[&address(STORE)], Some(STORE), "who was heard where is told, too");
    let key: OriginKey = held(5, 1).key();
    assert!(two.units[&key.unit].origins.contains(key.name));
}
