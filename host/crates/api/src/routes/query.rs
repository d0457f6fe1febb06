//! `GET|POST /api/v1/query`: a question in, records out as they are found.

pub(super) mod answer;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use http::Version;
use http::header::TE;
use http::request::Parts;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use weir_query::{Context, Explanation, Order, ParseError, Piped, parse_piped, time};
use weir_record::{RecordId, limits};

use super::Request;
use crate::access::Caller;
use crate::backend::QueryRequest;
use crate::error::{ApiError, ErrorKind};
use crate::format::Format;
use crate::params::Params;
use crate::server::{Response, Shared, read_body};
use crate::wire::ExplainLine;

const KNOWN: &[&str] =
    &["q", "from", "to", "limit", "order", "before", "after", "filter", "format", "explain"];

pub(super) async fn get(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let params = request.params()?;
    run(&shared, &request.head, &request.caller, params).await
}

/// The same with the parameters in the body: a form, a JSON object, or the text of the query alone.
pub(super) async fn post(shared: Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    let mut params = request.params()?;
    let content_type = request.content_type();
    let Request { head, body, caller } = request;
    let body = read_body(&shared, &head.headers, body, limits::HTTP_SMALL_BODY_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body.bytes)
        .map_err(|_| ApiError::bad_request("bad_parameter", "the body is not UTF-8"))?;
    match content_type.as_str() {
        "application/x-www-form-urlencoded" => params.extend(text)?,
        "application/json" => extend_json(&mut params, text)?,
        "" | "text/plain" => params.push("q", text.trim_end_matches(['\r', '\n'])),
        other => {
            let shown: String = other.chars().take(80).collect();
            return Err(ApiError::new(
                ErrorKind::MediaType,
                "bad_content_type",
                format!("content type {shown:?} is not taken here"),
            )
            .hint("send a form, a JSON object, or the query as text/plain"));
        }
    }
    run(&shared, &head, &caller, params).await
}

/// Adds the members of a JSON object: strings and numbers as they are, `null` as if it were absent.
fn extend_json(params: &mut Params, text: &str) -> Result<(), ApiError> {
    let refuse = |message: String| {
        ApiError::bad_request("bad_json", message).hint(r#"send {"q": "error", "from": "1h", "limit": 100}"#)
    };
    let members: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| refuse(format!("the body is not a JSON object: {error}")))?;
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::String(text) => params.push(name, text),
            Value::Number(number) => params.push(name, number.to_string()),
            Value::Bool(is) if name == "explain" => params.push(name, is.to_string()),
            _ => {
                let shown: String = name.chars().take(80).collect();
                return Err(refuse(format!("member {shown:?} is neither text nor a number")));
            }
        }
    }
    Ok(())
}

async fn run(
    shared: &Arc<Shared>,
    head: &Parts,
    caller: &Caller,
    params: Params,
) -> Result<Response, ApiError> {
    let cancel = CancellationToken::new();
    let Resolved { request, format, explain } = resolve(params, caller, shared.backend.now_ms(), &cancel)?;
    let explained = if explain { Some(explanation(&request)?) } else { None };
    // Dropped with the answer, however that ends: a client that has gone is waited for by nobody.
    let guard = cancel.drop_guard();
    let range = (request.from, request.to);
    let started = shared.backend.query(request).await?;
    let trailers = takes_trailers(head);
    let shape = answer::Shape { format, range, trailers, explained, caller: caller.clone() };
    answer::stream(started, shape, guard).await
}

/// A query as it is run, and how it is answered.
#[derive(Debug)]
struct Resolved {
    request: QueryRequest,
    format: Format,
    /// Whether the query is explained, and run without sending what it finds.
    explain: bool,
}

/// The first line of an answer that explains.
fn explanation(request: &QueryRequest) -> Result<Bytes, ApiError> {
    let explanation = Explanation::of(&request.expr)
        .map_err(|error| ApiError::bad_request("bad_query", error.to_string()))?;
    let mut line = serde_json::to_vec(&ExplainLine { explain: explanation.into() })
        .map_err(|error| ApiError::internal(error.to_string()))?;
    line.push(b'\n');
    Ok(line.into())
}

/// Whether the client says that it reads trailers (`TE: trailers`). HTTP/1.0 has none.
pub(super) fn takes_trailers(head: &Parts) -> bool {
    let values = head.headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    let said =
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("trailers"));
    said && head.version >= Version::HTTP_11
}

/// What the parameters ask for, at a time.
fn resolve(
    mut params: Params,
    caller: &Caller,
    now_ms: u64,
    cancel: &CancellationToken,
) -> Result<Resolved, ApiError> {
    let text = with_filters(params.take("q")?.unwrap_or_default(), params.take("filter")?.as_deref());
    let from = bound(&mut params, "from", now_ms)?.unwrap_or(RecordId::MIN);
    let to = bound(&mut params, "to", now_ms)?.unwrap_or(RecordId::MAX);
    let limit = params.take("limit")?.map(|limit| parse_limit(&limit)).transpose()?;
    let order: Order = one_of(&mut params, "order")?;
    let before = params.take("before")?.map_or(Ok(0), |text| parse_context("before", &text))?;
    let after = params.take("after")?.map_or(Ok(0), |text| parse_context("after", &text))?;
    let context = Context { before, after };
    let format: Format = one_of(&mut params, "format")?;
    let explain = params.take("explain")?.map_or(Ok(false), |text| parse_flag("explain", &text))?;
    params.finish(KNOWN)?;
    check_range(from, to)?;
    let hits_max = limits::QUERY_CONTEXT_HITS_MAX;
    if !context.is_none() && limit.is_some_and(|limit| limit > hits_max) {
        let message = format!("with before or after the limit is at most {hits_max}");
        return Err(ApiError::bad_request("bad_parameter", message)
            .hint("leave before and after out, or ask for less at once"));
    }
    if explain && format != Format::Ndjson {
        return Err(ApiError::bad_request("bad_parameter", "an explanation has the format ndjson alone")
            .hint("leave format out, or ask with weir query --explain"));
    }
    let Piped { expr, stages } = piped(&text, caller)?;
    if explain && !stages.is_empty() {
        return Err(ApiError::bad_request("bad_parameter", "an explanation is of a query without pipes")
            .hint("leave the pipes out: what stands before them is what is searched for"));
    }
    let request =
        QueryRequest { text, expr, stages, from, to, limit, order, context, cancel: cancel.clone() };
    Ok(Resolved { request, format, explain })
}

/// A query with what is given as `filter`: pipes, `sample 0.1 | count by path`.
pub(super) fn with_filters(text: String, filters: Option<&str>) -> String {
    match filters.map(str::trim).filter(|filters| !filters.is_empty()) {
        None => text,
        Some(filters) => format!("{text} | {}", filters.trim_start_matches(['|', ' '])),
    }
}

/// The meaning of a query's text, when that caller asks.
pub(super) fn piped(text: &str, caller: &Caller) -> Result<Piped, ApiError> {
    let Piped { expr, stages } = parse_piped(text).map_err(unreadable)?;
    Ok(Piped { expr: caller.restrict(expr)?, stages })
}

fn unreadable(error: ParseError) -> ApiError {
    ApiError::bad_request("bad_query", format!("column {}: {}", error.column, error.message))
        .hint(error.hint)
        .column(error.column as u32)
}

pub(super) fn check_range(from: RecordId, to: RecordId) -> Result<(), ApiError> {
    if from <= to {
        return Ok(());
    }
    Err(ApiError::bad_request("bad_range", "from lies after to")
        .hint("from is the older end of the range, to the newer one"))
}

/// One end of the range: a time, or the id of a record.
pub(super) fn bound(
    params: &mut Params,
    name: &'static str,
    now_ms: u64,
) -> Result<Option<RecordId>, ApiError> {
    let Some(text) = params.take(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bound = time::parse_bound(&text, now_ms)
        .map_err(|error| ApiError::bad_request("bad_time", format!("{name}: {error}")))?;
    Ok(Some(bound))
}

fn parse_limit(text: &str) -> Result<u64, ApiError> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::bad_request("bad_parameter", format!("limit is a number from 1 up, not {shown:?}"))
            .hint("leave limit out to get everything")
    })
}

/// A number of records beside each hit.
fn parse_context(name: &str, text: &str) -> Result<usize, ApiError> {
    let max = limits::QUERY_CONTEXT_RECORDS_MAX;
    text.parse().ok().filter(|count| *count <= max).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::bad_request("bad_parameter", format!("{name} is a number from 0 to {max}, not {shown:?}"))
    })
}

/// A parameter that is given or not; given without a value it is.
fn parse_flag(name: &str, text: &str) -> Result<bool, ApiError> {
    match text {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => {
            let shown: String = text.chars().take(80).collect();
            Err(ApiError::bad_request("bad_parameter", format!("{name} is 1 or 0, not {shown:?}")))
        }
    }
}

fn one_of<T>(params: &mut Params, name: &'static str) -> Result<T, ApiError>
where
    T: FromStr + Default,
    T::Err: Display,
{
    let Some(text) = params.take(name)? else { return Ok(T::default()) };
    text.parse().map_err(|error: T::Err| {
        let shown: String = text.chars().take(80).collect();
        ApiError::bad_request("bad_parameter", format!("{error}, not {shown:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn resolved(params: &str) -> Result<(QueryRequest, Format), ApiError> {
        all_resolved(params).map(|resolved| (resolved.request, resolved.format))
    }

    fn all_resolved(params: &str) -> Result<Resolved, ApiError> {
        resolve(Params::parse(params)?, &Caller::default(), NOW_MS, &CancellationToken::new())
    }

    #[test]
    fn without_parameters_everything_is_asked_for() {
        let (request, format) = resolved("").unwrap();
        assert_eq!((request.from, request.to), (RecordId::MIN, RecordId::MAX));
        assert_eq!((request.limit, request.order, format), (None, Order::Asc, Format::Ndjson));
    }

    #[test]
    fn parameters_say_what_is_asked_for() {
        let (request, format) = resolved("q=error&from=1h&to=now&limit=5&order=desc&format=text").unwrap();
        assert_eq!(request.from, RecordId::lowest_at(NOW_MS - 3_600_000));
        assert_eq!(request.to, RecordId::lowest_at(NOW_MS));
        assert_eq!((request.limit, request.order, format), (Some(5), Order::Desc, Format::Text));
        let (request, _) = resolved("before=2&limit=10000").unwrap();
        assert_eq!(request.context, Context { before: 2, after: 0 });
        let (request, _) = resolved("from=01ARZ3NDEKTSV4RRFFQ69G5FAV&to=").unwrap();
        assert_eq!(request.from.to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(request.to, RecordId::MAX);
    }

    #[test]
    fn pipes_stand_in_the_query_or_beside_it() {
        for (params, query, names) in [
            ("q=a", "a", &[][..]),
            ("q=a | b c", "a", &["b"]),
            ("q=a&filter=b c", "a", &["b"]),
            ("q=a | b&filter=| c | d", "a", &["b", "c", "d"]),
            ("filter=count", "", &["count"]),
            ("q=a&filter= ", "a", &[]),
        ] {
            let (request, _) = resolved(params).unwrap();
            let found: Vec<&str> = request.stages.iter().map(|stage| stage.name.as_str()).collect();
            assert_eq!((request.expr.to_string().as_str(), found.as_slice()), (query, names), "{params}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (params, code, part) in [
            ("before=1001", "bad_parameter", "1000"),
            ("after=-1", "bad_parameter", "after"),
            ("after=1&limit=10001", "bad_parameter", "10000"),
            ("limit=0", "bad_parameter", "limit"),
            ("limit=-1", "bad_parameter", "limit"),
            ("order=up", "bad_parameter", "order"),
            ("format=xml", "bad_parameter", "format"),
            ("from=yesterday-ish", "bad_time", "from"),
            ("from=now&to=1h", "bad_range", "from"),
            ("filter=a(", "bad_query", "column 5"),
            ("q=a |", "bad_query", "column 4"),
            ("q=a&filter=count&explain=1", "bad_parameter", "without pipes"),
            ("query=x", "unknown_parameter", "query"),
            ("q=a (b", "bad_query", "column 3"),
        ] {
            let error = resolved(params).unwrap_err();
            assert_eq!(error.code(), code, "{params}: {error}");
            assert!(error.message().contains(part), "{params}: {error}");
        }
        assert_eq!(resolved("q=a (b").unwrap_err().envelope().error.column, Some(3));
    }

    #[test]
    fn a_json_body_is_an_object_of_text_and_numbers() {
        let mut params = Params::default();
        extend_json(&mut params, r#"{"q":"a & b","limit":7,"to":null,"explain":true}"#).unwrap();
        assert_eq!(params.take("q").unwrap().as_deref(), Some("a & b"));
        assert_eq!(params.take("limit").unwrap().as_deref(), Some("7"));
        assert_eq!(params.take("to").unwrap(), None);
        assert_eq!(params.take("explain").unwrap().as_deref(), Some("true"));
        for body in ["", "[]", "{\"q\":[1]}", "{\"q\":true}"] {
            assert_eq!(extend_json(&mut params, body).unwrap_err().code(), "bad_json", "{body}");
        }
    }
}
