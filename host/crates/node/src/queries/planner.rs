//! Who reads what: plans over the holdings of all nodes and says what is missing.
//!
//! Every node that holds records is asked twice, once for each place: first all for log and backlog, then all for
//! their stores. That is the way of a record, so it is seen in one of them at least, and what is seen twice is
//! assigned once.

mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Gate, OwnedMutexGuard};
use tokio::time::timeout;
use weir_api::backend::peer::{
    ChangesRequest, NodeInfo, Origins, PlanAnswer, PlanRequest, Role, SnapshotToken, UnitOrigins,
};
use weir_query::Missing;
use weir_record::RecordId;
use weir_record::limits::PLAN_TIMEOUT_MS;
use weir_replication::assign::LogPart;
use weir_replication::completeness::{MissingRange, Who, Why};
use weir_replication::{
    Answering, Applied, Changes, Contact, Knowledge, Mirror, OriginSet, Part, Place, Read, TimeRange, assign,
};

use crate::clock;
use crate::peers::{Peer, Peers};
use crate::snapshots::{Holder, Pinned};

/// Plans queries.
pub(crate) struct Planner {
    own: u64,
    holder: Holder,
    peers: Arc<Peers>,
    /// How far back records may lie that still arrive.
    retention_ms: u64,
    /// One plan at a time: each holds mirrors of all nodes while it is made.
    turn: Gate<()>,
    mirrors: Mutex<BTreeMap<(String, Place), Shared>>,
    knowledge: Mutex<Knowledge>,
}

/// The mirror of one place of one node.
type Shared = Arc<Gate<Option<Mirror>>>;

/// A plan.
pub(crate) struct Planned {
    /// What is searched.
    pub(crate) searches: Vec<Search>,
    /// What nobody can search.
    pub(crate) missing: Vec<Missing>,
}

/// What one node searches in one place.
pub(crate) struct Search {
    /// What to call the node.
    pub(crate) node: String,
    /// How it is reached.
    pub(crate) reach: Reach,
    /// Whether its log is searched, too.
    pub(crate) log: bool,
    /// Which origins.
    pub(crate) units: Vec<UnitOrigins>,
}

/// How a node is reached.
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

/// The answer of one node for one place. While it is held, its mirror stands where the snapshot does.
struct Asked {
    id: u64,
    node: u64,
    address: String,
    mirror: OwnedMutexGuard<Option<Mirror>>,
    log: Option<LogPart>,
    contact: Contact,
    reach: Reach,
}

/// What is planned over.
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
    ) -> Arc<Planner> {
        let knowledge = Mutex::new(knowledge);
        Arc::new(Planner {
            own,
            holder,
            peers,
            retention_ms,
            turn: Gate::default(),
            mirrors: Mutex::default(),
            knowledge,
        })
    }

    /// What is known to exist, to be remembered.
    pub(crate) fn knowledge(&self) -> Vec<u8> {
        self.knowledge.lock().encode()
    }

    /// Looks at all nodes, so that what they hold is known when one of them is lost.
    pub(crate) async fn look(&self) {
        let _turn = self.turn.lock().await;
        for asked in self.ask_all(&Range::new(RecordId::MIN, RecordId::MIN)).await {
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

    /// Asks the nodes of failed searches anew whether they are there at all.
    pub(crate) async fn look_again<'a>(&self, failed: impl Iterator<Item = &'a Search>) {
        let peers = failed.filter_map(|search| match &search.reach {
            Reach::Peer { peer, .. } => Some(Arc::clone(peer)),
            Reach::Own(_) => None,
        });
        join_all(peers.map(|peer| async move { peer.ask(self.own).await })).await;
    }

    /// Plans for a range of ids, the end exclusive.
    pub(crate) async fn plan(&self, from: RecordId, to: RecordId) -> Planned {
        let range = Range::new(from, to);
        let _turn = self.turn.lock().await;
        let asked = self.ask_all(&range).await;
        let answering: Vec<Answering<'_>> = asked
            .iter()
            .map(|asked| Answering {
                node: asked.id,
                catalogs: asked.mirror.iter().map(Mirror::catalog).collect(),
                log: asked.log.clone(),
                unreadable: BTreeMap::new(),
            })
            .collect();
        let assignment = assign(&answering, range.times, Some(self.own));
        let missing = self.knowledge.lock().missing(&answering, range.times);
        let mut lacking: Vec<Missing> = missing.ranges.iter().map(|range| told(range, &self.peers)).collect();
        if missing.more > 0 {
            let (node, place) = (String::new(), format!("{} further ranges", missing.more));
            lacking.push(Missing { node, place, from, to, why: "no node that answered holds them".into() });
        }
        drop(answering);
        let mut parts = assignment.parts;
        let searches = asked.into_iter().filter_map(|asked| {
            let Part { log, units } = parts.remove(&asked.id)?;
            let units = units.into_iter().map(|(unit, read)| UnitOrigins { unit, origins: origins(read) });
            Some(Search { node: asked.address, reach: asked.reach, log, units: units.collect() })
        });
        Planned { searches: searches.collect(), missing: lacking }
    }

    /// Asks every node that answers, in the order that matters.
    async fn ask_all(&self, range: &Range) -> Vec<Asked> {
        let others = self.peers.others();
        let unknown = others.iter().filter(|peer| peer.info().is_none());
        join_all(unknown.map(|peer| peer.ask(self.own))).await;
        let peers: Vec<(Arc<Peer>, NodeInfo)> = self
            .peers
            .others()
            .into_iter()
            .filter(|peer| peer.is_up())
            .filter_map(|peer| peer.info().map(|info| (peer, info)))
            .filter(|(_, info)| info.node != self.own)
            .collect();
        let asked_ms = clock::now_ms();
        let mut all: Vec<Asked> = Vec::new();
        let mut silent: Vec<u64> = Vec::new();
        for (place, role) in [(Place::Backlog, Role::Ingest), (Place::Store, Role::Store)] {
            let holds = match place {
                Place::Backlog => self.holder.ingest.is_some(),
                Place::Store => self.holder.store.is_some(),
            };
            let with_role = peers.iter().filter(|(_, info)| info.is(role));
            let asking = with_role.map(|(peer, info)| async move {
                (info.node, self.ask_peer(peer, info, place, range, asked_ms).await)
            });
            let own = if holds { Some(self.ask_own(place, range, asked_ms).await) } else { None };
            for (node, asked) in join_all(asking).await {
                match asked {
                    Ok(asked) => all.push(asked),
                    Err(why) => {
                        tracing::debug!(node = format!("{node:016x}"), why, "a node is silent");
                        silent.push(node);
                    }
                }
            }
            all.extend(own);
        }
        // A node of which one half is silent counts as silent.
        all.retain(|asked| !silent.contains(&asked.node));
        let mut knowledge = self.knowledge.lock();
        let own_url = self.peers.own_url();
        let holders = self.peers.others().into_iter().filter(|peer| peer.may_hold());
        knowledge.expect(holders.map(|peer| peer.url.clone()).chain(own_url.clone()));
        for asked in &all {
            knowledge.heard(&asked.address, asked.node, asked.contact);
        }
        for (peer, info) in &peers {
            let holds_nothing = !info.is(Role::Ingest) && !info.is(Role::Store);
            if holds_nothing {
                knowledge.heard(&peer.url, info.node, contact(info, asked_ms, None, self.retention_ms));
            }
        }
        if let Some(url) = own_url {
            let is_ingest = self.holder.ingest.is_some();
            let is_store = self.holder.store.is_some();
            let floor_ms = Contact::floor_ms(asked_ms);
            knowledge.heard(
                &url,
                self.own,
                Contact { asked_ms, is_ingest, is_store, unconsumed_ms: None, floor_ms },
            );
        }
        all
    }

    async fn ask_own(&self, place: Place, range: &Range, asked_ms: u64) -> Asked {
        let mut mirror = self.mirror("", place).lock_owned().await;
        let following = mirror.get_or_insert_with(|| Mirror::new(self.own, place));
        let pinned = loop {
            let (pinned, changes) = self.holder.plan(place, following.position());
            let has_more = changes.has_more();
            match following.apply(changes) {
                Ok(applied) => self.learn(self.own, place, &applied),
                Err(error) => {
                    tracing::error!(%error, "what this node holds contradicts itself: report this");
                    *following = Mirror::new(self.own, place);
                    continue;
                }
            }
            if !has_more {
                break pinned;
            }
        };
        let is_ingest = self.holder.ingest.is_some();
        let is_store = self.holder.store.is_some();
        let unconsumed_ms = pinned.oldest_unconsumed().map(RecordId::time_ms);
        let floor_ms = asked_ms.saturating_sub(self.retention_ms);
        let log = (place == Place::Backlog)
            .then(|| LogPart { pieces: pinned.log_starts.clone(), contested: pinned.contested(range.times) });
        Asked {
            id: id(self.own, place, is_ingest),
            node: self.own,
            address: self.peers.own_url().unwrap_or_else(|| "this node".into()),
            mirror,
            log,
            contact: Contact { asked_ms, is_ingest, is_store, unconsumed_ms, floor_ms },
            reach: Reach::Own(Arc::new(pinned)),
        }
    }

    async fn ask_peer(
        &self,
        peer: &Arc<Peer>,
        info: &NodeInfo,
        place: Place,
        range: &Range,
        asked_ms: u64,
    ) -> Result<Asked, String> {
        let patience = Duration::from_millis(PLAN_TIMEOUT_MS);
        let mut mirror = self.mirror(&peer.url, place).lock_owned().await;
        if mirror.as_ref().is_some_and(|mirror| mirror.node() != info.node) {
            *mirror = None;
        }
        loop {
            let following = mirror.get_or_insert_with(|| Mirror::new(info.node, place));
            if !following.is_whole() {
                timeout(patience, self.catch_up(peer, following))
                    .await
                    .map_err(|_| "too slow".to_owned())??;
            }
            let since = following.position().clone();
            let request = PlanRequest { place, since, from: range.from, to: range.to };
            let asked = timeout(patience, peer.client.plan(&request)).await;
            let answer =
                asked.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string());
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    peer.ask(self.own).await;
                    return Err(error);
                }
            };
            if answer.info.node != info.node {
                peer.answered(answer.info);
                return Err("another node answers at its address".into());
            }
            let changes = Changes::decode(&answer.changes).map_err(|error| error.to_string())?;
            let has_more = changes.has_more();
            match following.apply(changes) {
                Ok(applied) => self.learn(info.node, place, &applied),
                Err(error) => {
                    tracing::debug!(%error, url = peer.url, "a peer's holdings do not follow; listing them anew");
                    *mirror = None;
                    continue;
                }
            }
            if has_more || !following.is_whole() {
                let _ = peer.client.release(answer.snapshot).await;
                timeout(patience, self.catch_up(peer, following))
                    .await
                    .map_err(|_| "too slow".to_owned())??;
                continue;
            }
            let PlanAnswer { info, snapshot, log, contested, oldest, .. } = answer;
            let contested =
                contested.into_iter().map(|(from_ms, to_ms)| TimeRange::new(from_ms, to_ms)).collect();
            let pieces = log.iter().map(|start| (start.epoch, start.first_piece)).collect();
            return Ok(Asked {
                id: id(info.node, place, info.is(Role::Ingest)),
                node: info.node,
                address: peer.url.clone(),
                mirror,
                log: (place == Place::Backlog).then_some(LogPart { pieces, contested }),
                contact: contact(&info, asked_ms, oldest, self.retention_ms),
                reach: Reach::Peer { peer: Arc::clone(peer), token: snapshot },
            });
        }
    }

    /// Follows the changes of a peer to their end.
    async fn catch_up(&self, peer: &Peer, mirror: &mut Mirror) -> Result<(), String> {
        loop {
            let request =
                ChangesRequest { place: mirror.place(), since: mirror.position().clone(), wait_ms: 0 };
            let bytes = peer.client.changes(request).await.map_err(|error| error.to_string())?;
            let changes = Changes::decode(&bytes).map_err(|error| error.to_string())?;
            let has_more = changes.has_more();
            let applied = mirror.apply(changes).map_err(|error| error.to_string())?;
            self.learn(mirror.node(), mirror.place(), &applied);
            if !has_more {
                return Ok(());
            }
        }
    }

    fn learn(&self, node: u64, place: Place, applied: &Applied) {
        self.knowledge.lock().applied(node, place, applied, clock::now_ms());
    }

    fn mirror(&self, url: &str, place: Place) -> Shared {
        Arc::clone(self.mirrors.lock().entry((url.to_owned(), place)).or_default())
    }
}

impl Range {
    fn new(from: RecordId, to: RecordId) -> Range {
        let to_ms = match to {
            RecordId::MAX => u64::MAX,
            to => to.to_u128().checked_sub(1).map_or(0, |last| RecordId::from_u128(last).time_ms()),
        };
        Range { from, to, times: TimeRange::new(from.time_ms(), to_ms) }
    }
}

/// A node with both places is two readers in a plan; the store of one with an ingest role goes by another number.
fn id(node: u64, place: Place, is_ingest: bool) -> u64 {
    if place == Place::Store && is_ingest { !node } else { node }
}

fn contact(info: &NodeInfo, asked_ms: u64, oldest: Option<RecordId>, retention_ms: u64) -> Contact {
    let is_ingest = info.is(Role::Ingest);
    // Event times and spools may bring records as old as retention allows.
    let floor_ms = asked_ms.saturating_sub(retention_ms);
    let unconsumed_ms = oldest.map(RecordId::time_ms);
    Contact { asked_ms, is_ingest, is_store: info.is(Role::Store), unconsumed_ms, floor_ms }
}

fn origins(read: Read) -> Origins {
    let names = |set: OriginSet| set.iter().collect();
    match read {
        Read::All => Origins::All,
        Read::AllBut(set) => Origins::AllBut(names(set)),
        Read::Only(set) => Origins::Only(names(set)),
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
    let from = RecordId::lowest_at(range.times.from_ms);
    let to = match range.times.to_ms {
        u64::MAX => RecordId::MAX,
        to_ms => RecordId::from_parts(to_ms.min(weir_record::id::TIME_MS_MAX), weir_record::id::ENTROPY_MAX),
    };
    Missing { node, place, from, to, why: why.to_owned() }
}
