//! The page at `/ui/`: a few files inside the binary, as `cargo xtask ui` has built them into `host/ui/dist/`.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

use super::Request;
use crate::error::ApiError;
use crate::server::{Response, empty, full};

/// Only our own files, and nobody frames us. Payloads are shown as text, so even a hole there runs nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $content_type:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/dist/", $name)),
        }
    };
}

static FILES: &[File] = &[
    file!("/ui/", "index.html", "text/html; charset=utf-8"),
    file!("/ui/page.css", "page.css", "text/css; charset=utf-8"),
    file!("/ui/page.js", "page.js", "text/javascript; charset=utf-8"),
    file!("/ui/icon.svg", "icon.svg", "image/svg+xml"),
];

/// The paths of all files.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

/// Leads to the page. The target is relative, so that it holds behind a proxy that adds a path.
pub(super) fn to_page() -> Response {
    let mut response = empty(StatusCode::FOUND);
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("ui/"));
    response
}

/// One file. Its parameters are the page's own business: the whole search is in the URL.
pub(super) fn get(request: &Request) -> Result<Response, ApiError> {
    let path = request.head.uri.path();
    let file = FILES.iter().find(|file| file.path == path);
    let file = file.ok_or_else(|| ApiError::internal(format!("no file behind the route {path}")))?;
    let tag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(file.bytes), file.bytes.len());
    let known = request.head.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let mut response = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        full(StatusCode::OK, file.content_type, file.bytes)
    };
    let headers = response.headers_mut();
    // Asked for anew each time, sent anew only when changed: an upgraded node never shows an old page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, HeaderValue::from_str(&tag).map_err(|e| ApiError::internal(e.to_string()))?);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
