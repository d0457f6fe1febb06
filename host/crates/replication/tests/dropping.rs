//! Stores that let go of copies, several at once and for any reason, while questions and answers come late, twice or
//! never, stores crash between any two steps, copies are made, and stores are emptied and are not. Never are there fewer
//! than R copies. Then all is calm, each store knows of all others, and every copy comes to where it belongs.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use weir_replication::{
    Dropper, Fetch, Gone, Held, Holdings, OriginKey, OriginSet, Place, Repairer, StoreNode, rank,
};
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

const TICK_MS: u64 = 100;
const FAULT_STEPS: u64 = 1_500;
const CALM_STEPS: u64 = 1_200;
const UNITS: u64 = 4;
/// Time after which units are told by digest.
const QUIET_MS: u64 = 2_000;

/// What a store does wrong, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// It says yes for what it is about to let go of.
    SaysYes,
    /// An answer counts for whatever attempt there is when it comes.
    CountsLateAnswers,
    /// What others announced a while ago counts as an answer.
    TrustsWhatIsAnnounced,
    /// An answer that comes twice counts twice.
    CountsTwice,
    /// It is content with one copy fewer.
    ContentWithFewer,
    /// It says yes again before the copy is gone.
    EndsEarly,
}

/// One attempt to let go of the copies of a unit.
struct Attempt {
    unit: Unit,
    number: u64,
    ends_at: u64,
    /// What goes when it ends; decided a while before.
    going: Option<OriginSet>,
}

struct Store {
    /// What is on its disk, whole.
    disk: BTreeMap<OriginKey, Held>,
    is_draining: bool,
    holdings: Holdings,
    repairer: Repairer,
    dropper: Dropper,
    attempts: Vec<Attempt>,
    /// Copies under way and when they are here.
    fetching: Vec<(u64, Fetch)>,
    process: u64,
    away_until: Option<u64>,
    /// What it held a while ago, as others may believe that it does.
    before: BTreeSet<OriginKey>,
}

/// A question or the answer to it.
#[derive(Clone)]
struct Message {
    at: u64,
    from: u64,
    to: u64,
    /// Of the asking process, whose connection it is.
    process: u64,
    unit: Unit,
    attempt: u64,
    names: OriginSet,
    is_answer: bool,
}

struct World {
    rng: Rng,
    now: u64,
    replication: usize,
    stores: BTreeMap<u64, Store>,
    messages: Vec<Message>,
    origins: Vec<Held>,
    is_calm: bool,
    broken: Broken,
    figures: Figures,
}

#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    dropped: u64,
    copied: u64,
    crashes: u64,
    at_once: u64,
}

fn held(piece: u64) -> Held {
    let start_ms = piece % UNITS * 1000;
    let unit = Unit::new(start_ms, 1000, "a", 0, 1).unwrap();
    let name = OriginName { node: 1000, epoch: 2, piece };
    let digest = RecordDigest([piece as u8; 16]);
    let (low_ms, high_ms) = (start_ms + 1, start_ms + 2);
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms, high_ms, digest, bytes: 10 }
}

impl Store {
    fn new(node: u64, replication: usize, process: u64) -> Store {
        Store {
            disk: BTreeMap::new(),
            is_draining: false,
            holdings: Holdings::new(node, Place::Store, process).quiet_after(Some(QUIET_MS)),
            repairer: Repairer::new(1_000),
            dropper: Dropper::new(replication, false),
            attempts: Vec::new(),
            fetching: Vec::new(),
            process,
            away_until: None,
            before: BTreeSet::new(),
        }
    }

    /// Begins anew with what is on disk.
    fn restart(&mut self, replication: usize, process: u64) {
        let mut fresh = Store::new(self.holdings.node(), replication, process);
        fresh.dropper.set_draining(self.is_draining);
        fresh.is_draining = self.is_draining;
        for held in self.disk.values() {
            fresh.holdings.add(held.clone()).unwrap();
        }
        fresh.disk = std::mem::take(&mut self.disk);
        *self = fresh;
    }

    fn names_of(&self, unit: &Unit) -> OriginSet {
        self.holdings.catalog().unit(unit).map(|origins| origins.names().clone()).unwrap_or_default()
    }
}

impl World {
    fn new(seed: u64, broken: Broken) -> World {
        let mut rng = Rng::with_seed(seed);
        let replication = rng.usize(1..4);
        let count = rng.u64(replication as u64 + 1..8);
        let asked = if broken == Broken::ContentWithFewer { replication - 1 } else { replication };
        let mut stores: BTreeMap<u64, Store> =
            (1..=count).map(|node| (node, Store::new(node, asked, node))).collect();
        let origins: Vec<Held> = (0..rng.u64(4..20)).map(held).collect();
        for held in &origins {
            let mut nodes: Vec<u64> = stores.keys().copied().collect();
            rng.shuffle(&mut nodes);
            let copies = rng.usize(replication..=nodes.len());
            for node in &nodes[..copies] {
                let store = stores.get_mut(node).unwrap();
                store.holdings.add(held.clone()).unwrap();
                store.disk.insert(held.key(), held.clone());
            }
        }
        let (messages, figures) = (Vec::new(), Figures::default());
        World { rng, now: 0, replication, stores, messages, origins, is_calm: false, broken, figures }
    }

    fn asked_copies(&self) -> usize {
        self.replication - usize::from(self.broken == Broken::ContentWithFewer)
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += TICK_MS;
        self.deliver();
        for node in self.stores.keys().copied().collect::<Vec<u64>>() {
            self.disturb(node);
            if self.stores[&node].away_until.is_some() {
                continue;
            }
            if self.is_calm {
                self.follow(node);
            }
            self.copy(node);
            self.attempt(node);
            self.end_attempts(node);
        }
        self.check()
    }

    /// The first rule of all.
    fn check(&self) -> Result<(), String> {
        for held in &self.origins {
            let key = held.key();
            let copies = self.stores.values().filter(|store| store.disk.contains_key(&key)).count();
            if copies < self.replication {
                return Err(format!("{key} has {copies} of {} copies", self.replication));
            }
        }
        Ok(())
    }

    fn disturb(&mut self, node: u64) {
        let (crashes, drains, looks) =
            (self.rng.u32(..80) == 0, self.rng.u32(..300) == 0, self.rng.u32(..50) == 0);
        let (away, process) = (self.rng.u64(1..3_000), self.rng.u64(1000..));
        let (now, asked, is_calm) = (self.now, self.asked_copies(), self.is_calm);
        let store = self.stores.get_mut(&node).unwrap();
        if store.away_until.is_some_and(|until| until <= now || is_calm) {
            store.restart(asked, process);
        }
        if is_calm {
            return;
        }
        if crashes && store.away_until.is_none() {
            store.away_until = Some(now + away);
            self.figures.crashes += 1;
        } else if drains {
            store.is_draining = !store.is_draining;
            store.dropper.set_draining(store.is_draining);
        }
        if looks {
            store.before = store.disk.keys().cloned().collect();
        }
    }

    fn live(&self) -> Vec<StoreNode> {
        let node = |(node, store): (&u64, &Store)| StoreNode {
            node: *node,
            capacity_bytes: (1 + node % 4) << 40,
            zone: (!node.is_multiple_of(3)).then(|| format!("zone-{}", node % 2)),
            draining: store.is_draining,
            full: false,
        };
        self.stores.iter().map(node).collect()
    }

    fn follow(&mut self, node: u64) {
        let live = self.live();
        let mut store = self.stores.remove(&node).unwrap();
        for (other, of) in &self.stores {
            let changes = of.holdings.changes_since(&store.repairer.position(*other), 4000);
            if store.repairer.applied(*other, changes, self.now).is_err() {
                // Another process answers there.
                store.repairer.remove(*other);
            }
        }
        store.repairer.set_stores(&live, self.replication);
        store.repairer.set_rebalancing(true);
        store.holdings.look(self.now);
        for (other, (units, _)) in store.repairer.names_wanted(self.now) {
            let page = self.stores[&other].holdings.names_of(&units, None, usize::MAX);
            store.repairer.named(other, &units, &page.named().unwrap(), self.now);
        }
        self.stores.insert(node, store);
    }

    /// Copies come: in a calm world where they belong, else anywhere.
    fn copy(&mut self, node: u64) {
        let mut store = self.stores.remove(&node).unwrap();
        let (over, on) = store.fetching.drain(..).partition(|(at, _)| *at <= self.now);
        store.fetching = on;
        let over: Vec<(u64, Fetch)> = over;
        for (_, fetch) in over {
            let key = fetch.held.key();
            if store.holdings.add(fetch.held.clone()).unwrap() {
                store.disk.insert(key.clone(), fetch.held);
                self.figures.copied += 1;
            }
            store.repairer.kept(&key);
        }
        let mut wanted = Vec::new();
        if self.is_calm {
            wanted = store.repairer.next(self.now, 4, &store.holdings);
        } else if self.rng.u32(..30) == 0 && !store.is_draining {
            let held = self.origins[self.rng.usize(..self.origins.len())].clone();
            let source = self.stores.iter().find(|(_, other)| other.disk.contains_key(&held.key()));
            wanted.extend(source.map(|(from, _)| Fetch { from: *from, held }));
        }
        for fetch in wanted {
            // What was open is read to its end, whatever happens to its name.
            if self.stores.get(&fetch.from).is_some_and(|from| from.disk.contains_key(&fetch.held.key())) {
                store.fetching.push((self.now + self.rng.u64(50..500), fetch));
            }
        }
        self.stores.insert(node, store);
    }

    /// A store wants to let go: of what is too much, or in a rough world of anything.
    fn attempt(&mut self, node: u64) {
        let others: Vec<u64> = self.stores.keys().copied().filter(|other| *other != node).collect();
        let (begins, unit) = (self.rng.u32(..8) == 0, self.rng.u64(..UNITS));
        let store = self.stores.get_mut(&node).unwrap();
        let wanted: Vec<(Unit, OriginSet, Vec<u64>)> = if self.is_calm {
            let surplus = store.repairer.surplus(&store.holdings, 2);
            surplus
                .into_iter()
                .map(|surplus| (surplus.unit.clone(), surplus.names(), surplus.holders))
                .collect()
        } else if begins {
            let unit = held(unit).unit;
            let names = store.names_of(&unit);
            vec![(unit, names, others)]
        } else {
            Vec::new()
        };
        for (unit, names, asked) in wanted {
            let ends_at = self.now + self.rng.u64(200..3_000);
            let store = self.stores.get_mut(&node).unwrap();
            let Some(number) = store.dropper.begin(&unit, names.clone()) else { continue };
            store.attempts.push(Attempt { unit: unit.clone(), number, ends_at, going: None });
            self.figures.at_once = self.figures.at_once.max(store.attempts.len() as u64);
            let process = store.process;
            for to in asked {
                let message = Message {
                    at: 0,
                    from: node,
                    to,
                    process,
                    unit: unit.clone(),
                    attempt: number,
                    names: names.clone(),
                    is_answer: false,
                };
                self.trust(&message);
                self.send(message);
            }
        }
    }

    fn trust(&mut self, question: &Message) {
        if self.broken != Broken::TrustsWhatIsAnnounced {
            return;
        }
        let before = self.stores[&question.to].before.iter().filter(|key| key.unit == question.unit);
        let names: OriginSet = before.map(|key| key.name).collect();
        let store = self.stores.get_mut(&question.from).unwrap();
        store.dropper.answered(&question.unit, question.attempt, question.to, &names);
    }

    fn send(&mut self, mut message: Message) {
        let (is_lost, is_double, is_late) =
            (self.rng.u32(..10) == 0, self.rng.u32(..10) == 0, self.rng.u32(..5) == 0);
        if !self.is_calm && is_lost {
            return;
        }
        message.at = self.now + if is_late { self.rng.u64(..4_000) } else { self.rng.u64(..300) };
        if is_double {
            self.messages.push(Message { at: message.at + self.rng.u64(..500), ..message.clone() });
        }
        self.messages.push(message);
    }

    fn deliver(&mut self) {
        let (due, later) = self.messages.drain(..).partition(|message| message.at <= self.now);
        self.messages = later;
        let due: Vec<Message> = due;
        for message in due {
            let asks = self.stores[&message.from].process == message.process;
            if !asks || self.stores[&message.from].away_until.is_some() {
                continue;
            }
            if message.is_answer {
                self.take_answer(&message);
            } else if self.stores[&message.to].away_until.is_none() {
                let names = self.answer(&message);
                self.send(Message { names, is_answer: true, ..message });
            }
        }
    }

    fn answer(&self, question: &Message) -> OriginSet {
        let store = &self.stores[&question.to];
        let may = |name: &OriginName| {
            let key = OriginKey { unit: question.unit.clone(), name: *name };
            match self.broken {
                Broken::SaysYes => store.holdings.catalog().contains(&key.unit, key.name),
                _ => store.dropper.may_count_on(&key, &held(name.piece).digest, &store.holdings),
            }
        };
        question.names.iter().filter(may).collect()
    }

    fn take_answer(&mut self, answer: &Message) {
        let again = self.broken == Broken::CountsTwice;
        let store = self.stores.get_mut(&answer.from).unwrap();
        let mut number = answer.attempt;
        if self.broken == Broken::CountsLateAnswers {
            let current = store.attempts.iter().find(|attempt| attempt.unit == answer.unit);
            number = current.map_or(number, |attempt| attempt.number);
        }
        let said_by = if again { answer.to + 100 * self.rng.u64(..3) } else { answer.to };
        store.dropper.answered(&answer.unit, number, said_by, &answer.names);
    }

    /// Attempts end: with nothing, or first with a decision, and a while later with files that are gone.
    fn end_attempts(&mut self, node: u64) {
        let (now, ends_early) = (self.now, self.broken == Broken::EndsEarly);
        let removal = self.rng.u64(..2_000);
        let store = self.stores.get_mut(&node).unwrap();
        let mut on = Vec::new();
        for mut attempt in std::mem::take(&mut store.attempts) {
            if attempt.ends_at > now {
                on.push(attempt);
                continue;
            }
            let Some(going) = attempt.going.take() else {
                attempt.going = Some(store.dropper.agreed(&attempt.unit, attempt.number));
                attempt.ends_at = now + removal;
                if ends_early {
                    store.dropper.end(&attempt.unit, attempt.number);
                }
                on.push(attempt);
                continue;
            };
            for name in going.iter() {
                store.holdings.remove(&attempt.unit, name, Gone::Dropped);
                store.disk.remove(&OriginKey { unit: attempt.unit.clone(), name });
                self.figures.dropped += 1;
            }
            store.dropper.end(&attempt.unit, attempt.number);
        }
        store.attempts = on;
    }

    /// In the end every copy is where it belongs, if so many stores are left that are not to be empty.
    fn check_end(&self) -> Result<(), String> {
        let live = self.live();
        let staying = live.iter().filter(|store| !store.draining).count();
        if staying < self.replication {
            return Ok(());
        }
        for held in &self.origins {
            let key = held.key();
            let has = |node: &&u64| self.stores[*node].disk.contains_key(&key);
            let holders: BTreeSet<u64> = self.stores.keys().filter(has).copied().collect();
            let first: BTreeSet<u64> = rank(&held.unit, &live).into_iter().take(self.replication).collect();
            if holders != first {
                return Err(format!("{key} is on {holders:?} instead of {first:?}"));
            }
        }
        Ok(())
    }
}

fn run(seed: u64, broken: Broken) -> Result<Figures, String> {
    let mut world = World::new(seed, broken);
    let told = |why: String| format!("seed {seed}: {why}");
    for _ in 0..FAULT_STEPS {
        world.step().map_err(told)?;
    }
    if broken != Broken::Nothing {
        return Ok(world.figures);
    }
    world.is_calm = true;
    for _ in 0..CALM_STEPS {
        world.step().map_err(told)?;
    }
    world.check_end().map_err(told)?;
    let moved = (world.figures.copied, world.figures.dropped);
    for _ in 0..CALM_STEPS / 4 {
        world.step().map_err(told)?;
    }
    if moved != (world.figures.copied, world.figures.dropped) {
        return Err(told("moving does not end".into()));
    }
    Ok(world.figures)
}

/// How many seeds; `WEIR_LONG` runs many more.
fn seeds(few: u64) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var_os("WEIR_LONG").is_some() => (0..few * 50).collect(),
        Err(_) => (0..few).collect(),
    }
}

#[test]
fn there_are_never_fewer_than_r_copies_and_in_the_end_each_is_where_it_belongs() {
    let mut all = Figures::default();
    for seed in seeds(60) {
        let figures = run(seed, Broken::Nothing).unwrap_or_else(|why| panic!("{why}"));
        all.dropped += figures.dropped;
        all.copied += figures.copied;
        all.crashes += figures.crashes;
        all.at_once = all.at_once.max(figures.at_once);
    }
    println!("{all:?}");
    assert!(all.dropped > 0 && all.copied > 0 && all.crashes > 0 && all.at_once > 1);
}

#[test]
fn every_broken_way_to_let_go_is_caught() {
    for broken in [
        Broken::SaysYes,
        Broken::CountsLateAnswers,
        Broken::TrustsWhatIsAnnounced,
        Broken::CountsTwice,
        Broken::ContentWithFewer,
        Broken::EndsEarly,
    ] {
        let caught = (0..500).find_map(|seed| run(seed, broken).err());
        println!("{broken:?}: {}", caught.unwrap_or_else(|| panic!("{broken:?} is not caught")));
    }
}
