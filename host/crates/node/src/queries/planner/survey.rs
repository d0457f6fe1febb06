//! What other nodes are known to hold, told from their mirrors: nobody is asked.

use futures_util::future::join_all;
use weir_api::backend::peer::Role;
use weir_record::RecordId;
use weir_replication::{Mirror, Place, TimeRange};

use super::{Planner, Range, Reach};

/// What one node holds in a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Pieces of the log, and origins.
    pub(crate) segments: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Extent {
    /// What a node has of a range; of units that are known by digest, all.
    fn of(mirror: &Mirror, range: TimeRange) -> Extent {
        let mut extent = Extent::default();
        for (_, told) in mirror.sets().units_in(range).filter(|(_, told)| told.quiet().times.meets(range)) {
            extent.segments += told.origins();
            extent.bytes += told.quiet().bytes;
        }
        for (unit, origins) in mirror.catalog().units_in(range) {
            for held in origins.iter(unit).filter(|held| held.range().meets(range)) {
                extent.segments += 1;
                extent.bytes += held.bytes;
            }
        }
        extent
    }

    fn and(self, other: Extent) -> Extent {
        Extent { segments: self.segments + other.segments, bytes: self.bytes + other.bytes }
    }
}

impl Planner {
    /// What each of the other nodes held when it was heard of last, those that do not answer among them. Nodes that
    /// hold nothing by their roles are left out; of one that was never heard nothing is known.
    pub(crate) async fn survey(&self, from: RecordId, to: RecordId) -> Vec<Extent> {
        let range = Range::new(from, to).times;
        let mut extents = Vec::new();
        for peer in self.peers.others() {
            let holds = |role| peer.info().is_none_or(|info| info.is(role));
            if !holds(Role::Ingest) && !holds(Role::Store) {
                continue;
            }
            let mut extent = Extent::default();
            for place in [Place::Backlog, Place::Store] {
                let mirror = self.mirror(&peer.url, place);
                let mirror = mirror.lock().await;
                let known = mirror.as_ref().map(|mirror| Extent::of(mirror, range));
                extent = extent.and(known.unwrap_or_default());
            }
            extents.push(extent);
        }
        extents
    }

    /// Whether records of a range are missing as far as is known before anything is read. Plans, and runs nothing.
    pub(crate) async fn lacks(&self, from: RecordId, to: RecordId) -> bool {
        let planned = self.plan((from, to), None, &[]).await;
        let releases = planned.searches.into_iter().filter_map(|search| match search.reach {
            Reach::Peer { peer, token } => Some(async move { peer.client.release(token).await }),
            Reach::Own(_) => None,
        });
        // What is not released ends by itself.
        join_all(releases).await;
        !planned.missing.is_empty()
    }
}
