use alloc::vec;

use weir_segment::{OriginFlags, OriginName, RecordDigest};

use super::*;
use crate::assign::{Assignment, LogPart, Read, Which, assign_owed};
use crate::catalog::Catalog;
use crate::changes::Place;
use crate::held::{Gone, OriginKey};
use crate::holdings::Holdings;

const HOUR_MS: u64 = 1000;
const LATER_MS: u64 = 10_000_000;

fn held(hour: u64, piece: u64) -> Held {
    let unit = Unit::new(hour * HOUR_MS, HOUR_MS, "a", 0, 1).unwrap();
    let mut name = OriginName { node: 1, epoch: 2, piece };
    let mut flags = OriginFlags::NONE;
    if piece.is_multiple_of(7) {
        (name, flags) = (name.of_repeats(), OriginFlags::MAYBE_REPEATED);
    }
    let low_ms = hour * HOUR_MS + piece * 10;
    let digest = RecordDigest([piece as u8; 16]);
    Held { unit, name, flags, count: 1, low_ms, high_ms: low_ms + 5, digest, bytes: 1 }
}

/// A store and what is known of it.
struct Store {
    holdings: Holdings,
    mirror: Mirror,
}

impl Store {
    fn new(node: u64, origins: &[Held]) -> Store {
        let mut holdings = Holdings::new(node, Place::Store, 1);
        for held in origins {
            assert_eq!(holdings.add(held.clone()), Ok(true));
        }
        Store { holdings, mirror: Mirror::new(node, Place::Store) }
    }

    fn quiet(node: u64, origins: &[Held]) -> Store {
        let mut store = Store::new(node, origins);
        store.holdings.found(LATER_MS);
        store.follow();
        store
    }

    fn follow(&mut self) {
        let changes = self.holdings.changes_since(self.mirror.position(), usize::MAX);
        self.mirror.apply(changes).unwrap();
    }

    fn answering(&self) -> Answering<'_> {
        let (catalogs, sets) = (vec![self.mirror.catalog()], Some(self.mirror.sets()));
        Answering { node: self.mirror.node(), catalogs, sets, log: None, unreadable: BTreeMap::new() }
    }
}

/// How often each origin is read, by what the stores really hold.
fn read(plan: &Assignment, stores: &[Store]) -> BTreeMap<OriginKey, u64> {
    let mut count = BTreeMap::new();
    for store in stores {
        let units = plan.parts.get(&store.mirror.node()).into_iter().flat_map(|part| &part.units);
        for reading in units {
            let held = store.holdings.catalog().unit(&reading.unit).unwrap();
            for name in held.names().iter() {
                let is_read = match &reading.read {
                    Read::All => true,
                    Read::AllBut(but) => !but.contains(name),
                    Read::Only(only) => only.contains(name),
                };
                let key = OriginKey { unit: reading.unit.clone(), name };
                *count.entry(key).or_default() += u64::from(is_read);
            }
        }
    }
    count
}

fn name_all(stores: &mut [Store], wanted: BTreeMap<u64, BTreeSet<Unit>>, knowledge: &mut Knowledge) {
    for (node, units) in wanted {
        let of = stores.iter().find(|store| store.mirror.node() == node).unwrap();
        let units: Vec<Unit> = units.into_iter().collect();
        let origins = of.holdings.names_of(&units, None, usize::MAX).named().unwrap();
        for unit in &units {
            named(knowledge, stores.iter_mut().map(|store| &mut store.mirror), unit, &origins);
        }
    }
}

#[test]
fn every_origin_is_read_once_as_soon_as_the_wanted_names_are_known_and_never_twice() {
    let (mut wholes, mut unreachable, mut names) = (0, 0, 0);
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let all: Vec<Held> = (0..20).map(|piece| held(piece % 2, piece)).collect();
        let mut stores = Vec::new();
        let is_alike = rng.bool();
        for node in 10..rng.u64(11..15) {
            let lacks = if is_alike { 99 } else { rng.u64(..30) };
            let some: Vec<Held> = all.iter().filter(|held| held.name.piece != lacks).cloned().collect();
            let mut store =
                if rng.u32(..4) > 0 { Store::quiet(node, &some) } else { Store::new(node, &some) };
            if rng.u32(..4) == 0 {
                // Changed since, perhaps without a word that somebody follows.
                let held = &some[rng.usize(..some.len())];
                store.holdings.remove(&held.unit, held.name, Gone::Damaged);
            }
            store.follow();
            stores.push(store);
        }
        let range = if rng.bool() { TimeRange::ALL } else { TimeRange::new(0, 20) };
        let from = rng.u64(..20);
        let log = rng.bool().then(|| {
            let times = all[from as usize..].iter().map(Held::range).collect();
            LogPart { pieces: vec![(2, from)], contested: vec![], times }
        });
        let ingest = Catalog::new();
        let mut knowledge = Knowledge::new();
        for is_named in [false, true] {
            let node = Answering {
                node: 1,
                catalogs: vec![&ingest],
                sets: None,
                log: log.clone(),
                unreadable: BTreeMap::new(),
            };
            let nodes: Vec<Answering<'_>> = stores.iter().map(Store::answering).chain([node]).collect();
            let wanted = wanted(&nodes, range, None, &knowledge);
            let plan = assign_owed(&nodes, range, None, None);
            let read = read(&plan, &stores);
            for held in all.iter().filter(|held| held.range().meets(range)) {
                let times = read.get(&held.key()).copied().unwrap_or(0);
                let in_log = log.is_some() && held.name.piece >= from;
                let is_held =
                    stores.iter().any(|store| store.holdings.catalog().contains(&held.unit, held.name));
                let is_said = plan.unreachable.iter().any(|(unit, _)| *unit == held.unit);
                let expected = u64::from(is_held && !in_log);
                assert!(times <= expected, "seed {seed}: {held:?} {plan:?}");
                assert!(
                    times == expected || is_said && !wanted.is_empty() && !is_named,
                    "seed {seed}: {held:?}"
                );
                unreachable += u64::from(times < expected);
            }
            let readings = plan.parts.values().flat_map(|part| &part.units);
            wholes += readings.filter(|reading| matches!(reading.origins, Which::Whole(_))).count();
            assert!(!is_named || wanted.is_empty(), "seed {seed}: {wanted:?}");
            names += wanted.len();
            name_all(&mut stores, wanted, &mut knowledge);
        }
    }
    assert!(wholes > 100 && unreachable > 100 && names > 100, "{wholes} {unreachable} {names}");
}

#[test]
fn what_is_owed_of_a_set_is_read_from_whoever_has_just_that_or_had_it() {
    let all: Vec<Held> = (0..8).map(|piece| held(0, piece * 2)).collect();
    let knowledge = Knowledge::new();
    let owed = {
        let store = Store::quiet(10, &all);
        let plan = assign_owed(&[store.answering()], TimeRange::ALL, None, None);
        Owed::of_part(10, &plan.parts[&10])
    };
    let plan_of = |stores: &[Store]| {
        let nodes: Vec<Answering<'_>> = stores.iter().map(Store::answering).collect();
        (
            assign_owed(&nodes, TimeRange::ALL, None, Some(&owed)),
            wanted(&nodes, TimeRange::ALL, Some(&owed), &knowledge),
        )
    };
    let (plan, wanted) = plan_of(&[Store::quiet(11, &all)]);
    assert_eq!((plan.origins, plan.unreachable.len(), wanted.len()), (8, 0, 0));
    let mut changed = [Store::quiet(11, &all)];
    assert_eq!(changed[0].holdings.add(held(0, 33)), Ok(true));
    changed[0].follow();
    let (plan, wanted) = plan_of(&changed);
    assert!(plan.parts.is_empty() && !plan.unreachable.is_empty() && wanted.len() == 1, "{plan:?}");
    name_all(&mut changed, wanted, &mut Knowledge::new());
    let (plan, wanted) = plan_of(&changed);
    assert!(plan.unreachable.is_empty() && wanted.is_empty(), "{plan:?}");
    let read = read(&plan, &changed);
    assert_eq!(read.values().sum::<u64>(), 8, "not what has come since");
    assert_eq!(read.get(&held(0, 33).key()), Some(&0));
    // Another set: nobody can tell what of it was owed.
    let (plan, _) = plan_of(&[Store::quiet(11, &all[1..])]);
    assert!(plan.parts.is_empty() && !plan.unreachable.is_empty(), "{plan:?}");
    let (plan, _) = plan_of(&[]);
    assert!(!plan.unreachable.is_empty());
}

#[test]
fn a_set_that_was_told_is_missed_until_somebody_has_it_and_names_are_given_up_where_all_agree() {
    let all: Vec<Held> = (0..8).map(|piece| held(0, piece)).collect();
    let unit = all[0].unit.clone();
    let (mut one, mut two) = (Store::new(10, &all), Store::new(11, &all));
    let mut knowledge = Knowledge::new();
    let learn = |store: &mut Store, knowledge: &mut Knowledge| {
        let changes = store.holdings.changes_since(store.mirror.position(), usize::MAX);
        let applied = store.mirror.apply(changes).unwrap();
        knowledge.applied(store.mirror.node(), Place::Store, &applied, 1);
        if applied.has_gap {
            knowledge.listed(&store.mirror);
        }
    };
    learn(&mut one, &mut knowledge);
    learn(&mut two, &mut knowledge);
    let is_settled = |one: &mut Store, two: &mut Store, knowledge: &mut Knowledge| {
        settle(knowledge, &mut [&mut one.mirror, &mut two.mirror], &unit)
    };
    one.holdings.found(LATER_MS);
    learn(&mut one, &mut knowledge);
    assert!(!is_settled(&mut one, &mut two, &mut knowledge), "one of them is not quiet");
    two.holdings.found(LATER_MS);
    learn(&mut two, &mut knowledge);
    assert!(is_settled(&mut one, &mut two, &mut knowledge));
    assert_eq!((knowledge.units(), one.mirror.catalog().len(), two.mirror.sets().len()), ((0, 1), 0, 1));
    let knowledge = Knowledge::decode(&knowledge.encode()).unwrap();
    let missing = |stores: &[&Store]| {
        let nodes: Vec<Answering<'_>> = stores.iter().map(|store| store.answering()).collect();
        knowledge.missing(&nodes, TimeRange::ALL).ranges.iter().map(|range| range.origins).sum::<u64>()
    };
    assert_eq!((missing(&[&one, &two]), missing(&[&two]), missing(&[])), (0, 0, 8));
    assert_eq!(missing(&[&Store::quiet(12, &all)]), 0, "another store has it");
    assert_eq!(missing(&[&Store::quiet(12, &all[1..])]), 8);
    // It has lost one, and says so.
    let mut damaged = Store::quiet(12, &all);
    damaged.holdings.remove(&unit, all[3].name, Gone::Damaged);
    damaged.follow();
    assert_eq!(missing(&[&damaged]), 8, "nobody knows which ones are left");
    assert_eq!(missing(&[&damaged, &two]), 0);
    let mut stores = [damaged];
    let nodes = [stores[0].answering()];
    let wanted = wanted(&nodes, TimeRange::ALL, None, &knowledge);
    drop(nodes);
    let mut knowledge = knowledge;
    name_all(&mut stores, wanted, &mut knowledge);
    let nodes = [stores[0].answering()];
    let ranges = knowledge.missing(&nodes, TimeRange::ALL).ranges;
    assert_eq!(ranges.iter().map(|range| range.origins).collect::<Vec<u64>>(), [1]);
}

#[test]
fn a_restarted_store_that_tells_fewer_is_missed_and_one_that_tells_more_is_not() {
    let all: Vec<Held> = (0..8).map(|piece| held(0, piece)).collect();
    for (again, lost) in [(8, 0), (7, 7), (5, 7)] {
        let mut knowledge = Knowledge::new();
        let mut told = |store: &mut Store| {
            let changes = store.holdings.changes_since(store.mirror.position(), usize::MAX);
            let applied = store.mirror.apply(changes).unwrap();
            knowledge.applied(10, Place::Store, &applied, 1);
            knowledge.listed(&store.mirror);
        };
        let mut store = Store::new(10, &all[..7]);
        store.holdings.found(LATER_MS);
        told(&mut store);
        let mut fresh = Store::new(10, &all[8 - again..]);
        fresh.holdings = Holdings::new(10, Place::Store, 2);
        for held in &all[8 - again..] {
            assert_eq!(fresh.holdings.add(held.clone()), Ok(true));
        }
        fresh.holdings.found(LATER_MS);
        fresh.mirror = store.mirror;
        told(&mut fresh);
        let nodes = [fresh.answering()];
        let ranges = knowledge.missing(&nodes, TimeRange::ALL).ranges;
        // Of as many, nobody can tell that they are others.
        let expected = if again == 7 { 0 } else { lost };
        assert_eq!(ranges.iter().map(|range| range.origins).sum::<u64>(), expected, "{again} origins");
    }
}
