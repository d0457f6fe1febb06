//! What nodes say to each other when copies move, in JSON: what an operator wants, and whether a copy may be counted on.

use serde::{Deserialize, Serialize};
use weir_record::limits;
use weir_replication::OriginKey;
use weir_segment::RecordDigest;

use super::text::{digest, hex64, shown};

/// `POST /api/v1/node/holds`: a store that is about to let go of copies asks which of them it may count on here. It has
/// said no to everybody since before it asks; see [`weir_replication::Dropper`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldsRequest {
    /// The store that asks.
    #[serde(with = "hex64")]
    pub store: u64,
    /// The origins, at most [`limits::NODE_CONFIRMATIONS_MAX`].
    pub origins: Vec<CountedOn>,
}

impl HoldsRequest {
    /// Whether it holds no more than one request may.
    pub(crate) fn is_bounded(&self) -> bool {
        self.origins.len() <= limits::NODE_CONFIRMATIONS_MAX
    }
}

/// An origin of which another copy is to be counted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedOn {
    /// Which one.
    #[serde(with = "shown")]
    pub origin: OriginKey,
    /// What proves that it is the same.
    #[serde(with = "digest")]
    pub digest: RecordDigest,
}

/// Answer to `POST /api/v1/node/holds`: one word per origin, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldsAnswer {
    /// Whether it is synced to the disk of this store, and this one is not about to let go of it.
    pub holds: Vec<bool>,
}

/// `POST /api/v1/node/job`: an operator wants this of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// What.
    pub job: Job,
}

/// What an operator wants of a node. The same again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// To take nothing more and to give everything away. Holds until it is called off, also over restarts.
    Drain,
    /// To take part again.
    CancelDrain,
    /// To make now the copies that are lacking, without waiting whether they come back.
    Repair,
    /// To take what belongs to it by rank, and to give away what does not. Ends when that is done.
    Rebalance,
    /// To leave things as they are.
    CancelRebalance,
}

#[cfg(test)]
mod tests {
    use weir_segment::{OriginName, Unit};

    use super::*;

    #[test]
    fn what_is_said_is_what_is_documented() {
        let unit = Unit::new(3_600_000, 3_600_000, "keep-7d", 0, 1).unwrap();
        let origin = OriginKey { unit, name: OriginName { node: 1, epoch: 2, piece: 3 } };
        let one = CountedOn { origin: origin.clone(), digest: RecordDigest([0xab; 16]) };
        let request = HoldsRequest { store: 255, origins: vec![one] };
        let json = serde_json::to_string(&request).unwrap();
        let digest = "ab".repeat(16);
        assert_eq!(
            json,
            format!(
                r#"{{"store":"00000000000000ff","origins":[{{"origin":"{origin}","digest":"{digest}"}}]}}"#
            )
        );
        assert_eq!(serde_json::from_str::<HoldsRequest>(&json).unwrap(), request);
        let jobs = [
            (Job::Drain, "drain"),
            (Job::CancelDrain, "cancel_drain"),
            (Job::Repair, "repair"),
            (Job::Rebalance, "rebalance"),
            (Job::CancelRebalance, "cancel_rebalance"),
        ];
        for (job, name) in jobs {
            let json = serde_json::to_string(&JobRequest { job }).unwrap();
            assert_eq!(json, format!(r#"{{"job":"{name}"}}"#));
        }
    }
}
