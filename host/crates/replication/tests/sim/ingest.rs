//! A simulated ingest node.

use std::collections::BTreeMap;

use fastrand::Rng;
use weir_replication::{
    Completed, Confirmed, Held, Holdings, Ledger, LogPart, Offers, OriginKey, Place, Refused, Ticket,
    TimeRange, Waiting, partition_of, partitions_for,
};
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use super::net::Message;
use super::{Broken, Group, World};

const BUCKET_MS: u64 = 3_600_000;
const LATE_MS: u64 = 9 * 60_000;

/// Disk and memory of a node.
pub(crate) struct Ingest {
    /// On disk: the pieces of the log that are not sealed, and into what they will be sealed.
    pub(crate) log: BTreeMap<u64, Vec<Group>>,
    /// On disk: sealed origins.
    pub(crate) disk: BTreeMap<OriginKey, Held>,
    /// The piece that left the log last: after a crash it may be in it again.
    left: Option<(u64, Vec<Group>)>,
    next_piece: u64,
    pub(crate) epoch: u64,
    /// When it is up again.
    pub(crate) down_until_ms: u64,
    pub(crate) backlog: Holdings,
    pub(crate) offers: Offers,
    ledger: Ledger,
    pub(crate) tickets: BTreeMap<Ticket, u64>,
}

impl Ingest {
    pub(crate) fn new(id: u64, replication: usize, rng: &mut Rng) -> Ingest {
        Ingest {
            log: BTreeMap::new(),
            disk: BTreeMap::new(),
            left: None,
            next_piece: 0,
            epoch: rng.u64(..) & !1,
            down_until_ms: 0,
            backlog: Holdings::new(id, Place::Backlog, rng.u64(..)),
            offers: Offers::new(replication),
            ledger: Ledger::new(0),
            tickets: BTreeMap::new(),
        }
    }

    pub(crate) fn log_part(&self) -> LogPart {
        let mut part = LogPart::default();
        for (&piece, groups) in &self.log {
            for group in groups {
                let epoch = group.name.log_epoch();
                if !part.pieces.iter().any(|(known, _)| *known == epoch) {
                    part.pieces.push((epoch, piece));
                }
                part.times.push(TimeRange::new(group.low_ms, group.high_ms));
                if group.unit.is_keyed() || group.name.is_of_repeats() {
                    part.contested.push(TimeRange::new(group.low_ms, group.high_ms));
                }
            }
        }
        part.pieces
            .push((self.epoch, self.next_piece.min(self.log.keys().next().copied().unwrap_or(u64::MAX))));
        part
    }

    /// Time of the oldest record that is here.
    pub(crate) fn unconsumed_ms(&self) -> Option<u64> {
        let logged = self.log.values().flatten().map(|group| group.low_ms);
        logged.chain(self.disk.values().map(|held| held.low_ms)).min()
    }
}

/// Records arrive, pieces are sealed, processes end.
pub(crate) fn tick(world: &mut World, id: u64) -> Result<(), String> {
    let now_ms = world.now_ms;
    if world.ingest[&id].down_until_ms > now_ms {
        return Ok(());
    }
    if world.strikes(150) {
        restart(world, id);
        return Ok(());
    }
    if world.has_faults && world.rng.u32(..6) == 0 {
        arrive(world, id);
    }
    let Some(node) = world.ingest.get_mut(&id) else { return Ok(()) };
    node.offers.tick(now_ms);
    if world.rng.u32(..4) > 0 {
        return Ok(());
    }
    // A piece leaves the log in the same moment in which its origins are announced.
    let Some((piece, groups)) = node.log.pop_first() else { return Ok(()) };
    node.left = Some((piece, groups.clone()));
    let keys: Vec<OriginKey> = groups.iter().map(Held::key).collect();
    let mut done = node.ledger.sealed(piece, keys.clone());
    if world.shape.broken == Broken::AcknowledgesAtSealing {
        done.extend(keys.iter().flat_map(|key| node.ledger.confirmed(key)));
    }
    for held in groups {
        node.disk.insert(held.key(), held.clone());
        node.backlog.add(held.clone()).map_err(|error| error.to_string())?;
        node.offers.offer(held, now_ms);
        world.figures.sealed += 1;
    }
    acknowledge(world, id, &done)
}

fn arrive(world: &mut World, id: u64) {
    let (now_ms, stores) = (world.now_ms, world.stores.len());
    let rng = &mut world.rng;
    let Some(node) = world.ingest.get_mut(&id) else { return };
    let piece = node.next_piece;
    node.next_piece += 1;
    let mut groups: Vec<Group> = Vec::new();
    // A piece may have no origin at all: its records were damaged before it was sealed.
    for _ in 0..rng.u64(..4) {
        let low_ms = now_ms - rng.u64(..LATE_MS);
        let start_ms = low_ms / BUCKET_MS * BUCKET_MS;
        let mut name = OriginName { node: id, epoch: node.epoch, piece };
        let mut flags = OriginFlags::NONE;
        let partitions = partitions_for(stores);
        let partition = partition_of(name, partitions);
        let class = if rng.bool() { "default" } else { "debug" };
        let mut unit = Unit::new(start_ms, BUCKET_MS, class, partition, partitions).unwrap();
        match rng.u32(..6) {
            0 => unit = Unit::new(start_ms, BUCKET_MS, class, rng.u16(..16), 16).unwrap().keyed(),
            1 => (name, flags) = (name.of_repeats(), OriginFlags::MAYBE_REPEATED),
            _ => {}
        }
        let high_ms = (low_ms + rng.u64(..1000)).min(start_ms + BUCKET_MS - 1);
        let digest = RecordDigest(rng.u128(..).to_le_bytes());
        let group = Held { unit, name, flags, count: 1 + rng.u64(..9), low_ms, high_ms, digest, bytes: 100 };
        if groups.iter().all(|other| other.key() != group.key()) {
            groups.push(group);
        }
    }
    world.groups.extend(groups.iter().map(|group| (group.key(), group.clone())));
    node.log.insert(piece, groups);
    if rng.bool()
        && let Waiting::For(ticket) = node.ledger.wait(piece)
    {
        node.tickets.insert(ticket, piece);
    }
}

fn restart(world: &mut World, id: u64) {
    world.figures.restarts += 1;
    let (now_ms, replication) = (world.now_ms, world.shape.replication);
    let down_ms = if world.shape.is_rough { world.rng.u64(..4000) } else { world.rng.u64(..1000) };
    let rng = &mut world.rng;
    let Some(node) = world.ingest.get_mut(&id) else { return };
    if let Some((piece, groups)) = node.left.take().filter(|_| rng.bool()) {
        for held in &groups {
            node.disk.remove(&held.key());
        }
        node.log.insert(piece, groups);
    }
    node.down_until_ms = now_ms + down_ms;
    node.epoch = rng.u64(..) & !1;
    node.backlog = Holdings::new(id, Place::Backlog, rng.u64(..));
    node.offers = Offers::new(replication);
    node.ledger = Ledger::new(node.log.keys().next().copied().unwrap_or(node.next_piece));
    // Who waited has lost the connection.
    node.tickets.clear();
    for held in node.disk.values() {
        assert_eq!(node.backlog.add(held.clone()), Ok(true));
        assert!(node.offers.offer(held.clone(), now_ms));
    }
}

pub(crate) fn take(world: &mut World, message: Message) -> Result<(), String> {
    let now_ms = world.now_ms;
    let id = match &message {
        Message::Ask { ingest, .. }
        | Message::Fetch { ingest, .. }
        | Message::Confirm { ingest, .. }
        | Message::Failed { ingest, .. } => *ingest,
        _ => return Ok(()),
    };
    let has_corruption = world.strikes(20);
    let broken = world.shape.broken;
    let Some(node) = world.ingest.get_mut(&id).filter(|node| node.down_until_ms <= now_ms) else {
        return Ok(());
    };
    let mut completed = None;
    let answer = match message {
        Message::Ask { store, process, ingest, since } => {
            // Small pages, so that listings are cut.
            let changes = node.backlog.changes_since(&since, 2500).encode();
            Some(Message::Told { store, process, ingest, changes })
        }
        Message::Fetch { store, process, ingest, key } => {
            Some(match node.offers.claim(store, &key, now_ms) {
                Ok(claim) => {
                    let mut digest = claim.held.digest;
                    digest.0[0] ^= u8::from(has_corruption);
                    Message::File { store, process, ingest, key, digest }
                }
                Err(Refused::Unknown) => Message::Refused { store, process, ingest, key, retry_ms: None },
                Err(Refused::Busy { retry_ms }) => {
                    Message::Refused { store, process, ingest, key, retry_ms: Some(retry_ms) }
                }
            })
        }
        Message::Confirm { store, process, ingest, key, digest, how } => {
            let as_store = match broken {
                Broken::CountsRepeats => store + 1000 * world.rng.u64(1..4),
                _ => store,
            };
            let confirmed = node.offers.confirm(as_store, &key, digest, how);
            let is_known = confirmed.is_ok();
            match confirmed {
                Ok(Confirmed::Complete(done)) => completed = Some(done),
                Ok(Confirmed::First) if broken == Broken::DeletesEarly => {
                    let held = node.offers.withdraw(&key).unwrap();
                    completed = Some(Completed { held, stores: vec![store], expired: 0 });
                }
                _ => {}
            }
            Some(Message::Noted { store, process, ingest, key, is_known })
        }
        Message::Failed { store, key, .. } => {
            node.offers.failed(store, &key, "it did not verify", now_ms);
            None
        }
        _ => None,
    };
    if let Some(answer) = answer {
        world.net.send(&mut world.rng, now_ms, world.has_faults, &answer);
    }
    completed.map_or(Ok(()), |completed| delete(world, id, &completed))
}

fn delete(world: &mut World, id: u64, completed: &Completed) -> Result<(), String> {
    let key = completed.held.key();
    let copies = world.copies(&key, completed.held.digest);
    if copies < world.shape.replication && !world.damaged.contains(&key) {
        return Err(format!("{key} is deleted with {copies} copies"));
    }
    world.figures.deleted += 1;
    let Some(node) = world.ingest.get_mut(&id) else { return Ok(()) };
    node.disk.remove(&key);
    node.backlog.remove(&key.unit, key.name, completed.gone());
    let done = node.ledger.confirmed(&key);
    acknowledge(world, id, &done)
}

fn acknowledge(world: &mut World, id: u64, done: &[Ticket]) -> Result<(), String> {
    for ticket in done {
        let node = world.ingest.get_mut(&id).unwrap();
        let piece = node.tickets.remove(ticket).ok_or("a ticket came back twice")?;
        let epoch = node.epoch;
        world.figures.acknowledged += 1;
        for (key, group) in &world.groups {
            if (key.name.node, key.name.log_epoch(), key.name.piece) != (id, epoch, piece) {
                continue;
            }
            let copies = world.copies(key, group.digest);
            if copies < world.shape.replication && !world.damaged.contains(key) {
                return Err(format!("piece {piece} is acknowledged, but {key} has {copies} copies"));
            }
        }
    }
    Ok(())
}
