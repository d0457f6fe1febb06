//! `/store/_clusterstate` and `/ingest/_clusterstate`: who is there, in the shape that OK Log's tools know.

use http::StatusCode;
use serde_json::{Map, json};

use super::oklog;
use crate::error::ApiError;
use crate::server::{Response, Shared, json as answer};

pub(super) fn state(shared: &Shared) -> Result<Response, ApiError> {
    let state = oklog(shared)?.cluster();
    let mut delegate = Map::new();
    let mut members = Vec::with_capacity(state.members.len());
    for member in &state.members {
        let (name, address, port) = (&member.name, &member.address, member.port);
        delegate.insert(name.clone(), json!({ "type": member.kind, "api_addr": address, "api_port": port }));
        members.push(json!({ "Name": name, "Addr": address, "Port": port, "State": 0 }));
    }
    answer(
        StatusCode::OK,
        &json!({ "self": state.name, "members": members, "n": state.members.len(), "delegate": delegate }),
    )
}
