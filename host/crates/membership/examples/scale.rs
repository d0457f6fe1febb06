//! What gossip costs and how soon it notices, by the number of nodes, in virtual time: the table of `docs/SCALING.md`.
//!
//! `cargo run --release -p weir-membership --example scale [NODES]…`

#[path = "../tests/history.rs"]
mod history;
#[path = "../tests/world.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "it is that of the tests, which need more of it")]
mod world;

const SEED: u64 = 1;
const SIZES: [usize; 3] = [10, 100, 300];

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    println!(
        "| nodes | all joined, s | kB sent by each until then | B/s of each at rest | lost node missed by the first, s | \
         by all, s | B/s of each in two halves | healed, s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for nodes in sizes {
        let figures = history::history(nodes, SEED);
        let seconds = |ms: u64| ms as f64 / 1e3;
        println!(
            "| {nodes} | {:.1} | {:.1} | {} | {:.1} | {:.1} | {} | {:.1} |",
            seconds(figures.joined_ms),
            figures.join_bytes as f64 / 1e3,
            figures.rest_bytes,
            seconds(figures.first_missed_ms),
            seconds(figures.missed_ms),
            figures.apart_bytes,
            seconds(figures.healed_ms),
        );
    }
}
