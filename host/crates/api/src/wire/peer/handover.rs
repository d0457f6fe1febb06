//! What stores and ingest nodes say to each other, in JSON: what is there, who keeps it, what went wrong.

use serde::{Deserialize, Serialize};
use weir_record::limits;
use weir_replication::{OriginKey, Place, Position};
use weir_segment::{RecordDigest, Unit};

use super::search::SnapshotToken;
use super::text::{all_shown, digest, hex64, place, shown, shown_or_null};

/// `POST /api/v1/node/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesRequest {
    /// Which of the node's lists.
    #[serde(with = "place")]
    pub place: Place,
    /// What is known of it already.
    #[serde(with = "shown")]
    pub since: Position,
    /// How long to wait for news, in milliseconds; at most [`limits::NODE_WAIT_MS_MAX`].
    #[serde(default)]
    pub wait_ms: u64,
}

/// `POST /api/v1/node/names`: the origins by name of units of a store that are told by digest. Answered as the feed is, in
/// pages: whoever has read one goes on behind its last origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRequest {
    /// The units, at most [`limits::NODE_NAMES_UNITS_MAX`].
    #[serde(with = "all_shown")]
    pub units: Vec<Unit>,
    /// The last origin that is known; `None` on the first page.
    #[serde(with = "shown_or_null", default)]
    pub after: Option<OriginKey>,
    /// The snapshot that has them; what is held at this moment when there is none.
    #[serde(default)]
    pub snapshot: Option<SnapshotToken>,
}

impl NamesRequest {
    /// Whether it asks for no more than one request may.
    pub(crate) fn is_bounded(&self) -> bool {
        self.units.len() <= limits::NODE_NAMES_UNITS_MAX
    }
}

/// `GET /api/v1/node/origin?name=…&store=…&place=…`: a store takes an origin, which it claims when that waits for stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginRequest {
    /// Which of the node's lists has it; the backlog when nothing is said.
    pub place: Place,
    /// Which one.
    pub origin: OriginKey,
    /// The store that wants to keep it.
    pub store: u64,
}

/// `POST /api/v1/node/confirm`: what a store says of origins that it was to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmRequest {
    /// The store.
    #[serde(with = "hex64")]
    pub store: u64,
    /// The origins, at most [`limits::NODE_CONFIRMATIONS_MAX`].
    pub origins: Vec<Confirmation>,
}

impl ConfirmRequest {
    /// Whether it holds no more than one request may.
    pub(crate) fn is_bounded(&self) -> bool {
        self.origins.len() <= limits::NODE_CONFIRMATIONS_MAX
    }
}

/// What a store says of one origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Which one.
    #[serde(with = "shown")]
    pub origin: OriginKey,
    /// What proves that it is the same.
    #[serde(with = "digest")]
    pub digest: RecordDigest,
    /// What became of it.
    pub kept: Kept,
}

/// What became of an origin at a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// It is synced to the store's disk.
    Held,
    /// It lies below what the store has expired already. Counts as held.
    Expired,
}

/// What a confirmation did. The same confirmation again does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmed {
    /// It is counted; more stores are needed.
    Counted,
    /// As many stores as are needed have it: the ingest node deletes its own.
    Complete,
    /// There is no such origin here: it was handed over before, or never was here. The store keeps its copy.
    Unknown,
    /// The digest is not that of the origin: the store's copy is not the origin, and must not be kept.
    Mismatch,
}

/// Answer to `POST /api/v1/node/confirm`: one outcome per origin, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmAnswer {
    /// The outcomes.
    pub outcomes: Vec<Confirmed>,
}

/// `POST /api/v1/node/failed`: a store could not take an origin, and gives its claim back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// The store.
    #[serde(with = "hex64")]
    pub store: u64,
    /// Which origin.
    #[serde(with = "shown")]
    pub origin: OriginKey,
    /// What went wrong, for people; cut to [`limits::NODE_TEXT_BYTES_MAX`].
    pub why: String,
}

#[cfg(test)]
mod tests {
    use weir_replication::NotAnOriginKey;
    use weir_segment::{OriginName, Unit};

    use super::*;

    #[test]
    fn what_is_said_is_what_is_documented() {
        let unit = Unit::new(3_600_000, 3_600_000, "keep-7d", 0, 1).unwrap();
        let origin = OriginKey { unit, name: OriginName { node: 1, epoch: 2, piece: 3 } };
        let text = "0000000000000001-0000000000000002-00000003-3600000.3600000.keep-7d.p0of1";
        assert_eq!(origin.to_string(), text);
        assert_eq!(text.parse(), Ok(origin.clone()));
        assert_eq!("0000000000000001-2-3".parse::<OriginKey>(), Err(NotAnOriginKey));

        let one = Confirmation { origin, digest: RecordDigest([0xab; 16]), kept: Kept::Held };
        let request = ConfirmRequest { store: 255, origins: vec![one] };
        let json = serde_json::to_string(&request).unwrap();
        let digest = "ab".repeat(16);
        assert_eq!(
            json,
            format!(
                r#"{{"store":"00000000000000ff","origins":[{{"origin":"{text}","digest":"{digest}","kept":"held"}}]}}"#
            )
        );
        assert_eq!(serde_json::from_str::<ConfirmRequest>(&json).unwrap(), request);

        let since: Position = "ffffffffffffffff.7".parse().unwrap();
        let asked = ChangesRequest { place: Place::Store, since, wait_ms: 9 };
        let json = serde_json::to_string(&asked).unwrap();
        assert_eq!(json, r#"{"place":"store","since":"ffffffffffffffff.7","wait_ms":9}"#);
        let brief = r#"{"since":"ffffffffffffffff.7","place":"store"}"#;
        assert_eq!(
            serde_json::from_str::<ChangesRequest>(brief).unwrap(),
            ChangesRequest { wait_ms: 0, ..asked }
        );
        assert!(serde_json::from_str::<ChangesRequest>(r#"{"since":"7","place":"store"}"#).is_err());
    }
}
