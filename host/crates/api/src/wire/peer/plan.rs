//! `POST /api/v1/node/plan`: what a node has for a question, and a snapshot in which it stays readable.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use weir_record::RecordId;
use weir_replication::{Place, Position};

use super::info::NodeInfo;
use super::search::SnapshotToken;
use super::text::{hex64, hex128, place, shown, shown_or_null};

/// Asks a node for a snapshot of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// Which part of it: log and backlog, or the store. Whoever asks takes the first of all nodes before the second
    /// of any: on their way records are then seen twice at most, and never missed.
    #[serde(with = "place")]
    pub place: Place,
    /// What is known already of what it holds there.
    #[serde(with = "shown")]
    pub since: Position,
    /// The lowest id asked for.
    #[serde(with = "shown")]
    pub from: RecordId,
    /// The lowest id no longer asked for.
    #[serde(with = "shown")]
    pub to: RecordId,
}

/// A snapshot, and what is in it. Goes out as a frame of JSON and frames of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// Who answers.
    pub info: NodeInfo,
    /// Names the snapshot.
    pub snapshot: SnapshotToken,
    /// The logs whose unsealed pieces the snapshot has: origins of these pieces are taken from nobody else.
    pub log: Vec<LogStart>,
    /// Times of the batches in the range in those pieces, first and last millisecond. Any of them may be repeats or
    /// keyed, so there records are told apart by their hashes; and only there can origins of those pieces have records.
    pub contested: Vec<(u64, u64)>,
    /// The lowest id in log and backlog; `None` when both are empty.
    #[serde(with = "shown_or_null", default)]
    pub oldest: Option<RecordId>,
    /// The lowest id of all that the snapshot has.
    #[serde(with = "shown_or_null", default)]
    pub low: Option<RecordId>,
    /// The highest one.
    #[serde(with = "shown_or_null", default)]
    pub high: Option<RecordId>,
    /// What has changed since the position asked with, as bytes of the feed.
    #[serde(skip)]
    pub changes: Bytes,
}

/// Where the unsealed part of a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStart {
    /// The epoch, an even number.
    #[serde(with = "hex64")]
    pub epoch: u64,
    /// The first piece that is not sealed.
    pub first_piece: u64,
}

/// `POST /api/v1/node/release`: a snapshot is needed no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// Which one.
    pub snapshot: SnapshotToken,
}

impl Serialize for SnapshotToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex128::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SnapshotToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SnapshotToken, D::Error> {
        hex128::deserialize(deserializer).map(SnapshotToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::Role;

    #[test]
    fn a_plan_survives_the_way_over_the_wire_without_its_changes() {
        let info = NodeInfo {
            node: 1,
            incarnation: 2,
            version: "1".into(),
            protocol: 1,
            roles: vec![Role::Ingest],
            zone: Some("rack-1".into()),
            capacity_bytes: 3,
            full: true,
            draining: false,
            empty: false,
            work: Vec::new(),
            replication: 2,
            now_ms: 4,
        };
        let plan = PlanAnswer {
            info,
            snapshot: SnapshotToken(u128::MAX - 1),
            log: vec![LogStart { epoch: u64::MAX - 1, first_piece: 9 }],
            contested: vec![(6, 7)],
            oldest: Some(RecordId::from_parts(6, 7)),
            low: Some(RecordId::from_parts(5, 7)),
            high: None,
            changes: Bytes::from_static(b"changes"),
        };
        let json = serde_json::to_string(&plan).unwrap();
        let back: PlanAnswer = serde_json::from_str(&json).unwrap();
        assert_eq!(back, PlanAnswer { changes: Bytes::new(), ..plan });
        let request = PlanRequest {
            place: Place::Backlog,
            since: "0000000000000001.2".parse().unwrap(),
            from: RecordId::MIN,
            to: RecordId::MAX,
        };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(
            json,
            r#"{"place":"backlog","since":"0000000000000001.2","from":"00000000000000000000000000","to":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}"#
        );
        assert_eq!(serde_json::from_str::<PlanRequest>(&json).unwrap(), request);
    }
}
