//! Who reads what: plans over the holdings of all nodes and says what is missing.
//!
//! Every node that holds records is asked twice, once for each place: first all for log and backlog, then all for
//! their stores. That is the way of a record, so it is seen in one of them at least, and what is seen twice is
//! assigned once.

mod asking;
mod naming;
mod search;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Gate, oneshot};
use tokio::time::timeout;
use weir_api::backend::peer::{NodeInfo, SnapshotToken};
use weir_query::Missing;
use weir_record::RecordId;
use weir_record::id::{ENTROPY_MAX, TIME_MS_MAX};
use weir_record::limits::PEER_BACK_MS;
use weir_replication::catalog::bucket;
use weir_replication::completeness::{MissingRange, Who, Why};
use weir_replication::{Answering, Applied, Knowledge, Mirror, Owed, Place, TimeRange, assign_owed};

use weir_segment::Unit;

use crate::clock;
use crate::metrics::Metrics;
use crate::peers::{Peer, Peers};
use crate::snapshots::{Holder, Pinned};
use asking::Asked;
pub(crate) use search::{Search, Task};

/// Plans queries.
pub(crate) struct Planner {
    own: u64,
    holder: Holder,
    peers: Arc<Peers>,
    /// How far back records may lie that still arrive.
    retention_ms: u64,
    /// One round of questions at a time: each holds mirrors of all nodes while plans are made.
    turn: Gate<()>,
    /// Who waits for the next round.
    waiting: Mutex<Vec<(Wanted, oneshot::Sender<Planned>)>>,
    mirrors: Mutex<BTreeMap<(String, Place), Shared>>,
    knowledge: Mutex<Knowledge>,
    /// Units that have become quiet, or whose names were asked for, since it was last looked whether these are needed.
    quiet: Mutex<BTreeSet<Unit>>,
    /// Those of them of which nodes had different sets, or not what is known to exist.
    differing: Mutex<BTreeSet<Unit>>,
    metrics: Arc<Metrics>,
}

/// The mirror of one place of one node.
type Shared = Arc<Gate<Option<Mirror>>>;

/// A plan.
pub(crate) struct Planned {
    /// What is searched.
    pub(crate) searches: Vec<Search>,
    /// What nobody can search.
    pub(crate) missing: Vec<Missing>,
    /// Between which ids, the end exclusive, a record may be read twice.
    pub(crate) contested: Option<(RecordId, RecordId)>,
    /// The lowest and the highest id of all that the nodes hold which have answered.
    pub(crate) ids: Option<(RecordId, RecordId)>,
}

/// How a node is reached.
#[derive(Clone)]
pub(crate) enum Reach {
    /// It is this one.
    Own(Arc<Pinned>),
    /// It is another one, which keeps a snapshot.
    Peer {
        /// Where.
        peer: Arc<Peer>,
        /// Its snapshot.
        token: SnapshotToken,
    },
}

/// What somebody wants to be planned.
struct Wanted {
    range: Range,
    owed: Option<Owed>,
}

/// What is planned over.
#[derive(Clone, Copy)]
struct Range {
    from: RecordId,
    to: RecordId,
    times: TimeRange,
}

impl Planner {
    /// A planner on node `own`. `knowledge` is what was remembered.
    pub(crate) fn new(
        own: u64,
        holder: Holder,
        peers: Arc<Peers>,
        retention_ms: u64,
        knowledge: Knowledge,
        metrics: Arc<Metrics>,
    ) -> Arc<Planner> {
        let knowledge = Mutex::new(knowledge);
        Arc::new(Planner {
            own,
            holder,
            peers,
            retention_ms,
            turn: Gate::default(),
            waiting: Mutex::default(),
            mirrors: Mutex::default(),
            knowledge,
            quiet: Mutex::default(),
            differing: Mutex::default(),
            metrics,
        })
    }

    /// What is known to exist, to be remembered.
    pub(crate) fn knowledge(&self) -> Vec<u8> {
        self.knowledge.lock().encode()
    }

    /// Looks at all nodes, so that what they hold is known when one of them is lost.
    pub(crate) async fn look(&self) {
        let _turn = self.turn.lock().await;
        let mut all = self.ask_all(&Range::new(RecordId::MIN, RecordId::MIN), &[]).await;
        self.name_some(&mut all).await;
        self.measure(&all);
        for asked in all {
            if let Reach::Peer { peer, token } = asked.reach {
                // It ends by itself, too.
                let _ = peer.client.release(token).await;
            }
        }
    }

    /// A node has left with nothing that others lack.
    pub(crate) fn left(&self, node: u64) {
        self.knowledge.lock().left(node);
    }

    /// An operator says that a node will not come back.
    pub(crate) fn forget(&self, node: u64) {
        self.knowledge.lock().forget(node);
    }

    /// Asks the nodes of failed searches, by their addresses, anew whether they are there at all.
    pub(crate) async fn look_again(&self, failed: impl Iterator<Item = &str>) {
        let urls: BTreeSet<&str> = failed.collect();
        let peers = self.peers.others().into_iter().filter(|peer| urls.contains(&*peer.url));
        join_all(peers.map(|peer| async move { peer.ask(self.own).await })).await;
    }

    /// Plans for a range of ids, the end exclusive: all of it, or what is owed of an earlier plan. Nodes at the
    /// addresses to be avoided are not asked.
    ///
    /// All that wait for the same turn are planned over the same answers, for a snapshot is not of a range: however
    /// many queries come at a time, they wait for one round of questions that is under way, and for one more.
    pub(crate) async fn plan(
        &self,
        (from, to): (RecordId, RecordId),
        owed: Option<&Owed>,
        avoid: &[String],
    ) -> Planned {
        let wanted = || Wanted { range: Range::new(from, to), owed: owed.cloned() };
        if !avoid.is_empty() {
            let _turn = self.turn.lock().await;
            let mut asked = self.ask_all(&Range::new(from, to), avoid).await;
            let wanted = wanted();
            self.name(&mut asked, &[&wanted]).await;
            return self.planned(&asked, &wanted);
        }
        loop {
            let (send, mut planned) = oneshot::channel();
            self.waiting.lock().push((wanted(), send));
            let turn = tokio::select! {
                biased;
                planned = &mut planned => match planned {
                    Ok(planned) => return planned,
                    // Whoever had the turn has gone away.
                    Err(_) => continue,
                },
                turn = self.turn.lock() => turn,
            };
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if let Some(range) = waiting.iter().map(|(wanted, _)| wanted.range).reduce(Range::and) {
                let wanted: Vec<&Wanted> = waiting.iter().map(|(wanted, _)| wanted).collect();
                let mut asked = self.ask_all(&range, &[]).await;
                self.name(&mut asked, &wanted).await;
                let mut plans: Vec<Planned> =
                    waiting.iter().map(|(wanted, _)| self.planned(&asked, wanted)).collect();
                let lacks = plans.iter().any(|plan| !plan.missing.is_empty());
                // Both: nodes that are back are looked for whether copies move or not.
                if lacks && (self.some_are_back().await || self.copies_move()) {
                    drop(asked);
                    let mut asked = self.ask_all(&range, &[]).await;
                    self.name(&mut asked, &wanted).await;
                    plans = waiting.iter().map(|(wanted, _)| self.planned(&asked, wanted)).collect();
                }
                for ((_, send), plan) in waiting.into_iter().zip(plans) {
                    let _ = send.send(plan);
                }
            }
            drop(turn);
            if let Ok(planned) = planned.await {
                return planned;
            }
        }
    }

    /// Whether copies move between stores: one that has come to the first after it was asked may have gone from the
    /// second before that was asked.
    fn copies_move(&self) -> bool {
        let moves = |info: NodeInfo| !info.work.is_empty();
        self.peers.others().iter().any(|peer| peer.info().is_some_and(moves))
    }

    /// Before anything is said to be missing: whether nodes that were gone a moment ago are back.
    async fn some_are_back(&self) -> bool {
        let gone = self.peers.others().into_iter().filter(|peer| peer.may_be_back());
        let asking = gone.map(|peer| async move {
            let asked = timeout(Duration::from_millis(PEER_BACK_MS), peer.ask(self.own)).await;
            asked.is_ok() && peer.is_up()
        });
        join_all(asking).await.contains(&true)
    }

    /// The plan over what was answered.
    fn planned(&self, asked: &[Asked], wanted: &Wanted) -> Planned {
        let Wanted { range: Range { from, to, times }, owed } = wanted;
        let (from, to, times, owed) = (*from, *to, *times, owed.as_ref());
        let answering = answering(asked);
        let assignment = assign_owed(&answering, times, Some(self.own), owed);
        let missing = self.knowledge.lock().missing_of(&answering, times, owed);
        let mut lacking: Vec<Missing> = missing.ranges.iter().map(|range| told(range, &self.peers)).collect();
        lacking.extend(assignment.unreachable.iter().map(|(unit, origins)| {
            let (node, place) = (String::new(), format!("unit {unit}, {} origins", origins.len()));
            let why = "they are where they cannot be read without reading others twice; ask again".to_owned();
            let (from, to) = ends(bucket(unit).within(times));
            Missing { node, place, from, to, why }
        }));
        lacking.extend(assignment.refused.iter().map(|node| Missing {
            node: self.peers.name_of(*node),
            place: "its log".to_owned(),
            from,
            to,
            why: "it was started again, and has more in its log than can be told apart; ask again".to_owned(),
        }));
        if missing.more > 0 {
            let (node, place) = (String::new(), format!("{} further ranges", missing.more));
            lacking.push(Missing { node, place, from, to, why: "no node that answered holds them".into() });
        }
        let mut parts = assignment.parts;
        let searches = asked.iter().filter_map(|asked| {
            let part = parts.remove(&asked.id)?;
            Some(Search::new(asked.address.clone(), asked.reach.clone(), asked.id, part))
        });
        let searches = searches.collect();
        let contested = assignment.contested.first().zip(assignment.contested.last());
        let contested = contested.map(|(first, last)| {
            let (low, high) = ends(TimeRange::new(first.from_ms, last.to_ms));
            (low.max(from), high.checked_add(1).unwrap_or(RecordId::MAX).min(to))
        });
        let ids = asked.iter().filter_map(|asked| asked.ids).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Planned { searches, missing: lacking, contested, ids }
    }

    fn learn(&self, mirror: &Mirror, applied: &Applied) {
        for unit in &applied.contradicted {
            let node = format!("{:016x}", mirror.node());
            tracing::error!(node, %unit, "a store held other origins than it had told: report this");
        }
        let mut knowledge = self.knowledge.lock();
        knowledge.applied(mirror.node(), mirror.place(), applied, clock::now_ms());
        if applied.has_gap && mirror.place() == Place::Store {
            knowledge.listed(mirror);
        }
        drop(knowledge);
        self.quiet.lock().extend(applied.quiet.iter().map(|told| told.unit.clone()));
    }

    fn mirror(&self, url: &str, place: Place) -> Shared {
        Arc::clone(self.mirrors.lock().entry((url.to_owned(), place)).or_default())
    }
}

/// What the nodes have that have answered, as a plan sees it.
fn answering(asked: &[Asked]) -> Vec<Answering<'_>> {
    let answering = asked.iter().map(|asked| Answering {
        node: asked.id,
        catalogs: asked.mirror.iter().map(Mirror::catalog).collect(),
        sets: asked.mirror.as_ref().map(Mirror::sets),
        log: asked.log.clone(),
        unreadable: BTreeMap::new(),
    });
    answering.collect()
}

impl Range {
    fn new(from: RecordId, to: RecordId) -> Range {
        let to_ms = match to {
            RecordId::MAX => u64::MAX,
            to => to.to_u128().checked_sub(1).map_or(0, |last| RecordId::from_u128(last).time_ms()),
        };
        Range { from, to, times: TimeRange::new(from.time_ms(), to_ms) }
    }

    /// All of both, and what lies between.
    fn and(self, other: Range) -> Range {
        Range::new(self.from.min(other.from), self.to.max(other.to))
    }
}

/// What is missing, as it is told to people.
fn told(range: &MissingRange, peers: &Peers) -> Missing {
    let node = match &range.who {
        // Who sealed an origin is of no help to whoever looks for it: the stores that had it are.
        _ if !range.silent_stores.is_empty() => {
            let stores: Vec<String> = range.silent_stores.iter().map(|id| peers.name_of(*id)).collect();
            stores.join(", ")
        }
        Who::Node(id) => peers.name_of(*id),
        Who::Address(address) => address.clone(),
        Who::Nobody => String::new(),
    };
    let place = match &range.unit {
        Some(unit) => format!("unit {unit}, {} origins", range.origins),
        None => "its records".to_owned(),
    };
    let why = match range.why {
        Why::HeldByNobody => "no node that answers holds them",
        Why::IngestSilent => "the ingest node does not answer",
        Why::StoreSilent => "the store does not answer",
        Why::NeverHeard => "the node ought to answer and never has",
        Why::Forgotten => "there were more units than can be remembered",
    };
    let (from, to) = ends(range.times);
    Missing { node, place, from, to, why: why.to_owned() }
}

/// The first and the last id of some times.
fn ends(times: TimeRange) -> (RecordId, RecordId) {
    let to = match times.to_ms {
        u64::MAX => RecordId::MAX,
        to_ms => RecordId::from_parts(to_ms.min(TIME_MS_MAX), ENTROPY_MAX),
    };
    (RecordId::lowest_at(times.from_ms), to)
}
