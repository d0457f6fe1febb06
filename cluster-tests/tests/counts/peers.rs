//! Nodes whose answers come broken, by halves, as lies or not at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{PATIENCE, until};
use weir_cluster_tests::relay::{Relay, Spoil};

use super::asked::{self, Asked, SETTINGS, count, ready, rows};

/// In any order, so that each follows on each.
const SPOILS: [Spoil; 8] = [
    Spoil::Garbage,
    Spoil::Cut(40),
    Spoil::Silence(300),
    Spoil::Cut(1_000),
    Spoil::Lies,
    Spoil::Cut(20_000),
    Spoil::Silence(20_000),
    Spoil::Silence(0),
];
/// What an answer may take: two nodes that are waited for, one after the other.
const ANSWER: Duration = PATIENCE;

const LINES: u64 = 3_000;

fn is_exact(asked: &Asked) -> bool {
    asked.is_complete && asked.count == LINES
}

/// Two stores, of which one is reached through a relay by whoever is named.
fn through_relay(by: &str, other: &str) -> Result<(Cluster, Relay)> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    let relay = Relay::start()?;
    relay.lead_to(Some(&cluster.url(other)))?;
    cluster.reach(by, other, &relay.url())?;
    cluster.start_all()?;
    ready(&cluster)?;
    Ok((cluster, relay))
}

#[test]
fn whatever_one_store_answers_queries_are_exact_by_the_other_or_say_that_they_are_not() -> Result<()> {
    let (mut cluster, relay) = through_relay("q", "s1")?;
    asked::send(&cluster.url("i"), "replicated", None, 0..LINES)?;
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    let query = cluster.url("q");
    let mut answers = [0, 0];
    for spoil in SPOILS {
        let sound = relay.sound();
        let asked_again = || count(&query, "topic:t /number/").map(|asked| (asked, relay.sound()));
        until("the store is asked again", asked_again, |(asked, now)| is_exact(asked) && *now > sound + 3)?;
        relay.spoil(Some(spoil));
        // Until one was met nothing is shown.
        let (mut rounds, spoilt) = (0, relay.spoilt());
        while rounds < 3 || relay.spoilt() == spoilt {
            rounds += 1;
            let ask: [&dyn Fn() -> Result<Asked>; 2] =
                [&|| count(&query, "topic:t /number/"), &|| rows(&query, "q=topic:t")];
            for ask in ask {
                let began = Instant::now();
                let asked = ask()?;
                ensure!(
                    is_exact(&asked) || !asked.is_complete && asked.count <= LINES,
                    "{spoil:?}: {} {:?}",
                    asked.count,
                    asked.missing
                );
                answers[usize::from(asked.is_complete)] += 1;
                ensure!(began.elapsed() < ANSWER, "{spoil:?}: {:?}", began.elapsed());
            }
        }
        relay.spoil(None);
    }
    let [incomplete, complete] = answers;
    eprintln!("{complete} answers complete, {incomplete} not; {} spoilt", relay.spoilt());
    ensure!(complete > 4 * incomplete, "{incomplete} answers were incomplete, {complete} were not");
    let log = cluster.node("q")?.log();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

#[test]
fn whatever_an_ingest_node_answers_a_store_keeps_nothing_that_is_wrong_and_gets_all_in_the_end() -> Result<()>
{
    let (mut cluster, relay) = through_relay("s1", "i")?;
    let mut sent = 0;
    for spoil in SPOILS {
        let spoilt = relay.spoilt();
        relay.spoil(Some(spoil));
        let more = || {
            asked::send(&cluster.url("i"), "stored", None, sent..sent + LINES / 10)?;
            sent += LINES / 10;
            Ok(relay.spoilt())
        };
        until("an answer was spoilt", more, |count| *count > spoilt)?;
        let asked = count(&cluster.url("q"), "topic:t /number/")?;
        ensure!(asked.count == sent, "{spoil:?}: {} of {sent}, {:?}", asked.count, asked.missing);
        relay.spoil(None);
        cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    }
    let log = cluster.node("s1")?.log();
    ensure!(!log.contains("panicked") && !log.contains("quarantined"), "{log}");
    cluster.kill("s2")?;
    let query = cluster.url("q");
    let asked = until("all of it", || count(&query, "topic:t /number/"), |asked| asked.is_complete)?;
    ensure!(asked.count == sent, "{} of {sent} on the store behind the relay", asked.count);
    Ok(())
}
