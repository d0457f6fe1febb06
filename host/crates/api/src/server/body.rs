//! Request bodies: counted while they stream in, before and after decompression, one by one and in all.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use weir_record::limits;

use super::{Shared, decode};
use crate::error::{ApiError, ErrorKind};

/// Bytes that one permit stands for: a semaphore counts in 32 bits, a budget may not fit them.
const UNIT_BYTES: usize = 4 << 10;

/// Memory that all bodies together may take.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
}

/// A part of the budget; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    free: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Budget {
        Budget { free: Arc::new(Semaphore::new((bytes / UNIT_BYTES).max(1))) }
    }

    /// A share that holds nothing yet.
    fn share(&self) -> Share {
        Share { free: self.free.clone(), permit: None, bytes: 0 }
    }

    /// A share of a size that is known. Waits in turn: nothing is held meanwhile, so nobody waits for
    /// one who waits.
    async fn reserve(&self, bytes: usize, wait_max: Duration) -> Result<Share, ApiError> {
        let mut share = self.share();
        let units = bytes.div_ceil(UNIT_BYTES);
        let permit = timeout(wait_max, self.free.clone().acquire_many_owned(units as u32)).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        share.bytes = permit.num_permits() * UNIT_BYTES;
        share.permit = Some(permit);
        Ok(share)
    }
}

impl Share {
    /// Makes sure that the share covers `bytes`. Never waits, for it may hold what another one waits for.
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        // Half as much again: a body that grows by small pieces asks seldom.
        let wanted = (bytes + bytes / 2 - self.bytes).div_ceil(UNIT_BYTES);
        let least = (bytes - self.bytes).div_ceil(UNIT_BYTES);
        let more = [wanted, least]
            .into_iter()
            .find_map(|units| self.free.clone().try_acquire_many_owned(units as u32).ok());
        let more = more.ok_or_else(busy)?;
        self.bytes += more.num_permits() * UNIT_BYTES;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

fn busy() -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        "busy",
        "the node holds as many request bodies as it has memory for",
    )
    .hint("send again; fewer or smaller bodies at once go through")
}

/// A body in memory, and its share of the budget.
#[derive(Debug)]
pub(crate) struct HeldBody {
    /// The decoded bytes.
    pub(crate) bytes: Bytes,
    /// Held until the records are stored.
    pub(crate) share: Share,
}

/// Refuses a body that says itself that it is too large, before a byte of it is read.
pub(crate) fn check_length(headers: &HeaderMap, bytes_max: usize) -> Result<(), ApiError> {
    match declared_bytes(headers) {
        Some(bytes) if bytes > bytes_max as u64 => Err(too_large(bytes_max)),
        _ => Ok(()),
    }
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(
        ErrorKind::TooLarge,
        "body_too_large",
        format!("the body is larger than the {bytes_max} bytes that this route takes"),
    )
    .hint("send it in several requests")
}

/// Reads and decodes a body of at most `bytes_max` bytes, both as sent and decoded.
pub(crate) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<HeldBody, ApiError> {
    let coding = decode::Coding::of(headers.get_all(CONTENT_ENCODING))?;
    let (bytes, mut share) = collect(shared, body, bytes_max).await?;
    let Some(coding) = coding else { return Ok(HeldBody { bytes: bytes.into(), share }) };
    // Decoding takes milliseconds per MiB: not on a thread that serves connections.
    let decoding = tokio::task::spawn_blocking(move || {
        let decoded = decode::decode(coding, &bytes, bytes_max, |total| share.cover(bytes.len() + total))?;
        Ok((decoded, share))
    });
    let (decoded, share) = decoding.await.map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(HeldBody { bytes: decoded.into(), share })
}

async fn collect(shared: &Shared, mut body: Body, bytes_max: usize) -> Result<(Vec<u8>, Share), ApiError> {
    let pause_max = shared.options.body_idle_timeout;
    let exact_bytes = body.size_hint().exact().map(|bytes| bytes as usize);
    let mut share = match exact_bytes {
        Some(bytes) if bytes > bytes_max => return Err(too_large(bytes_max)),
        Some(bytes) => shared.budget.reserve(bytes, pause_max).await?,
        None => shared.budget.share(),
    };
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(exact_bytes.unwrap_or(0));
    while let Some(frame) = next_frame(&mut body, started, bytes.len(), pause_max).await? {
        if bytes.len() + frame.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        share.cover(bytes.len() + frame.len())?;
        bytes.extend_from_slice(&frame);
    }
    Ok((bytes, share))
}

/// The next bytes of a body, which must come soon, and not in drops.
async fn next_frame(
    body: &mut Body,
    started: Instant,
    received: usize,
    pause_max: Duration,
) -> Result<Option<Bytes>, ApiError> {
    let earned = Duration::from_secs_f64(received as f64 / limits::HTTP_BODY_BYTES_PER_S_MIN as f64);
    let deadline = (Instant::now() + pause_max).min(started + pause_max + earned);
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(ApiError::bad_request("body_broken", "the body ended early or is no HTTP")
                    .detail(error.to_string()));
            }
            Err(_) => return Err(too_slow(pause_max)),
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

fn too_slow(pause_max: Duration) -> ApiError {
    ApiError::new(
        ErrorKind::Timeout,
        "body_too_slow",
        format!(
            "the body paused for {} s or came slower than {} bytes per second",
            pause_max.as_secs_f32(),
            limits::HTTP_BODY_BYTES_PER_S_MIN
        ),
    )
    .hint("nothing was stored; send again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let wait = Duration::from_millis(1);
        let first = budget.reserve(6 * UNIT_BYTES, wait).await.unwrap();
        assert_eq!(budget.reserve(5 * UNIT_BYTES, wait).await.unwrap_err().code(), "busy");
        let mut second = budget.share();
        second.cover(1).unwrap();
        second.cover(4 * UNIT_BYTES).unwrap();
        assert_eq!(second.cover(4 * UNIT_BYTES + 1).unwrap_err().code(), "busy");
        drop(first);
        second.cover(10 * UNIT_BYTES).unwrap();
        drop(second);
        assert_eq!(budget.free.available_permits(), 10);
    }
}
