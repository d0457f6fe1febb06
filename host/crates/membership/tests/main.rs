//! Clusters in virtual time: lost, late and doubled datagrams, partitions, restarts, rubbish.
//!
//! A failure prints its seed; `WEIR_LONG=1` runs more of them.

#![allow(clippy::unwrap_used)]

mod forgetting;
mod healing;
mod history;
mod rubbish;
mod scale;
mod world;

/// How many of something: `long` when more than usual is asked for.
fn share(usual: u64, long: u64) -> u64 {
    if std::env::var("WEIR_LONG").is_ok_and(|value| value != "0") { long } else { usual }
}
