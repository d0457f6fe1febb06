//! Posts batches one after the other, each with a key, again and again until it is acknowledged.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use weir_cluster_tests::process::post_with;
use weir_record::RecordId;

use super::oracle::{Oracle, line_of};
use super::worker::Stop;

/// Writes until it is stopped, behind an acknowledgement. Gives the number of batches.
pub(super) fn write(ingest: &str, oracle: &Oracle, stop: &Stop, seed: u64) -> Result<usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut number = 0;
    while !stop.is_set() {
        let lines = random.u32(1..30);
        let body: Vec<String> = (0..lines).map(|line| line_of(number, line)).collect();
        // Half of the keys carry a time: the ids of their records are made from them, and a repeat whose first
        // answer was lost may lie in the log twice.
        let key = if random.bool() {
            RecordId::from_u128(u128::from(now_ms()) << 80 | random.u128(..1 << 80)).to_string()
        } else {
            format!("{seed:016x}-{number}")
        };
        let headers = [("content-type", "text/plain"), ("idempotency-key", &key)];
        let url = format!("{ingest}/api/v1/ingest?topic=http&durability=stored");
        loop {
            // A node that is gone refuses, or breaks off: nobody knows then what it has stored.
            let Ok((status, answer)) = post_with(&url, &headers, body.join("\n").as_bytes()) else {
                std::thread::yield_now();
                continue;
            };
            if status == 200 {
                break;
            }
            let text = String::from_utf8_lossy(&answer);
            ensure!([429, 503, 507].contains(&status), "batch {number}: status {status}: {text}");
        }
        oracle.acknowledge(lines);
        number += 1;
    }
    Ok(number)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
