//! What lists, plans and repair cost by the number of stores: tables of `docs/SCALING.md`.
//!
//! `cargo run --release -p weir-replication --example sizes`

#[expect(clippy::unwrap_used, reason = "it is that of the tests")]
#[path = "../tests/size.rs"]
mod size;

use size::{Cluster, PIECES_PER_HOUR};
use weir_replication::{ListSize, Mirror};

/// Stores and ingest nodes.
const SIZES: [(u64, u64); 4] = [(3, 3), (10, 5), (100, 30), (300, 100)];
/// Hours of origins that plans are made over.
const HOURS: u64 = 6;
const HOURS_PER_WEEK: u64 = 168;
const HOURS_PER_YEAR: u64 = 8_766;
const COPIES: u64 = 2;
/// Of one store that is lost: bytes, and what another one writes in a second.
const STORE_BYTES: f64 = 1e12;
const REPAIR_BYTES_PER_SECOND: f64 = 50e6;

fn main() {
    println!(
        "| stores, ingest | origins an hour | B each in a listing | all lists by name, a week | a year | units an hour | B each when quiet | all lists by digest, a week | a year | in memory, a year | news to each follower, kB/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut clusters =
        SIZES.map(|(stores, ingest)| (stores, ingest, Cluster::new(stores, ingest, HOURS, PIECES_PER_HOUR)));
    let by_name = clusters.each_ref().map(|(_, _, cluster)| {
        let mirrors = cluster.mirrors();
        (cluster.listing(), cluster.plan(&mirrors, 1), cluster.plan(&mirrors, HOURS))
    });
    for ((stores, ingest, cluster), (listing, ..)) in clusters.iter_mut().zip(&by_name) {
        let bytes = listing.bytes as f64 / listing.entries as f64;
        let per_hour = cluster.origins() / HOURS;
        cluster.rest();
        let quiet = cluster.listing();
        let quiet_bytes = quiet.bytes as f64 / quiet.entries as f64;
        let units = cluster.units().0 as u64 / HOURS;
        let gb = |each: f64, per_hour: u64, hours: u64| each * (per_hour * COPIES * hours) as f64 / 1e9;
        let sizes = cluster.mirrors().iter().map(Mirror::size).fold(ListSize::default(), ListSize::and);
        let in_memory = sizes.bytes as f64 / sizes.by_digest as f64;
        println!(
            "| {stores}, {ingest} | {per_hour} | {bytes:.1} | {:.2} GB | {:.1} GB | {units} | {quiet_bytes:.1} | {:.4} GB | {:.3} GB | {:.3} GB | {:.1} |",
            gb(bytes, per_hour, HOURS_PER_WEEK),
            gb(bytes, per_hour, HOURS_PER_YEAR),
            gb(quiet_bytes, units, HOURS_PER_WEEK),
            gb(quiet_bytes, units, HOURS_PER_YEAR),
            gb(in_memory, units, HOURS_PER_YEAR),
            bytes * (per_hour * COPIES) as f64 / 3600.0 / 1e3,
        );
    }
    println!(
        "\n| stores, ingest | requests for plans | plan of 1 h, by name, by digest: ms | origins | units | stores that read | plan of {HOURS} h, by name, by digest: ms | origins | units | stores that read |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for ((stores, ingest, cluster), (_, named_hour, named)) in clusters.iter().zip(&by_name) {
        let mirrors = cluster.mirrors();
        let (hour, all) = (cluster.plan(&mirrors, 1), cluster.plan(&mirrors, HOURS));
        let ms = |plan: &size::Plan| plan.took.as_secs_f64() * 1e3;
        println!(
            "| {stores}, {ingest} | {} | {:.1}, {:.1} | {} | {} | {} | {:.1}, {:.1} | {} | {} | {} |",
            stores + ingest,
            ms(named_hour),
            ms(&hour),
            hour.origins,
            hour.units,
            hour.readers,
            ms(named),
            ms(&all),
            all.origins,
            all.units,
            all.readers,
        );
    }
    drop(clusters);
    println!(
        "\n| stores | copies lost | made again | by stores | most by one, % of the lost | most read from one, % | hours for 1 TB at 50 MB/s | units asked for by name |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (stores, _) in SIZES {
        // As many origins as there are units in a week, some twice: the spread is that of the units.
        let mut cluster = Cluster::new(stores, 1, HOURS_PER_WEEK, 100);
        cluster.rest();
        let repair = cluster.lose();
        let share = |count: u64| count as f64 / repair.lost as f64;
        println!(
            "| {stores} | {} | {} | {} | {:.1} | {:.1} | {:.2} | {} |",
            repair.lost,
            repair.made,
            repair.makers,
            share(repair.made_max) * 100.0,
            share(repair.read_max) * 100.0,
            share(repair.made_max.max(repair.read_max)) * STORE_BYTES / REPAIR_BYTES_PER_SECOND / 3600.0,
            repair.names,
        );
    }
}
