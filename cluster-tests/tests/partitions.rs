//! Six real nodes on a network that is cut, one way too, flaps and loses packets, under load: what was acknowledged
//! is found, each record once, or the answer says that it may lack some; healed, all see each other again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::network::{Lost, Network};
use weir_cluster_tests::process::PATIENCE;

use crate::load::traffic::Traffic;

const MEMBERS: [(&str, &str); 6] =
    [("i1", "ingest"), ("i2", "ingest"), ("s1", "store"), ("s2", "store"), ("s3", "store"), ("q", "query")];

/// Pieces are sealed soon, so that records are in logs, backlogs and stores at once.
const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A way from one node to another.
type Way = (&'static str, &'static str);

/// What the network does.
struct Trouble {
    what: &'static str,
    ways: Vec<Way>,
    lost: Lost,
    until: Until,
}

/// When it is healed.
enum Until {
    /// When one node takes others for down.
    Down(&'static str, &'static [&'static str]),
    /// After so long.
    Passed(Duration),
    /// It comes and goes so often, twice a second.
    Flapped(u32),
}

fn one_way(from: &[&'static str], to: &[&'static str]) -> Vec<Way> {
    let ways = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    ways.filter(|(from, to)| from != to).collect()
}

fn both_ways(one: &[&'static str], other: &[&'static str]) -> Vec<Way> {
    [one_way(one, other), one_way(other, one)].concat()
}

fn troubles(long: bool) -> Vec<Trouble> {
    let all = MEMBERS.map(|(name, _)| name);
    let halves = || both_ways(&["i1", "s1", "q"], &["i2", "s2", "s3"]);
    let deaf = [one_way(&all, &["s1"]), one_way(&["i2"], &all)].concat();
    let lossy = Duration::from_secs(if long { 60 } else { 6 });
    let trouble = |what, ways, lost, until| Trouble { what, ways, lost, until };
    vec![
        trouble("two halves", halves(), Lost::All, Until::Down("q", &["i2", "s2", "s3"])),
        trouble(
            "a store hears nobody, an ingest node is not heard",
            deaf,
            Lost::All,
            Until::Down("q", &["s1", "i2"]),
        ),
        trouble("it flaps", halves(), Lost::All, Until::Flapped(if long { 60 } else { 8 })),
        trouble("30 % of all is lost", one_way(&all, &all), Lost::Percent(30), Until::Passed(lossy)),
        trouble("40 % of gossip is lost", one_way(&all, &all), Lost::UdpPercent(40), Until::Passed(lossy)),
    ]
}

#[test]
fn nothing_is_lost_or_silently_missing_on_a_network_that_is_cut_and_it_heals() -> Result<()> {
    let name = "partitions::nothing_is_lost_or_silently_missing_on_a_network_that_is_cut_and_it_heals";
    let Some(mut network) = Network::enter(name)? else { return Ok(()) };
    let long = std::env::var_os("WEIR_LONG").is_some();
    let seed = std::env::var("SEED").map_or_else(|_| Ok(fastrand::u64(..)), |seed| seed.parse())?;
    let mut cluster = Cluster::on_hosts(&mut network, &MEMBERS, 2, SETTINGS)?;
    cluster.start_all()?;
    cluster.until_all_up()?;
    let ingests = ["i1", "i2"].map(|name| cluster.url(name));
    let traffic = Traffic::start(&ingests, &cluster.url("q"), seed)?;
    let made = make_all(&troubles(long), &network, &cluster, &traffic);
    made.with_context(|| format!("SEED={seed}\n{}", cluster.log()))?;
    let settling = Instant::now();
    let store = ["s1", "s2", "s3"][seed as usize % 3];
    let counts = traffic.settle(&mut cluster, &["i1", "i2"], store);
    let counts = counts.with_context(|| format!("SEED={seed}, at the end\n{}", cluster.log()))?;
    println!("SEED={seed}: {counts:?}, settled in {:.1?}", settling.elapsed());
    ensure!(counts.complete > 0 && counts.incomplete > 0, "nothing was tried: {counts:?}");
    Ok(())
}

fn make_all(troubles: &[Trouble], network: &Network, cluster: &Cluster, traffic: &Traffic) -> Result<()> {
    for trouble in troubles {
        make(trouble, network, cluster, traffic).with_context(|| trouble.what.to_owned())?;
    }
    Ok(())
}

/// Makes trouble until it is to be healed, and holds the cluster to what must hold meanwhile and thereafter.
fn make(trouble: &Trouble, network: &Network, cluster: &Cluster, traffic: &Traffic) -> Result<()> {
    traffic.until_more(1, LOOK)?;
    let (before, began) = (traffic.acknowledged(), Instant::now());
    network.lose(&trouble.ways, trouble.lost)?;
    let mut lost = 0;
    match trouble.until {
        Until::Down(at, names) => loop {
            let states = cluster.states(at)?;
            if names.iter().all(|name| states.get(*name).is_some_and(|state| state == "down")) {
                break;
            }
            traffic.watch(LOOK)?;
            ensure!(began.elapsed() < PATIENCE, "{at} still sees {states:?}");
        },
        Until::Passed(time) => traffic.watch(time)?,
        Until::Flapped(times) => {
            for _ in 0..times {
                traffic.watch(LOOK * 3)?;
                lost += network.heal()?;
                traffic.watch(LOOK * 2)?;
                network.lose(&trouble.ways, trouble.lost)?;
            }
        }
    }
    traffic.until_stored(before.0, LOOK)?;
    if matches!(trouble.lost, Lost::UdpPercent(_)) {
        // What is asked for over TCP goes on: copies are made while gossip is lost.
        traffic.until_more(1, LOOK)?;
    }
    let (stored, replicated) = traffic.acknowledged();
    lost += network.heal()?;
    let lasted = began.elapsed();
    let took = cluster.until_all_up()?;
    println!(
        "{}: {lasted:.1?}, {lost} packets lost; {} batches stored, {} replicated meanwhile; all up after {took:.1?}",
        trouble.what,
        stored - before.0,
        replicated - before.1,
    );
    ensure!(lost > 0, "nothing was lost");
    Ok(())
}
