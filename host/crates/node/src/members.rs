//! The members of the cluster, for people: those that gossip knows, and those that the configuration names.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use weir_api::backend::PeerBackend as _;
use weir_api::backend::peer::{Job, NodeInfo, Role};
use weir_api::backend::{ApiError, Cluster, ClusterAnswer, ErrorKind, JobAnswer, MemberInfo};
use weir_api::format::rfc3339_ms;
use weir_membership::{About, ForgetError, Gone, Member, State, Why};
use weir_replication::StoreNode;

use crate::gossip::Gossip;
use crate::peers::{Peer, Peers};
use crate::queries::Planner;
use crate::serving::Serving;

/// What a node knows of the members.
pub(crate) struct Members {
    pub(crate) gossip: Option<Arc<Gossip>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) planner: Option<Arc<Planner>>,
    pub(crate) serving: Arc<Serving>,
    /// Where the API of this node listens.
    pub(crate) address: SocketAddr,
    /// How it is spoken to.
    pub(crate) scheme: &'static str,
}

impl Cluster for Members {
    fn members(&self) -> ClusterAnswer {
        let mut members = vec![self.own()];
        let peers = self.peers.others();
        if let Some(gossip) = &self.gossip {
            members.extend(gossip.members().iter().map(|member| found(member, &peers)));
            members.extend(gossip.gone().iter().map(|(node, gone)| of_gone(*node, gone)));
        }
        let known: BTreeSet<String> = members.iter().filter_map(|member| member.node.clone()).collect();
        // What the configuration names and gossip does not know.
        let named = peers.iter().map(|peer| named(peer)).filter(|member| {
            let is_url = |other: &MemberInfo| other.url.is_some() && other.url == member.url;
            !member.node.as_ref().is_some_and(|node| known.contains(node)) && !members.iter().any(is_url)
        });
        let named: Vec<MemberInfo> = named.collect();
        members.extend(named);
        members[1..].sort_by(|a, b| (&a.node, &a.url).cmp(&(&b.node, &b.url)));
        let replication = u64::try_from(self.serving.replication).unwrap_or(u64::MAX);
        ClusterAnswer { gossip: self.gossip.is_some(), replication, members }
    }

    fn job<'a>(&'a self, job: Job, member: Option<&'a str>) -> BoxFuture<'a, Result<JobAnswer, ApiError>> {
        Box::pin(async move {
            match member {
                Some(member) => self.one(member, job).await,
                None => Ok(self.every_store(job).await),
            }
        })
    }

    fn forget(&self, member: &str, force: bool) -> Result<u64, ApiError> {
        let node = self.resolve(member)?;
        if node == self.serving.node {
            return Err(refused(&ForgetError::Own(node)));
        }
        let named = self.peers.others().into_iter().find(|peer| peer.node() == Some(node));
        let forgotten = match &self.gossip {
            Some(gossip) => gossip.forget(node, force),
            None => Err(ForgetError::Unknown(node)),
        };
        match (forgotten, named, &self.planner) {
            (Ok(()), ..) => Ok(node),
            // Without gossip a query node forgets for itself alone.
            (Err(ForgetError::Unknown(_)), Some(peer), Some(planner)) if !peer.is_up() || force => {
                planner.forget(node);
                Ok(node)
            }
            (Err(ForgetError::Unknown(_)), Some(peer), _) if peer.is_up() => {
                Err(refused(&ForgetError::Up(node)))
            }
            (Err(error), ..) => Err(refused(&error)),
        }
    }
}

impl Members {
    /// Has one node do something.
    async fn one(&self, member: &str, job: Job) -> Result<JobAnswer, ApiError> {
        let node = self.resolve(member)?;
        if job == Job::Drain {
            self.check_enough(node)?;
        }
        if node == self.serving.node {
            self.serving.job(job).await?;
            return Ok(JobAnswer { told: vec![hex(node)], ..JobAnswer::default() });
        }
        let peer = self.peers.others().into_iter().find(|peer| peer.node() == Some(node));
        let peer = peer.ok_or_else(|| untold(&hex(node), "where it answers is not known"))?;
        peer.client.job(job).await.map_err(|error| untold(&peer.url, &error.to_string()))?;
        Ok(JobAnswer { told: vec![peer.url.clone()], ..JobAnswer::default() })
    }

    /// Has every store do something.
    async fn every_store(&self, job: Job) -> JobAnswer {
        let mut answer = JobAnswer::default();
        if self.serving.store.is_some() {
            match self.serving.job(job).await {
                Ok(()) => answer.told.push(hex(self.serving.node)),
                Err(error) => answer.untold.push(format!("{}: {error}", hex(self.serving.node))),
            }
        }
        let may_be_store = |peer: &Arc<Peer>| peer.info().is_none_or(|info| info.is(Role::Store));
        let told = self.peers.others().into_iter().filter(may_be_store).map(|peer| async move {
            let told = peer.client.job(job).await;
            (peer.url.clone(), told)
        });
        for (url, told) in join_all(told).await {
            match told {
                Ok(()) => answer.told.push(url),
                Err(error) => answer.untold.push(format!("{url}: {error}")),
            }
        }
        answer
    }

    /// Refuses to empty a store when too few others are left to take what it has: it would never be done.
    fn check_enough(&self, node: u64) -> Result<(), ApiError> {
        let own = self.serving.store.as_ref().map(|_| StoreNode {
            node: self.serving.node,
            capacity_bytes: 0,
            zone: None,
            draining: self.serving.info().draining,
            full: false,
        });
        let stores = self.peers.stores(own);
        let staying = stores.iter().filter(|store| !store.draining && store.node != node).count();
        let replication = self.serving.replication;
        if staying >= replication || !stores.iter().any(|store| store.node == node) {
            return Ok(());
        }
        let why = format!("{staying} other stores would be left, and {replication} copies are to be kept");
        Err(ApiError::bad_request("too_few_stores", why)
            .hint("add a store first, or lower cluster.replication"))
    }

    /// The node that an operator means: by its id, or by the URL of its API.
    fn resolve(&self, member: &str) -> Result<u64, ApiError> {
        let url = member.trim_end_matches('/');
        if self.own().url.as_deref() == Some(url) {
            return Ok(self.serving.node);
        }
        let id = || u64::from_str_radix(member, 16).ok().filter(|_| member.len() == 16);
        let by_url = || {
            let members = self.gossip.as_ref().map(|gossip| gossip.members()).unwrap_or_default();
            let is_there = |member: &&Member| member.about.as_ref().is_some_and(|about| about.url == url);
            // Of two nodes at one address it is the one that is gone from there.
            let there = members.iter().filter(is_there).min_by_key(|member| member.state != State::Down);
            there.map(|member| member.node)
        };
        let by_name = || self.peers.others().into_iter().find(|peer| peer.url == url)?.node();
        id().or_else(by_url).or_else(by_name).ok_or_else(|| {
            let shown: String = member.chars().take(80).collect();
            ApiError::new(ErrorKind::NotFound, "unknown_member", format!("no member is {shown:?}"))
                .hint("name it by its id of 16 hex digits, or by the URL of its API: `weir cluster status` has both")
        })
    }

    fn own(&self) -> MemberInfo {
        let Some((identity, about)) = self.gossip.as_ref().map(|gossip| gossip.own()) else {
            let url = self.peers.own_url().unwrap_or_else(|| format!("{}://{}", self.scheme, self.address));
            let info = self.serving.info();
            return MemberInfo { own: true, state: "up".into(), ..of_info(&info, url) };
        };
        let info = self.serving.info();
        let mut own = MemberInfo { empty: info.empty, work: info.work, ..of_about(&about) };
        own.draining = info.draining;
        own.node = Some(hex(identity.node));
        own.own = true;
        own.state = "up".into();
        own.gossip = Some(identity.addr.to_string());
        own
    }
}

/// A member that gossip knows.
fn found(member: &Member, peers: &[Arc<Peer>]) -> MemberInfo {
    let about = member.about.as_ref();
    let mut info = about.map(of_about).unwrap_or_default();
    let is_stopped = about.is_some_and(|about| about.stopped);
    info.node = Some(hex(member.node));
    let state = match member.state {
        State::Up => "up",
        State::Suspect => "suspect",
        State::Down if is_stopped => "stopped",
        State::Down => "down",
    };
    state.clone_into(&mut info.state);
    info.answers = peers.iter().find(|peer| peer.node() == Some(member.node)).map(|peer| peer.is_up());
    info.gossip = member.addr.map(|addr| addr.to_string());
    info.since = Some(rfc3339_ms(member.since_ms));
    info.heard = member.heard_ms.map(rfc3339_ms);
    let said = peers.iter().find(|peer| peer.node() == Some(member.node)).and_then(|peer| peer.info());
    if let Some(said) = said.filter(|_| member.state != State::Down) {
        (info.draining, info.empty, info.work) = (said.draining, said.empty, said.work);
    }
    info.rival = member.rival.map(|addr| addr.to_string());
    if member.is_stale {
        (info.full, info.held_bytes, info.waiting_origins) = (false, None, None);
    }
    info
}

fn of_gone(node: u64, gone: &Gone) -> MemberInfo {
    let state = match gone.why {
        Why::Left => "left",
        Why::Forgotten => "forgotten",
    };
    let since = Some(rfc3339_ms(gone.at_ms));
    MemberInfo { node: Some(hex(node)), state: state.to_owned(), since, ..MemberInfo::default() }
}

/// A member that the configuration names.
fn named(peer: &Peer) -> MemberInfo {
    let known = peer.info().map(|info| of_info(&info, peer.url.clone()));
    let state = if peer.is_up() { "up" } else { "down" };
    MemberInfo {
        state: state.to_owned(),
        answers: Some(peer.is_up()),
        ..known.unwrap_or_else(|| MemberInfo { url: Some(peer.url.clone()), ..MemberInfo::default() })
    }
}

fn of_info(info: &NodeInfo, url: String) -> MemberInfo {
    let roles = [Role::Ingest, Role::Store, Role::Query, Role::Forward].map(|role| info.is(role));
    MemberInfo {
        node: Some(hex(info.node)),
        roles: roles_of(roles),
        url: Some(url),
        zone: info.zone.clone(),
        full: info.full,
        draining: info.draining,
        empty: info.empty,
        work: info.work.clone(),
        capacity_bytes: Some(info.capacity_bytes),
        ..MemberInfo::default()
    }
}

fn of_about(about: &About) -> MemberInfo {
    MemberInfo {
        roles: roles_of([about.ingest, about.store, about.query, about.forward]),
        url: Some(about.url.clone()),
        zone: about.zone.clone(),
        full: about.full,
        draining: about.draining,
        capacity_bytes: Some(about.capacity_bytes),
        held_bytes: Some(about.held_bytes),
        waiting_origins: Some(about.waiting_origins.into()),
        plugins: Some(hex(about.plugins)),
        ..MemberInfo::default()
    }
}

fn roles_of(roles: [bool; 4]) -> Vec<String> {
    let named = ["ingest", "store", "query", "forward"].into_iter().zip(roles);
    named.filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
}

fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn untold(node: &str, why: &str) -> ApiError {
    let message = format!("{node} cannot be told: {why}");
    ApiError::new(ErrorKind::Unavailable, "member_not_told", message)
        .hint("tell it when it answers; one that will not come back is forgotten: `weir cluster forget`")
}

fn refused(error: &ForgetError) -> ApiError {
    let (kind, code, hint) = match error {
        ForgetError::Unknown(_) => {
            (ErrorKind::NotFound, "unknown_member", "`weir cluster status` lists the members")
        }
        ForgetError::Up(_) => (
            ErrorKind::BadRequest,
            "member_is_up",
            "stop it first; with force it is forgotten, and is a member again as soon as it hears of that",
        ),
        _ => (ErrorKind::BadRequest, "own_node", "ask another node to forget this one, when it is stopped"),
    };
    ApiError::new(kind, code, error.to_string()).hint(hint)
}
