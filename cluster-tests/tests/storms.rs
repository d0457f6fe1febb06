//! Real nodes that are restarted again and again, or asked to end, under load.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::network::Network;
use weir_cluster_tests::process::until;

use crate::load::traffic::Traffic;

const MEMBERS: [(&str, &str); 5] =
    [("i1", "ingest"), ("i2", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";

const RESTARTS: u32 = 20;
const RESTARTS_LONG: u32 = 200;
/// What a node says that had to leave requests behind when it ended. They have 8 s; those that wait for what comes no
/// more, such as copies, must not use them up.
const CUT: &str = "requests were cut";

/// Nodes on hosts of their own, and load on them.
fn start(network: &mut Network, seed: u64) -> Result<(Cluster, Traffic)> {
    let mut cluster = Cluster::on_hosts(network, &MEMBERS, 2, SETTINGS)?;
    cluster.start_all()?;
    cluster.until_all_up()?;
    let ingests = ["i1", "i2"].map(|name| cluster.url(name));
    let traffic = Traffic::start(&ingests, &cluster.url("q"), seed)?;
    Ok((cluster, traffic))
}

fn seed() -> Result<u64> {
    Ok(std::env::var("SEED").map_or_else(|_| Ok(fastrand::u64(..)), |seed| seed.parse())?)
}

#[test]
fn five_nodes_that_restart_again_and_again_under_load_lose_nothing_and_settle() -> Result<()> {
    let name = "storms::five_nodes_that_restart_again_and_again_under_load_lose_nothing_and_settle";
    let Some(mut network) = Network::enter(name)? else { return Ok(()) };
    let long = std::env::var_os("WEIR_LONG").is_some();
    let restarts = if long { RESTARTS_LONG } else { RESTARTS };
    let seed = seed()?;
    let (mut cluster, traffic) = start(&mut network, seed)?;
    let began = Instant::now();
    let stormed = storm(&mut cluster, &traffic, restarts, seed).and_then(|()| cluster.until_all_up());
    let took = stormed.with_context(|| format!("SEED={seed}\n{}", cluster.log()))?;
    let counts = traffic.settle(&mut cluster, &["i1", "i2"], "s1");
    let counts = counts.with_context(|| format!("SEED={seed}, at the end\n{}", cluster.log()))?;
    println!(
        "SEED={seed}: {restarts} restarts in {:.1?}, all up after {took:.1?}, {counts:?}",
        began.elapsed()
    );
    Ok(())
}

/// Restarts nodes, one after the other or all together; most are killed, some are asked to end.
fn storm(cluster: &mut Cluster, traffic: &Traffic, restarts: u32, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut done = 0;
    while done < restarts {
        let all = MEMBERS.map(|(name, _)| name);
        let gone = match random.u8(..6) {
            // At first as well: nodes have only just met, and must know whom they miss all the same.
            die if die == 0 || done == 0 => all.to_vec(),
            _ => vec![all[random.usize(..all.len())]],
        };
        for name in &gone {
            if random.u8(..4) == 0 {
                ensure!(cluster.terminate(name)? == 0, "{name} did not end well");
            } else {
                cluster.kill(name)?;
            }
        }
        for name in &gone {
            cluster.start(name)?;
        }
        done += gone.len() as u32;
        traffic.watch(Duration::from_millis(random.u64(..1_000)))?;
    }
    Ok(())
}

#[test]
fn a_node_that_is_asked_to_end_under_load_does_so_in_time_and_leaves_the_cluster() -> Result<()> {
    let name = "storms::a_node_that_is_asked_to_end_under_load_does_so_in_time_and_leaves_the_cluster";
    let Some(mut network) = Network::enter(name)? else { return Ok(()) };
    let seed = seed()?;
    let (mut cluster, traffic) = start(&mut network, seed)?;
    for name in ["i2", "s2", "q"] {
        let ended = end(&mut cluster, &traffic, name);
        ended.with_context(|| format!("SEED={seed}, {name}\n{}", cluster.log()))?;
    }
    let counts = traffic.settle(&mut cluster, &["i1", "i2"], "s2");
    let counts = counts.with_context(|| format!("SEED={seed}, at the end\n{}", cluster.log()))?;
    ensure!(counts.complete > 0, "nothing was tried: {counts:?}");
    Ok(())
}

/// Asks one node to end while all are busy, and starts it again.
fn end(cluster: &mut Cluster, traffic: &Traffic, name: &str) -> Result<()> {
    traffic.until_more(5, Duration::from_millis(50))?;
    let began = Instant::now();
    let (code, log) = cluster.terminate_told(name)?;
    let took = began.elapsed();
    // One that has left with nothing has no zone any more; one with records was stopped, and is missed.
    let state = || Ok(cluster.states("i1")?.remove(name));
    let told = |state: &Option<String>| !matches!(state.as_deref(), Some("up" | "suspect"));
    let state = until("others know", state, told)?;
    println!("{name} ended after {took:.1?}, and is {}", state.as_deref().unwrap_or("gone"));
    ensure!(code == 0, "{name} ended with {code}");
    ensure!(!log.contains(CUT), "{name} had requests that did not end in {took:?}: {log}");
    ensure!(state.as_deref() != Some("down"), "it did not take its leave");
    cluster.start(name)?;
    cluster.until_all_up()?;
    Ok(())
}
