use alloc::vec;
use core::ops::Range;

use weir_segment::{OriginName, RecordDigest};

use super::*;
use crate::held::{Held, OriginKey};

const HOUR_MS: u64 = 1000;

fn unit(hour: u64, is_keyed: bool) -> Unit {
    let unit = Unit::new(hour * HOUR_MS, HOUR_MS, "a", 0, 16).unwrap();
    if is_keyed { unit.keyed() } else { unit }
}

fn held(unit: Unit, node: u64, piece: u64, times: Range<u64>, is_repeat: bool) -> Held {
    let mut name = OriginName { node, epoch: 2, piece };
    let mut flags = OriginFlags::NONE;
    if is_repeat {
        (name, flags) = (name.of_repeats(), OriginFlags::MAYBE_REPEATED);
    }
    let (low_ms, high_ms) = (unit.start_ms() + times.start, unit.start_ms() + times.end - 1);
    Held { unit, name, flags, count: 1, low_ms, high_ms, digest: RecordDigest([1; 16]), bytes: 1 }
}

fn catalog(all: &[Held]) -> Catalog {
    let mut catalog = Catalog::new();
    for held in all {
        catalog.insert(held).unwrap();
    }
    catalog
}

fn answering(node: u64, catalog: &Catalog) -> Answering<'_> {
    Answering { node, catalogs: vec![catalog], sets: None, log: None, unreadable: BTreeMap::new() }
}

/// Who reads each origin, by what the plan says.
fn readers(plan: &Assignment, answering: &[Answering<'_>]) -> BTreeMap<OriginKey, Vec<u64>> {
    let mut readers: BTreeMap<OriginKey, Vec<u64>> = BTreeMap::new();
    for (&node, part) in &plan.parts {
        let mine = answering.iter().find(|other| other.node == node).unwrap();
        for Reading { unit, read, origins, .. } in &part.units {
            let mut names = OriginSet::new();
            for origins in mine.catalogs.iter().filter_map(|catalog| catalog.unit(unit)) {
                names = names.union(origins.names());
            }
            let names = match read {
                Read::All => names,
                Read::AllBut(but) => names.difference(but),
                Read::Only(only) => {
                    assert!(only.is_subset(&names), "{node} is asked for what it does not hold");
                    only.clone()
                }
            };
            // What lies outside of the range may be read as well.
            assert!(names.iter().count() as u64 >= origins.len(), "{node} reads less than it is to");
            assert!(matches!(origins, Which::Names(origins) if origins.is_subset(&names)));
            for name in names.iter() {
                readers.entry(OriginKey { unit: unit.clone(), name }).or_default().push(node);
            }
        }
    }
    readers
}

#[test]
fn every_origin_is_read_once_or_in_a_log_or_is_unreachable() {
    for seed in 0..4000 {
        check_random(seed);
    }
}

/// Random holdings: some have all, some little; backlogs, logs, and what could not be read before.
fn check_random(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all = Vec::new();
    for piece in 0..rng.u64(1..60) {
        let low = rng.u64(..HOUR_MS);
        let times = low..rng.u64(low + 1..=HOUR_MS);
        let unit = unit(rng.u64(..3), rng.u32(..4) == 0);
        all.push(held(unit, rng.u64(1..3), piece, times, rng.u32(..5) == 0));
    }
    let nodes = rng.u64(1..6);
    let mut catalogs = Vec::new();
    for _ in 0..nodes {
        let share = rng.u32(..=10);
        let mut some = || -> Vec<Held> { all.iter().filter(|_| rng.u32(..10) < share).cloned().collect() };
        catalogs.push([catalog(&some()), catalog(&some())]);
    }
    let mut nodes: Vec<Answering<'_>> = (1..)
        .zip(&catalogs)
        .map(|(node, [one, two])| Answering {
            node,
            catalogs: vec![one, two],
            sets: None,
            log: None,
            unreadable: BTreeMap::new(),
        })
        .collect();
    for node in nodes.iter_mut().take(2) {
        let pieces = vec![(2, rng.u64(20..80)), (6, 0)];
        node.log = rng.bool().then(|| LogPart { pieces, contested: vec![], times: vec![] });
    }
    for held in &all {
        if rng.u32(..10) > 0 {
            continue;
        }
        let at = rng.usize(..nodes.len());
        nodes[at].unreadable.entry(held.unit.clone()).or_default().insert(held.name);
    }
    let from_ms = rng.u64(..3 * HOUR_MS);
    let range =
        if rng.bool() { TimeRange::ALL } else { TimeRange::new(from_ms, from_ms + rng.u64(..2 * HOUR_MS)) };
    let preferred = rng.bool().then_some(1);
    let plan = assign(&nodes, range, preferred);
    let readers = readers(&plan, &nodes);
    let mut count = 0;
    for held in all.iter().filter(|held| held.range().meets(range)) {
        let is_held =
            |node: &&Answering<'_>| node.catalogs.iter().any(|list| list.contains(&held.unit, held.name));
        let is_readable = |node: &Answering<'_>| {
            !node.unreadable.get(&held.unit).is_some_and(|names| names.contains(held.name))
        };
        let in_log = nodes.iter().any(|node| {
            let mut pieces = node.log.iter().flat_map(|log| &log.pieces);
            node.node == held.name.node
                && pieces.any(|(epoch, first)| *epoch == 2 && held.name.piece >= *first)
        });
        let holders: Vec<&Answering<'_>> = nodes.iter().filter(is_held).collect();
        let times = readers.get(&held.key()).map_or(0, Vec::len);
        let is_lost =
            plan.unreachable.iter().any(|(unit, names)| *unit == held.unit && names.may_have(held.name));
        let (expected, lost) = match (in_log, holders.iter().any(|node| is_readable(node))) {
            (true, _) => (0, false),
            (false, true) => (1, false),
            (false, false) => (0, !holders.is_empty()),
        };
        assert_eq!((times, is_lost), (expected, lost), "seed {seed}: {held:?} {plan:?}");
        count += expected as u64;
        let reader =
            readers.get(&held.key()).and_then(|readers| nodes.iter().find(|node| node.node == readers[0]));
        assert!(reader.is_none_or(is_readable), "seed {seed}: read where it cannot be");
        let reading = plan.parts.values().flat_map(|part| &part.units);
        let mut reading = reading.filter(|read| read.unit == held.unit && read.origins.may_have(held.name));
        if let Some(reading) = reading.next() {
            let is_suspect = held.flags != OriginFlags::NONE && !held.unit.is_keyed();
            assert!(reading.is_counted || held.unit.is_keyed(), "seed {seed}: {reading:?}");
            assert!(reading.has_suspects || !is_suspect && reading.is_counted, "seed {seed}: {reading:?}");
        }
        let is_contested = plan.contested.iter().any(|times| times.covers(held.range().within(range)));
        assert!(is_contested || times == 0 || held.flags == OriginFlags::NONE, "seed {seed}: {held:?}");
    }
    assert_eq!(plan.origins, count, "seed {seed}");
    check_keyed(&all, &readers, &plan, range, seed);
}

/// Two readers of one keyed unit have nothing in common but what is contested.
fn check_keyed(
    all: &[Held],
    readers: &BTreeMap<OriginKey, Vec<u64>>,
    plan: &Assignment,
    range: TimeRange,
    seed: u64,
) {
    let read = |held: &Held| readers.get(&held.key()).map(|nodes| nodes[0]);
    for a in all.iter().filter(|held| held.unit.is_keyed()) {
        for b in all.iter().filter(|b| b.unit == a.unit) {
            let both = a.range().within(b.range()).within(range);
            if let (Some(one), Some(other)) = (read(a), read(b))
                && one != other
                && !both.is_empty()
            {
                assert!(plan.contested.iter().any(|times| times.covers(both)), "seed {seed}: {a:?} {b:?}");
            }
        }
    }
}

/// What a node reads, as it is told.
fn said(plan: &Assignment, node: u64) -> Vec<(Unit, Read)> {
    plan.parts[&node].units.iter().map(|reading| (reading.unit.clone(), reading.read.clone())).collect()
}

#[test]
fn who_has_most_reads_and_others_read_what_it_lacks() {
    let all: Vec<Held> = (0..10).map(|piece| held(unit(0, false), 1, piece, 0..5, false)).collect();
    let (most, few) = (catalog(&all[..9]), catalog(&all[7..]));
    let plan = assign(&[answering(5, &few), answering(6, &most)], TimeRange::ALL, Some(5));
    let rest: OriginSet = [all[9].name].into_iter().collect();
    assert_eq!(said(&plan, 6), [(unit(0, false), Read::All)]);
    assert_eq!(said(&plan, 5), [(unit(0, false), Read::Only(rest))]);
    assert_eq!((plan.origins, plan.contested.len(), plan.unreachable.len()), (10, 0, 0));
}

#[test]
fn of_equal_holders_the_preferred_one_reads_or_each_its_share() {
    let all: Vec<Held> = (0..200).map(|hour| held(unit(hour, hour % 2 == 0), 1, hour, 0..5, false)).collect();
    let catalog = catalog(&all);
    let nodes: Vec<Answering<'_>> = (10..14).map(|node| answering(node, &catalog)).collect();
    for preferred in [None, Some(99)] {
        let plan = assign(&nodes, TimeRange::ALL, preferred);
        assert_eq!(plan.parts.len(), 4);
        assert!(plan.parts.values().all(|part| (25..75).contains(&part.units.len())), "{plan:?}");
        assert!(plan.contested.is_empty(), "each keyed unit has one reader");
    }
    let plan = assign(&nodes, TimeRange::ALL, Some(12));
    assert_eq!(plan.parts.keys().copied().collect::<Vec<u64>>(), [12]);
}

#[test]
fn what_is_in_a_log_is_read_there_alone_although_a_store_has_got_it() {
    let all: Vec<Held> = (0..10).map(|piece| held(unit(0, false), 1, piece, 0..5, piece % 2 == 1)).collect();
    let (store, backlog) = (catalog(&all), catalog(&all[4..6]));
    let log = LogPart { pieces: vec![(2, 6)], contested: vec![TimeRange::new(700, 800)], times: vec![] };
    let nodes = [Answering { log: Some(log), ..answering(1, &backlog) }, answering(5, &store)];
    let plan = assign(&nodes, TimeRange::new(0, 750), None);
    let log = LogPart { pieces: vec![(2, 6)], contested: vec![TimeRange::new(700, 750)], times: vec![] };
    assert_eq!(plan.parts[&1], Part { log: Some(log), units: vec![] });
    let but = all[6..].iter().map(|held| held.name).collect();
    assert_eq!(said(&plan, 5), [(unit(0, false), Read::AllBut(but))]);
    assert_eq!(plan.contested, [TimeRange::new(0, 4), TimeRange::new(700, 750)]);
}

#[test]
fn a_keyed_unit_with_two_readers_is_contested_where_they_may_meet() {
    let all = [
        held(unit(0, true), 1, 0, 0..900, false),
        held(unit(0, true), 1, 1, 0..90, false),
        held(unit(0, true), 1, 2, 50..70, false),
    ];
    let (one, two) = (catalog(&all[..2]), catalog(&all[2..]));
    let plan = assign(&[answering(5, &one), answering(6, &two)], TimeRange::ALL, None);
    assert_eq!(plan.contested, [TimeRange::new(50, 69)]);
    let roles =
        |node: u64| plan.parts[&node].units.iter().map(|read| (read.has_suspects, read.is_counted)).next();
    assert_eq!((roles(5), roles(6)), (Some((false, true)), Some((true, false))));
}

#[test]
fn a_log_that_is_owed_is_not_read_when_it_has_something_of_a_process_in_between() {
    let backlog = catalog(&[]);
    let part = Part { log: Some(LogPart { pieces: vec![(2, 5)], ..LogPart::default() }), units: vec![] };
    let owed = Owed::of_part(1, &part);
    for (pieces, is_read) in [
        (vec![(2, 5)], true),
        // Restarted; some of it is sealed.
        (vec![(2, 7), (4, 0)], true),
        (vec![(4, 0)], true),
        // More of what was owed than was.
        (vec![(2, 4), (4, 0)], false),
        // Restarted twice: what the process in between wrote may have been read at a store.
        (vec![(2, 7), (4, 0), (6, 0)], false),
        (vec![(4, 3), (6, 0)], false),
    ] {
        let log = Some(LogPart { pieces: pieces.clone(), ..LogPart::default() });
        let nodes = [Answering { log, ..answering(1, &backlog) }];
        let plan = assign_owed(&nodes, TimeRange::ALL, None, Some(&owed));
        assert_eq!(plan.parts.contains_key(&1), is_read, "{pieces:?}");
        assert_eq!(plan.refused.is_empty(), is_read, "{pieces:?}");
    }
}
