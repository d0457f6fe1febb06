//! What OK Log's routes ask of this node.

mod consuming;
mod origins;
mod uncommitted;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_api::backend::peer::Role;
use weir_api::backend::{ApiError, QueryAnswer, QueryRequest};
use weir_api::oklog::{ClusterMember, ClusterState, Desk, Oklog, OklogIngest, Scope, Survey};
use weir_engine::Searchable;
use weir_record::RecordId;

use crate::backend::NodeBackend;
use crate::config::Roles;
use crate::handover::Handover;
use crate::peers::{Peer, Peers};
use crate::queries::{Local, Planner};
use crate::snapshots::HeldByIngest;
pub(crate) use consuming::consume;
use origins::Origins;

/// The port of an address that names none.
const HTTP_PORT: u16 = 80;

/// What these routes need beside the rest of the node.
pub(crate) struct Foreign {
    /// The other nodes.
    pub(crate) peers: Arc<Peers>,
    /// `None` for a node that answers from what it holds alone.
    pub(crate) planner: Option<Arc<Planner>>,
    /// Where the API listens.
    pub(crate) address: SocketAddr,
    /// `None` where stores of OK Log may take nothing.
    pub(crate) desk: Option<Desk<Origins>>,
}

/// Lets stores of OK Log take away what is sealed.
pub(crate) fn desk(held: HeldByIngest, handover: Arc<Handover>, local: Arc<Local>) -> Desk<Origins> {
    tracing::info!("stores of OK Log may take records away; what they commit is deleted here");
    Desk::new(Origins::new(held.backlog, handover, local))
}

impl Oklog for NodeBackend {
    fn survey(&self, from: RecordId, to: RecordId, scope: Scope) -> BoxFuture<'_, Result<Survey, ApiError>> {
        Box::pin(async move {
            let mut survey = self.survey_here(from, to);
            if let (Scope::Cluster, Some(planner)) = (scope, &self.oklog.planner) {
                for extent in planner.survey(from, to).await {
                    survey.nodes += 1;
                    survey.segments += extent.segments;
                    survey.bytes_max = survey.bytes_max.max(extent.bytes);
                }
            }
            Ok(survey)
        })
    }

    fn lacks(&self, from: RecordId, to: RecordId, scope: Scope) -> BoxFuture<'_, Result<bool, ApiError>> {
        Box::pin(async move {
            match (scope, &self.oklog.planner) {
                (Scope::Cluster, Some(planner)) => Ok(planner.lacks(from, to).await),
                // What a node lacks of its own is in its survey.
                _ => Ok(false),
            }
        })
    }

    fn query_here(&self, request: QueryRequest) -> BoxFuture<'_, Result<QueryAnswer, ApiError>> {
        Box::pin(self.queries.start_here(request))
    }

    fn ingest(&self) -> Option<&dyn OklogIngest> {
        self.oklog.desk.as_ref().map(|desk| desk as &dyn OklogIngest)
    }

    fn cluster(&self) -> ClusterState {
        let Foreign { peers, address, .. } = &self.oklog;
        let roles = self.serving.roles;
        let (host, port) = match peers.own_url() {
            Some(url) => host_of(&url),
            None => (address.ip().to_string(), address.port()),
        };
        let name = name_of(self.holder.node);
        let own = ClusterMember { name: name.clone(), kind: kind_of(roles), address: host, port };
        let others = peers.others().into_iter().filter(|peer| peer.is_up()).filter_map(|peer| member(&peer));
        ClusterState { name, members: std::iter::once(own).chain(others).collect() }
    }
}

impl NodeBackend {
    /// What a query over this node alone would read.
    fn survey_here(&self, from: RecordId, to: RecordId) -> Survey {
        let holds = self.holder.ingest.is_some() || self.holder.store.is_some();
        let mut survey = Survey { nodes: u64::from(holds), ..Survey::default() };
        for searchable in self.holder.pin().all(self.holder.node) {
            let ((low, high), bytes, is_whole) = match &searchable {
                Searchable::Log(piece) => {
                    let batches = (0..piece.batch_count()).map(|place| piece.batch(place));
                    let bytes = batches.map(|batch| u64::from(batch.payload_bytes)).sum();
                    // What recovery could not read is in no answer.
                    (piece.id_range(), bytes, piece.lost().is_none())
                }
                Searchable::Segment(segment) => {
                    (segment.file().footer().id_range(), segment.file().bytes(), true)
                }
            };
            if low < to && high >= from {
                survey.segments += 1;
                survey.bytes_max += bytes;
                survey.errors = survey.errors.max(u64::from(!is_whole));
            }
        }
        survey
    }
}

fn member(peer: &Peer) -> Option<ClusterMember> {
    let info = peer.info()?;
    let is = |role| info.is(role);
    let roles = Roles {
        ingest: is(Role::Ingest),
        store: is(Role::Store),
        query: is(Role::Query),
        forward: is(Role::Forward),
    };
    let (address, port) = host_of(&peer.url);
    Some(ClusterMember { name: name_of(info.node), kind: kind_of(roles), address, port })
}

fn name_of(node: u64) -> String {
    format!("{node:016x}")
}

/// OK Log's word for what a node does. There a node that is asked is a store.
fn kind_of(roles: Roles) -> &'static str {
    match (roles.ingest, roles.store || roles.query) {
        (true, true) => "ingeststore",
        (true, false) => "ingest",
        (false, _) => "store",
    }
}

/// Host and port of `http://host:port`.
fn host_of(url: &str) -> (String, u16) {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split_once('/').map_or(authority, |(authority, _)| authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(HTTP_PORT)),
        _ => (authority, HTTP_PORT),
    };
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_told_as_host_and_port() {
        for (url, host, port) in [
            ("http://10.0.0.1:7650", "10.0.0.1", 7650),
            ("http://store-1", "store-1", 80),
            ("http://[::1]:7650", "::1", 7650),
            ("http://[::1]", "::1", 80),
            ("http://a:1/", "a", 1),
        ] {
            assert_eq!(host_of(url), (host.to_owned(), port), "{url}");
        }
    }

    #[test]
    fn roles_have_the_names_that_the_tools_of_oklog_know() {
        let roles = |ingest, store, query| Roles { ingest, store, query, forward: false };
        for (roles, kind) in [
            (roles(true, true, true), "ingeststore"),
            (roles(true, false, true), "ingeststore"),
            (roles(true, false, false), "ingest"),
            (roles(false, true, false), "store"),
            (roles(false, false, true), "store"),
        ] {
            assert_eq!(kind_of(roles), kind, "{roles:?}");
        }
    }
}
