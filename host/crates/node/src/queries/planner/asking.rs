//! Asks every node that holds records what it has, in the order that matters, and keeps the mirrors up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use weir_api::backend::peer::{ChangesRequest, NodeInfo, PlanAnswer, PlanRequest, Role};
use weir_record::RecordId;
use weir_record::limits::PLAN_TIMEOUT_MS;
use weir_replication::assign::LogPart;
use weir_replication::{Changes, Contact, Mirror, Place, TimeRange};

use super::{Planner, Range, Reach};
use crate::clock;
use crate::peers::Peer;

/// The answer of one node for one place. While it is held, its mirror stands where the snapshot does.
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) node: u64,
    pub(super) address: String,
    pub(super) mirror: OwnedMutexGuard<Option<Mirror>>,
    pub(super) log: Option<LogPart>,
    pub(super) contact: Contact,
    /// The lowest and the highest id of all that it has there.
    pub(super) ids: Option<(RecordId, RecordId)>,
    pub(super) reach: Reach,
}

impl Planner {
    /// Asks every node that answers, in the order that matters.
    pub(super) async fn ask_all(&self, range: &Range, avoid: &[String]) -> Vec<Asked> {
        // Who has not answered before is asked in the background, for as long as it takes.
        let others = self.peers.others();
        let unknown = others.iter().filter(|peer| peer.is_unknown());
        join_all(unknown.map(|peer| peer.ask(self.own))).await;
        let peers: Vec<(Arc<Peer>, NodeInfo)> = self
            .peers
            .others()
            .into_iter()
            .filter(|peer| peer.is_up() && !avoid.contains(&peer.url))
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
            let (with_role, gone): (Vec<_>, Vec<_>) =
                peers.iter().filter(|(_, info)| info.is(role)).partition(|(peer, _)| peer.is_up());
            silent.extend(gone.iter().map(|(_, info)| info.node));
            let asking = with_role.into_iter().map(|(peer, info)| async move {
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
        self.settle(&mut all);
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
                Ok(applied) => self.learn(following, &applied),
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
            .then(|| log_part(pinned.log_starts.clone(), pinned.contested(range.times)));
        Asked {
            id: id(self.own, place, is_ingest),
            node: self.own,
            address: self.peers.own_url().unwrap_or_else(|| "this node".into()),
            mirror,
            log,
            contact: Contact { asked_ms, is_ingest, is_store, unconsumed_ms, floor_ms },
            ids: pinned.id_range(),
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
        let mut mirror = self.mirror(&peer.url, place).lock_owned().await;
        if mirror.as_ref().is_some_and(|mirror| mirror.node() != info.node) {
            *mirror = None;
        }
        loop {
            let following = mirror.get_or_insert_with(|| Mirror::new(info.node, place));
            if !following.is_whole() {
                in_time(peer, self.catch_up(peer, following)).await??;
            }
            let since = following.position().clone();
            let request = PlanRequest { place, since, from: range.from, to: range.to };
            let answer = match in_time(peer, peer.client.plan(&request)).await? {
                Ok(answer) => answer,
                Err(error) => {
                    peer.ask(self.own).await;
                    return Err(error.to_string());
                }
            };
            if answer.info.node != info.node {
                peer.answered(answer.info);
                return Err("another node answers at its address".into());
            }
            let changes = Changes::decode(&answer.changes).map_err(|error| error.to_string())?;
            let has_more = changes.has_more();
            match following.apply(changes) {
                Ok(applied) => self.learn(following, &applied),
                Err(error) => {
                    tracing::debug!(%error, url = peer.url, "a peer's holdings do not follow; listing them anew");
                    *mirror = None;
                    continue;
                }
            }
            if has_more || !following.is_whole() {
                let _ = peer.client.release(answer.snapshot).await;
                in_time(peer, self.catch_up(peer, following)).await??;
                continue;
            }
            let PlanAnswer { info, snapshot, log, contested, oldest, low, high, .. } = answer;
            let contested =
                contested.into_iter().map(|(from_ms, to_ms)| TimeRange::new(from_ms, to_ms)).collect();
            let pieces = log.iter().map(|start| (start.epoch, start.first_piece)).collect();
            return Ok(Asked {
                id: id(info.node, place, info.is(Role::Ingest)),
                node: info.node,
                address: peer.url.clone(),
                mirror,
                log: (place == Place::Backlog).then(|| log_part(pieces, contested)),
                contact: contact(&info, asked_ms, oldest, self.retention_ms),
                ids: low.zip(high),
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
            self.learn(mirror, &applied);
            if !has_more {
                return Ok(());
            }
        }
    }
}

/// What a node answers, if it does in time; else it is known to be silent, so that the next plan does not wait for it.
pub(super) async fn in_time<T>(peer: &Peer, asking: impl Future<Output = T>) -> Result<T, String> {
    timeout(Duration::from_millis(PLAN_TIMEOUT_MS), asking).await.map_err(|_| {
        peer.is_silent();
        "no answer in time".to_owned()
    })
}

/// Any batch of a log may be a repeat or keyed.
fn log_part(pieces: Vec<(u64, u64)>, times: Vec<TimeRange>) -> LogPart {
    LogPart { pieces, contested: times.clone(), times }
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
