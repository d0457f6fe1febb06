//! The trailers that end an answer of nothing but records.

use http::HeaderName;

/// Whether the answer is whole: `true` or `false`.
pub(crate) const COMPLETE: HeaderName = HeaderName::from_static("x-weir-complete");
/// The statistics as JSON in ASCII.
pub(crate) const STATS: HeaderName = HeaderName::from_static("x-weir-stats");
/// The error that cut the answer short, as the body of an error is.
pub(crate) const ERROR: HeaderName = HeaderName::from_static("x-weir-error");
/// All of them, as the head of the answer announces them.
pub(crate) const NAMES: &str = "X-Weir-Complete, X-Weir-Stats, X-Weir-Error";
/// Longest value: what common clients take is 16 KiB for all trailers.
pub(crate) const BYTES_MAX: usize = 6 << 10;
