//! Counts over time, as they go out.

use serde::{Deserialize, Serialize};
use weir_segment::level::{LEVEL_NAMES, LEVELS};

use super::QueryStats;
use crate::backend::HistogramAnswer;
use crate::format::rfc3339_ms;

/// Answer to `GET /api/v1/histogram`. Unknown fields are left alone, so that an older client reads a newer node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistogramBody {
    /// The time of the first bucket, RFC 3339.
    pub from: String,
    /// The time behind the last bucket. The range asked for may end within it.
    pub to: String,
    /// Length of a bucket in milliseconds.
    pub width_ms: u64,
    /// The names of the levels that `counts` has, in its order. A line whose level cannot be told has `none`.
    pub levels: Vec<String>,
    /// The buckets, oldest first, empty ones included.
    pub buckets: Vec<Bucket>,
    /// What was looked at, and what is missing.
    pub stats: QueryStats,
}

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// Where it begins, RFC 3339.
    pub time: String,
    /// How many records of all levels.
    pub count: u64,
    /// How many of each level.
    pub counts: Vec<u64>,
}

impl HistogramBody {
    /// The answer with its statistics.
    pub fn of(answer: &HistogramAnswer, stats: QueryStats) -> HistogramBody {
        let start_ms =
            |index: usize| answer.from_ms.saturating_add(answer.width_ms.saturating_mul(index as u64));
        let bucket = |(index, counts): (usize, &[u64; LEVELS])| Bucket {
            time: rfc3339_ms(start_ms(index)),
            count: counts.iter().sum(),
            counts: counts.to_vec(),
        };
        HistogramBody {
            from: rfc3339_ms(answer.from_ms),
            to: rfc3339_ms(start_ms(answer.buckets.len())),
            width_ms: answer.width_ms,
            levels: LEVEL_NAMES.map(str::to_owned).to_vec(),
            buckets: answer.buckets.iter().enumerate().map(bucket).collect(),
            stats,
        }
    }
}
