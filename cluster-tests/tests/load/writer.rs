//! Posts batches one after the other, each with a key, again and again until it is acknowledged.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use weir_cluster_tests::process::post_with;
use weir_record::RecordId;

use super::oracle::{Oracle, line_of};
use super::worker::Stop;

/// Who writes where.
pub(crate) struct Writer {
    /// Addresses of ingest nodes, of which each batch goes to one.
    pub(crate) ingests: Vec<String>,
    /// What is waited for.
    pub(crate) durability: &'static str,
    pub(crate) seed: u64,
}

/// Writes until it is stopped, behind an acknowledgement. Gives the number of batches.
pub(crate) fn write(writer: &Writer, oracle: &Oracle, stop: &Stop) -> Result<usize> {
    let Writer { ingests, durability, seed } = writer;
    let topic = oracle.topic();
    let mut random = fastrand::Rng::with_seed(*seed);
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
        let ingest = &ingests[random.usize(..ingests.len())];
        let url = format!("{ingest}/api/v1/ingest?topic={topic}&durability={durability}");
        loop {
            // A node that is gone refuses, or breaks off: nobody knows then what it has stored.
            let Ok((status, answer)) = post_with(&url, &headers, body.join("\n").as_bytes()) else {
                std::thread::yield_now();
                continue;
            };
            if status == 200 {
                break;
            }
            if status == 507 {
                oracle.refuse();
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
