//! `POST /store/replicate`: a text segment with the ids of its sender, stored when it is answered.
//!
//! A repeat is answered like the first time and adds no record: the ids are keys, and of two records with the same
//! id and bytes one is shown (see [`read_text`]).

use std::sync::Arc;

use http::StatusCode;

use super::{Request, oklog, told};
use crate::backend::{Durability, Incoming, IngestRequest};
use crate::error::{ApiError, ErrorKind};
use crate::oklog::{TextError, read_text};
use crate::server::{HeldBody, Response, Shared, read_body};

/// Bodies up to this size are cut in place; larger ones would hold up the connections of their thread.
const IN_PLACE_BYTES_MAX: usize = 256 << 10;

pub(super) async fn post(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    oklog(&shared)?;
    let body_bytes_max = shared.options.body_bytes_max;
    let HeldBody { bytes, share } =
        read_body(&shared, &request.head.headers, request.body, body_bytes_max).await?;
    let read = if bytes.len() <= IN_PLACE_BYTES_MAX {
        read_text(&bytes)
    } else {
        let cutting = tokio::task::spawn_blocking(move || read_text(&bytes));
        cutting.await.map_err(|error| ApiError::internal(error.to_string()))?
    };
    let batches = read.map_err(|error| refused(&error))?;
    if batches.is_empty() {
        return Ok(told(StatusCode::OK, "No records\n"));
    }
    let records = Incoming::Batches { batches, sent_at_ms: shared.backend.now_ms() };
    let request = IngestRequest { records, durability: Durability::Stored, key: None };
    shared.backend.ingest(request).await?;
    drop(share);
    Ok(told(StatusCode::OK, "OK\n"))
}

fn refused(error: &TextError) -> ApiError {
    let kind = match error {
        TextError::Long { .. } => ErrorKind::TooLarge,
        TextError::Batch(_) => return ApiError::internal(error.to_string()),
        _ => ErrorKind::BadRequest,
    };
    ApiError::new(kind, "bad_segment", error.to_string()).hint("nothing was stored")
}
