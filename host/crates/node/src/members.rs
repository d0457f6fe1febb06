//! The members of the cluster, for people: those that gossip knows, and those that the configuration names.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_api::backend::PeerBackend as _;
use weir_api::backend::peer::{NodeInfo, Role};
use weir_api::backend::{ApiError, Cluster, ClusterAnswer, ErrorKind, MemberInfo};
use weir_api::format::rfc3339_ms;
use weir_membership::{About, ForgetError, Gone, Member, State, Why};

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
    /// The node that an operator means: by its id, or by the URL of its API.
    fn resolve(&self, member: &str) -> Result<u64, ApiError> {
        let id = || u64::from_str_radix(member, 16).ok().filter(|_| member.len() == 16);
        let url = member.trim_end_matches('/');
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
            let url = self.peers.own_url().unwrap_or_else(|| format!("http://{}", self.address));
            let info = self.serving.info();
            return MemberInfo { own: true, state: "up".into(), ..of_info(&info, url) };
        };
        let mut own = of_about(&about);
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
