//! `POST /api/v1/ingest`: records in, acknowledged when they are as durable as was asked for.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::de::IgnoredAny;
use weir_record::Stream;
use weir_record::lines::{self, Group, Grouper};
use weir_record::stream::DEFAULT_TOPIC;

use super::Request;
use crate::backend::{Durability, IdempotencyKey, Incoming, IngestRequest};
use crate::error::{ApiError, ErrorKind};
use crate::params::Params;
use crate::server::{HeldBody, Response, Shared, json, read_body};
use crate::wire::{IngestAnswer, batch};

/// Bodies up to this size are cut in place; larger ones would hold up the connections of their thread.
const IN_PLACE_BYTES_MAX: usize = 256 << 10;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A record a line.
    Text,
    /// The same, each line being JSON.
    Ndjson,
    /// Batches with ids.
    Batches,
}

pub(super) async fn post(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let content = Content::of(&request.content_type())?;
    let mut params = request.params()?;
    let durability = durability(&mut params, shared.backend.durability_max())?;
    let stream = match content {
        Content::Text | Content::Ndjson => Some(stream(&mut params)?),
        Content::Batches => None,
    };
    params.finish(if stream.is_some() { &["topic", "label.NAME", "durability"] } else { &["durability"] })?;
    if let Some(stream) = &stream {
        request.caller.may_write(stream.topic())?;
    }
    let key = request.head.headers.get("idempotency-key");
    let key = key.map(|value| IdempotencyKey::from_header(value.as_bytes())).transpose()?;

    let body_bytes_max = shared.options.body_bytes_max;
    let HeldBody { bytes, share } =
        read_body(&shared, &request.head.headers, request.body, body_bytes_max).await?;
    let records = records(content, stream, bytes).await?;
    if let Incoming::Batches { batches, .. } = &records {
        batches.iter().try_for_each(|batch| request.caller.may_write(batch.stream().topic()))?;
    }
    let ingested = shared.backend.ingest(IngestRequest { records, durability, key }).await?;
    drop(share);
    json(
        StatusCode::OK,
        &IngestAnswer {
            records: ingested.records,
            first: ingested.ids.map(|(first, _)| first.to_string()),
            last: ingested.ids.map(|(_, last)| last.to_string()),
            durability: ingested.durability.name().into(),
        },
    )
}

impl Content {
    /// No type, and the type that curl gives unasked, are text.
    fn of(content_type: &str) -> Result<Content, ApiError> {
        match content_type {
            "" | "text/plain" | "application/x-www-form-urlencoded" | "application/octet-stream" => {
                Ok(Content::Text)
            }
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Content::Ndjson),
            batch::CONTENT_TYPE => Ok(Content::Batches),
            other => {
                let shown: String = other.chars().take(80).collect();
                Err(ApiError::new(
                    ErrorKind::MediaType,
                    "bad_content_type",
                    format!("content type {shown:?} is not taken here"),
                )
                .hint(format!(
                    "send text/plain (a record a line), application/x-ndjson, or {}",
                    batch::CONTENT_TYPE
                )))
            }
        }
    }
}

fn durability(params: &mut Params, durability_max: Durability) -> Result<Durability, ApiError> {
    let Some(text) = params.take("durability")? else { return Ok(Durability::default()) };
    let durability: Durability = text.parse().map_err(|error: crate::backend::NotADurability| {
        let shown: String = text.chars().take(80).collect();
        ApiError::bad_request("bad_parameter", format!("{error}, not {shown:?}"))
    })?;
    if durability > durability_max {
        return Err(ApiError::bad_request(
            "needs_cluster",
            format!("durability {} needs a cluster, and this node stands alone", durability.name()),
        )
        .hint(format!("ask for durability={}", durability_max.name())));
    }
    Ok(durability)
}

fn stream(params: &mut Params) -> Result<Stream, ApiError> {
    let topic = params.take("topic")?;
    let labels = params.take_prefixed("label.");
    Stream::new(topic.as_deref().unwrap_or(DEFAULT_TOPIC), labels).map_err(|error| {
        ApiError::bad_request("bad_stream", error.to_string())
            .hint("name it as in ?topic=orders&label.env=prod")
    })
}

async fn records(content: Content, stream: Option<Stream>, body: Bytes) -> Result<Incoming, ApiError> {
    let in_place = body.len() <= IN_PLACE_BYTES_MAX;
    let cut = move || match (content, stream) {
        (Content::Text, Some(stream)) => Ok(Incoming::Lines { stream, groups: lines::cut_lines(&body) }),
        (Content::Ndjson, Some(stream)) => Ok(Incoming::Lines { stream, groups: cut_json_lines(&body)? }),
        _ => {
            let (sent_at_ms, batches) = batch::decode(&body).map_err(|error| {
                ApiError::bad_request("bad_batch", error.to_string())
                    .hint("nothing was stored; the format is described in docs/FORMATS.md")
            })?;
            Ok(Incoming::Batches { batches, sent_at_ms })
        }
    };
    if in_place {
        return cut();
    }
    let cutting = tokio::task::spawn_blocking(cut);
    cutting.await.map_err(|error| ApiError::internal(error.to_string()))?
}

/// The lines of a body of JSON values. Blank lines are no records; every other line must be one value, and
/// is kept byte for byte.
fn cut_json_lines(body: &[u8]) -> Result<Vec<Group>, ApiError> {
    let mut grouper = Grouper::default();
    for (index, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(line) {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            return Err(ApiError::bad_request(
                "bad_json",
                format!("line {} is not JSON: {reason} at byte {}", index + 1, error.column()),
            )
            .hint("nothing was stored; send lines that are no JSON as text/plain"));
        }
        grouper.push(line);
    }
    Ok(grouper.finish())
}
