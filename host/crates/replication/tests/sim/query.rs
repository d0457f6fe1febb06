//! Somebody who queries the cluster: plans over what the nodes tell, and checks that every record is read once or
//! is said to be missing.

use std::collections::{BTreeMap, BTreeSet};

use weir_replication::{
    Answering, Catalog, Changes, Contact, Held, Holdings, Knowledge, LogPart, Mirror, MissingRange,
    OriginKey, Owed, Part, Place, Quiet, Read, Reading, TimeRange, Which, assign_owed, named, settle, wanted,
    wanted_of,
};
use weir_segment::Unit;

use super::{Broken, Shape, World};

/// What a node has told for one query, and what it would read from: its snapshot.
struct Answer {
    snapshot: Catalog,
    log: Option<LogPart>,
    logged: Vec<Held>,
}

struct Query {
    /// Who is asked next.
    to_ask: Vec<u64>,
    answers: BTreeMap<u64, Answer>,
    /// What existed when it began.
    expected: BTreeSet<OriginKey>,
    range: TimeRange,
    /// What nodes owe that failed when they were read; `None` in the first round.
    owed: Option<Owed>,
    round: usize,
    /// Who has read what so far.
    read: BTreeMap<OriginKey, Vec<u64>>,
    missing: Vec<MissingRange>,
    /// Origins that cannot be read without reading others twice.
    stuck: Vec<(Unit, Which)>,
    /// Nodes whose logs had more in them than was owed.
    refused: BTreeSet<u64>,
}

/// How often what is owed is planned anew.
const ROUNDS: usize = 4;
/// How often names are asked for before a plan is made with what there is.
const NAME_ROUNDS: usize = 4;

pub(crate) struct Asker {
    mirrors: BTreeMap<u64, Mirror>,
    knowledge: Knowledge,
    /// Units that have become quiet since it was last looked whether their names are needed.
    quiet: BTreeSet<Unit>,
    query: Option<Query>,
    /// Nothing was said to be missing the last time that everything was asked for.
    pub(crate) is_complete: bool,
}

impl Asker {
    pub(crate) fn new(shape: Shape) -> Asker {
        let mut knowledge = Knowledge::new();
        let ids = (1..=shape.ingest_nodes).chain((1..=shape.stores).map(|id| 100 + id));
        knowledge.expect(ids.map(address));
        Asker { mirrors: BTreeMap::new(), knowledge, quiet: BTreeSet::new(), query: None, is_complete: false }
    }

    pub(crate) fn has_heard(&self, id: u64) -> bool {
        self.knowledge.nodes().any(|(known, _)| known == id)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.query.is_none()
    }
}

/// Another store in the place of a lost one has its address.
fn address(id: u64) -> String {
    format!("http://node-{}:7650", if id > 100 { 100 + id % 100 } else { id })
}

/// A node more is asked, at some distance from the one before, so that the cluster goes on in between.
pub(crate) fn tick(world: &mut World) -> Result<(), String> {
    if world.strikes(200) {
        // It restarts: what it knows is on disk, the mirrors are not.
        let mut fresh = Asker::new(world.shape);
        if world.shape.broken != Broken::ForgetsKnowledge {
            let bytes = world.asker.knowledge.encode();
            fresh.knowledge = Knowledge::decode(&bytes).map_err(|error| error.to_string())?;
            if fresh.knowledge != world.asker.knowledge {
                return Err("what is known is not what was remembered".into());
            }
        }
        world.asker = fresh;
    }
    let Some(mut query) = world.asker.query.take() else {
        if world.rng.u32(..8) == 0 {
            world.asker.query = Some(begin(world));
        }
        return Ok(());
    };
    match query.to_ask.pop() {
        None => {
            read(world, &mut query);
            if query.to_ask.is_empty() {
                return finish(world, &query);
            }
            world.asker.query = Some(query);
            Ok(())
        }
        Some(id) => {
            ask(world, &mut query, id)?;
            world.asker.query = Some(query);
            Ok(())
        }
    }
}

fn begin(world: &mut World) -> Query {
    let to_ask = everybody(world);
    let from_ms = world.now_ms - world.rng.u64(..20 * 60_000);
    let range = match world.rng.u32(..3) {
        0 => TimeRange::ALL,
        1 => TimeRange::new(from_ms, u64::MAX),
        _ => TimeRange::new(from_ms, from_ms + world.rng.u64(..10 * 60_000)),
    };
    Query {
        to_ask,
        answers: BTreeMap::new(),
        expected: world.groups.keys().cloned().collect(),
        range,
        owed: None,
        round: 0,
        read: BTreeMap::new(),
        missing: Vec::new(),
        stuck: Vec::new(),
        refused: BTreeSet::new(),
    }
}

/// All nodes, in an order that matters.
fn everybody(world: &mut World) -> Vec<u64> {
    let mut ingest: Vec<u64> = world.ingest.keys().copied().collect();
    let mut stores: Vec<u64> = world.stores.keys().copied().collect();
    world.rng.shuffle(&mut ingest);
    world.rng.shuffle(&mut stores);
    // The last of the list is asked first.
    match world.shape.broken {
        Broken::AsksStoresFirst => ingest.into_iter().chain(stores).collect(),
        _ => stores.into_iter().chain(ingest).collect(),
    }
}

fn ask(world: &mut World, query: &mut Query, id: u64) -> Result<(), String> {
    let now_ms = world.now_ms;
    if world.strikes(12) {
        return Ok(());
    }
    let (holdings, log, logged, unconsumed_ms) = match (world.ingest.get(&id), world.stores.get(&id)) {
        (Some(node), _) if node.down_until_ms <= now_ms => {
            let logged = node.log.values().flatten().cloned().collect();
            (&node.backlog, Some(node.log_part()), logged, node.unconsumed_ms())
        }
        (_, Some(store)) if store.down_until_ms <= now_ms => (&store.holdings, None, Vec::new(), None),
        _ => return Ok(()),
    };
    let asker = &mut world.asker;
    let mirror = asker.mirrors.entry(id).or_insert_with(|| Mirror::new(id, holdings.place()));
    loop {
        let bytes = holdings.changes_since(mirror.position(), 3000).encode();
        let changes = Changes::decode(&bytes).map_err(|error| error.to_string())?;
        let has_more = changes.has_more();
        let mut applied = mirror.apply(changes).map_err(|error| error.to_string())?;
        if !applied.contradicted.is_empty() {
            return Err(format!("the mirror of {id} was not what the node holds: {applied:?}"));
        }
        asker.quiet.extend(applied.quiet.iter().map(|told| told.unit.clone()));
        if world.shape.broken == Broken::ForgetsSets {
            applied.quiet.clear();
        } else if applied.has_gap && holdings.place() == Place::Store {
            asker.knowledge.listed(mirror);
        }
        applied.has_gap &= world.shape.broken != Broken::IgnoresGaps;
        asker.knowledge.applied(id, holdings.place(), &applied, now_ms);
        if !has_more {
            break;
        }
    }
    if !is_same(mirror, holdings) || !mirror.is_whole() {
        return Err(format!("the mirror of {id} is not what the node holds"));
    }
    let is_ingest = holdings.place() == Place::Backlog;
    let floor_ms = Contact::floor_ms(now_ms);
    let contact = Contact { asked_ms: now_ms, is_ingest, is_store: !is_ingest, unconsumed_ms, floor_ms };
    asker.knowledge.heard(&address(id), id, contact);
    let mut snapshot = holdings.catalog().clone();
    if let Some(store) = world.stores.get(&id) {
        store.hidden.iter().for_each(|key| drop(snapshot.remove(&key.unit, key.name)));
    }
    query.answers.insert(id, Answer { snapshot, log, logged });
    Ok(())
}

/// Whether a mirror knows what a node holds, by name or by digest.
fn is_same(mirror: &Mirror, holdings: &Holdings) -> bool {
    let units = holdings.catalog().units();
    mirror.units().count() == units.count()
        && holdings.catalog().units().all(|(unit, held)| match mirror.sets().get(unit) {
            Some(told) => {
                let is_it = told.whole().is_none_or(|quiet| *quiet == Quiet::of(unit, held));
                is_it && told.origins() == held.names().len()
            }
            None => mirror.catalog().unit(unit).is_some_and(|known| known.iter(unit).eq(held.iter(unit))),
        })
}

fn answering<'a>(
    answers: &'a BTreeMap<u64, Answer>,
    mirrors: &'a BTreeMap<u64, Mirror>,
) -> Vec<Answering<'a>> {
    let of = |(id, answer): (&u64, &'a Answer)| {
        let mirror = &mirrors[id];
        let (catalogs, sets) = (vec![mirror.catalog()], Some(mirror.sets()));
        Answering { node: *id, catalogs, sets, log: answer.log.clone(), unreadable: BTreeMap::new() }
    };
    answers.iter().map(of).collect()
}

/// Asks for the names without which there can be no plan.
fn ask_names(world: &mut World, query: &mut Query) {
    for _ in 0..NAME_ROUNDS {
        let asker = &world.asker;
        let all = answering(&query.answers, &asker.mirrors);
        let wanted = wanted(&all, query.range, query.owed.as_ref(), &asker.knowledge);
        if wanted.is_empty() {
            return;
        }
        ask_for(world, query, wanted);
    }
}

/// Asks for names. Who does not tell them has not answered. Nodes may have changed since they were asked what they hold.
fn ask_for(world: &mut World, query: &mut Query, wanted: BTreeMap<u64, BTreeSet<Unit>>) {
    for (id, units) in wanted {
        let fails = world.strikes(12);
        let store = world.stores.get(&id).filter(|store| store.down_until_ms <= world.now_ms && !fails);
        let Some(store) = store else {
            query.answers.remove(&id);
            continue;
        };
        let units: Vec<Unit> = units.into_iter().collect();
        let mut origins: Vec<Held> = Vec::new();
        let mut after: Option<OriginKey> = None;
        loop {
            let bytes = store.holdings.names_of(&units, after.as_ref(), 3000).encode();
            let page = Changes::decode(&bytes).unwrap();
            origins.extend(page.named().unwrap());
            after = page.next.after;
            if after.is_none() {
                break;
            }
        }
        for unit in &units {
            let of_unit: Vec<Held> = origins.iter().filter(|held| held.unit == *unit).cloned().collect();
            let mirrors = world.asker.mirrors.values_mut();
            named(&mut world.asker.knowledge, mirrors, unit, &of_unit);
            let is_named = world.asker.mirrors[&id].sets().get(unit).is_none();
            world.figures.named += u64::from(is_named);
            if !is_named {
                query.answers.remove(&id);
            }
            world.asker.quiet.insert(unit.clone());
        }
    }
}

/// Gives up names that are needed no more, and asks for those that may be needed when a node is lost.
fn settle_all(world: &mut World, query: &mut Query) {
    let asker = &mut world.asker;
    let answers = |id: &u64| query.answers.contains_key(id);
    let mut mirrors: Vec<&mut Mirror> =
        asker.mirrors.iter_mut().filter(|(id, _)| answers(id)).map(|(_, mirror)| mirror).collect();
    let mut left = std::mem::take(&mut asker.quiet);
    left.retain(|unit| {
        !settle(&mut asker.knowledge, &mut mirrors, unit) || {
            world.figures.settled += 1;
            false
        }
    });
    if world.rng.bool() {
        let all = answering(&query.answers, &world.asker.mirrors);
        let wanted = wanted_of(&all, left.iter(), &world.asker.knowledge);
        ask_for(world, query, wanted);
    }
}

/// Plans what is owed, and has it read by nodes some of which fail: then there is another round.
fn read(world: &mut World, query: &mut Query) {
    settle_all(world, query);
    ask_names(world, query);
    let answers = std::mem::take(&mut query.answers);
    let answering = answering(&answers, &world.asker.mirrors);
    let preferred = world.stores.keys().next().copied();
    let owed = query.owed.take().filter(|_| world.shape.broken != Broken::ForgetsWhatIsOwed);
    let plan = assign_owed(&answering, query.range, preferred, owed.as_ref());
    query.missing.extend(world.asker.knowledge.missing_of(&answering, query.range, owed.as_ref()).ranges);
    query.stuck.extend(plan.unreachable.iter().cloned());
    query.refused.extend(&plan.refused);
    query.round += 1;
    let mut failed = Owed::default();
    for (&node, part) in &plan.parts {
        if query.round < ROUNDS && world.rng.u32(..4) == 0 {
            let mut part: Part = part.clone();
            if world.shape.broken == Broken::ForgetsOwedSets {
                part.units.retain(|reading| matches!(reading.origins, Which::Names(_)));
            }
            failed.add(&Owed::of_part(node, &part));
            continue;
        }
        let answer = &answers[&node];
        if part.log.is_some() {
            answer.logged.iter().for_each(|held| query.read.entry(held.key()).or_default().push(node));
        }
        for Reading { unit, read: how, origins, .. } in &part.units {
            world.figures.wholes += u64::from(matches!(origins, Which::Whole(_)));
            let held = answer.snapshot.unit(unit).into_iter().flat_map(|origins| origins.iter(unit));
            let held = held.filter(|held| match how {
                Read::All => true,
                Read::AllBut(names) => !names.contains(held.name),
                Read::Only(names) => names.contains(held.name),
            });
            held.for_each(|held| query.read.entry(held.key()).or_default().push(node));
        }
    }
    if !failed.is_empty() {
        query.owed = Some(failed);
        query.to_ask = everybody(world);
        world.figures.rounds += 1;
    }
}

fn finish(world: &mut World, query: &Query) -> Result<(), String> {
    world.figures.queries += 1;
    let is_complete = query.missing.is_empty() && query.stuck.is_empty() && query.refused.is_empty();
    world.figures.refused += query.refused.len() as u64;
    world.figures.queries_complete += u64::from(is_complete);
    if query.range == TimeRange::ALL {
        world.asker.is_complete = is_complete;
    }
    world.figures.read += query.read.len() as u64;
    for (key, readers) in &query.read {
        // What lies outside of the range holds nothing that is asked for.
        if readers.len() > 1 && world.groups[key].range().meets(query.range) {
            return Err(format!("{key} is read by {readers:x?}"));
        }
    }
    for key in &query.expected {
        let times = world.groups[key].range().within(query.range);
        if times.is_empty() || query.read.contains_key(key) {
            continue;
        }
        let is_named = query.missing.iter().any(|range| {
            range.unit.as_ref().is_none_or(|unit| *unit == key.unit) && range.times.covers(times)
        });
        let is_stuck = query.stuck.iter().any(|(unit, names)| *unit == key.unit && names.may_have(key.name));
        if !is_named && !is_stuck && !query.refused.contains(&key.name.node) {
            let Query { missing, round, .. } = query;
            return Err(format!(
                "{key} is neither read nor missing after {round} rounds; said was {missing:?}"
            ));
        }
    }
    Ok(())
}
