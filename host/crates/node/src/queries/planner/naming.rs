//! Names of origins in units that are known by digest alone: asked for where a plan needs them, given up where none does.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use weir_record::limits::REPAIR_UNITS_PER_STEP;
use weir_replication::{Answering, Held, ListSize, Mirror, Told, named, settle, wanted, wanted_of};
use weir_segment::Unit;

use super::asking::{Asked, in_time};
use super::{Planner, Reach, Wanted, answering};

impl Planner {
    /// Asks for the names without which nothing can be planned, some of each node at a time. They are those of the
    /// snapshots: what has changed since does not matter. A node that does not tell them is silent.
    pub(super) async fn name(&self, asked: &mut Vec<Asked>, wanting: &[&Wanted]) {
        loop {
            let needed = self.needed(asked, wanting);
            if needed.is_empty() {
                return;
            }
            self.ask_names(asked, needed).await;
        }
    }

    /// Asks for names of some units that are quiet and of which nodes have different sets: when one of them is lost, it
    /// cannot be asked what it had.
    pub(super) async fn name_some(&self, asked: &mut Vec<Asked>) {
        let units: Vec<Unit> = self.differing.lock().iter().take(REPAIR_UNITS_PER_STEP).cloned().collect();
        let wanted = wanted_of(&answering(asked), units.iter(), &self.knowledge.lock());
        let needed = askable(&answering(asked), wanted);
        self.differing.lock().retain(|unit| !units.contains(unit));
        self.ask_names(asked, needed).await;
    }

    async fn ask_names(&self, asked: &mut Vec<Asked>, needed: BTreeMap<u64, Vec<Unit>>) {
        let asking = needed.iter().filter_map(|(id, units)| {
            let of = asked.iter().find(|asked| asked.id == *id)?;
            Some(async move { (*id, of.node, units, names_of(of, units).await) })
        });
        let told: Vec<_> = join_all(asking).await;
        for (id, node, units, origins) in told {
            match origins {
                Ok(origins) => self.take_names(asked, id, units, &origins),
                Err(why) => {
                    tracing::debug!(node = format!("{node:016x}"), why, "a node does not tell names");
                    give_up(asked, node);
                }
            }
        }
    }

    /// Which units of which node have to be known by name, as many as one request takes.
    fn needed(&self, asked: &[Asked], wanting: &[&Wanted]) -> BTreeMap<u64, Vec<Unit>> {
        let answering = answering(asked);
        let knowledge = self.knowledge.lock();
        let mut needed: BTreeMap<u64, BTreeSet<Unit>> = BTreeMap::new();
        for Wanted { range, owed } in wanting {
            for (id, units) in wanted(&answering, range.times, owed.as_ref(), &knowledge) {
                needed.entry(id).or_default().extend(units);
            }
        }
        askable(&answering, needed)
    }

    fn take_names(&self, asked: &mut Vec<Asked>, id: u64, units: &[Unit], origins: &[Held]) {
        let mut knowledge = self.knowledge.lock();
        for unit in units {
            let from = origins.partition_point(|held| held.unit < *unit);
            let of_unit = &origins[from..];
            let of_unit = &of_unit[..of_unit.partition_point(|held| held.unit == *unit)];
            let mirrors = asked.iter_mut().filter_map(|asked| asked.mirror.as_mut());
            named(&mut knowledge, mirrors, unit, of_unit);
        }
        drop(knowledge);
        self.quiet.lock().extend(units.iter().cloned());
        let is_lacking = |asked: &&Asked| {
            let sets = asked.mirror.as_ref().map(Mirror::sets);
            asked.id == id && sets.is_some_and(|sets| units.iter().any(|unit| sets.get(unit).is_some()))
        };
        if let Some(node) = asked.iter().find(is_lacking).map(|asked| asked.node) {
            tracing::error!(
                node = format!("{node:016x}"),
                "a store has told names that its digests disprove: report this"
            );
            give_up(asked, node);
        }
    }

    /// Gives up names that nobody needs any more.
    pub(super) fn settle(&self, asked: &mut [Asked]) {
        let quiet = std::mem::take(&mut *self.quiet.lock());
        let mut knowledge = self.knowledge.lock();
        let mut mirrors: Vec<&mut Mirror> =
            asked.iter_mut().filter_map(|asked| asked.mirror.as_mut()).collect();
        let left = quiet.into_iter().filter(|unit| !settle(&mut knowledge, &mut mirrors, unit));
        self.differing.lock().extend(left);
    }

    /// Tells how large the lists are.
    pub(super) fn measure(&self, asked: &[Asked]) {
        let sizes = asked.iter().filter_map(|asked| asked.mirror.as_ref()).map(Mirror::size);
        self.metrics.lists("query", sizes.fold(ListSize::default(), ListSize::and));
    }
}

/// As much of it as one request to each node takes.
fn askable(answering: &[Answering<'_>], wanted: BTreeMap<u64, BTreeSet<Unit>>) -> BTreeMap<u64, Vec<Unit>> {
    let sets = |id: u64| answering.iter().find(|node| node.node == id).and_then(|node| node.sets);
    let some = |(id, units): (u64, BTreeSet<Unit>)| Some((id, sets(id)?.askable(units.iter()).0));
    wanted.into_iter().filter_map(some).collect()
}

/// The origins of some units in the snapshot of a node, in the order of their keys.
async fn names_of(asked: &Asked, units: &[Unit]) -> Result<Vec<Held>, String> {
    let sets = asked.mirror.as_ref().map(Mirror::sets);
    let told = |unit: &Unit| sets.and_then(|sets| sets.get(unit)).map_or(0, Told::origins);
    match &asked.reach {
        Reach::Own(pinned) => Ok(pinned.names_of(units).iter().collect()),
        Reach::Peer { peer, token } => {
            in_time(peer, peer.names_of(units, units.iter().map(told).sum(), Some(*token))).await?
        }
    }
}

/// Goes on as if a node had not answered.
fn give_up(asked: &mut Vec<Asked>, node: u64) {
    for given_up in asked.extract_if(.., |asked| asked.node == node) {
        if let Reach::Peer { peer, token } = given_up.reach {
            // It ends by itself, too.
            tokio::spawn(async move { peer.client.release(token).await });
        }
    }
}
