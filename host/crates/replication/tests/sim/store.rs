//! A simulated store.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use weir_replication::{
    Applied, Changes, Failure, Gone, Held, Holdings, Mirror, OriginKey, Place, Position, Puller,
};
use weir_segment::RecordDigest;

use super::net::Message;
use super::{Broken, World};

const ANSWER_MS: u64 = 1500;
/// So soon that what a store tells by digest may still lie in a log, and late enough that most changes come in between.
const QUIET_MS: u64 = 100;

/// What a store waits for, and until when.
type Open = BTreeMap<(u64, OriginKey), u64>;

/// Disk and memory of a store.
pub(crate) struct Store {
    pub(crate) id: u64,
    /// On disk: per origin what its records really hash to.
    pub(crate) disk: BTreeMap<OriginKey, RecordDigest>,
    kept: BTreeMap<OriginKey, Held>,
    /// On disk: what was damaged.
    quarantine: BTreeSet<OriginKey>,
    /// What is damaged and told nevertheless.
    pub(crate) hidden: BTreeSet<OriginKey>,
    pub(crate) down_until_ms: u64,
    process: u64,
    pub(crate) holdings: Holdings,
    puller: Puller,
    mirrors: BTreeMap<u64, Mirror>,
    asked: BTreeMap<u64, u64>,
    fetching: Open,
    confirming: Open,
    offered: BTreeMap<OriginKey, Held>,
}

impl Store {
    pub(crate) fn new(id: u64, rng: &mut Rng) -> Store {
        Store {
            id,
            disk: BTreeMap::new(),
            kept: BTreeMap::new(),
            quarantine: BTreeSet::new(),
            hidden: BTreeSet::new(),
            down_until_ms: 0,
            process: rng.u64(..),
            holdings: Holdings::new(id, Place::Store, rng.u64(..)).quiet_after(Some(QUIET_MS)),
            puller: Puller::new(id),
            mirrors: BTreeMap::new(),
            asked: BTreeMap::new(),
            fetching: Open::new(),
            confirming: Open::new(),
            offered: BTreeMap::new(),
        }
    }

    fn keep(&mut self, held: &Held, digest: RecordDigest) {
        self.disk.insert(held.key(), digest);
        self.kept.insert(held.key(), held.clone());
        self.quarantine.remove(&held.key());
        self.holdings.add(held.clone()).unwrap();
    }
}

fn restart(store: &mut Store, rng: &mut Rng, down_until_ms: u64) {
    let mut fresh = Store::new(store.id, rng);
    fresh.down_until_ms = down_until_ms;
    fresh.disk = std::mem::take(&mut store.disk);
    fresh.kept = std::mem::take(&mut store.kept);
    for held in fresh.kept.values() {
        fresh.holdings.add(held.clone()).unwrap();
    }
    fresh.quarantine = std::mem::take(&mut store.quarantine);
    for key in &fresh.quarantine {
        assert!(fresh.holdings.add_damaged(key.clone()));
    }
    *store = fresh;
}

/// The machine burns down, and an empty one takes its place.
fn replace(world: &mut World, id: u64) {
    let Some(lost) = world.stores.remove(&id) else { return };
    world.damaged.extend(lost.disk.into_keys());
    world.figures.lost += 1;
    world.stores.insert(id + 100, Store::new(id + 100, &mut world.rng));
}

pub(crate) fn tick(world: &mut World, id: u64) {
    let now_ms = world.now_ms;
    // Of one that nobody who asks has heard of, nobody can tell that it was lost.
    if world.shape.is_rough && world.asker.has_heard(id) && world.strikes(800) {
        return replace(world, id);
    }
    let is_found = world.rng.bool();
    let (restarts, is_new_view) = (world.strikes(150), world.strikes(20));
    let loses = world.shape.is_rough && world.strikes(100);
    // A node that has just started has no view yet; the true one comes once the faults are over.
    let view = (is_new_view || !world.has_faults || now_ms.is_multiple_of(1000)).then(|| world.view());
    let ingest_nodes: Vec<u64> = world.ingest.keys().copied().collect();
    let (is_rough, replication, has_faults) =
        (world.shape.is_rough, world.shape.replication, world.has_faults);
    let (rng, net) = (&mut world.rng, &mut world.net);
    let Some(store) = world.stores.get_mut(&id).filter(|store| store.down_until_ms <= now_ms) else { return };
    if restarts {
        world.figures.restarts += 1;
        let down_ms = if is_rough { rng.u64(..5000) } else { rng.u64(..1000) };
        restart(store, rng, now_ms + down_ms);
        if is_found {
            store.holdings.found(now_ms);
        }
        return;
    }
    store.holdings.look(now_ms);
    if loses && let Some(key) = store.disk.keys().next().cloned() {
        store.disk.remove(&key);
        store.kept.remove(&key);
        if world.shape.broken == Broken::HidesDamage {
            store.hidden.insert(key.clone());
        } else {
            store.holdings.remove(&key.unit, key.name, Gone::Damaged);
        }
        store.puller.lost(&key, now_ms);
        store.quarantine.insert(key.clone());
        world.damaged.insert(key);
    }
    if let Some(view) = view {
        store.puller.set_stores(&view, replication);
    }
    let process = store.process;
    for ingest in ingest_nodes {
        let asked = store.asked.entry(ingest).or_default();
        if now_ms >= *asked {
            *asked = now_ms + ANSWER_MS;
            let mirror = store.mirrors.entry(ingest).or_insert_with(|| Mirror::new(ingest, Place::Backlog));
            let since: Position = mirror.position().to_string().parse().unwrap();
            net.send(rng, now_ms, has_faults, &Message::Ask { store: id, process, ingest, since });
        }
    }
    for is_pull in [true, false] {
        let open = if is_pull { &mut store.fetching } else { &mut store.confirming };
        let late: Vec<(u64, OriginKey)> =
            open.iter().filter(|(_, until_ms)| **until_ms <= now_ms).map(|(key, _)| key.clone()).collect();
        for (ingest, key) in late {
            open.remove(&(ingest, key.clone()));
            store.puller.failed(ingest, &key, Failure::Peer, now_ms);
        }
    }
    let work = store.puller.next(now_ms, 4, &store.holdings);
    assert!(store.puller.in_flight() <= 4);
    for pull in work.pulls {
        let (ingest, key) = (pull.from, pull.held.key());
        store.fetching.insert((ingest, key.clone()), now_ms + ANSWER_MS);
        store.offered.insert(key.clone(), pull.held);
        net.send(rng, now_ms, has_faults, &Message::Fetch { store: id, process, ingest, key });
    }
    for confirm in work.confirms {
        let (ingest, key, digest, how) = (confirm.to, confirm.key, confirm.digest, confirm.confirmation);
        store.confirming.insert((ingest, key.clone()), now_ms + ANSWER_MS);
        net.send(rng, now_ms, has_faults, &Message::Confirm { store: id, process, ingest, key, digest, how });
    }
}

pub(crate) fn take(world: &mut World, message: Message) -> Result<(), String> {
    let (id, for_process) = match &message {
        Message::Told { store, process, .. }
        | Message::File { store, process, .. }
        | Message::Refused { store, process, .. }
        | Message::Noted { store, process, .. } => (*store, *process),
        _ => return Ok(()),
    };
    let (now_ms, broken, has_faults) = (world.now_ms, world.shape.broken, world.has_faults);
    let Some(store) = world.stores.get_mut(&id) else { return Ok(()) };
    if store.down_until_ms > now_ms || store.process != for_process {
        return Ok(());
    }
    match message {
        Message::Told { ingest, changes, .. } => told(store, ingest, &changes, now_ms)?,
        Message::File { ingest, key, digest, .. } => {
            // A repeat of what was taken.
            if store.fetching.remove(&(ingest, key.clone())).is_none() {
                return Ok(());
            }
            let Some(held) = store.offered.remove(&key) else { return Ok(()) };
            if broken == Broken::ConfirmsEarly && has_faults && world.rng.u32(..8) == 0 {
                // It says so, and crashes before the file is synced.
                let (process, how) = (for_process, weir_replication::Confirmation::Held);
                let confirm = Message::Confirm { store: id, process, ingest, key, digest, how };
                world.net.send(&mut world.rng, now_ms, has_faults, &confirm);
                restart(store, &mut world.rng, now_ms);
            } else if digest == held.digest || broken == Broken::IgnoresDigests {
                store.keep(&held, digest);
                store.puller.kept(ingest, &key, now_ms);
            } else {
                let why = Failure::Origin("it did not verify".into());
                store.puller.failed(ingest, &key, why, now_ms);
                let failed = Message::Failed { store: id, ingest, key };
                world.net.send(&mut world.rng, now_ms, has_faults, &failed);
            }
        }
        Message::Refused { ingest, key, retry_ms, .. } => {
            if store.fetching.remove(&(ingest, key.clone())).is_none() {
                return Ok(());
            }
            let why = retry_ms.map_or(Failure::Unknown, |retry_ms| Failure::Busy { retry_ms });
            store.puller.failed(ingest, &key, why, now_ms);
        }
        Message::Noted { ingest, key, is_known, .. } => {
            if store.confirming.remove(&(ingest, key.clone())).is_none() {
                return Ok(());
            }
            if is_known {
                store.puller.confirmed(ingest, &key, now_ms);
            } else {
                store.puller.failed(ingest, &key, Failure::Unknown, now_ms);
            }
        }
        _ => {}
    }
    Ok(())
}

fn told(store: &mut Store, ingest: u64, bytes: &[u8], now_ms: u64) -> Result<(), String> {
    let changes = Changes::decode(bytes).map_err(|error| error.to_string())?;
    let has_more = changes.has_more();
    let Some(mirror) = store.mirrors.get_mut(&ingest) else { return Ok(()) };
    // Late and repeated answers do not follow: nothing is taken of them.
    let Ok(applied) = mirror.apply(changes) else { return Ok(()) };
    let Applied { added, .. } = &applied;
    let is_new = !added.is_empty() || !applied.gone.is_empty();
    store.puller.applied(ingest, &applied, &store.holdings, now_ms);
    store.asked.insert(ingest, if has_more || is_new { now_ms } else { now_ms + 200 });
    Ok(())
}
