//! What a tail's events hold.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The data of an event `gap`: records that arrived and will not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapBody {
    /// How many, matching or not; `null` when it is not known.
    pub records: Option<u64>,
    /// Why, for people.
    pub why: String,
}

/// One record as a line of JSON. Unknown fields are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RecordLine {
    /// The id, a ULID.
    pub id: String,
    /// The time in the id, RFC 3339.
    pub time: String,
    /// The topic.
    pub topic: String,
    /// The labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// It is no hit, and stands near one.
    #[serde(default)]
    pub context: bool,
    /// It is the first of a group of hits with what stands around them, and not of the first group.
    #[serde(default)]
    pub begins_group: bool,
    /// The payload, when it is UTF-8.
    payload: Option<String>,
    /// The payload in base64, when it is not.
    payload_base64: Option<String>,
}

impl RecordLine {
    /// Reads a line; `None` when it is no record.
    pub fn parse(line: &[u8]) -> Option<RecordLine> {
        serde_json::from_slice(line).ok()
    }

    /// The bytes of the payload; `None` when the line does not say them.
    pub fn payload(&self) -> Option<Vec<u8>> {
        match (&self.payload, &self.payload_base64) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (None, Some(coded)) => STANDARD.decode(coded).ok(),
            (None, None) => None,
        }
    }
}
